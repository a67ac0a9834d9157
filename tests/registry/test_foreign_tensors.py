"""Other people's items with several inputs and outputs: choosing, adopting and loading give the same answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from onnx import TensorProto, numpy_helper
from tests.registry.foreign_items import RGB, item
from tests.registry.scenes.reading_models import model as scene_model
from tests.registry.scenes.reading_models import tensor
from tests.registry.statements import graph
from tests.registry.test_foreign import asset, write

import modelstac
from modelstac.catalog import open_catalog
from modelstac.catalog.errors import InvalidItemError, ModelStacError
from modelstac.catalog.items.validation import validate
from modelstac.catalog.messages import Note
from modelstac.cli import main
from modelstac.registry.describing.adopt import Said, adopt

SAID = Said(version="1.0.0", tasks=("segmentation",))


@pytest.fixture(autouse=True)
def _lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELSTAC_LOCK", str(tmp_path / "modelstac.lock"))


def answers(path: str, folder: Path, inputs: Any) -> list[str | list[str]]:
    """Say what choosing, adopting, loading, and loading the adopted one come to: names of outputs, or the error."""
    ours = open_catalog(folder / "ours", create=True)

    def adopted() -> list[str]:
        made = adopt(path, ours, said=SAID)
        validate(made)
        return list(modelstac.load(made.id, catalog=ours).run(inputs))

    found: list[str | list[str]] = []
    for ask in (
        lambda: modelstac.resolve(path).item.id,
        adopted,
        lambda: list(modelstac.load(path).run(inputs)),
    ):
        try:
            found.append(ask())  # type: ignore[no-untyped-call]
        except ModelStacError as error:
            found.append(str(error))
    assert not [answer for answer in found if "\n" in answer], "an error is one line"
    return found


# The interface of the official example of MLM with several inputs and outputs: names, types, layouts, nothing else.
IMAGE = ["batch", "bands", "height", "width"]
OFFICIAL_INPUTS = [
    {"name": "RGB", "bands": ["B04", "B03", "B02"], "input": {"shape": [-1, 3, 64, 64], "dim_order": IMAGE}},
    {
        "name": "NDVI",
        "bands": ["B04", "B08"],
        "input": {"shape": [-1, 1, 64, 64], "dim_order": IMAGE},
        "pre_processing_function": {"format": "gdal-calc", "expression": "(A - B) / (A + B)"},
    },
    {"name": "DEM", "bands": [], "input": {"shape": [-1, 1, 64, 64], "dim_order": ["batch", "h", "y", "x"]}},
]
OFFICIAL_TYPES = {"RGB": "uint16", "NDVI": "uint16", "DEM": "float32"}
OFFICIAL_OUTPUTS = [
    {"name": name, "tasks": ["semantic-segmentation"]}
    | {"result": {"shape": [-1, 1], "dim_order": ["batch", "class"], "data_type": "uint8"}}
    for name in ("vegetation-segmentation", "inverse-mask")
]


def official(folder: Path) -> str:
    """The item, with a file of its interface: which share of an image is green, and its inverse."""
    numbers = {name: 4 if kind == "uint16" else 1 for name, kind in OFFICIAL_TYPES.items()}
    nodes = [("Cast", [name], [f"{name}_f"], {"to": TensorProto.FLOAT}) for name in OFFICIAL_TYPES]
    nodes += [("ReduceMean", [f"{name}_f", "places"], [f"{name}_m"], {"keepdims": 0}) for name in OFFICIAL_TYPES]
    nodes += [
        ("Sum", [f"{name}_m" for name in OFFICIAL_TYPES], ["sum"]),
        ("Unsqueeze", ["sum", "one"], ["column"]),
        ("Cast", ["column"], ["vegetation-segmentation"], {"to": TensorProto.UINT8}),
        ("BitwiseNot", ["vegetation-segmentation"], ["inverse-mask"]),
    ]
    inputs = [(found["name"], ["n", *found["input"]["shape"][1:]], numbers[found["name"]]) for found in OFFICIAL_INPUTS]
    outputs = [(found["name"], ["n", 1], TensorProto.UINT8) for found in OFFICIAL_OUTPUTS]
    weights = [numpy_helper.from_array(np.array(n), name) for name, n in (("one", [1]), ("places", [1, 2, 3]))]
    graph(folder / "net.onnx", nodes, inputs, outputs, weights=weights, opset=18, ir_version=8)  # type: ignore[arg-type]
    typed = [f | {"input": f["input"] | {"data_type": OFFICIAL_TYPES[f["name"]]}} for f in OFFICIAL_INPUTS]
    given = {"mlm_input": typed, "mlm_output": OFFICIAL_OUTPUTS, "mlm_framework": "ONNX"}
    return write(folder, item("multi", "1.5.2", {"model": asset("./net.onnx")}, **given))


def test_the_official_example_of_several_inputs_and_outputs_is_read_adopted_and_run(tmp_path: Path) -> None:
    path = official(tmp_path)
    given = {
        "RGB": np.full((2, 3, 64, 64), 40, np.uint16),
        "NDVI": np.full((2, 1, 64, 64), 2, np.uint16),
        "DEM": np.full((2, 1, 64, 64), 8.0, np.float32),
    }
    names = ["vegetation-segmentation", "inverse-mask"]
    assert answers(path, tmp_path, given) == ["multi", names, names]
    with modelstac.load("multi-1.0.0-onnx", catalog=tmp_path / "ours") as model:
        assert [(tensor.name, tensor.dtype) for tensor in model.signature.inputs] == list(OFFICIAL_TYPES.items())
        found = model.predict(given)
        assert found["vegetation-segmentation"].tolist() == [[50], [50]]
        assert found["inverse-mask"].tolist() == [[205], [205]]
    shown = CliRunner().invoke(main, ["show", path])
    assert "NDVI: uint16" in shown.output


def two(folder: Path, names: tuple[str, str] = ("y", "z"), **said: Any) -> str:
    shape: list[int | str | None] = ["n", 3, 8, 8]
    nodes = [("Identity", ["x"], [names[0]]), ("Neg", ["x"], [names[1]])]
    graph(folder / "net.onnx", nodes, [("x", shape)], [(name, shape) for name in names])
    return write(folder, item("two", "1.5.1", {"model": asset("./net.onnx")}, mlm_framework="ONNX", **said))


def output(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "tasks": ["segmentation"], "result": RGB} | more


X = np.ones((1, 3, 8, 8), np.float32)


def test_outputs_of_other_names_are_taken_in_their_order_and_it_is_said(tmp_path: Path) -> None:
    path = two(tmp_path, mlm_output=[output("mask"), output("embedding")])
    names = ["mask", "embedding"]
    assert answers(path, tmp_path, {"RGB": X}) == ["two", names, names]
    notes: list[Any] = []
    model = modelstac.load(path, report=notes.append)
    said = "calls its outputs y, z: taken in this order as mask, embedding"
    assert any(said in note.text for note in notes if isinstance(note, Note))
    np.testing.assert_array_equal(model.predict(X)["embedding"], -X)
    ours = modelstac.open(tmp_path / "ours").get("two-1.0.0-onnx")
    assert [output["interop:tensor"] for output in ours.properties["mlm:output"]] == ["y", "z"]
    assert said in ours.properties["description"]


def test_names_that_are_the_files_in_part_are_nobodys_order(tmp_path: Path) -> None:
    path = two(tmp_path, mlm_output=[output("z"), output("embedding")])
    said = answers(path, tmp_path, {"RGB": X})
    assert all("calls its outputs y, z, its item z, embedding" in one for one in said), said


def test_an_output_that_a_function_makes_afterwards_does_not_count(tmp_path: Path) -> None:
    after = {"post_processing_function": {"format": "python", "expression": "post:polygons"}}
    polygons = output("polygons", **after) | {"result": {"shape": [-1], "dim_order": ["f"], "data_type": "other"}}
    path = two(tmp_path, mlm_output=[output("y"), output("z"), polygons])
    names = ["y", "z"]
    assert answers(path, tmp_path, {"RGB": X}) == ["two", names, names]


def test_another_number_of_outputs_is_refused_wherever_the_file_is_there(tmp_path: Path) -> None:
    path = two(tmp_path, mlm_output=[output("mask"), output("embedding"), output("third")])
    said = answers(path, tmp_path, {"RGB": X})
    assert all("has 2 outputs (y, z), its item 3 (mask, embedding, third)" in one for one in said), said


def test_inputs_without_names_get_different_ones_and_go_by_order(tmp_path: Path) -> None:
    shape: list[int | str | None] = ["n", 3, 8, 8]
    graph(tmp_path / "net.onnx", [("Sub", ["a", "b"], ["y"])], [("a", shape), ("b", shape)], [("y", shape)])
    given = {"mlm_input": [{"input": RGB}, {"input": RGB}], "mlm_framework": "ONNX"}
    path = write(tmp_path, item("unnamed", "1.3.0", {"model": asset("./net.onnx")}, **given))
    model = modelstac.load(path)
    assert [tensor.name for tensor in model.signature.inputs] == ["input_0", "input_1"]
    np.testing.assert_array_equal(model.predict(input_0=3 * X, input_1=X), 2 * X)
    assert answers(path, tmp_path, {"input_0": X, "input_1": X})[1:] == [["same"], ["same"]]


@pytest.mark.parametrize("name", ["mlm:input", "mlm:output"])
@pytest.mark.parametrize("wrong", [{"name": "x", "input": RGB}, "text", ["text"]])
def test_what_is_no_list_is_one_line_from_everybody(tmp_path: Path, name: str, wrong: Any) -> None:
    path = two(tmp_path, **{name.replace(":", "_"): wrong})
    found = answers(path, tmp_path, {"RGB": X})
    assert len(set(map(str, found))) == 1
    assert f"item 'two' has an {name} that is no list of objects" in str(found[0])
    for command in ("show", "resolve"):
        done = CliRunner().invoke(main, [command, path])
        assert done.exit_code
        raised = done.exception
        text = str(raised) if isinstance(raised, InvalidItemError) else done.output
        assert f"has an {name} that is no list of objects" in text


CLASSES = "classification:classes"
LISTED = [{"value": 10, "name": "water"}, {"value": 20, "name": "land"}, {"value": 30, "name": "ice"}]


@pytest.mark.parametrize("place", ["output", "output, bare", "output, official", "output, words", "model", "item"])
def test_classes_are_found_wherever_they_are_listed(tmp_path: Path, place: str) -> None:
    """And adopted: somebody writes them at the output under a bare name, at the file, or for the whole item."""
    more = {"output": {CLASSES: LISTED}, "output, bare": {"classes": LISTED}}.get(place, {})
    if place == "output, official":  # as in the examples of MLM, with colours of three numbers
        colours = ([0, 16, 255], [0, 16, 255], None)
        listed = [one | {"color_hint": colour} for one, colour in zip(LISTED, colours, strict=True)]
        more = {"classification_classes": listed}
    more = {"classes": [one["name"] for one in LISTED]} if place == "output, words" else more
    shape: list[int | str | None] = ["n", 3, 8, 8]
    graph(tmp_path / "net.onnx", [("Identity", ["x"], ["y"])], [("x", shape)], [("y", shape)])
    file = asset("./net.onnx", **({CLASSES: LISTED} if place == "model" else {}))
    said: dict[str, Any] = {"mlm_output": [output("mask", **more)], "mlm_framework": "ONNX"}
    document = item("one", "1.5.1", {"model": file}, **said)
    document["properties"] |= {CLASSES: LISTED} if place == "item" else {}
    path = write(tmp_path, document)
    ours = open_catalog(tmp_path / "ours", create=True)
    adopt(path, ours, said=SAID)
    values = [0, 1, 2] if place == "output, words" else [10, 20, 30]
    for model in (modelstac.load(path), modelstac.load("one-1.0.0-onnx", catalog=ours)):
        (found,) = model.description.outputs
        entries = (found.model_extra or {})[CLASSES]
        assert [(one["value"], one["name"]) for one in entries] == list(
            zip(values, ("water", "land", "ice"), strict=True)
        )
        assert {one.get("color_hint", "0010FF") for one in entries} == {"0010FF"}


@pytest.mark.parametrize("length", [0, None, "h", -1, "-1", 0.0, [1]])
def test_an_axis_of_no_length_is_open(length: Any) -> None:
    shape: Any = (length, "2", 64.0, length)
    (found,) = scene_model(tensor([], shape, ("batch", "bands", "height", "width"))).signature.inputs
    assert found.shape == (-1, 2, 64, -1)


@pytest.mark.parametrize("bands", [["B02", "B03"], []], ids=["listed", "unlisted"])
@pytest.mark.parametrize("axis", ["spectral", "wavelength", "time"])
def test_one_scaling_for_each_band_is_never_one_after_the_other(axis: str, bands: list[str], tmp_path: Path) -> None:
    """Their axis may have a name that nobody knows; where there is none, they cannot be told apart."""
    shape: list[int | str | None] = ["n", 2, 4, 4]
    graph(tmp_path / "net.onnx", [("Identity", ["x"], ["y"])], [("x", shape)], [("y", shape)])
    layout = {"shape": [-1, 2, 4, 4], "dim_order": ["batch", axis, "height", "width"], "data_type": "float32"}
    steps = [{"type": "z-score", "mean": 100, "stddev": 10}, {"type": "z-score", "mean": 2000, "stddev": 500}]
    given = {
        "mlm_input": [{"name": "x", "bands": bands, "input": layout, "value_scaling": steps}],
        "mlm_output": [{"name": "y", "tasks": ["regression"], "result": layout}],
        "mlm_framework": "ONNX",
    }
    model = modelstac.load(write(tmp_path, item("scaled", "1.5.1", {"model": asset("./net.onnx")}, **given)))
    counts = np.stack([np.full((4, 4), number, np.float32) for number in (110, 3000)])[None]
    if axis == "time" and bands:
        with pytest.raises(InvalidItemError, match="no axis is theirs: batch, time, height, width"):
            model.predict(counts, scaled=False)
    elif axis != "time":  # one band, over two times, is scaled by a chain
        found = model.predict(counts, scaled=False)
        np.testing.assert_allclose(found[0, :, 0, 0], [1, 2])
