"""Labels of a map: those that the item lists, in the type that holds them, and none that the model did not give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import rasterio
import xarray as xr
from onnx import TensorProto, helper, numpy_helper
from tests.registry.scenes.reading_models import tif
from tests.registry.scenes.scenes_in_memory import Memory, run
from tests.registry.scenes.small_models import average, classifier, in_onnx, of_images

from modelstac.catalog.errors import DataError, InvalidItemError
from modelstac.catalog.messages import Note
from modelstac.registry.scenes.evaluating.grids import Rules
from modelstac.registry.scenes.evaluating.models import evaluate
from modelstac.registry.scenes.predicting import predict_scene

RNG = np.random.default_rng(0)


def classes(*values: Any) -> dict[str, Any]:
    return {"classification:classes": [{"value": value, "name": f"class {value}"} for value in values]}


def scores_of(model: Any, values: np.ndarray) -> np.ndarray:
    return next(iter(model.run({"image": values[None]}).values()))[0]


def labels(factor: int, dtype: str, listed: dict[str, Any]) -> Any:
    """Give a model of labels: its input, whole numbers as fractions, times a factor."""
    kinds = {"int64": TensorProto.INT64, "uint8": TensorProto.UINT8, "bool": TensorProto.BOOL}
    sides = [
        helper.make_tensor_value_info(name, kind, ["b", 1, "h", "w"])
        for name, kind in (("image", TensorProto.FLOAT), ("labels", kinds[dtype]))
    ]
    nodes = [
        helper.make_node("Mul", ["image", "k"], ["t"]),
        helper.make_node("Cast", ["t"], ["labels"], to=kinds[dtype]),
    ]
    constants = [numpy_helper.from_array(np.float32(factor), "k")]
    graph = helper.make_graph(nodes, "g", sides[:1], sides[1:], constants)
    made: onnx.ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    found = of_images({"image": 1}, {"labels": 1}, halo={"image": {"height": 0, "width": 0}}, extra=listed)
    (output,) = found.outputs
    result = output.result.model_copy(update={"data_type": dtype})
    return in_onnx(made, found.model_copy(update={"outputs": (output.model_copy(update={"result": result}),)}))


@pytest.mark.parametrize(
    ("factor", "dtype", "listed", "odd"),
    [(100, "int64", (0, 1, 2), 3), (85, "uint8", (0, 85, 170), 3), (-1, "int64", (0, 1), 1)],
)
def test_labels_that_are_no_class_and_find_no_room_are_masked_and_said(
    tmp_path: Path, factor: int, dtype: str, listed: tuple[int, ...], odd: int
) -> None:
    """Neither 300 becomes 44 in a map of bytes, nor does 255, which is no class, vanish as nodata without a word."""
    values = RNG.integers(0, 4, (1, 20, 30)).astype(np.float32)
    found: list[Any] = []

    def sink(rasters: Any) -> None:
        found.append(rasters[0].read((slice(0, 20), slice(0, 30)))[0])

    told: list[Any] = []
    made = predict_scene(labels(factor, dtype, classes(*listed)), Memory({"image": values}), sink, report=told.append)
    layer = made.plan.layers["labels"]
    given = (values[0] * factor).astype(np.int64)
    gone = (given < 0) if factor < 0 else given >= odd * factor
    np.testing.assert_array_equal(found[0] == layer.nodata, gone)
    np.testing.assert_array_equal(found[0][~gone], given[~gone])
    (note,) = made.notes
    assert note.startswith("masked: labels of 'labels' that are none of its classes, such as ")
    assert [one.text for one in told if isinstance(one, Note)] == [note]


def test_a_map_of_nothing_is_said() -> None:
    """Two bands that are there in turn leave no pixel, as one that has none."""
    values, told = np.zeros((2, 20, 30), np.float32), list[Any]()
    there = np.zeros((2, 20, 30), bool)
    there[0, :10] = there[1, 10:] = True
    for some in (False, True):
        there[1, 0] = some
        scene = Memory({"image": values}, missing={"image": ~there})
        made = predict_scene(classifier(extra=classes(0, 1, 2)), scene, lambda _: None, report=told.append)
        notes = [note for note in made.notes if note.startswith("masked: everything")]
        assert [one.text for one in told if isinstance(one, Note)] == ([] if some else notes)
        assert len(notes) == (0 if some else 1)
        told.clear()


@pytest.mark.parametrize(
    ("functions", "post", "expected", "unit"),
    [
        ([("numpy", "x * 2"), ("numpy", "x + 1")], None, lambda x: x * 2 + 1, "m"),
        ([("numpy", "x * 2"), ("python", "a:b"), ("numpy", "x + 1")], None, lambda x: x * 2, None),
        ([("numpy", "x * 2")], "none", lambda x: x, None),
        ([], "clip:0:0.5", lambda x: x.clip(0, 0.5), "m"),
        ([], "scale:100", lambda x: x * 100, None),
        ([], None, lambda x: x, "m"),
    ],
)
def test_a_map_has_the_unit_of_its_item_where_all_is_done_that_it_says(
    tmp_path: Path, functions: Any, post: Any, expected: Any, unit: Any
) -> None:
    steps = [{"format": form, "expression": text} for form, text in functions] or None
    model = average()
    (output,) = model.description.outputs
    output = output.model_copy(update={"post_processing_function": steps, "variables": ("depth",)})
    known = {"outputs": (output,), "cube_variables": {"depth": {"type": "data", "dimensions": [], "unit": "m"}}}
    model.description = model.description.model_copy(update=known)
    values = np.full((1, 20, 20), 0.75, np.float32)
    found = run(model, Memory({"image": values}), tmp_path, post=post)
    np.testing.assert_allclose(found["mean"][:, 5:-5, 5:-5], expected(values[:, 5:-5, 5:-5]), rtol=1e-5)
    assert found["plan"].layers["mean"].unit == unit


@pytest.mark.parametrize(("unit", "others"), [("K", "K"), (None, "mm")])
def test_a_map_has_the_unit_that_its_item_says_of_all_bands_of_the_output(
    tmp_path: Path, unit: str | None, others: str
) -> None:
    model = classifier(classes=2)
    (output,) = model.description.outputs
    model.description = model.description.model_copy(
        update={"outputs": (output.model_copy(update={"bands": ("t1", "t2")}),)}
    )
    model.item.properties["bands"] = [{"name": "t1", "unit": "K"}, {"name": "t2", "unit": others}]
    found = run(model, Memory({"image": np.zeros((2, 20, 20), np.float32)}), tmp_path, post="scale:100")
    assert found["plan"].layers["scores"].unit is None  # of what somebody else makes of it
    values = np.zeros((2, 20, 20), np.float32)
    found = run(model, Memory({"image": values}), tmp_path)
    assert found["plan"].layers["scores"].unit == unit
    scaled = {"post_processing_function": [{"format": "numpy", "expression": "x * 2"}]}
    (output,) = model.description.outputs
    model.description = model.description.model_copy(update={"outputs": (output.model_copy(update=scaled),)})
    array = xr.DataArray(values, dims=("channel", "y", "x"))
    assert model.predict(array).attrs.get("units") == unit  # and an array has the same


def test_true_and_false_are_classes(tmp_path: Path) -> None:
    values = RNG.integers(0, 2, (1, 20, 30)).astype(np.float32)
    found = run(labels(1, "bool", classes(0, 1)), Memory({"image": values}), tmp_path)
    np.testing.assert_array_equal(found["labels"], values)


def test_a_threshold_is_of_every_band_by_itself(tmp_path: Path) -> None:
    """Four classes have nothing to do with below and above; two have, of one score."""
    model, values = classifier(extra=classes(10, 20, 30)), RNG.random((2, 20, 20), np.float32)
    found = run(model, Memory({"image": values}), tmp_path, post="threshold:0")
    np.testing.assert_array_equal(found["scores"], scores_of(model, values) >= 0)
    assert [one.name for one in found["plan"].layers["scores"].classes] == ["below", "above"]
    model = classifier(classes=1, extra=classes(0, 255))
    found = run(model, Memory({"image": values}), tmp_path, post="threshold:0")
    np.testing.assert_array_equal(found["scores"], np.where(scores_of(model, values) >= 0, 255, 0))


def test_the_highest_score_has_a_class_or_is_refused(tmp_path: Path) -> None:
    scene = Memory({"image": RNG.random((2, 20, 20), np.float32)})
    highest = {"format": "python", "expression": "torch.argmax"}
    with pytest.raises(DataError, match=r"has 3 scores, and its item lists 2 classes, .*--post none"):
        run(classifier(post=highest, extra=classes(10, 20)), scene, tmp_path)
    model = classifier(post=highest, extra=classes(0, 1))  # numbers of scores, of which one has no name
    found = run(model, scene, tmp_path)
    np.testing.assert_array_equal(found["scores"][0], scores_of(model, scene.arrays["image"]).argmax(0))
    assert [one.value for one in found["plan"].layers["scores"].classes] == [0, 1, 2]
    with pytest.raises(DataError, match=r"its one score is always the highest: .*threshold:0\.5"):
        run(classifier(classes=1, post=highest), scene, tmp_path)


def test_classes_are_read_as_people_write_them(tmp_path: Path) -> None:
    """As fractions that are whole, as texts, and with colours that are none."""
    listed = classes("10", 20.0, 30)
    listed["classification:classes"][0]["color_hint"] = "red"
    listed["classification:classes"][1]["color_hint"] = "#00FF00"
    model, values = classifier(extra=listed), RNG.random((2, 20, 20), np.float32)
    found = run(model, Memory({"image": values}), tmp_path)
    np.testing.assert_array_equal(found["scores"][0], np.array([10, 20, 30])[scores_of(model, values).argmax(0)])
    assert [one.color for one in found["plan"].layers["scores"].classes] == [None, "#00ff00", None]


def test_classes_that_do_not_fit_are_said(tmp_path: Path) -> None:
    """Scores of three classes and a list of four are a map of scores, and two classes of one value are none."""
    values = RNG.random((2, 20, 20), np.float32)
    scene, model = Memory({"image": values}), classifier(extra=classes(0, 1, 2, 255))
    found = run(model, scene, tmp_path)
    np.testing.assert_allclose(found["scores"], scores_of(model, values), rtol=1e-5)
    assert "output 'scores' has 3 scores, and its item lists 4 classes" in " ".join(found["plan"].notes)
    with pytest.raises(InvalidItemError, match="lists two classes of the value 1"):
        run(classifier(extra=classes(0, 1, 1)), scene, tmp_path)


@pytest.mark.parametrize("ending", [".tif", ".nc"])
def test_nothing_among_whole_numbers_of_64_bits_is_read_as_it_was_written(tmp_path: Path, ending: str) -> None:
    """Of -2**63 GDAL's readers saw -9: values of -9 were gone, and holes were numbers."""
    values = RNG.integers(-20, 20, (1, 20, 30)).astype(np.float32)
    missing = np.zeros(values.shape, bool)
    missing[:, 5:7, 8:11] = True
    model = labels(1, "int64", {})
    predict_scene(model, Memory({"image": values}, missing={"image": missing}), tmp_path / f"map{ending}")
    with rasterio.open(tmp_path / f"map{ending}") as file:
        found = file.read(1, masked=True)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(np.ma.getmaskarray(found), missing[0])
    np.testing.assert_array_equal(found.compressed(), values[0][~missing[0]])


def nothing(*values: int, of: tuple[int, ...]) -> dict[str, Any]:
    """List classes of which some say that there is nothing."""
    entries = classes(*of)["classification:classes"]
    return {"classification:classes": [one | ({"nodata": True} if one["value"] in values else {}) for one in entries]}


def made_of(model: Any, values: np.ndarray) -> tuple[np.ndarray, Any, Any]:
    """Return pixels, layer and notes of a map."""
    found: list[Any] = []
    rows, columns = values.shape[1:]
    made = predict_scene(
        model, Memory({"image": values}), lambda r: found.append(r[0].read((slice(0, rows), slice(0, columns))))
    )
    (layer,) = made.plan.layers.values()
    return found[0], layer, made.notes


@pytest.mark.parametrize(
    ("listed", "none"),
    [((0, 1, 2, 3), (0,)), ((0, 1, 2, 3), (3,)), ((0, 1, 2, 3), (1, 3)), ((0, 1, 2, 3, 255), (255,))],
)
def test_a_class_that_says_that_there_is_nothing_is_in_no_map(listed: tuple[int, ...], none: tuple[int, ...]) -> None:
    values = RNG.integers(0, 4, (1, 20, 30)).astype(np.float32)
    found, layer, notes = made_of(labels(1, "uint8", nothing(*none, of=listed)), values)
    gone = np.isin(values, none)
    assert layer.nodata == none[0]
    assert [one.value for one in layer.classes] == [value for value in listed if value not in none]
    np.testing.assert_array_equal(found == layer.nodata, gone)
    np.testing.assert_array_equal(found[~gone], values[~gone])
    assert not notes


@pytest.mark.parametrize(
    ("listed", "none", "codes"),
    [((7, 0, 9), (0,), (7, 0, 9)), ((0, 1, 2, 3), (0,), (1, 2, 3)), ((4, 5, 6, 255), (255,), (4, 5, 6))],
)
def test_scores_of_nothing(listed: tuple[int, ...], none: tuple[int, ...], codes: tuple[int, ...]) -> None:
    """It has a score, the last case aside, or the others have, in their order."""
    model = classifier(extra=nothing(*none, of=listed))
    values = RNG.normal(size=(2, 20, 30)).astype(np.float32)
    found, layer, notes = made_of(model, values)
    expected = np.array(codes)[scores_of(model, values).argmax(axis=0)]
    np.testing.assert_array_equal(found[0] == layer.nodata, np.isin(expected, none))
    np.testing.assert_array_equal(found[0][~np.isin(expected, none)], expected[~np.isin(expected, none)])
    assert [one.value for one in layer.classes] == [value for value in listed if value not in none]
    assert not notes


def test_one_score_tells_two_apart_beside_nothing() -> None:
    values = RNG.normal(size=(1, 20, 30)).astype(np.float32)
    model = average(extra=nothing(255, of=(3, 7, 255)))
    found: list[Any] = []
    made = predict_scene(
        model, Memory({"image": values}), lambda r: found.append(r[0].read((slice(0, 20), slice(0, 30)))),
        post="threshold:0.1",
    )  # fmt: skip
    (layer,) = made.plan.layers.values()
    assert [one.value for one in layer.classes] == [3, 7]
    scores = next(iter(model.run({"image": values[None]}).values()))[0]
    np.testing.assert_array_equal(found[0], np.where(scores > 0.1, 7, 3))


def test_labels_that_are_nothing_are_left_out_unless_they_stand_for_something(tmp_path: Path) -> None:
    values = RNG.integers(0, 4, (20, 30)).astype(np.uint8)
    truth = np.where(RNG.random((20, 30)) < 0.3, 0, values).astype(np.uint8)
    scene, labelled = tif(tmp_path / "scene.tif", values.astype(np.float32)), tif(tmp_path / "labels.tif", truth)
    model = labels(1, "uint8", nothing(0, of=(0, 1, 2, 3)))
    found = evaluate(model, [(str(scene), str(labelled))])
    assert (found.pixels, found.scores["overall_accuracy"]) == (((values != 0) & (truth != 0)).sum(), 1.0)
    found = evaluate(model, [(str(scene), str(labelled))], rules=Rules(translate={0: 1}))
    there = values != 0
    right = (np.where(truth == 0, 1, truth) == values)[there].mean()
    assert (found.pixels, found.scores["overall_accuracy"]) == (there.sum(), pytest.approx(right))
