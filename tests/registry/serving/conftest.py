"""A catalog with small real models, and a server that runs them for clients."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pystac
import pytest
import requests
from onnx import TensorProto, helper, numpy_helper
from tests.catalog.server.conftest import Server, serving
from tests.registry import pairs

from modelstac.catalog import open_catalog
from modelstac.catalog.base import Catalog
from modelstac.catalog.items.mlm import InputStructure, ModelInput, ModelOutput, ResultStructure

MakeItem = Callable[..., pystac.Item]
BOX = ("batch", "bands", "height", "width")


def save(path: Path, nodes: list[Any], tensors: list[Any], *weights: Any) -> Path:
    """Write a graph: tensors are (name, type, shape), the inputs first, and None before the outputs."""
    values = [None if one is None else helper.make_tensor_value_info(*one) for one in tensors]
    middle = values.index(None)
    graph = helper.make_graph(nodes, "g", values[:middle], values[middle + 1 :], weights)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


def write_times(path: Path, factor: float) -> Path:
    """Write a graph that multiplies by a number: which version answers shows in what it gives."""
    weight = numpy_helper.from_array(np.array([factor], np.float32), "w")
    shape = ["batch", 2]
    nodes = [helper.make_node("Mul", ["x", "w"], ["y"])]
    return save(path, nodes, [("x", TensorProto.FLOAT, shape), None, ("y", TensorProto.FLOAT, shape)], weight)


def one_to_one(shape: tuple[int, ...], dims: tuple[str, ...], given: str, found: str) -> dict[str, Any]:
    return {
        "inputs": (ModelInput(name="x", bands=(), input=InputStructure(shape=shape, dim_order=dims, data_type=given)),),
        "outputs": (
            ModelOutput(
                name="y",
                tasks=("regression",),
                result=ResultStructure(shape=shape, dim_order=dims, data_type=found),
            ),
        ),
    }


def times(folder: Path, make_item: MakeItem, factor: int) -> pystac.Item:
    fields = one_to_one((-1, 2), ("batch", "feature"), "float32", "float32")
    path = write_times(folder / f"times-{factor}" / "model.onnx", factor)
    return make_item(path, "onnx", name="times", version=f"{factor}.0.0", **fields)


def share(folder: Path, make_item: MakeItem) -> pystac.Item:
    """A model whose result of a sample depends on the others of its batch: it divides by the largest of all."""
    shape = ["batch", 2]
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["most"], keepdims=0),
        helper.make_node("Div", ["x", "most"], ["y"]),
    ]
    tensors = [("x", TensorProto.FLOAT, shape), None, ("y", TensorProto.FLOAT, shape)]
    path = save(folder / "share" / "model.onnx", nodes, tensors)
    fields = one_to_one((-1, 2), ("batch", "feature"), "float32", "float32")
    return make_item(path, "onnx", name="share", **fields)


def sums(folder: Path, make_item: MakeItem) -> pystac.Item:
    """A model that adds to each sample those before it, as a layer does that takes the batch for time."""
    axis = numpy_helper.from_array(np.array(0), "axis")
    nodes = [helper.make_node("CumSum", ["x", "axis"], ["y"])]
    tensors = [("x", TensorProto.FLOAT, ["batch", 2]), None, ("y", TensorProto.FLOAT, ["batch", 2])]
    path = save(folder / "sums" / "model.onnx", nodes, tensors, axis)
    return make_item(path, "onnx", name="sums", **one_to_one((-1, 2), ("batch", "feature"), "float32", "float32"))


def kinds(folder: Path, make_item: MakeItem) -> pystac.Item:
    """A model of other types than float32: whole numbers in, half precision and 64 bits out."""
    nodes = [
        helper.make_node("Cast", ["n"], ["y"], to=TensorProto.FLOAT16),
        helper.make_node("Cast", ["n"], ["u"], to=TensorProto.INT64),
        helper.make_node("Log", ["f"], ["d"]),
    ]
    shape = ["batch", 3]
    tensors = [("n", TensorProto.INT16, shape), ("f", TensorProto.DOUBLE, shape), None]
    tensors += [("y", TensorProto.FLOAT16, shape), ("u", TensorProto.INT64, shape), ("d", TensorProto.DOUBLE, shape)]
    path = save(folder / "kinds" / "model.onnx", nodes, tensors)
    layout: dict[str, Any] = {"shape": (-1, 3), "dim_order": ("batch", "feature")}
    given = {"n": "int16", "f": "float64"}
    found = {"y": "float16", "u": "int64", "d": "float64"}
    fields = {
        "inputs": tuple(
            ModelInput(name=name, bands=(), input=InputStructure(**layout, data_type=kind))
            for name, kind in given.items()
        ),
        "outputs": tuple(
            ModelOutput(name=name, tasks=("regression",), result=ResultStructure(**layout, data_type=kind))
            for name, kind in found.items()
        ),
    }
    return make_item(path, "onnx", name="kinds", **fields)


def slow(folder: Path, make_item: MakeItem) -> pystac.Item:
    """A model that takes a while: a long product of matrices."""
    square = numpy_helper.from_array(np.eye(256, dtype=np.float32), "w")
    count, more = (numpy_helper.from_array(np.array(value), name) for name, value in (("n", 4000), ("c", True)))
    shape = ["batch", 256]
    body = helper.make_graph(
        [helper.make_node("MatMul", ["in", "w"], ["out"]), helper.make_node("Identity", ["go"], ["on"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("in", TensorProto.FLOAT, shape),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("out", TensorProto.FLOAT, shape),
        ],
    )
    nodes = [helper.make_node("Loop", ["n", "c", "x"], ["y"], body=body)]
    tensors = [("x", TensorProto.FLOAT, shape), None, ("y", TensorProto.FLOAT, shape)]
    path = save(folder / "slow" / "model.onnx", nodes, tensors, square, count, more)
    fields = one_to_one((-1, 256), ("batch", "feature"), "float32", "float32")
    return make_item(path, "onnx", name="slow", **fields)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def catalog(folder: Path, make_item: MakeItem) -> Catalog:
    """Give two versions of one model, one of two inputs and outputs, and others that have something of their own."""
    found = open_catalog(str(folder / "models.sqlite"), create=True)
    (folder / "pairs").mkdir()
    pair = make_item(pairs.write_onnx(folder / "pairs"), "onnx", name="pair", **pairs.fields())
    others = (write(folder, make_item) for write in (share, kinds, slow))
    for item in (times(folder, make_item, 2), times(folder, make_item, 3), pair, *others):
        found.publish(item)
    found.set_alias("times", "champion", "times-2.0.0-onnx")
    return found


@contextmanager
def predicting(
    folder: Path, catalog: Catalog, *names: str, arguments: tuple[str, ...] = (), **variables: str
) -> Iterator[Server]:
    """Run a server of models of the catalog, and wait until they answer."""
    options = [word for name in names for word in ("--predict", name)]
    variables = {"MODELSTAC_PREDICT_REFRESH_SECONDS": "0.1", "OMP_NUM_THREADS": "1"} | variables
    with serving(folder, "--catalog", catalog.href, *options, *arguments, **variables) as server:
        ready(server)
        yield server


def ready(server: Server) -> None:
    end = time.monotonic() + 60
    while not server.get("v2/health/ready").json()["ready"]:
        assert time.monotonic() < end, server.log.read_text()[-2000:]
        time.sleep(0.05)


def tensor(name: str, array: np.ndarray, datatype: str = "FP32") -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": list(array.shape), "data": array.reshape(-1).tolist()}


def infer(server: Server, name: str, *tensors: dict[str, Any], **more: Any) -> requests.Response:
    return server.request("POST", f"v2/models/{name}/infer", json={"inputs": list(tensors), **more})
