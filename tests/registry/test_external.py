"""Weights in files beside the model: external data of ONNX and parts of safetensors, published, verified, loaded."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pystac
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import load_file, save_file

import modelstac
from modelstac.catalog import open_catalog
from modelstac.catalog.errors import (
    CannotRunError,
    IntegrityError,
    InvalidItemError,
    ModelStacError,
    NotFoundError,
    UntrustedError,
)
from modelstac.registry.describing.adopt import Said, adopt
from modelstac.registry.inspecting.onnx import external_files, inspect_graph
from modelstac.registry.inspecting.shards import merge

X = np.arange(8, dtype=np.float32).reshape(2, 4)
W = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
B = np.array([1, 2, 3], np.float32)
SAID: dict[str, Any] = {
    "name": "linear",
    "task": "regression",
    "architecture": "linear",
    "license": "MIT",
    "code": False,
    "bbox": (5, 50, 10, 55),
    "datetime": "2020",
    "input_dims": ("batch", "channel"),
    "output_dims": ("batch", "target"),
    "example": X,
}


def tensor(name: str, array: np.ndarray[Any, Any], location: str, offset: int) -> onnx.TensorProto:
    found = numpy_helper.from_array(array, name)
    onnx.external_data_helper.set_external_data(found, location=location, offset=offset, length=array.nbytes)
    found.ClearField("raw_data")
    return found


def graph(folder: Path, *, one: str = "model.onnx.data", other: str | None = None) -> Path:
    """Write a linear layer whose weights lie in one file, or in two."""
    folder.mkdir(parents=True, exist_ok=True)
    other = other or one
    start = W.nbytes if other == one else 0
    (folder / one).write_bytes(W.tobytes() + (B.tobytes() if other == one else b""))
    if other != one:
        (folder / other).write_bytes(B.tobytes())
    ends = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])]
    ends += [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])]
    weights = [tensor("w", W, one, 0), tensor("b", B, other, start)]
    made = helper.make_graph([helper.make_node("Gemm", ["x", "w", "b"], ["y"])], "g", ends[:1], ends[1:], weights)
    path = folder / "model.onnx"
    path.write_bytes(
        helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    )
    return path


@pytest.mark.parametrize("other", [None, "bias.bin"])
@pytest.mark.parametrize("place", ["models", "models.sqlite"])
def test_a_graph_and_its_files_are_published_and_loaded(tmp_path: Path, other: str | None, place: str) -> None:
    path = graph(tmp_path / "made", other=other)
    item = modelstac.publish(path, catalog=tmp_path / place, **SAID)
    listed = [asset for asset in item.assets.values() if "mlm:weights" in (asset.roles or ())]
    assert len(listed) == (1 if other is None else 2)
    for asset in listed:
        assert asset.extra_fields["file:checksum"].startswith("1220")
        assert asset.extra_fields["file:size"] in {W.nbytes + B.nbytes, W.nbytes, B.nbytes}
    shutil.rmtree(tmp_path / "made")
    model = modelstac.load(item.id, catalog=tmp_path / place)
    np.testing.assert_allclose(model.predict(X), X @ W + B, rtol=1e-5)
    np.testing.assert_allclose(model.run_exactly({"x": X})["y"], X @ W + B, rtol=1e-5)
    assert model.self_test().passed


def test_another_file_in_its_place_is_seen(tmp_path: Path) -> None:
    item = modelstac.publish(graph(tmp_path / "made"), catalog=tmp_path / "models", **SAID)
    [place] = (tmp_path / "models").rglob("model.onnx.data")
    data = bytearray(place.read_bytes())
    data[5] ^= 1
    place.write_bytes(data)
    with pytest.raises(IntegrityError, match="is not the published file"):
        modelstac.load(item.id, catalog=tmp_path / "models")
    place.unlink()
    with pytest.raises(NotFoundError):
        modelstac.load(item.id, catalog=tmp_path / "models")


def test_it_is_converted_as_one_file(tmp_path: Path) -> None:
    from modelstac.exporters import architecture

    item = modelstac.publish(graph(tmp_path / "made", other="bias.bin"), catalog=tmp_path / "models", **SAID)
    data = architecture.artifact_of_item(item).data
    assert external_files(data) == []
    import onnxruntime

    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {"x": X})[0], X @ W + B, rtol=1e-5)


def test_somebody_elses_item_that_lists_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELSTAC_LOCK", str(tmp_path / "modelstac.lock"))
    folder = graph(tmp_path / "theirs").parent
    layout = {"shape": [-1, 4], "dim_order": ["batch", "channel"], "data_type": "float32"}
    out = {"shape": [-1, 3], "dim_order": ["batch", "target"], "data_type": "float32"}
    properties = {
        "datetime": "2024-01-01T00:00:00Z",
        "mlm:name": "theirs",
        "mlm:architecture": "linear",
        "mlm:tasks": ["regression"],
        "mlm:framework": "ONNX",
        "mlm:input": [{"name": "x", "bands": [], "input": layout}],
        "mlm:output": [{"name": "y", "tasks": ["regression"], "result": out}],
    }
    model = {"href": "./model.onnx", "roles": ["mlm:model"], "mlm:artifact_type": "onnx"}
    weights = {"href": "./model.onnx.data", "roles": ["mlm:weights"]}
    document: dict[str, Any] = {
        "type": "Feature",
        "stac_version": "1.1.0",
        "id": "theirs",
        "geometry": None,
        "links": [],
        "stac_extensions": ["https://stac-extensions.github.io/mlm/v1.5.1/schema.json"],
        "properties": properties,
        "assets": {"model": model, "weights": weights},
    }
    (folder / "item.json").write_text(json.dumps(document))
    found = modelstac.load(folder / "item.json")
    np.testing.assert_allclose(found.predict(X), X @ W + B, rtol=1e-5)
    item = adopt(
        str(folder / "item.json"),
        open_catalog(tmp_path / "models", create=True),
        said=Said(version="1.0.0", license="MIT", framework_version="1.16.0"),
    )
    shutil.rmtree(folder)
    np.testing.assert_allclose(modelstac.load(item.id, catalog=tmp_path / "models").predict(X), X @ W + B, rtol=1e-5)


def test_what_is_not_listed_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    item = modelstac.publish(graph(tmp_path / "made"), catalog=tmp_path / "models", **SAID)
    found = pystac.Item.from_dict(item.to_dict(transform_hrefs=False))
    del found.assets["weights-1"]
    with pytest.raises(UntrustedError, match="which its item does not list"):
        modelstac.load(found)


@pytest.mark.parametrize(
    ("change", "kind", "reason"),
    [
        ("missing", NotFoundError, "which is not beside it: put it there"),
        ("link", UntrustedError, "is a link: copy the file itself there"),
        ("hard link", UntrustedError, "is a link: copy the file itself there"),
        ("short", UntrustedError, r"wants \d+ bytes from \d+ on"),
    ],
)
def test_what_cannot_be_published(tmp_path: Path, change: str, kind: type[ModelStacError], reason: str) -> None:
    path = graph(tmp_path / "made")
    place = path.with_name("model.onnx.data")
    data = place.read_bytes()
    place.unlink()
    (tmp_path / "elsewhere").write_bytes(data)
    if change == "link":
        place.symlink_to(tmp_path / "elsewhere")
    elif change == "hard link":
        os.link(tmp_path / "elsewhere", place)
    elif change == "short":
        place.write_bytes(data[:20])
    with pytest.raises(kind, match=reason):
        modelstac.publish(path, catalog=tmp_path / "models", **SAID)
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "a/b", "..", "", "a\\b", "C:secret"])
def test_a_place_outside_is_refused_whatever_is_listed(location: str) -> None:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4, 3]) for name in "xy"]
    made = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])], "g", ends[:1], ends[1:], [tensor("w", W, location, 0)]
    )
    data = helper.make_model(made).SerializeToString()
    listed = {location: 1 << 20, location.rpartition("/")[2]: 1 << 20}
    with pytest.raises(UntrustedError, match="keeps tensors in another file"):
        inspect_graph(data, Path("model.onnx"), domains=frozenset({""}), beside=listed)


def test_a_tensor_that_is_too_large_is_said() -> None:
    from modelstac.registry.inspecting.external import check_place

    said = {"location": "w", "offset": "0", "length": str(3 << 30)}
    with pytest.raises(CannotRunError, match="has a tensor of 3,221,225,472 bytes in w"):
        check_place(said, Path("model.onnx"), {"w": 3 << 30})


def sharded(folder: Path) -> dict[str, torch.Tensor]:
    folder.mkdir(parents=True, exist_ok=True)
    whole = {
        "0.weight": torch.tensor(W.T.copy()),
        "0.bias": torch.tensor(B),
        "half": torch.ones(3, dtype=torch.bfloat16),
    }
    save_file({"0.weight": whole["0.weight"]}, folder / "model-00001-of-00002.safetensors", {"format": "pt"})
    save_file({n: whole[n] for n in ("0.bias", "half")}, folder / "model-00002-of-00002.safetensors")
    places = {"0.weight": "model-00001-of-00002.safetensors"} | dict.fromkeys(
        ("0.bias", "half"), "model-00002-of-00002.safetensors"
    )
    index = {"metadata": {"total_size": 66}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return whole


def test_parts_of_safetensors_are_one_file(tmp_path: Path) -> None:
    whole = sharded(tmp_path / "parts")
    merge(tmp_path / "parts" / "model.safetensors.index.json", tmp_path / "model.safetensors")
    found = load_file(tmp_path / "model.safetensors")
    assert found.keys() == whole.keys()
    assert all(torch.equal(found[name], whole[name]) for name in whole)


BUILDER = "from torch import nn\n\ndef build(spec):\n    return nn.Linear(4, spec['targets'])\n"


def test_parts_of_safetensors_are_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sharded_lab.py").write_text(BUILDER)
    monkeypatch.syspath_prepend(tmp_path)
    folder = tmp_path / "parts"
    folder.mkdir()
    for number, (name, array) in enumerate((("weight", W.T.copy()), ("bias", B)), 1):
        save_file({name: torch.tensor(array)}, folder / f"model-0000{number}-of-00002.safetensors")
    places = {"weight": "model-00001-of-00002.safetensors", "bias": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    said = SAID | {"entrypoint": "sharded_lab:build", "hyperparameters": {"targets": 3}}
    item = modelstac.publish(folder / "model.safetensors.index.json", catalog=tmp_path / "models", **said)
    assert item.properties["interop:format"] == "torch"
    model = modelstac.load(item.id, catalog=tmp_path / "models", trust="entrypoint:sharded_lab")
    np.testing.assert_allclose(model.predict(X), X @ W + B, rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "kind", "reason"),
    [
        ({"weight_map": {"0.weight": "../x.safetensors"}}, UntrustedError, "none beside it"),
        ({"weight_map": {"0.weight": "x.safetensors"}}, NotFoundError, "no x.safetensors beside the index"),
        ({"weight_map": {"more": "model-00001-of-00002.safetensors"}}, InvalidItemError, "has no tensor 'more'"),
        ({}, InvalidItemError, "has no weight_map"),
        ({"weight_map": {}}, InvalidItemError, "names no tensors"),
    ],
)
def test_an_index_that_does_not_fit(tmp_path: Path, change: Any, kind: type[ModelStacError], reason: str) -> None:
    sharded(tmp_path / "parts")
    index = tmp_path / "parts" / "model.safetensors.index.json"
    index.write_text(json.dumps(change))
    with pytest.raises(kind, match=reason):
        merge(index, tmp_path / "model.safetensors")


def test_a_part_that_breaks_off(tmp_path: Path) -> None:
    sharded(tmp_path / "parts")
    part = tmp_path / "parts" / "model-00001-of-00002.safetensors"
    part.write_bytes(part.read_bytes()[:-4])
    with pytest.raises(InvalidItemError, match="ends before its tensor"):
        merge(tmp_path / "parts" / "model.safetensors.index.json", tmp_path / "model.safetensors")


NESTED = {f"t{n}": {"dtype": "U8", "shape": [64], "data_offsets": [0, 64]} for n in range(20)}


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (json.dumps(NESTED), "lie in each other"),
        ("[1, 2]", "are no safetensors files"),
        ("[" * 5_000, "are no safetensors files"),
    ],
)
def test_a_part_whose_header_is_odd(tmp_path: Path, header: str, reason: str) -> None:
    text = header.encode()
    (tmp_path / "x.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + bytes(64))
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": dict.fromkeys(NESTED, "x.safetensors")}))
    with pytest.raises(InvalidItemError, match=reason):
        merge(index, tmp_path / "model.safetensors")
    assert not (tmp_path / "model.safetensors").exists()
