"""From a Keras model of any architecture to LiteRT, its recurrences unrolled.

Keras' own ``export(format="litert")`` turns a recurrence into a loop over tensor lists, which the plain runtime
does not have. Keras' recurrent layers can say the same step by step (``unroll=True``), for a known number of steps.
They are told so where they stand, and nothing is copied: a copy would lose what layers keep beside their weights.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras

from modelstac.catalog.errors import ConversionError
from modelstac.exporters.closing import asked
from modelstac.exporters.conversion import EXPORTED, FIXED, Conversion, no_options
from modelstac.exporters.converters.interfaces.keras import calling, in_single_precision, recurrent, unrolled
from modelstac.exporters.converters.interfaces.saved_model import write_keras
from modelstac.exporters.converters.to_litert import written
from modelstac.exporters.sizes import sized
from modelstac.exporters.tracing import shapes_near
from modelstac.registry.running.signature import BATCH

if TYPE_CHECKING:
    from modelstac.registry.running.model import Model


class _EndlessError(ConversionError):
    """A recurrence over an open number of steps; Keras adds to what it says."""


_SIDES = ("forward_layer", "backward_layer")


def convert(model: Model, folder: Path, options: Mapping[str, Any]) -> Conversion:
    """Write ``model.tflite`` into a folder.

    Raises
    ------
    ConversionError
        When TensorFlow needs operators that are not built into LiteRT (names them), or a recurrence over an open number
        of steps (names its layer).
    SpecError
        On an option.
    """
    no_options(options, "LiteRT")
    network, item_id, unpacked = model.native, model.description.id, folder / "saved_model"
    fixed = asked(model.description, options)
    with in_single_precision(network) as mixed, unrolled(network) as rolled, _counted_steps(network) as endless:
        try:
            write_keras(network, model.signature, unpacked, item_id=item_id, fixed=fixed)
        except _EndlessError as error:
            if options.get(FIXED) is not True:
                raise _endless(network, endless[0], item_id) from error
            write_keras(network, model.signature, unpacked, item_id=item_id, fixed=_any_lengths(model))
    said = [EXPORTED, *(["recurrences unrolled"] if rolled else []), *(["computed in float32"] if mixed else [])]
    return written(model.description, unpacked, folder, method=", ".join(said))


def _endless(network: keras.Model, inner: Any, item_id: str) -> ConversionError:
    pairs = ((outer, getattr(outer, side, None)) for outer in network._flatten_layers() for side in _SIDES)
    layer = next((outer for outer, found in pairs if found is inner), inner)
    return ConversionError(
        f"LiteRT takes a fixed number of steps, and the layer {layer.name!r} ({type(layer).__name__}) of "
        f"{item_id!r} takes any: fix its axis, such as --fixed time=12"
    )


def _any_lengths(model: Model) -> Mapping[str, Mapping[str, int]]:
    """Give a length for each open axis but the batch, where any will do."""
    shapes = shapes_near(sized(model), {})
    return {
        tensor.name: {
            axis: length
            for axis, length in zip(tensor.dim_order, shapes[tensor.name], strict=True)
            if axis != BATCH and not tensor.axes[axis].is_fixed
        }
        for tensor in model.signature.inputs
    }


@contextmanager
def _counted_steps(network: keras.Model) -> Iterator[list[Any]]:
    """Refuse an open number of steps, before Keras does without; give the layers that have one, as they are met."""
    endless = list[Any]()

    def counting(layer: Any, call: Any) -> Any:
        @functools.wraps(call)
        def counted(sequences: Any, *args: Any, **kwargs: Any) -> Any:
            if keras.tree.flatten(sequences)[0].shape[1] is None:
                endless.append(layer)
                raise _EndlessError("the number of steps is open")
            return call(sequences, *args, **kwargs)

        return counted

    with calling(recurrent(network), counting):
        yield endless
