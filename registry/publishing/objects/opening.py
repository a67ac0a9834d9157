"""Model files of any kind: which of them this is, and who saves it as one that can be published."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

from modelstac.catalog.errors import InvalidItemError, MissingPackageError, NotFoundError, SpecError
from modelstac.catalog.messages import Note, Report, ignore
from modelstac.registry.exchange.skops import read_skops
from modelstac.registry.publishing.objects import boosted, checkpoints, hdf5, pickles
from modelstac.registry.publishing.objects.finding import find
from modelstac.registry.publishing.objects.saved import Kind
from modelstac.registry.publishing.objects.states import fitted

if TYPE_CHECKING:
    from modelstac.registry.trust.policy import TrustPolicy

_SAFETENSORS, _SKOPS = ".safetensors", ".skops"


def open_file(
    path: Path, said: Mapping[str, Any], policy: TrustPolicy, into: Path, *, report: Report = ignore
) -> tuple[Kind | None, Any]:
    """Tell what saves a model file, and of what; None and the path of one that is published as it is.

    Parameters
    ----------
    path
        The file, or a folder.
    said
        By the names of :class:`~modelstac.registry.publishing.saying.Said`; ``entrypoint`` says what builds the module
        that weights are of.
    policy
        What of it may run code.
    into
        Folder for what is written on the way.
    report
        Gets notes on what of it is left out.

    Raises
    ------
    UntrustedError
        If it runs code, and nobody trusts its publisher; says the way on.
    ModelStacError
        If it is of no use.
    """
    model = _opened(path, said, policy, into, report) if path.is_file() else path
    for kind, module in _KINDS.items():
        if isinstance(model, kind):
            return cast(Kind, module), model
    return find(model), model


_KINDS: Mapping[type, Any] = MappingProxyType(
    {hdf5.WholeModel: hdf5, pickles.Pickle: pickles, checkpoints.Trusted: checkpoints}
)
"""What a module here saves of a file."""


def _opened(path: Path, said: Mapping[str, Any], policy: TrustPolicy, into: Path, report: Report) -> Any:
    """Give the object in a file, what is saved of it, or its path."""
    suffix = path.suffix.lower()
    either = suffix in {*checkpoints.SUFFIXES, *pickles.SUFFIXES}
    if suffix in boosted.SUFFIXES and (kind := boosted.kind_of(path)) is not None:
        return boosted.read_trees(path, kind)
    if suffix == _SAFETENSORS:
        return module_of(path, _read_safetensors(path, said), said, policy, report)
    if suffix == _SKOPS:
        return read_skops(path, policy)
    if suffix in hdf5.SUFFIXES:
        return hdf5.look_into(path, policy) or _with_keras_weights(path, said, policy)
    if either and checkpoints.is_torch(path):
        return _of_torch(path, said, policy, into, report)
    return pickles.trusted(path, policy) if either and pickles.is_pickle(path) else path


def _of_torch(path: Path, said: Mapping[str, Any], policy: TrustPolicy, into: Path, report: Report) -> Any:
    if said.get("entrypoint") is None or checkpoints.is_script(path):
        return checkpoints.trusted(path, policy)
    _require_example(path, said)
    return module_of(path, checkpoints.read_state(path, policy, into, report=report), said, policy, report)


def _require_example(path: Path, said: Mapping[str, Any]) -> None:
    if said.get("entrypoint") is None:
        raise SpecError(f"{path.name} holds weights alone: give --entrypoint PACKAGE.MODULE:FUNCTION")
    if "example" not in said:
        raise SpecError(f"{path.name} holds weights, which say nothing of shapes: give --example, one batch it is fed")


def _read_safetensors(path: Path, said: Mapping[str, Any]) -> dict[str, Any]:
    _require_example(path, said)
    try:
        from safetensors.torch import load_file
    except ModuleNotFoundError as error:
        raise MissingPackageError.extra(str(error.name), "torch", f"publishing {path.name}") from error
    try:
        return dict(load_file(path))
    except FileNotFoundError as error:
        raise NotFoundError(f"no model file {path}: check the path") from error
    except Exception as error:  # safetensors' own, and whatever PyTorch makes of it
        reason = " ".join(str(error).split())[:200]
        raise InvalidItemError(f"{path} is no safetensors file that can be read: {reason}") from error


def _built(path: Path, said: Mapping[str, Any], policy: TrustPolicy) -> tuple[Any, str]:
    """Build the model that an entry point makes of what is said; give also how to say that it does not fit."""
    entry = str(said["entrypoint"])
    build = policy.allowing(entry.partition(":")[0]).builder(entry, item_id=path.name)
    hyperparameters = said.get("hyperparameters") or {}
    shown = json.dumps(hyperparameters, default=str)[:80]
    where = f"{path.name} does not fit what {entry} builds of {shown}"
    try:
        return build(dict(hyperparameters.get("architecture", hyperparameters))), where
    except Exception as error:  # a builder may raise anything
        reason = " ".join(str(error).split())[:200]
        raise InvalidItemError(f"{entry} is called with the hyperparameters, {shown}, and fails: {reason}") from error


def module_of(
    path: Path, state: Mapping[str, Any], said: Mapping[str, Any], policy: TrustPolicy, report: Report = ignore
) -> Any:
    """Build the module that weights are of, by the entry point that its publisher names.

    Parameters
    ----------
    path, state
        The file, and the weights in it.
    said
        With ``entrypoint`` and ``hyperparameters``, by the names of
        :class:`~modelstac.registry.publishing.saying.Said`.
    policy
        Its entry points, beside the one that is named.
    report
        Gets a note on weights that the module does not have.

    Raises
    ------
    MissingPackageError
        If the entry point is not installed.
    InvalidItemError
        If the weights are not those of the module.
    """
    module, where = _built(path, said, policy)
    try:
        weights = fitted(state, set(module.state_dict()))
        module.load_state_dict(weights, strict=True)
    except Exception as error:  # a module may raise anything
        raise InvalidItemError(f"{where}: {' '.join(str(error).split())[:200]}") from error
    taken = {id(one) for one in weights.values()}
    if left := [name for name, one in state.items() if id(one) not in taken]:
        shown = ", ".join(left[:3]) + (f" and {len(left) - 3} more" if len(left) > 3 else "")
        report(Note(f"weights of {path.name} that {said['entrypoint']} does not have are left out: {shown}"))
    return module


def _with_keras_weights(path: Path, said: Mapping[str, Any], policy: TrustPolicy) -> Any:
    """Build the Keras model that weights are of, by the entry point that its publisher names."""
    from modelstac.registry.publishing.fitting import first_batch, read_examples

    _require_example(path, said)
    model, where = _built(path, said, policy)
    try:
        if not getattr(model, "built", True) or not model.weights:
            [example] = read_examples(first_batch(said["example"]), ["input"], folder=Path()).values()
            model(example.array[:1])
        model.load_weights(path)
    except Exception as error:  # Keras raises of any class
        raise InvalidItemError(f"{where}: {' '.join(str(error).split())[:200]}") from error
    return model
