"""A Keras model as its item calls it: from arrays in the order of the item to arrays by the names of the item."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras

from modelstac.registry.runtimes.keras import interface
from modelstac.registry.runtimes.keras_on_torch import packed
from modelstac.registry.runtimes.names import paired

if TYPE_CHECKING:
    from modelstac.registry.running.signature import Signature

Call = Callable[..., dict[str, Any]]
"""Takes tensors of the backend in the order of the item, and gives such by the names of its outputs, in its order."""


def inputs_of(network: keras.Model, signature: Signature, where: str) -> dict[str, Any]:
    """Give the symbolic tensors that a model takes, by the names of its item and in its order."""
    found = interface(network)[0]
    names = paired([tensor.name for tensor in signature.inputs], found, "input", where=where)
    return {name: network.inputs[found.index(other)] for name, other in names.items()}


def call_of(network: keras.Model, signature: Signature, where: str) -> Call:
    """Give a function that runs a model for prediction.

    Parameters
    ----------
    network
        A model of Keras.
    signature
        Inputs and outputs of its item.
    where
        Which model it is, for messages.

    Raises
    ------
    InvalidItemError
        If its inputs and outputs are not those of the item.
    """
    inputs, outputs = interface(network)
    into = paired([tensor.name for tensor in signature.inputs], inputs, "input", where=where)
    back = paired([tensor.name for tensor in signature.outputs], outputs, "output", where=where)
    places = [list(into.values()).index(name) for name in inputs]

    def call(*tensors: Any) -> dict[str, Any]:
        made = network(packed(network, [tensors[place] for place in places]), training=False)
        found = dict(zip(outputs, keras.tree.flatten(made), strict=True))
        return {name: found[other] for name, other in back.items()}

    return call
