"""``modelstac probe``, on somebody else's item."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from jsonschema import Draft7Validator
from onnx import TensorProto, helper, numpy_helper
from tests.catalog.test_interop_schema import SCHEMA
from tests.registry.foreign_items import item

import modelstac
from modelstac.catalog.errors import DataError

Command = Callable[..., subprocess.CompletedProcess[str]]
AXES = ["batch", "channel", "y", "x"]
IMAGE = {"shape": [-1, 2, -1, -1], "dim_order": AXES, "data_type": "float32"}
# 3 x 3, a pooling (its block is 2 pixels), and 3 x 3 at half the resolution
HALO = 1 + (2 - 1) + 2 * 1


def pooled(path: Path) -> Path:
    """Write a network of one pooling and a skip connection, which takes even sizes only."""
    rng = np.random.default_rng(5)
    weights = {"w": (3, 2, 3, 3), "v": (3, 3, 3, 3), "u": (1, 6, 1, 1)}
    constants = [
        numpy_helper.from_array(rng.standard_normal(shape).astype(np.float32), name) for name, shape in weights.items()
    ]
    constants.append(numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "scales"))
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("MaxPool", ["b"], ["c"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["c", "v"], ["d"], pads=[1, 1, 1, 1]),
        helper.make_node("Resize", ["d", "", "scales"], ["e"], mode="nearest"),
        helper.make_node("Concat", ["b", "e"], ["f"], axis=1),
        helper.make_node("Conv", ["f", "u"], ["y"]),
    ]
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", channels, "h", "w"])
        for name, channels in (("x", 2), ("y", 1))
    ]
    graph = helper.make_graph(nodes, "pooled", values[:1], values[1:], constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the path of somebody's item, its file beside it."""
    monkeypatch.setenv("MODELSTAC_LOCK", str(tmp_path / "modelstac.lock"))
    (tmp_path / "theirs").mkdir()
    pooled(tmp_path / "theirs" / "pooled.onnx")
    asset = {
        "href": "./pooled.onnx",
        "type": "application/octet-stream; framework=onnx",
        "roles": ["mlm:model"],
        "mlm:artifact_type": "onnx",
    }
    document = item(
        "pooled",
        "1.4.0",
        {"model": asset},
        mlm_framework="ONNX",
        mlm_input=[{"name": "image", "bands": [], "input": IMAGE}],
        mlm_output=[{"name": "mask", "tasks": ["segmentation"], "result": IMAGE | {"shape": [-1, 1, -1, -1]}}],
    )
    path = tmp_path / "theirs" / "item.json"
    path.write_text(json.dumps(document))
    return path


def run(command: Command, *arguments: object, lock: Path) -> str:
    done = command("probe", *arguments, MODELSTAC_LOCK=str(lock))
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_prints_sizes_and_halo(modelstac_command: Command, foreign: Path, tmp_path: Path) -> None:
    lines = run(modelstac_command, foreign, lock=tmp_path / "lock").splitlines()
    assert [line.split() for line in lines] == [
        ["input", "axis", "size", "halo"],
        ["image", "batch", "any"],
        ["channel", "2"],
        ["y", "from", "2", "in", "steps", "of", "2", str(HALO)],
        ["x", "from", "2", "in", "steps", "of", "2", str(HALO)],
    ]


def test_as_json(modelstac_command: Command, foreign: Path, tmp_path: Path) -> None:
    axes = {"batch": {"at_least": 1, "step": 1}} | {key: {"at_least": 2, "step": 2} for key in "yx"}
    assert json.loads(run(modelstac_command, foreign, "--json", lock=tmp_path / "lock")) == {
        "sizes": {"image": axes, "mask": axes},
        "halo": {"image": {"y": HALO, "x": HALO}},
        "notes": [],
    }


@pytest.mark.parametrize("where", ["theirs/probed.json", "elsewhere.json"])
def test_the_item_that_it_writes_loads_and_says_which_sizes_fit(
    modelstac_command: Command, foreign: Path, tmp_path: Path, where: str
) -> None:
    before: dict[str, Any] = json.loads(foreign.read_text())
    run(modelstac_command, foreign, "--output", tmp_path / where, lock=tmp_path / "lock")
    after = json.loads((tmp_path / where).read_text())
    added = {name: after["properties"].pop(name) for name in ("interop:sizes", "interop:halo")}
    assert after["properties"] == before["properties"]
    fields = Draft7Validator({"$ref": "#/definitions/fields"} | {"definitions": SCHEMA["definitions"]})
    fields.validate({"interop:variant": "onnx"} | added)
    assert json.loads(foreign.read_text()) == before
    with modelstac.load(tmp_path / where) as model:
        assert model.predict(np.zeros((1, 2, 6, 4), np.float32)).shape == (1, 1, 6, 4)
        with pytest.raises(DataError, match="y 7 does not fit, the nearest that does is 6 or 8"):
            model.predict(np.zeros((1, 2, 7, 4), np.float32))


def test_what_an_item_says_and_its_file_does_not_take_is_an_error(
    modelstac_command: Command, foreign: Path, tmp_path: Path
) -> None:
    document = json.loads(foreign.read_text())
    document["properties"]["interop:sizes"] = {"image": {"y": {"at_least": 3, "step": 3}}}
    foreign.write_text(json.dumps(document))
    done = modelstac_command("probe", foreign, MODELSTAC_LOCK=str(tmp_path / "lock"))
    assert done.returncode == 2
    assert "y of 'image' from 3 in steps of 3" in done.stderr
    assert len([line for line in done.stderr.splitlines() if not line.startswith("note:")]) == 1
