"""Labels of a map: those that the item lists, in the type that holds them, and none that the model did not give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import rasterio
from onnx import TensorProto, helper, numpy_helper
from tests.registry.scenes.scenes_in_memory import Memory, run
from tests.registry.scenes.small_models import classifier, in_onnx, of_images

from modelstac.catalog.errors import DataError
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

    made = predict_scene(labels(factor, dtype, classes(*listed)), Memory({"image": values}), sink)
    layer = made.plan.layers["labels"]
    given = (values[0] * factor).astype(np.int64)
    gone = (given < 0) if factor < 0 else given >= odd * factor
    np.testing.assert_array_equal(found[0] == layer.nodata, gone)
    np.testing.assert_array_equal(found[0][~gone], given[~gone])
    (note,) = made.notes
    assert note.startswith("masked: labels of 'labels' that are none of its classes, such as ")


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
