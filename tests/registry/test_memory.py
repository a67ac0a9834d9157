"""What a model may take when it runs: its memory limit, and outputs that no machine could hold."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pystac
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper

import modelstac
from modelstac.catalog import open_catalog
from modelstac.catalog.errors import CannotRunError, SpecError, WorkerError
from modelstac.catalog.items.mlm import ModelInput, ModelOutput
from modelstac.cli import main
from modelstac.registry.running.memory import machine_memory

MakeItem = Callable[..., pystac.Item]
LIMIT = "700MB"
LAYOUT = {"shape": [-1, 4], "dim_order": ["batch", "features"], "data_type": "float32"}
linux = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux, as the limit does")


HUGE = [1, 1 << 20, 1 << 22]


def saved(path: Path, nodes: list[onnx.NodeProto], y: list[object], **constants: list[int]) -> Path:
    """Save a graph from x (batch, 4) to y."""
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])
    found = helper.make_tensor_value_info("y", TensorProto.FLOAT, y)
    held = [numpy_helper.from_array(np.array(values), name) for name, values in constants.items()]
    graph = helper.make_graph(nodes, "g", [given], [found], held)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


@pytest.fixture
def growing(tmp_path: Path, make_item: MakeItem) -> pystac.Item:
    """A model of 500 bytes that spreads its input over as many values as the input says, and adds them up."""
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["most"], keepdims=0),
        helper.make_node("Cast", ["most"], ["count"], to=TensorProto.INT64),
        helper.make_node("Reshape", ["count", "one"], ["shape"]),
        helper.make_node("Expand", ["most", "shape"], ["many"]),
        helper.make_node("Sqrt", ["many"], ["roots"]),
        helper.make_node("ReduceMin", ["roots"], ["least"], keepdims=0),
        helper.make_node("Add", ["x", "least"], ["y"]),
    ]
    return make_item(saved(tmp_path / "model.onnx", nodes, ["batch", 4], one=[1]), "onnx", **tensors())


def tensors(**output: object) -> dict[str, object]:
    given = ModelInput(name="x", variables=(), input=LAYOUT)
    return {"inputs": (given,), "outputs": (ModelOutput(name="y", tasks=("regression",), result=LAYOUT | output),)}


def values(largest: float) -> np.ndarray:
    return np.array([[0.0, 1.0, 2.0, largest]], np.float32)


@linux
def test_a_model_is_held_to_its_memory(growing: pystac.Item) -> None:
    with modelstac.load(growing, memory_limit=LIMIT) as model, modelstac.load(growing) as free:
        np.testing.assert_array_equal(model.predict(values(100)), free.predict(values(100)))
        with pytest.raises(WorkerError, match=r"may take 700,000,000 bytes of memory and wants more.*batch") as no:
            model.predict(values(2e9))
        assert "\n" not in str(no.value)
        # The process goes on, or another has taken its place.
        np.testing.assert_array_equal(model.predict(values(100)), values(100) + 10)


@linux
def test_a_limit_in_which_nothing_starts(growing: pystac.Item) -> None:
    with pytest.raises(WorkerError, match=r"MODELSTAC_MEMORY_LIMIT|may take 20,000,000 bytes"):
        modelstac.load(growing, memory_limit=20_000_000)


@linux
def test_the_command_and_the_setting(growing: pystac.Item, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = open_catalog(tmp_path / "catalog", create=True)
    catalog.publish(growing)
    np.save(tmp_path / "large.npy", values(2e9))
    np.save(tmp_path / "small.npy", values(100))
    command = ["predict", growing.id, "--catalog", str(catalog.href), "-o", str(tmp_path / "y.npy")]
    done = CliRunner().invoke(main, [*command, str(tmp_path / "large.npy"), "--memory-limit", LIMIT])
    assert done.exit_code == 1
    assert "wants more" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    monkeypatch.setenv("MODELSTAC_MEMORY_LIMIT", LIMIT)
    assert CliRunner().invoke(main, [*command, str(tmp_path / "large.npy")]).exit_code == 1
    done = CliRunner().invoke(main, [*command, str(tmp_path / "small.npy")])
    assert done.exit_code == 0, done.stderr
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), values(100) + 10)


@pytest.mark.parametrize("wrong", ["much", "-3", "0", 10])
def test_limits_without_sense(growing: pystac.Item, wrong: str | int) -> None:
    with pytest.raises(SpecError, match="bytes"):
        modelstac.load(growing, memory_limit=wrong)


def test_outputs_that_no_machine_holds(tmp_path: Path, make_item: MakeItem) -> None:
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["most"], keepdims=0),
        helper.make_node("Expand", ["most", "shape"], ["y"]),
    ]
    path = saved(tmp_path / "model.onnx", nodes, list(HUGE), shape=HUGE)
    item = make_item(path, "onnx", **tensors(shape=HUGE, dim_order=["batch", "height", "width"]))
    with modelstac.load(item) as model, pytest.raises(CannotRunError, match=r"17,592,186,044,416 bytes or more") as no:
        model.predict(values(100))
    assert f"there are {machine_memory():,}" in str(no.value)
    if sys.platform == "linux":
        with modelstac.load(item, memory_limit=LIMIT) as model, pytest.raises(CannotRunError, match="are 700,000,000"):
            model.predict(values(100))
