"""What the layers of a model give for an input, by names under which layers of another model can be found.

One module a framework, with the same two verbs: ``known`` lists the layers that can be looked into, in the order in
which they run, and ``run`` gives what some of them make of an input. Layers of our own architectures have the names of
their weights, in every format.

Order, each importing only from those before it: keras_layers, torch_layers · onnx_layers, torch_export_layers.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from modelstac.registry.runtimes.names import paired

if TYPE_CHECKING:
    from modelstac.registry.running.model import Model
    from modelstac.registry.running.signature import Arrays

Array = NDArray[Any]
OUTPUT = "output of the model"
_READERS = MappingProxyType(
    {
        "keras": "keras_layers",
        "torch": "torch_layers",
        "torch-export": "torch_export_layers",
        "onnx": "onnx_layers",
    }
)


@dataclass(frozen=True)
class Layer:
    """A layer that can be looked into.

    Parameters
    ----------
    name
        What it is called in its model.
    kind
        Its class or operator, as the format says it.
    named
        Whether the name is that of a layer, and not one that a tool counted.
    """

    name: str
    kind: str
    named: bool = True


Pair = tuple[Layer, Layer]


def known_layers(model: Model) -> tuple[Layer, ...]:
    """List the layers of a loaded model that can be looked into; none where its runtime does not let them be seen."""
    reader = _READERS.get(model.description.format)
    return () if reader is None else tuple(_reader(reader).known(model))


def layers(model: Model, inputs: Arrays, wanted: Sequence[str] = ()) -> dict[str, Array]:
    """Run a model and give what some of its layers make of the inputs.

    Parameters
    ----------
    model
        A loaded model.
    inputs
        By name, in its layouts.
    wanted
        Names of :func:`known_layers`.
    """
    if not wanted:
        return {}
    found: dict[str, Array] = _reader(_READERS[model.description.format]).run(model, inputs, tuple(wanted))
    return found


def by_file(model: Model, inputs: Arrays, found: Sequence[str], *, named: bool = True) -> dict[str, Array]:
    """Give inputs by the names of the file, as the runtime does; in its order.

    Parameters
    ----------
    model
        A loaded model.
    inputs
        By the names of its item.
    found
        Names in the file.
    named
        Whether these are the publisher's.
    """
    match = paired([*inputs], tuple(found), "input", named=named, where=f"the file of {model.item.id!r}")
    given = {match[name]: np.asarray(array) for name, array in inputs.items()}
    return {name: given[name] for name in found}


def match(ours: Sequence[Layer], theirs: Sequence[Layer], *, alike: bool) -> tuple[list[Pair], str]:
    """Find which layers of two models are each other's counterpart, and say why none is.

    Parameters
    ----------
    ours, theirs
        As :func:`known_layers` gives them.
    alike
        Whether both have one format, whose kinds and tool-given names mean the same.

    Returns
    -------
    pairs
        In the order of the first.
    reason
        Empty where there are any.
    """
    if not ours or not theirs:
        which = "either" if not ours and not theirs else "the first" if not ours else "the second"
        return [], f"the runtime of {which} does not show what its layers give"
    same_kinds = [layer.kind for layer in ours] == [layer.kind for layer in theirs]
    if alike and same_kinds and {layer.name for layer in ours} != {layer.name for layer in theirs}:
        return list(zip(ours, theirs, strict=True)), ""
    by_name = {layer.name: layer for layer in theirs if layer.named or (alike and same_kinds)}
    pairs = [
        (layer, by_name[layer.name])
        for layer in ours
        if layer.name in by_name and (layer.named or (alike and same_kinds))
    ]
    pairs = [(layer, other) for layer, other in pairs if not alike or layer.kind == other.kind]
    return pairs, "" if pairs else "no layer of one has the name of a layer of the other"


def _reader(name: str) -> Any:
    return importlib.import_module(f"modelstac.exporters.layers.{name}")
