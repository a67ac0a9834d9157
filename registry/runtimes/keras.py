"""Keras: the portable ``.keras`` file, in safe mode, on whichever backend this process runs Keras on.

Import this module only after :func:`modelstac.registry.runtimes.backends.import_keras` has settled the backend.
"""

from __future__ import annotations

import importlib
import io
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from math import prod
from threading import Lock, get_ident
from types import MappingProxyType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import keras
from keras.src.backend.common import global_state
from keras.src.saving import saving_lib
from keras.src.saving.serialization_lib import SafeModeScope

from modelstac.catalog.errors import InvalidItemError, ModelStacError, UntrustedError
from modelstac.registry.inspecting.archives import WEIGHTS, open_weights, weights_of
from modelstac.registry.runtimes.keras_on_torch import has_quicker, packed, quick
from modelstac.registry.runtimes.opened import Opened, locked
from modelstac.registry.runtimes.quick.per_shape import Array, PerShape, RunFlat
from modelstac.registry.runtimes.sharing.opening import opening
from modelstac.registry.trust.policy import DEFAULT_POLICY, LAMBDA

if TYPE_CHECKING:
    from modelstac.catalog.items.description import ModelDescription
    from modelstac.registry.files.fetch import Artifact
    from modelstac.registry.runtimes.opened import Run
    from modelstac.registry.runtimes.options import Options
    from modelstac.registry.trust.policy import TrustPolicy

SPARE = 1 << 22
"""Weights that a model may make beyond twice those in its file: what layers keep and do not save."""


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
    backend, lock = keras.config.backend(), Lock()
    # Some layers keep what they are at, such as the mask of a recurrent cell. A graph that was made of them does not.
    exactly = locked(_exactly(model), lock)
    make = MAKERS.get(backend, _no_maker)(model)
    quickly = exactly if make is None else PerShape(exactly, _locked(make, lock, backend), on=COMPARED_ON[backend])

    def by_name(run: RunFlat) -> Run:
        return lambda arrays: dict(zip(outputs, run([arrays.get(name) for name in inputs]), strict=True))

    return Opened(
        model,
        by_name(quickly),
        inputs,
        outputs,
        optional=optional(model),
        exactly=None if make is None else by_name(exactly),
        ways=("the graph that was made of it", "Keras itself"),
        parallel=True,
    )


def _locked(make: Make, lock: Lock, backend: str) -> Make:
    """Make the quick way while no other thread is in the layers; what calls layers itself runs so, too."""
    making = locked(make, lock)
    return making if backend in GRAPHS else lambda flat: locked(making(flat), lock)


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
        # One at a time, as the bound hangs on a class of Keras'.
        with opening(artifact.item_id), SafeModeScope(safe), _bounded(artifact, policy):
            return _read(artifact, known, safe=safe)
    except ModelStacError:
        raise
    except Exception as error:  # Keras raises whatever its layers do on a configuration without sense
        # Of errors within errors each tells the configuration of what it was in: the last says what it is.
        reason = " ".join(str(error).rpartition("Exception encountered: ")[2].split())[:300]
        raise InvalidItemError(f"{artifact.path} cannot be read by Keras {keras.__version__}: {reason}") from error


def _read(artifact: Artifact, known: Mapping[str, Any], *, safe: bool) -> keras.Model:
    """Do what ``keras.saving.load_model`` does, which takes a path only, with the bytes that were verified.

    It copies the weights before it reads them, and here they are read where they lie.
    """
    with zipfile.ZipFile(io.BytesIO(artifact.data)) as archive:
        config = archive.read("config.json")
    model: keras.Model = saving_lib._model_from_config(config, known, compile=False, safe_mode=safe)
    _keep_skipped()
    failed: set[int] = set()
    errors: dict[int, Any] = {}
    with open_weights(artifact.data, artifact.path) as file:
        store = saving_lib.H5IOStore(WEIGHTS, archive=SimpleNamespace(open=lambda *_: file), mode="r")
        try:
            how: dict[str, Any] = {"visited_saveables": set(), "failed_saveables": failed, "error_msgs": errors}
            saving_lib._load_state(model, weights_store=store, assets_store=None, inner_path="", **how)
        finally:
            store.close()
    if failed:
        saving_lib._raise_loading_failure(errors)
    return model


def _keep_skipped() -> None:
    """Let Keras keep which attributes hold no weights: 3.15 writes them under one name, reads another, and finds none.

    So it makes a layer for each layer of a model, a sixth of the time in which it reads one.
    """
    for kind in ("Functional", "Layer", "Operation", "Sequential"):
        name = f"saving_attr_skiplist_{kind}"
        if global_state.get_global_attribute(name) is None:
            global_state.set_global_attribute(name, saving_lib.get_attr_skipset(kind))


@contextmanager
def _bounded(artifact: Artifact, policy: TrustPolicy) -> Iterator[None]:
    """Let this thread make no more weights than the archive holds: Keras makes those of its layers before it reads any.

    Raises
    ------
    UntrustedError
        If its configuration asks for more.
    """
    held = weights_of(artifact.data, artifact.path, max_bytes=policy.max_bytes)
    left, thread, own = 2 * held + SPARE, get_ident(), keras.layers.Layer.add_weight

    def add_weight(layer: Any, *args: Any, **named: Any) -> Any:
        nonlocal left
        shape = named.get("shape", args[0] if args and not isinstance(args[0], str) else ())
        if get_ident() == thread:
            left -= prod((shape,) if isinstance(shape, int) else shape or ())
            if left < 0:
                raise UntrustedError(
                    f"{artifact.path} describes {layer.name!r:.80} with weights of shape {list(shape)} and holds "
                    f"{held:,} weights in all: ask its publisher"
                )
        return own(layer, *args, **named)

    keras.layers.Layer.add_weight = add_weight
    try:
        yield
    finally:
        keras.layers.Layer.add_weight = own


def _exactly(model: keras.Model) -> RunFlat:
    """Call the model, layer by layer, on the arrays at hand: what Keras computes."""

    def run(flat: Sequence[Any]) -> list[Array]:
        found = model(packed(model, flat), training=False)
        return [keras.ops.convert_to_numpy(tensor) for tensor in keras.tree.flatten(found)]

    return _without_gradients(run) if keras.config.backend() == "torch" else run


def _without_gradients(run: RunFlat) -> RunFlat:
    torch = importlib.import_module("torch")  # not at the top: the backend may be another one

    def running(flat: Sequence[Any]) -> list[Array]:
        with torch.inference_mode():
            return run(flat)

    return running


COMPARED_ON: Mapping[str, int] = MappingProxyType({"tensorflow": 3, "torch": 2})
"""The call on a shape that makes the quick way: tracing takes as long as ten runs, and most shapes come once."""
GRAPHS = frozenset({"tensorflow"})
"""Backends whose quick way is a graph, which several threads may run at once."""
Make = Callable[[Sequence[Any]], RunFlat]
"""Makes what runs arrays of the same shapes quickly."""


def _on_tensorflow(model: keras.Model) -> Make:
    """Trace a graph for each shape; ``model.predict`` sets up a data pipeline for each call (5 times slower)."""
    from modelstac.registry.runtimes.quick.on_tensorflow import traced

    return partial(traced, model)


def _on_torch(model: keras.Model) -> Make | None:
    """Run some layers in another way, where the model has such."""
    if not has_quicker(model):
        return None
    forecast = quick(model)

    def run(flat: Sequence[Any]) -> list[Array]:
        return [keras.ops.convert_to_numpy(tensor) for tensor in keras.tree.flatten(forecast(flat))]

    running = _without_gradients(run)
    return lambda _: running


def _no_maker(model: keras.Model) -> None:  # noqa: ARG001 - a backend of which no quicker way is known
    return None


MAKERS: Mapping[str, Callable[[keras.Model], Make | None]] = MappingProxyType(
    {"tensorflow": _on_tensorflow, "torch": _on_torch}
)
