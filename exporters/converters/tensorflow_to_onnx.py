"""From a TensorFlow SavedModel of any architecture to ONNX, by tf2onnx."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tensorflow as tf
import tf2onnx

from modelstac.catalog.errors import ConversionError
from modelstac.exporters.conversion import Conversion, no_options
from modelstac.exporters.converters.onnx_file import exported
from modelstac.registry.runtimes.saved_model import SIGNATURE

if TYPE_CHECKING:
    from modelstac.registry.running.model import Model

OPSET = 18
"""The latest that tf2onnx 1.17 writes."""
_UNSUPPORTED = re.compile(r"Tensorflow op \[(?P<node>[^:\]]+): (?P<op>\w+)\] is not supported")


class _Heard(logging.Handler):
    """Keeps what tf2onnx logs: it says which operators it leaves out, and goes on."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


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
    description = model.description
    signature = model.native.signatures[SIGNATURE]
    ((name, spec),) = signature.structured_input_signature[1].items()
    (output,) = signature.structured_outputs
    function = tf.function(lambda x: signature(**{name: x})[output], autograph=False)
    with _listening() as heard:
        try:
            graph, _ = tf2onnx.convert.from_function(
                function, input_signature=[tf.TensorSpec(spec.shape, spec.dtype, name=name)], opset=OPSET
            )
        except Exception as error:  # tf2onnx raises what its handlers do
            reason = "; ".join(heard.texts) or str(error)
            raise ConversionError(f"tf2onnx cannot convert {description.id!r}: {_short(reason)}") from error
    if missing := [text for text in heard.texts if _UNSUPPORTED.search(text)]:
        raise ConversionError(f"tf2onnx cannot convert {description.id!r}: {_short(missing[0])}")
    warnings = tuple(heard.texts)
    return exported(description, graph, folder, tool="tf2onnx", version=tf2onnx.__version__, warnings=warnings)


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
