"""Keras: a model of its own layers, saved as ``.keras``; a subclass is traced into one first."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FunctionType
from typing import Any

import keras
import numpy as np
from keras.src.models.functional import Functional  # which nothing public gives without naming another layer

from modelstac.catalog.errors import SpecError
from modelstac.catalog.items.versions import semver
from modelstac.registry.inspecting.folders import pack
from modelstac.registry.publishing.objects.saved import Arrays, Saved, check_numbers
from modelstac.registry.runtimes.backends import PACKAGES, without_tensorflow

BANDS_FIRST = False
_GENERIC = frozenset({"Functional", "Model", "Sequential"})


def input_names(model: Any, given: Collection[str] = ()) -> Sequence[str] | None:
    """Name what a model without shapes is given, as it is called on the example; None where it has its shapes."""
    if _has_shapes(model):
        return None
    return list(given) if len(given) > 1 else ["input"]


def save(model: Any, folder: Path, example: Arrays, said: Mapping[str, Any]) -> Saved:
    """Save a model.

    Raises
    ------
    SpecError
        If it was never built, and there is no example to build it on; or it is more than a graph of layers.
    """
    given = {key: np.asarray(array) for key, array in example.items()}
    name = type(model).__name__
    backend = keras.config.backend()
    version = semver(importlib.import_module(PACKAGES[backend]).__version__)
    known: dict[str, Any] = {"backend": backend, "backend_version": version}
    if name not in _GENERIC:
        known["architecture"] = name
    check_numbers((weight.path, keras.ops.convert_to_numpy(weight)) for weight in model.weights)
    path = folder / "model.keras"

    def instead() -> Saved | None:  # what code computes without TensorFlow is a constant there, as an example shows
        traceable = backend == "tensorflow" and "example" in said
        return _exported(model, given, folder, name) if traceable else None

    try:
        traced = _of_any_batch(_of_layers(model)) if _has_shapes(model) else _traced(model, given, name)
        _check_functions(traced)
    except SpecError:
        if (saved := instead()) is None:
            raise
        return saved
    try:
        with without_tensorflow(), _untrained(traced):
            traced.save(path)
    except Exception as error:  # of layers, a backend, a strategy
        raise SpecError(f"Keras cannot save {name}: {_line(error)}") from error
    return Saved(path, known, None if traced is model else _running(model, traced), instead=instead)


def _check_functions(model: Any) -> None:
    """Refuse functions of somebody's own that layers call, of which Keras writes but a name, or bytes.

    Raises
    ------
    SpecError
        Of the first of them.
    """
    for layer in model._flatten_layers():
        # What a model calls beside its layers is the loss that it is trained with.
        for what, value in vars(layer).items() if not isinstance(layer, keras.Model) else ():
            plain = isinstance(value, FunctionType) and keras.saving.get_registered_name(value) == value.__name__
            if plain and not isinstance(layer, keras.layers.Lambda) and not value.__module__.startswith("keras."):
                raise SpecError(
                    f"the layer {layer.name!r} calls {value.__name__!r} ({what}), which no file holds: write it with "
                    "Keras' own functions and layers"
                )


@contextmanager
def _untrained(model: Any) -> Iterator[None]:
    """Save a model without how it is trained: a loss of somebody's own is code, and no part of what it predicts."""
    compiled = getattr(model, "compiled", False)
    model.compiled = False
    try:
        yield
    finally:
        model.compiled = compiled


def _running(model: Any, traced: Any) -> Callable[[Arrays], Sequence[Any]] | None:
    """Return what runs a subclass itself: what it computes without Keras is a constant of its graph."""
    if isinstance(traced.output, Mapping):  # whose order in the file nobody knows
        return None

    def run(arrays: Arrays) -> Sequence[Any]:
        found = _called(model, model, arrays, training=False)
        return [keras.ops.convert_to_numpy(one) for one in keras.tree.flatten(found)]

    return run


def _called(model: Any, call: Callable[..., Any], given: Mapping[str, Any], **more: Any) -> Any:
    """Call a model with its only input, with arguments by their names, or with a dictionary."""
    if len(given) == 1:
        return call(*given.values(), **more)
    if given.keys() <= inspect.signature(model.call).parameters.keys():
        return call(**given, **more)
    return call(dict(given), **more)


def _of_layers(model: Any) -> Any:
    """Give the graph alone of a class that is trained in a way of its own, and computes as Keras' own classes do."""
    kind = type(model)
    if kind in (Functional, keras.Sequential) or kind.call not in (Functional.call, keras.Sequential.call):
        return model
    graph = model if isinstance(model, Functional) else model._functional
    return keras.Model(graph._inputs_struct, graph._outputs_struct, name=model.name)


def _of_any_batch(model: Any) -> Any:
    """Give a chain of layers that was built by a call on some samples, and keeps their number, for any number."""
    if not isinstance(model, keras.Sequential) or model.inputs[0].shape[0] is None:
        return model
    try:
        entry = found = keras.Input(model.inputs[0].shape[1:], dtype=model.inputs[0].dtype)
        for layer in model.layers:
            found = layer(found)
        return keras.Model(entry, found)
    except (ValueError, TypeError):  # a layer that settles it
        return model


def _has_shapes(model: Any) -> bool:
    """Tell whether a model is a graph of layers; a subclass has inputs once it was called, and no such graph."""
    try:
        return isinstance(model, keras.Sequential | Functional) and bool(model.inputs)
    except (AttributeError, ValueError):  # one that was never built
        return False


def _traced(model: Any, given: Mapping[str, np.ndarray[Any, Any]], name: str) -> Any:
    """Call a subclass, or a model without shapes, on symbolic inputs: what it calls is its graph."""
    if not given:
        raise SpecError(f"the Keras model {name} has no shapes yet: give example=, one batch that it is fed")
    try:
        _called(model, model, {key: array[:1] for key, array in given.items()})  # builds it, and says what does not fit
        try:
            return _graph(model, given, sizes=False)
        except (ValueError, TypeError):
            return _graph(model, given, sizes=True)
    except Exception as error:  # what a call of somebody's raises may be anything
        raise SpecError(
            f"the Keras model {name} is no graph of layers ({_line(error)}): write it with keras.Input and "
            "keras.Model(inputs, outputs), or export it as ONNX"
        ) from error


def _graph(model: Any, given: Mapping[str, np.ndarray[Any, Any]], *, sizes: bool) -> Any:
    """Call a model on inputs of any size, or of the example's."""
    entries = {}
    for key, array in given.items():
        last = array.shape[-1:] if array.ndim > 1 else ()
        shape = array.shape[1:] if sizes else (*(None for _ in array.shape[1:-1]), *last)
        entries[key] = keras.Input(shape, dtype=str(array.dtype), name=key if len(given) > 1 else None)
    found = _called(model, model.call, entries)
    return keras.Model(entries if len(entries) > 1 else next(iter(entries.values())), found)


def _exported(model: Any, given: Mapping[str, np.ndarray[Any, Any]], folder: Path, name: str) -> Saved | None:
    """Save the graph of TensorFlow that a model computes; None where it has none."""
    tensorflow: Any = importlib.import_module("tensorflow")
    for number, entries in enumerate(_entries(model, given, tensorflow.TensorSpec)):
        saved = folder / f"saved-{number}"
        try:
            model.export(saved, format="tf_saved_model", verbose=False, input_signature=[entries])
        except Exception:  # noqa: BLE001, S112 - what a call of somebody's raises may be anything; the first reason is said
            continue
        path = folder / "model.savedmodel.zip"
        pack(saved, path)
        note = f"{name} is no graph of Keras' layers alone: it is published as the graph that TensorFlow makes of it"

        known = {} if name in _GENERIC else {"architecture": name}
        return Saved(path, known, _called_with(model, entries), None, (note,))
    return None


def _called_with(model: Any, entries: Any) -> Callable[[Arrays], Sequence[Any]]:
    """Return what runs a model that is called with such entries, each an array of its name."""

    def run(arrays: Arrays) -> Sequence[Any]:
        found = model(keras.tree.map_structure(lambda entry: arrays[entry.name], entries), training=False)
        return [keras.ops.convert_to_numpy(one) for one in keras.tree.flatten(found)]

    return run


def _entries(model: Any, given: Mapping[str, np.ndarray[Any, Any]], spec: Any) -> Iterator[Any]:
    """Give what a model is called with: its own inputs, or the example of any size and of its size."""
    if _has_shapes(model):
        from modelstac.registry.runtimes.keras import interface
        from modelstac.registry.runtimes.keras_on_torch import packed

        keys, _ = interface(model)
        # As the layers are called where no dictionary has keys: Keras numbers the tensors themselves anew.
        names = [
            x._keras_history.operation.name if key == x.name else key
            for key, x in zip(keys, model.inputs, strict=False)
        ]
        yield packed(model, [spec(x.shape, x.dtype, name) for name, x in zip(names, model.inputs, strict=True)])
    elif len(given) == 1:
        [array] = given.values()
        last = array.shape[-1:] if array.ndim > 1 else ()
        for shape in ((None, *(None for _ in array.shape[1:-1]), *last), (None, *array.shape[1:])):
            yield spec(shape, str(array.dtype), "input")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
