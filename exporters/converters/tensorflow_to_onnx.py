"""From a TensorFlow SavedModel of any architecture to ONNX, by tf2onnx."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx
import tensorflow as tf
import tf2onnx
from tf2onnx.onnx_opset import controlflow

from modelstac.catalog.errors import ConversionError
from modelstac.exporters.conversion import Conversion, no_options
from modelstac.exporters.converters.onnx_file import exported
from modelstac.registry.inspecting.saved_model import served
from modelstac.registry.runtimes.names import paired

if TYPE_CHECKING:
    from modelstac.registry.running.model import Model

OPSET = 18
"""The latest that tf2onnx 1.17 writes."""
_UNSUPPORTED = re.compile(r"Tensorflow op \[(?P<node>[^:\]]+): (?P<op>\w+)\] is not supported")


class _Heard(logging.Handler):
    """Keeps what tf2onnx logs: it says which operator it leaves out, and would go on to optimise what is left."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())
        if _UNSUPPORTED.search(self.texts[-1]):
            raise NotImplementedError(self.texts[-1])


def convert(model: Model, folder: Path, options: Mapping[str, Any]) -> Conversion:
    """Write ``model.onnx`` into a folder.

    Raises
    ------
    ConversionError
        When tf2onnx does not know an operator; names it and its node.
    SpecError
        On an option.
    """
    no_options(options, "ONNX")
    item_id = model.description.id
    signature = model.native.signatures[served(model.native.signatures)]
    specs, where = signature.structured_input_signature[1], f"the file of {item_id!r}"
    names = [[tensor.name for tensor in side] for side in (model.signature.inputs, model.signature.outputs)]
    into = paired(names[0], tuple(specs), "input", where=where)
    back = paired(names[1], tuple(signature.structured_outputs), "output", where=where)

    def function(*tensors: Any) -> list[Any]:
        found = signature(**dict(zip(into.values(), tensors, strict=True)))
        return [found[name] for name in back.values()]

    arguments = [tf.TensorSpec(specs[name].shape, specs[name].dtype, name=name) for name in into.values()]
    traced = tf.function(function, autograph=False)
    with _listening() as heard:
        try:
            captured = traced.get_concrete_function(*arguments).graph.captures
            graph, _ = tf2onnx.convert.from_function(
                traced,
                input_signature=arguments,
                opset=OPSET,
                custom_op_handlers=dict.fromkeys(("Select", "SelectV2"), (_select, [])),
            )
        except Exception as error:  # tf2onnx raises what its handlers do
            missing = next(filter(_UNSUPPORTED.search, heard.texts), None)
            reason = missing or "; ".join(heard.texts) or str(error)
            raise ConversionError(f"tf2onnx cannot convert {item_id!r}: {_short(reason)}") from error
    _hold(graph.graph, {inner.name: outer for outer, inner in captured if inner.dtype != tf.resource})
    return exported(
        model,
        graph,
        folder,
        inputs={name: _called(graph, other) for name, other in into.items()},
        outputs=[value.name for value in graph.graph.output],
        tool="tf2onnx",
        version=tf2onnx.__version__,
        warnings=tuple(heard.texts),
    )


def _select(context: Any, node: Any, _name: str, _arguments: Any) -> None:
    """Choose by ONNX's ``Where``: tf2onnx multiplies by 0 and 1, and NaN of the side not taken comes through."""
    node.set_attr("handles_nan", 1)
    controlflow.Select.version_9(context, node)


def _hold(graph: onnx.GraphProto, captured: Mapping[str, Any]) -> None:
    """Keep in a graph the tensors that its function holds beside variables: tf2onnx makes them inputs."""
    for value in [value for value in graph.input if value.name in captured]:
        graph.input.remove(value)
        graph.initializer.append(onnx.numpy_helper.from_array(captured[value.name].numpy(), value.name))


def _called(graph: onnx.ModelProto, name: str) -> str:
    """Give the name of an input in the graph: tf2onnx may leave TensorFlow's ``:0`` there."""
    return next((value.name for value in graph.graph.input if value.name in {name, f"{name}:0"}), name)


def _short(text: str) -> str:
    return " ".join(text.split())[:300]


@contextmanager
def _listening() -> Iterator[_Heard]:
    """Listen to tf2onnx, and let nothing through to the terminal."""
    logger, heard = logging.getLogger("tf2onnx"), _Heard()
    before = logger.propagate
    logger.addHandler(heard)
    logger.propagate = False
    try:
        yield heard
    finally:
        logger.removeHandler(heard)
        logger.propagate = before
