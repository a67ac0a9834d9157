"""Keras: the portable ``.keras`` file, in safe mode, on whichever backend this process runs Keras on.

Import this module only after :func:`modelstac.registry.runtimes.backends.import_keras` has settled the backend.
"""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras.src.saving import saving_lib
from keras.src.saving.serialization_lib import SafeModeScope

from modelstac.catalog.errors import InvalidItemError, ModelStacError
from modelstac.registry.runtimes.keras_on_torch import packed, quick
from modelstac.registry.runtimes.opened import Opened
from modelstac.registry.trust.policy import DEFAULT_POLICY, LAMBDA

if TYPE_CHECKING:
    from modelstac.catalog.items.description import ModelDescription
    from modelstac.registry.files.fetch import Artifact
    from modelstac.registry.runtimes.options import Options
    from modelstac.registry.trust.policy import TrustPolicy


def load(
    artifact: Artifact,
    description: ModelDescription,  # noqa: ARG001 - every runtime has this verb
    policy: TrustPolicy,
    options: Options,  # noqa: ARG001 - its threads and device are the process's own
) -> Opened:
    """Load the archive without its optimizer, and make what runs it quickly.

    Raises
    ------
    InvalidItemError
        If Keras cannot read it.
    """
    return opened(read_archive(artifact, policy))


def opened(model: keras.Model) -> Opened:
    """Return a model of Keras and what runs it, on the backend of this process."""
    inputs, outputs = interface(model)
    run_flat, run_partly = RUN.get(keras.config.backend(), _on_any)(model), _on_any(model)

    def run(arrays: Mapping[str, np.ndarray[Any, Any]]) -> Mapping[str, np.ndarray[Any, Any]]:
        flat = [arrays.get(name) for name in inputs]
        found = run_partly(flat) if any(array is None for array in flat) else run_flat(flat)
        return dict(zip(outputs, found, strict=True))

    return Opened(model, run, inputs, outputs, optional=optional(model))


def optional(model: keras.Model) -> tuple[str, ...]:
    """Name the inputs that were made with ``optional=True``: what is left out is None to the layers."""
    layers = [getattr(tensor._keras_history, "operation", None) for tensor in model.inputs]
    names, _ = interface(model)
    return tuple(name for name, layer in zip(names, layers, strict=True) if getattr(layer, "optional", False) is True)


def interface(model: keras.Model) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Name inputs and outputs: by the keys of a dictionary, where the model was made with one, else by their layers.

    They stand in the order of ``model.inputs`` and ``model.outputs``, which is that of Keras' own flattening.
    """
    functional = getattr(model, "_functional", None) or model
    inputs = [tensor.name for tensor in model.inputs]
    # Keras numbers the tensors themselves anew in each process.
    outputs = [tensor._keras_history.operation.name for tensor in model.outputs]
    found = [
        _keys(getattr(functional, struct, None), names)
        for struct, names in (("_inputs_struct", inputs), ("_outputs_struct", outputs))
    ]
    return found[0], found[1]


def _keys(struct: Any, names: list[str]) -> tuple[str, ...]:
    """Take the keys of a flat dictionary as names; a layer that gives several outputs numbers them."""
    if isinstance(struct, dict) and len(struct) == len(names):
        return tuple(str(path[-1]) for path, _ in keras.tree.flatten_with_path(struct))
    counts = dict.fromkeys(names, 0)
    found = []
    for name in names:
        found.append(name if names.count(name) == 1 else f"{name}_{counts[name]}")
        counts[name] += 1
    return tuple(found)


def read_archive(artifact: Artifact, policy: TrustPolicy = DEFAULT_POLICY) -> keras.Model:
    """Read an archive that was looked into, in safe mode unless Lambda layers are trusted, and without its optimizer.

    Raises
    ------
    InvalidItemError
        If Keras cannot read it.
    """
    try:
        # The scope, because a process-wide enable_unsafe_deserialization() wins over the argument safe_mode=True.
        safe, known = LAMBDA not in policy.code, {}
        if policy.custom_objects:
            from modelstac.registry.runtimes.custom_objects import custom_objects

            known = custom_objects(artifact.data, policy, item_id=artifact.item_id)
        with SafeModeScope(safe):
            # What keras.saving.load_model calls, which takes a path only: these are the bytes that were verified.
            file = io.BytesIO(artifact.data)
            model: keras.Model = saving_lib.load_model(file, custom_objects=known, compile=False, safe_mode=safe)
            return model
    except ModelStacError:
        raise
    except Exception as error:  # Keras raises whatever its layers do on a configuration without sense
        reason = " ".join(str(error).split())
        raise InvalidItemError(f"{artifact.path} cannot be read by Keras {keras.__version__}: {reason}") from error


RunFlat = Callable[[Sequence[Any]], list[np.ndarray[Any, Any]]]
"""From arrays in the order of ``model.inputs`` to arrays in that of ``model.outputs``."""


def _on_tensorflow(model: keras.Model) -> RunFlat:
    """One traced graph for every batch; ``model.predict`` sets up a data pipeline for each call (5 times slower).

    Some layers want to know the height and width that a graph of every size leaves open (bilinear upsampling), and run
    without one.
    """
    tensorflow = importlib.import_module("tensorflow")  # not at the top: the backend may be another one
    signature = [tensorflow.TensorSpec(tensor.shape, tensor.dtype) for tensor in model.inputs]
    graph = tensorflow.function(
        lambda *flat: keras.tree.flatten(model(packed(model, flat), training=False)), input_signature=signature
    )

    @cache
    def untraced() -> RunFlat | None:
        try:
            graph.get_concrete_function()
        except Exception:  # noqa: BLE001 - a layer raises what it likes when it is traced; it is asked again when it runs
            return _on_any(model)
        return None

    def run(flat: Sequence[Any]) -> list[np.ndarray[Any, Any]]:
        plainly = untraced()
        return plainly(flat) if plainly is not None else [tensor.numpy() for tensor in graph(*flat)]

    return run


def _on_torch(model: keras.Model) -> RunFlat:
    torch = importlib.import_module("torch")
    forecast = quick(model)

    def run(flat: Sequence[Any]) -> list[np.ndarray[Any, Any]]:
        with torch.inference_mode():
            return [keras.ops.convert_to_numpy(tensor) for tensor in keras.tree.flatten(forecast(flat))]

    return run


def _on_any(model: keras.Model) -> RunFlat:
    def run(flat: Sequence[Any]) -> list[np.ndarray[Any, Any]]:
        found = model(packed(model, flat), training=False)
        return [keras.ops.convert_to_numpy(tensor) for tensor in keras.tree.flatten(found)]

    return run


RUN = {"tensorflow": _on_tensorflow, "torch": _on_torch}
