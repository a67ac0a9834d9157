"""To an exported PyTorch program (``.pt2``): a graph of ATen operators that needs no code of the model's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from modelstac.catalog.backends.storage import explained
from modelstac.catalog.errors import ConversionError
from modelstac.catalog.items.description import Step
from modelstac.catalog.items.versions import semver
from modelstac.exporters.architecture import named, take_apart
from modelstac.exporters.conversion import EXPORTED, REBUILT, Conversion, no_options
from modelstac.exporters.layouts import CHANNELS_THIRD, example_shape, measured, relaid
from modelstac.exporters.sizes import SIZES, find_sizes
from modelstac.registry.describing.facts import read_facts

if TYPE_CHECKING:
    from modelstac.catalog.items.description import ModelDescription
    from modelstac.registry.running.model import Model


def convert(model: Model, folder: Path, options: Mapping[str, Any]) -> Conversion:
    """Trace a PyTorch module of any architecture; dimensions that its code fixes are fixed in the program."""
    no_options(options, "torch-export")
    shape = example_shape(model.description, {}, find_sizes(model))
    return _export(model.description, model.native, folder, shape, fixed={}, method=EXPORTED)


def convert_keras(model: Model, folder: Path, options: Mapping[str, Any]) -> Conversion:
    """Trace a Keras model of any architecture, which is a PyTorch module where Keras runs on PyTorch."""
    no_options(options, "torch-export")
    shape = example_shape(model.description, {}, find_sizes(model))
    return _export(model.description, _Inference(model.native), folder, shape, fixed={}, method=EXPORTED)


class _Inference(torch.nn.Module):
    """A Keras model as it is for prediction."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model.eval()

    def forward(self, x: torch.Tensor) -> Any:
        return self.model(x, training=False)


def rebuild(model: Model, folder: Path, options: Mapping[str, Any]) -> Conversion:
    """Build the network in PyTorch, give it the weights of the source and trace it for its number of frames.

    Raises
    ------
    ConversionError
        When the model is none of our architectures, its weights are not those stated, or it cannot be traced.
    SpecError
        On an option.
    """
    no_options(options, "torch-export")
    spec, weights = take_apart(model)
    adapter = named(model.description).module("torch")
    module = adapter.build(spec).eval()
    adapter.set_weights(module, weights)
    sizes = dict.fromkeys(("batch", "height", "width"), -1)
    frames = [sizes | {"time": number} for number in (spec.frames_in, spec.frames_out)]
    inputs, outputs = relaid(model.description, CHANNELS_THIRD, *frames)
    layout = model.description.model_copy(update={"inputs": inputs, "outputs": outputs})
    fixed = {"time": spec.frames_in}
    # The grid that it was trained on is one that it takes: what is pooled several times takes no small one.
    traced_on = {**SIZES, "height": (spec.height, spec.height), "width": (spec.width, spec.width)}
    return _export(layout, module, folder, example_shape(layout, fixed, traced_on), fixed=fixed, method=REBUILT)


def _export(
    description: ModelDescription,
    module: torch.nn.Module,
    folder: Path,
    shape: tuple[int, ...],
    *,
    fixed: Mapping[str, int],
    method: str,
) -> Conversion:
    layout = description.inputs[0].input
    dtype = getattr(torch, layout.data_type)
    dynamic = {
        axis: torch.export.Dim.AUTO
        for axis, (name, size) in enumerate(zip(layout.dim_order, layout.shape, strict=True))
        if size == -1 and name not in fixed
    }
    try:
        with torch.no_grad():
            example = torch.zeros(shape, dtype=dtype)
            program = torch.export.export(module, (example,), dynamic_shapes=(dynamic,))
    except Exception as error:  # torch.export has no root class of its own errors
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        raise ConversionError(f"torch.export cannot trace {description.id!r}: {reason}") from error
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # names files of the machine that exported it
    path = folder / "model.pt2"
    with explained(f"write {path}"):
        torch.export.save(program, path)
    step = Step(
        source_format=description.format,
        target_format="torch-export",
        tool="torch.export",
        version=semver(str(torch.__version__)),
        method=method,
    )
    inputs, outputs = measured(description, read_facts(path))
    return Conversion(
        artifact=path,
        framework_version=semver(str(torch.__version__)),
        inputs=inputs,
        outputs=outputs,
        steps=(step,),
        hyperparameters={"torch-export": {"nodes": len(program.graph.nodes)}},
    )
