"""Small ONNX models with a known result, as loading would give them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from modelstac.catalog.items.description import ModelDescription
from modelstac.catalog.items.mlm import InputStructure, ModelInput, ModelOutput, ResultStructure
from modelstac.catalog.items.sizes import Size
from modelstac.catalog.items.writing import write_item
from modelstac.catalog.testing.examples import example_fields
from modelstac.registry.files.artifact import Artifact
from modelstac.registry.running.model import Model
from modelstac.registry.runtimes import onnx as runtime
from modelstac.registry.runtimes.options import Options
from modelstac.registry.trust.policy import DEFAULT_POLICY

IMAGE = ("batch", "bands", "height", "width")


Layouts = dict[str, tuple[tuple[int, ...], tuple[str, ...]]]


def described(inputs: Layouts, outputs: Layouts, **changes: Any) -> ModelDescription:
    """Describe a model by the shape and the names of axes of each input and output; -1 is open."""
    here = Path("nowhere")
    fields = {
        "assets": {}, "cube_dimensions": {}, "cube_variables": {},
        "inputs": tuple(
            ModelInput(name=name, bands=(), input=InputStructure(shape=shape, dim_order=dims, data_type="float32"))
            for name, (shape, dims) in inputs.items()
        ),
        "outputs": tuple(
            ModelOutput(name=name, bands=(), tasks=("regression",),
                        result=ResultStructure(shape=shape, dim_order=dims, data_type="float32"))
            for name, (shape, dims) in outputs.items()
        ),
    }  # fmt: skip
    return ModelDescription(**example_fields(here, here) | fields | changes)


def in_onnx(graph: onnx.ModelProto, description: ModelDescription) -> Model:
    """Give a model that runs in ONNX Runtime by one thread, as loading it would."""
    artifact = Artifact("graph", Path("graph.onnx"), graph.SerializeToString(), "0" * 64)
    opened = runtime.load(artifact, description, DEFAULT_POLICY, Options.of(1, None))
    fields = {"artifact": "https://example.org/model.onnx", "checksum": "0" * 64, "size": 1}
    return Model(write_item(description.model_copy(update=fields)), description, opened)


def onnx_graph(nodes: list[Any], inputs: dict[str, list[Any]], outputs: dict[str, list[Any]], weights: Any = ()) -> Any:
    """Make a graph of tensors of fractions, whose lengths are numbers or names."""
    sides = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in side.items()]
        for side in (inputs, outputs)
    ]
    arrays = [numpy_helper.from_array(np.asarray(array), name) for name, array in dict(weights).items()]
    made = helper.make_graph(nodes, "g", *sides, arrays)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def classifier(
    bands: int = 2, classes: int = 3, side: int = -1, batch: int = -1, *, open_bands: bool = False, **changes: Any
) -> Any:
    """Give a convolution of 3 x 3 from bands to scores of classes, with halo 1 unless told otherwise.

    Its item may leave open how many classes there are.
    """
    weights = np.random.default_rng(3).normal(size=(classes, bands, 3, 3)).astype(np.float32)
    lengths = ["batch" if batch == -1 else batch, "h" if side == -1 else side, "w" if side == -1 else side]
    graph = onnx_graph(
        [helper.make_node("Conv", ["image", "w"], ["scores"], pads=[1, 1, 1, 1])],
        {"image": [lengths[0], bands, *lengths[1:]]},
        {"scores": [lengths[0], classes, *lengths[1:]]},
        {"w": weights},
    )
    said = {"halo": {"image": {"height": 1, "width": 1}}} | changes
    listed = -1 if open_bands else classes
    return in_onnx(graph, of_images({"image": bands}, {"scores": listed}, side=side, batch=batch, **said))


def of_images(
    inputs: dict[str, int], outputs: dict[str, int], *, side: int = -1, batch: int = -1, **changes: Any
) -> Any:
    """Describe images by their bands."""
    names = changes.pop("bands", {})
    post, extra = changes.pop("post", None), changes.pop("extra", {})
    scaling = changes.pop("scaling", None)
    found = described(
        {name: ((batch, n, side, side), ("batch", "channel", "height", "width")) for name, n in inputs.items()},
        {name: ((batch, n, side, side), ("batch", "channel", "height", "width")) for name, n in outputs.items()},
        **changes,
    )
    fitted = [
        one.model_copy(update={"value_scaling": scaling, "bands": names.get(one.name, ())}) for one in found.inputs
    ]
    made = [
        type(one)(**one.model_dump(exclude_none=True) | {"post_processing_function": post} | extra)
        for one in found.outputs
    ]
    return found.model_copy(update={"inputs": tuple(fitted), "outputs": tuple(made)})


def average(halo: Any = 1, **more: Any) -> Any:
    """Give a mean of 3 x 3 pixels of one band, whose halo may be said to be another."""
    graph = onnx_graph(
        [helper.make_node("Conv", ["image", "w"], ["mean"], pads=[1, 1, 1, 1])],
        {"image": ["batch", 1, "h", "w"]},
        {"mean": ["batch", 1, "h", "w"]},
        {"w": np.full((1, 1, 3, 3), 1 / 9, np.float32)},
    )
    said = None if halo is None else {"image": {"height": halo, "width": halo}}
    return in_onnx(graph, of_images({"image": 1}, {"mean": 1}, halo=said, **more))


def of_pixels(bands: int = 4, classes: int = 3, batch: int = -1) -> Any:
    """Give scores of single pixels: a product with a matrix."""
    weights = np.random.default_rng(4).normal(size=(bands, classes)).astype(np.float32)
    rows = "batch" if batch == -1 else batch
    graph = onnx_graph(
        [helper.make_node("MatMul", ["pixels", "w"], ["scores"])],
        {"pixels": [rows, bands]},
        {"scores": [rows, classes]},
        {"w": weights},
    )
    found = described(
        {"pixels": ((batch, bands), ("batch", "feature"))}, {"scores": ((batch, classes), ("batch", "class"))}
    )
    return in_onnx(graph, found), weights


def pooled(classes: int = 3) -> Any:
    """Give one vector of an image: its mean by band."""
    graph = onnx_graph(
        [helper.make_node("GlobalAveragePool", ["image"], ["p"]), helper.make_node("Flatten", ["p"], ["scores"])],
        {"image": ["batch", classes, "h", "w"]},
        {"scores": ["batch", classes]},
    )
    found = described(
        {"image": ((-1, classes, -1, -1), ("batch", "channel", "height", "width"))},
        {"scores": ((-1, classes), ("batch", "class"))},
        halo={"image": {"height": "global", "width": "global"}},
    )
    return in_onnx(graph, found)


def two_resolutions() -> Any:
    """Give the sum of a band and another at half the resolution, as fine as the first."""
    graph = onnx_graph(
        [
            helper.make_node("Resize", ["coarse", "", "s"], ["fine"], mode="nearest", nearest_mode="floor",
                             coordinate_transformation_mode="asymmetric"),
            helper.make_node("Add", ["image", "fine"], ["sum"]),
        ],
        {"image": ["n", 1, "h", "w"], "coarse": ["n", 1, "i", "j"]},
        {"sum": ["n", 1, "h", "w"]},
        {"s": np.array([1, 1, 2, 2], np.float32)},
    )  # fmt: skip
    halo = {name: {"height": 0, "width": 0} for name in ("image", "coarse")}
    sizes = {
        name: {axis: Size(step, step, symbol=axis) for axis in ("height", "width")}
        for name, step in (("image", 2), ("coarse", 1), ("sum", 2))
    }
    return in_onnx(graph, of_images({"image": 1, "coarse": 1}, {"sum": 1}, halo=halo, sizes=sizes))


def sharing(dims: tuple[str, ...], bands: int = 1) -> Any:
    """Give the mean of each sample as a share of the largest value of its batch."""
    lengths = [name if name != dims[1] else bands for name in dims]
    axes = list(range(1, len(dims)))
    graph = onnx_graph(
        [
            helper.make_node("ReduceMax", ["x"], ["most"], keepdims=0),
            helper.make_node("ReduceMean", ["x"], ["mean"], axes=axes, keepdims=0),
            helper.make_node("Unsqueeze", ["mean", "at"], ["column"]),
            helper.make_node("Div", ["column", "most"], ["share"]),
        ],
        {"x": lengths},
        {"share": ["batch", 1]},
        {"at": np.array([1])},
    )
    shape = tuple(n if isinstance(n, int) else -1 for n in lengths)
    return in_onnx(graph, described({"x": (shape, dims)}, {"share": ((-1, 1), ("batch", "class"))}))
