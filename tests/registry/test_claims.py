"""What an item claims against what its file says: one line that names both, the same wherever it is asked."""

from __future__ import annotations

import copy
import hashlib
import json
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from safetensors.numpy import save_file

import modelstac
from modelstac.catalog import open_catalog
from modelstac.catalog.errors import InvalidItemError, ModelStacError
from modelstac.catalog.items.digests import multihash
from modelstac.catalog.items.formats import FORMATS
from modelstac.catalog.items.versions import version_key
from modelstac.catalog.messages import Note
from modelstac.registry.choosing.references import read_place
from modelstac.registry.describing.adopt import Said, adopt
from modelstac.registry.facts.comparing import FIRST_OF_OPSET
from modelstac.registry.facts.records import onnx as record_of_onnx
from modelstac.registry.facts.records.reading import record

EARLIER = Path(__file__).parent / "earlier" / "0.1" / "rain"
KINDS = {path.name.removeprefix("rain-1.0.0-"): path for path in sorted(EARLIER.iterdir()) if path.is_dir()}
WITH_NAMES = [kind for kind in KINDS if kind != "torch"]
WITH_VERSION = [
    *("keras-tensorflow-from-torch", "torch-export-from-torch"),
    *("saved-model-from-torch", "openvino-from-torch"),
]
Change = Callable[[dict[str, Any]], None]


@pytest.fixture(autouse=True)
def _lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELSTAC_LOCK", str(tmp_path / "modelstac.lock"))


def document(kind: str, folder: Path, *, foreign: bool = False) -> dict[str, Any]:
    """Return an item that an earlier build published, with its file in the folder; as others write one, if asked."""
    source = KINDS[kind]
    found: dict[str, Any] = json.loads((source / f"{source.name}.json").read_text())
    shutil.copy(source / found["assets"]["model"]["href"], folder)
    found["assets"] = {"model": found["assets"]["model"]}
    found["links"] = [link for link in found["links"] if link["rel"] in {"license", "collection"}]
    if foreign:
        found["id"] = f"others-{kind}"
        found["properties"] = {
            name: value
            for name, value in found["properties"].items()
            if not name.startswith(("interop:", "cube:")) and name != "mlm:hyperparameters"
        }
        for side in ("input", "output"):
            for tensor in found["properties"][f"mlm:{side}"]:
                tensor.pop("variables", None)
        found["assets"]["model"] = {k: v for k, v in found["assets"]["model"].items() if not k.startswith("file:")}
    return found


def written(found: dict[str, Any], folder: Path) -> str:
    path = folder / "item.json"
    path.write_text(json.dumps(found))
    return str(path)


def first(side: str, inner: str, **fields: Any) -> Change:
    def change(found: dict[str, Any]) -> None:
        found["properties"][f"mlm:{side}"][0][inner] |= fields

    return change


def without_an_axis(found: dict[str, Any]) -> None:
    layout = found["properties"]["mlm:input"][0]["input"]
    layout |= {"shape": layout["shape"][1:], "dim_order": layout["dim_order"][1:]}
    found["properties"].pop("interop:sizes", None)


def one_more_output(found: dict[str, Any]) -> None:
    [output] = found["properties"]["mlm:output"]
    found["properties"]["mlm:output"] = [output, copy.deepcopy(output) | {"name": "another"}]


def artifact_type(found: dict[str, Any]) -> None:
    model = found["assets"]["model"]
    other = next(form for form in FORMATS.values() if form.artifact_type != model["mlm:artifact_type"])
    model |= {"mlm:artifact_type": other.artifact_type, "type": other.media_type}
    if "interop:format" in found["properties"]:
        found["properties"]["interop:format"] = other.name


def fixed(found: dict[str, Any]) -> None:
    """Say five where the file has another number, on an axis that it fixes."""
    model = record(Path(found["assets"]["model"]["href"]).read_bytes())
    assert model is not None
    assert model.inputs is not None
    assert model.inputs[0].shape is not None
    number = next(i for i, length in enumerate(model.inputs[0].shape) if length is not None)
    layout = found["properties"]["mlm:input"][0]["input"]
    layout["shape"] = [7 if i == number else length for i, length in enumerate(layout["shape"])]
    for tensor in (*found["properties"]["mlm:input"], *found["properties"]["mlm:output"]):
        tensor.pop("variables", None)
    layout["dim_order"] = [name if name != "variables" else "things" for name in layout["dim_order"]]
    result = found["properties"]["mlm:output"][0]["result"]
    result["dim_order"] = [name if name != "variables" else "things" for name in result["dim_order"]]


def framework(name: str) -> Change:
    return lambda found: found["properties"].update({"mlm:framework": name})


def version(found: dict[str, Any]) -> None:
    found["properties"] |= {"mlm:framework_version": "1.0.0", "interop:framework_version_key": version_key("1.0.0")}


CASES: dict[str, tuple[Change, str]] = {
    "artifact type": (artifact_type, r"has the artifact type '.*', and its file model\..* is an? "),
    "data type": (first("input", "input", data_type="float64"), r"float64 \[.*\].* in its file .* float32 \["),
    "number of axes": (without_an_axis, r"of 4 axes, and in its file .* it is float32 \[.*,.*,.*,.*,.*\]"),
    "number of outputs": (one_more_output, r"has 1 output \(.*\), its item 2 \(forecast, another\)"),
    "fixed length": (fixed, r"is said to be float32 \[.*7.*\], and in its file .* it is float32"),
}


def answers(found: dict[str, Any], folder: Path, *, foreign: bool) -> dict[str, str]:
    """Ask everything that opens a model, and return what each says."""
    place = written(found, folder)
    said = {}
    asked: dict[str, Callable[[], object]] = {
        "resolve": lambda: modelstac.resolve(place),
        "load": lambda: modelstac.load(place),
    }
    if foreign:
        into = open_catalog(folder / "catalog.sqlite", create=True)
        asked["adopt"] = lambda: adopt(place, into, said=Said(version="1.0.0", framework_version="1.22.0"))
    else:
        into = open_catalog(folder / "catalog.sqlite", create=True)
        asked["publish"] = lambda: into.publish(read_place(place))
    for name, ask in asked.items():
        with pytest.raises(ModelStacError) as caught:
            ask()
        said[name] = str(caught.value)
    assert list(into.ids()) == []
    return said


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", WITH_NAMES)
@pytest.mark.parametrize("foreign", [False, True], ids=["ours", "others"])
def test_a_contradiction_is_one_line_and_the_same_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, case: str, foreign: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    change, expected = CASES[case]
    found = document(kind, tmp_path, foreign=foreign)
    change(found)
    said = answers(found, tmp_path, foreign=foreign)
    assert len(set(said.values())) == 1, said
    [line] = set(said.values())
    assert "\n" not in line
    assert re.search(expected, line), line


@pytest.mark.parametrize("kind", KINDS)
def test_the_framework_of_an_item_of_ours_is_that_of_its_file(tmp_path: Path, kind: str) -> None:
    found = document(kind, tmp_path)
    is_ = found["properties"]["mlm:framework"]
    framework("PyTorch" if is_ != "PyTorch" else "TensorFlow")(found)
    said = answers(found, tmp_path, foreign=False)
    assert len(set(said.values())) == 1
    assert re.search(rf"is said to be of (PyTorch|TensorFlow) \(mlm:framework\), .* of {is_}", said["load"]), said


@pytest.mark.parametrize("kind", ["torch-export-from-torch", "saved-model-from-torch"])
def test_what_others_made_with_another_framework_is_no_contradiction_where_it_may_be(tmp_path: Path, kind: str) -> None:
    found = document(kind, tmp_path, foreign=True)
    framework("Keras")(found)
    assert modelstac.resolve(written(found, tmp_path)).chosen.looked
    framework("scikit-learn")(found)
    assert "scikit-learn" in answers(found, tmp_path, foreign=True)["adopt"]


@pytest.mark.parametrize("kind", [*WITH_VERSION, "onnx-from-torch"])
@pytest.mark.parametrize("foreign", [False, True], ids=["ours", "others"])
def test_the_version_that_wrote_a_file_is_believed(tmp_path: Path, kind: str, foreign: bool) -> None:
    found = document(kind, tmp_path, foreign=foreign)
    version(found)
    said = answers(found, tmp_path, foreign=foreign)
    assert len(set(said.values())) == 1
    assert re.search(r" 1\.0\.0 \(mlm:framework_version\), and its file .* (says|has opset)", said["load"]), said


OF_KERAS = [
    (first("output", "result", data_type="int64"), r"'forecast' is said to be int64 .* it is float32"),
    (first("output", "result", shape=[-1, 2, 6, 5, 4]), r"said to be float32 .*, 4\], .* it is float32 .*, 1\]"),
    (
        first("output", "result", shape=[-1, 6, 5, 1], dim_order=["batch", "height", "width", "class"]),
        r"of 4 axes, and in its file model\.keras it is float32 \[\?, \?, \?, \?, 1\]",
    ),
]


@pytest.mark.parametrize(("change", "expected"), OF_KERAS)
@pytest.mark.parametrize("foreign", [False, True], ids=["ours", "others"])
def test_what_the_last_layer_of_keras_says_of_an_output(
    tmp_path: Path, change: Change, expected: str, foreign: bool
) -> None:
    found = document("keras-tensorflow-from-torch", tmp_path, foreign=foreign)
    change(found)
    for tensor in found["properties"]["mlm:output"]:
        tensor.pop("variables", None)
    result = found["properties"]["mlm:output"][0]["result"]
    result["dim_order"] = ["things" if name == "variables" else name for name in result["dim_order"]]
    found["properties"].pop("interop:sizes", None)
    said = answers(found, tmp_path, foreign=foreign)
    assert len(set(said.values())) == 1, said
    assert re.search(expected, said["load"]), said


def test_a_backend_is_of_keras_alone(tmp_path: Path) -> None:
    found = document("onnx-from-torch", tmp_path)
    found["properties"] |= {"interop:backend": "torch", "interop:backend_version": "2.13.0"}
    said = answers(found, tmp_path, foreign=False)
    assert len(set(said.values())) == 1
    assert "made on Keras' backend torch (interop:backend), and its file model.onnx is an ONNX graph" in said["load"]


def graph(path: Path, *, shape: list[Any], opset: int = 17, ir_version: int = 8, outputs: int = 1) -> str:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    ends = [helper.make_tensor_value_info(f"y{number}", TensorProto.FLOAT, shape) for number in range(outputs)]
    nodes = [helper.make_node("Identity", ["x"], [end.name]) for end in ends]
    made = helper.make_model(
        helper.make_graph(nodes, "same", [x], ends),
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=ir_version,
    )
    onnx.save(made, str(path))
    return path.name


def others(name: str, **layout: Any) -> dict[str, Any]:
    """Return an item of somebody else's over a file of ONNX."""
    shape = {"shape": [-1, 3], "dim_order": ["batch", "band"], "data_type": "float32"} | layout
    model = {"href": f"./{name}", "roles": ["mlm:model"], "mlm:artifact_type": "onnx"}
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": ["https://stac-extensions.github.io/mlm/v1.5.1/schema.json"],
        "id": "theirs",
        "geometry": None,
        "properties": {
            "datetime": "2024-01-01T00:00:00Z",
            "mlm:name": "theirs",
            "mlm:tasks": ["regression"],
            "mlm:framework": "ONNX",
            "mlm:input": [{"name": "in", "input": shape}],
            "mlm:output": [{"name": "out", "tasks": ["regression"], "result": shape}],
        },
        "links": [],
        "assets": {"model": model},
    }


def test_what_an_item_leaves_open_is_as_in_the_file(tmp_path: Path) -> None:
    found = others(graph(tmp_path / "one.onnx", shape=[1, 3]))
    del found["properties"]["mlm:input"][0]["input"]["data_type"]
    said: list[str] = []
    model = modelstac.load(
        written(found, tmp_path), report=lambda m: said.append(m.text) if isinstance(m, Note) else None
    )
    assert model.signature.inputs[0].shape == (1, 3)
    assert any("its file takes batch 1 alone for 'in'" in text for text in said), said


def test_an_opset_beyond_the_installed_runtime_is_told_before_it_is_opened(tmp_path: Path) -> None:
    found = others(graph(tmp_path / "new.onnx", shape=["n", 3], opset=99))
    said = answers(found, tmp_path, foreign=True)
    assert said["resolve"] == said["load"]
    assert re.search(r"opset 99 .* which the installed ONNX Runtime does not open", said["load"]), said
    assert "opset" in said["adopt"]


def test_a_file_elsewhere_is_not_looked_at_and_that_is_said(tmp_path: Path) -> None:
    found = others("model.onnx")
    found["assets"]["model"]["href"] = "https://example.org/model.onnx"
    resolution = modelstac.resolve(written(found, tmp_path))
    assert resolution.chosen.looked is False
    assert "not looked at" in resolution.explain()
    assert resolution.to_json()["looked"] is False


def test_the_next_best_runs_where_the_file_of_the_best_contradicts_it(tmp_path: Path) -> None:
    found = others(graph(tmp_path / "three.onnx", shape=["n", 3]))
    wrong = graph(tmp_path / "four.onnx", shape=["n", 4])
    found["assets"]["four"] = found["assets"]["model"] | {"href": f"./{wrong}"}
    with pytest.raises(ModelStacError, match=r"2 models \(four, model\)|2 models \(model, four\)"):
        modelstac.resolve(written(found, tmp_path))
    with pytest.raises(
        InvalidItemError, match=r"float32 \[\?, 3\], and in its file four\.onnx it is float32 \[\?, 4\]"
    ):
        modelstac.resolve(written(found, tmp_path), asset="four")
    assert modelstac.resolve(written(found, tmp_path), asset="model").asset.key == "model"


def test_releases_of_onnx_are_those_of_its_own_table() -> None:
    known: dict[int, str] = {}
    for release, _, opset, *_ in helper.VERSION_TABLE:
        known.setdefault(opset, release)
    assert {f"1.{FIRST_OF_OPSET[n]}" for n in FIRST_OF_OPSET} == {
        ".".join(known[n].split(".")[:2]) for n in FIRST_OF_OPSET
    }


def test_field_numbers_are_those_of_onnx_own_messages() -> None:
    fields = onnx.ModelProto.DESCRIPTOR.fields_by_name
    numbers = [
        fields[name].number for name in ("ir_version", "producer_name", "producer_version", "graph", "opset_import")
    ]
    assert numbers == [
        record_of_onnx.IR_VERSION,
        record_of_onnx.PRODUCER,
        record_of_onnx.PRODUCER_VERSION,
        record_of_onnx.GRAPH,
        record_of_onnx.OPSETS,
    ]
    graph_fields = onnx.GraphProto.DESCRIPTOR.fields_by_name
    assert [graph_fields[name].number for name in ("initializer", "input", "output")] == [
        record_of_onnx.INITIALIZER,
        record_of_onnx.INPUT,
        record_of_onnx.OUTPUT,
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_records_of_all_formats(kind: str) -> None:
    """The formats are told by what the files hold, and versions and shapes by what they say."""
    source = KINDS[kind]
    item = json.loads((source / f"{source.name}.json").read_text())
    told = record((source / item["assets"]["model"]["href"]).read_bytes())
    assert told is not None
    assert told.format == item["properties"]["interop:format"]
    if kind in {
        "keras-tensorflow-from-torch",
        "torch-export-from-torch",
        "saved-model-from-torch",
        "openvino-from-torch",
    }:
        assert told.version == item["properties"]["mlm:framework_version"]
    if kind != "torch":
        assert told.inputs is not None
        shape = item["properties"]["mlm:input"][0]["input"]["shape"]
        assert [-1 if n is None else n for n in told.inputs[0].shape or ()] == shape
        assert told.inputs[0].dtype == "float32"


@pytest.mark.parametrize("factor", [0.5, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_another_size_is_refused_by_all(tmp_path: Path, kind: str, factor: float) -> None:
    found = document(kind, tmp_path)
    is_ = found["assets"]["model"]["file:size"]
    found["assets"]["model"]["file:size"] = int(is_ * factor)
    said = answers(found, tmp_path, foreign=False)
    assert len(set(said.values())) == 1, said
    assert f"is not the published file: it has {is_} bytes, and file:size is {int(is_ * factor)}" in said["load"]


def exchanged(path: Path) -> None:
    """Change one byte that nothing of a file's record depends on."""
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def test_a_file_of_another_digest_is_refused_by_all(tmp_path: Path) -> None:
    found = document("onnx-from-torch", tmp_path)
    assert modelstac.resolve(written(found, tmp_path)).chosen.looked
    exchanged(tmp_path / "model.onnx")
    said = answers(found, tmp_path, foreign=False)
    assert said["resolve"] == said["load"]
    assert "model.onnx of item 'rain-1.0.0-onnx-from-torch' is not the published file: sha256 is" in said["load"]
    assert "sha256" in said["publish"].casefold().replace("-", "")


def test_a_file_that_is_not_the_pinned_one_is_refused_by_all(tmp_path: Path) -> None:
    found = document("onnx-from-torch", tmp_path, foreign=True)
    modelstac.load(written(found, tmp_path))
    exchanged(tmp_path / "model.onnx")
    said = answers(found, tmp_path, foreign=True)
    assert len(set(said.values())) == 1, said
    assert "model.onnx changed since it was pinned" in said["load"]


def test_an_item_that_makes_no_sense_is_so_for_all(tmp_path: Path) -> None:
    found = document("onnx-from-torch", tmp_path)
    found["properties"]["interop:backend"] = "torch"
    said = answers(found, tmp_path, foreign=False)
    assert len(set(said.values())) == 1, said
    assert "backend and backend_version need each other" in said["load"]


def test_names_of_several_outputs_that_the_file_does_not_have(tmp_path: Path) -> None:
    found = document("onnx-from-torch", tmp_path)
    found["properties"]["mlm:input"][0] |= {"variables": []}
    layout = {"shape": [-1, 3], "dim_order": ["batch", "things"], "data_type": "float32"}
    graph(tmp_path / "model.onnx", shape=["n", 3], outputs=2, opset=20, ir_version=9)
    found["properties"]["mlm:input"] = [{"name": "x", "bands": [], "input": layout}]
    found["properties"]["mlm:output"] = [
        {"name": name, "bands": [], "tasks": ["regression"], "result": layout} for name in ("mask", "depth")
    ]
    for name in ("interop:sizes", "interop:halo", "interop:parity"):
        found["properties"].pop(name, None)
    model = found["assets"]["model"]
    data = (tmp_path / "model.onnx").read_bytes()
    model |= {"file:checksum": multihash(hashlib.sha256(data).hexdigest()), "file:size": len(data)}
    said = answers(found, tmp_path, foreign=False)
    assert len(set(said.values())) == 1, said
    assert "calls its outputs y0, y1, its item mask, depth" in said["load"]


def test_details_that_an_item_states_of_the_layout(tmp_path: Path) -> None:
    found = document("onnx-from-torch", tmp_path)
    found["properties"]["mlm:hyperparameters"]["onnx"] = {"opset": 13, "producer": "modelstac"}
    said = answers(found, tmp_path, foreign=False)
    assert len(set(said.values())) == 1, said
    assert "is said to be of opset 13 (mlm:hyperparameters), and its file model.onnx says 20" in said["load"]


def test_a_saved_model_without_the_signature_that_is_run(tmp_path: Path) -> None:
    found = document("saved-model-from-torch", tmp_path, foreign=True)
    path = tmp_path / found["assets"]["model"]["href"]
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    served, others = b"serving_default", b"forecasts_of_it"  # as long, so that lengths stay right
    members["saved_model.pb"] = members["saved_model.pb"].replace(served, others)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    said = answers(found, tmp_path, foreign=True)
    assert len(set(said.values())) == 1, said
    assert "lacks the signature 'serving_default' (it has serve, forecasts_of_it)" in said["load"]


def test_weights_that_are_laid_out_for_another_framework(tmp_path: Path) -> None:
    save_file({"kernel": np.zeros((1, 1, 3, 3), np.float32)}, tmp_path / "w.safetensors", metadata={"format": "tf"})
    found = others("w.safetensors")
    found["properties"]["mlm:framework"] = "PyTorch"
    found["assets"]["model"]["mlm:artifact_type"] = "safetensors.torch.save_file"
    said = answers(found, tmp_path, foreign=True)
    assert len(set(said.values())) == 1, said
    assert "says that its tensors are laid out for TensorFlow" in said["load"]


def test_a_pickle_under_another_name_is_told_by_all(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1)}, tmp_path / "m.onnx")
    said = answers(others("m.onnx"), tmp_path, foreign=True)
    assert len(set(said.values())) == 1, said
    assert "its file m.onnx is a pickle, which runs code when it is read" in said["load"]
