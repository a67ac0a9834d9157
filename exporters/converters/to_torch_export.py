"""To an exported PyTorch program (``.pt2``): a graph of ATen operators that needs no code of the model's own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch._export.serde import serialize

from modelstac.catalog.backends.storage import explained
from modelstac.catalog.errors import ConversionError
from modelstac.catalog.items.description import Step
from modelstac.catalog.items.versions import semver
from modelstac.exporters.architecture import named, take_apart
from modelstac.exporters.closing import asked
from modelstac.exporters.conversion import EXPORTED, FIXED, REBUILT, Conversion, no_options
from modelstac.exporters.converters.interfaces.keras_weights import KerasWeights
from modelstac.exporters.converters.interfaces.torch_call import Call, call_of, called
from modelstac.exporters.converters.interfaces.torch_dims import Dims, automatic, explicit
from modelstac.exporters.layouts import CHANNELS_THIRD, measured, relaid
from modelstac.exporters.sizes import sized
from modelstac.exporters.tracing import WISHES, Shapes, shapes_near, shapes_that_run
from modelstac.registry.facts import read_facts
from modelstac.registry.running.signature import Signature
from modelstac.registry.runtimes.torch_export import nodes, usual_operators

if TYPE_CHECKING:
    from modelstac.catalog.items.description import ModelDescription
    from modelstac.registry.running.model import Model

Fixed = Mapping[str, Mapping[str, int]]


def convert(model: Model, folder: Path, options: Mapping[str, Any]) -> Conversion:
    """Trace a PyTorch module of any architecture; dimensions that its code fixes are fixed in the program."""
    module: torch.nn.Module = model.native
    return _convert(model, module, call_of(module, model), folder, options)


def convert_keras(model: Model, folder: Path, options: Mapping[str, Any]) -> Conversion:
    """Trace a Keras model of any architecture, which is a PyTorch module where Keras runs on PyTorch."""
    from modelstac.exporters.converters.interfaces import keras as interface  # it imports Keras

    network = model.native
    call = interface.call_of(network, model.signature, f"the file of {model.description.id!r}")
    weights = KerasWeights(network)
    # On PyTorch, Keras' loop goes over the samples of the first step as well, and so fixes their number.
    with interface.merged_steps(network), interface.unrolled(network):
        return _convert(model, weights, weights.calling(call), folder, options)


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
    signature, fixed = Signature.of(layout), asked(layout, options)
    # The grid that it was trained on is one that it takes: what is pooled several times takes no small one.
    shapes = shapes_near(signature, fixed, {**WISHES, "height": spec.height, "width": spec.width})

    def call(tensor: torch.Tensor) -> dict[str, Any]:
        return {outputs[0].name: type(module).forward(module, tensor)}

    with called(module, call, signature):
        program = _traced(layout, module, _examples(signature, shapes), _ways(signature, fixed, options))
    return _written(layout, program, folder, method=REBUILT)


def _convert(model: Model, module: torch.nn.Module, call: Call, folder: Path, options: Mapping[str, Any]) -> Conversion:
    no_options(options, "torch-export")
    description, signature, fixed = model.description, sized(model), asked(model.description, options)
    examples = _examples(signature, shapes_that_run(model, signature, fixed))
    with called(module, call, signature):
        program = _traced(description, module, examples, _ways(signature, fixed, options))
    return _written(description, program, folder, method=EXPORTED)


def _examples(signature: Signature, shapes: Shapes) -> tuple[torch.Tensor, ...]:
    return tuple(torch.zeros(shapes[tensor.name], dtype=getattr(torch, tensor.dtype)) for tensor in signature.inputs)


def _ways(signature: Signature, fixed: Fixed, options: Mapping[str, Any]) -> list[Dims]:
    """Give what to say of open axes: what the item says of them, else what PyTorch finds, else, if it may be, nothing.

    PyTorch left to itself fixes axes without a word, and refuses what is said of an axis that its code fixes.
    """
    closed: list[Dims] = [tuple({} for _ in signature.inputs)] if options.get(FIXED) is True else []
    return [explicit(signature, fixed), automatic(signature, fixed), *closed]


def _traced(
    description: ModelDescription, module: torch.nn.Module, examples: tuple[torch.Tensor, ...], ways: list[Dims]
) -> torch.export.ExportedProgram:
    reason: Exception | None = None
    for dims in ways:
        try:
            with torch.no_grad(), usual_operators():
                return torch.export.export(module, examples, dynamic_shapes=dims)
        except Exception as error:  # noqa: BLE001 - torch.export has no root class of its own errors
            reason = error
    plain = re.sub(r"\x1b\[[0-9;]*m", "", str(reason))  # Keras writes in bold
    text = f"{type(reason).__name__}: {' '.join(plain.split())[:300]}"
    raise ConversionError(f"torch.export cannot trace {description.id!r}: {text}") from reason


@contextmanager
def _unrehearsed() -> Iterator[None]:
    """Leave out what PyTorch makes of a program to see that it can, and throws away: its canonical form.

    That is half of the time in which it writes one. What was written is read again, and run, before it is published.
    """
    writer: Any = serialize
    rehearsal = getattr(writer, "canonicalize", None)
    writer.canonicalize = lambda program, *_: program  # were it used, it would be right still
    try:
        yield
    finally:
        writer.canonicalize = rehearsal


def _written(
    description: ModelDescription, program: torch.export.ExportedProgram, folder: Path, *, method: str
) -> Conversion:
    for node in nodes(program):
        node.meta.pop("stack_trace", None)  # names files of the machine that exported it
    path = folder / "model.pt2"
    with explained(f"write {path}"), _unrehearsed():
        torch.export.save(program, path)
    version = semver(str(torch.__version__))
    step = Step(
        source_format=description.format,
        target_format="torch-export",
        tool="torch.export",
        version=version,
        method=method,
    )
    facts = read_facts(path)
    inputs, outputs = measured(description, facts.inputs, facts.outputs)
    return Conversion(
        artifact=path,
        framework_version=version,
        inputs=inputs,
        outputs=outputs,
        steps=(step,),
        hyperparameters={"torch-export": {"nodes": len(program.graph.nodes)}},
    )
