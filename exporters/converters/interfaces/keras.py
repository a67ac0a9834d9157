"""A Keras model as its item calls it: from arrays in the order of the item to arrays by the names of the item."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
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


def recurrent(network: keras.Model) -> list[Any]:
    """Give the recurrent layers of a model, those in wrappers and in models inside it, too."""
    return list({id(layer): layer for layer in network._flatten_layers() if hasattr(layer, "unroll")}.values())


@contextmanager
def unrolled(network: keras.Model) -> Iterator[bool]:
    """Let every recurrence of a model write down each step, for a known number; tell whether there is a loop.

    They are told so where they stand: a copy would lose what layers keep beside their weights.
    """
    layers = recurrent(network)
    before = [layer.unroll for layer in layers]
    for layer in layers:
        layer.unroll = True
    try:
        yield not all(before)
    finally:
        for layer, rolled in zip(layers, before, strict=True):
            layer.unroll = rolled


@contextmanager
def calling(layers: Iterable[Any], made: Callable[[Any, Any], Any]) -> Iterator[None]:
    """Let layers be called by what ``made(layer, call)`` gives, each once."""
    found = {id(layer): layer for layer in layers if "call" not in vars(layer)}.values()
    for layer in found:
        layer.call = made(layer, layer.call)
    try:
        yield
    finally:
        for layer in found:
            del layer.call


@contextmanager
def merged_steps(network: keras.Model) -> Iterator[None]:
    """Let a layer that is applied to each step of an open time axis take all steps as one large batch.

    Traced as Keras has it, TimeDistributed counts the steps of the example only, or maps over them by operators that
    give wrong numbers or that other formats do not have. A step is a sample to the layer that it wraps.
    """
    layers = (layer for layer in network._flatten_layers() if type(layer) is keras.layers.TimeDistributed)
    with calling(layers, _merging):
        yield


def _merging(layer: Any, call: Any) -> Any:
    @functools.wraps(call)
    def merging(inputs: Any, training: Any = None, mask: Any = None) -> Any:
        if mask is not None or not hasattr(inputs, "shape"):
            return call(inputs, training=training, mask=mask)
        batch, time, *rest = keras.ops.shape(inputs)
        options = {"training": training} if layer.layer._call_has_training_arg else {}
        found = layer.layer.call(keras.ops.reshape(inputs, (-1, *rest)), **options)
        _, *rest = keras.ops.shape(found)
        return keras.ops.reshape(found, (batch, time, *rest))

    return merging


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
