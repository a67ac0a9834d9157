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
        with calling((layer for layer in layers if layer.go_backwards), _turned):
            yield not all(before)
    finally:
        for layer, rolled in zip(layers, before, strict=True):
            layer.unroll = rolled


def _turned(layer: Any, call: Any) -> Any:
    """Let a layer that goes backwards go forwards over what is turned round, where some steps are masked.

    Unrolled, Keras 3.15 fails there on PyTorch, and on TensorFlow makes zeros of other steps than those masked.
    """

    @functools.wraps(call)
    def turned(sequences: Any, *args: Any, mask: Any = None, **kwargs: Any) -> Any:
        if mask is None:
            return call(sequences, *args, mask=mask, **kwargs)
        turning = functools.partial(keras.ops.flip, axis=1)
        layer.go_backwards = False
        try:
            return call(keras.tree.map_structure(turning, sequences), *args, mask=turning(mask), **kwargs)
        finally:
            layer.go_backwards = True

    return turned


@contextmanager
def in_single_precision(network: keras.Model) -> Iterator[bool]:
    """Let layers of a model whose weights are float32 compute in it, too; tell whether one computed in less.

    So models are trained on GPUs (``mixed_float16``), and not every format has half precision.
    """
    mixed = [layer for layer in network._flatten_layers() if _is_mixed(layer)]
    before = [layer.dtype_policy for layer in mixed]
    for layer in mixed:
        layer.dtype_policy = keras.DTypePolicy("float32")
    try:
        yield bool(mixed)
    finally:
        for layer, policy in zip(mixed, before, strict=True):
            layer.dtype_policy = policy


def _is_mixed(layer: Any) -> bool:
    return layer.compute_dtype in {"float16", "bfloat16"} and layer.variable_dtype == "float32"


@contextmanager
def calling(layers: Iterable[Any], made: Callable[[Any, Any], Any]) -> Iterator[None]:
    """Let layers be called by what ``made(layer, call)`` gives, each once."""
    found = list({id(layer): layer for layer in layers}.values())
    before = [vars(layer).get("call") for layer in found]
    for layer in found:
        layer.call = made(layer, layer.call)
    try:
        yield
    finally:
        for layer, call in zip(found, before, strict=True):
            del layer.call
            if call is not None:
                layer.call = call


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
