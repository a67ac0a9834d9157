"""Weights of PyTorch in a checkpoint: found among what else it holds, and written as safetensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelstac.catalog.errors import InvalidItemError

# Where frameworks and scripts keep weights in a checkpoint; the first that is there counts.
KEYS = (
    *("state_dict", "model_state_dict", "model_state", "model", "module", "net", "network", "weights", "params"),
    *("ema_state_dict", "model_ema", "ema"),
)


def find_state(read: Any) -> dict[str, Any]:
    """Return the weights in what a checkpoint holds.

    Raises
    ------
    InvalidItemError
        If there are none; names what it holds.
    """
    if _is_state(read):
        return dict(read)
    if isinstance(read, Mapping):
        for key in states_of(read):
            return dict(read[key])
        shown = ", ".join(map(str, list(read)[:8])) or "nothing"
        raise InvalidItemError(f"it holds no weights under a usual name, but {shown}: save model.state_dict() alone")
    raise InvalidItemError(f"it holds a {type(read).__name__}, and no weights: save model.state_dict()")


def states_of(read: Any) -> list[str]:
    """Name where a checkpoint holds weights, the first that counts; nothing of weights that stand by themselves."""
    if not isinstance(read, Mapping) or _is_state(read):
        return []
    return [key for key in KEYS if _is_state(read.get(key))]


def _is_state(found: Any) -> bool:
    return isinstance(found, Mapping) and bool(found) and all(_is_tensor(value) for value in found.values())


def _is_tensor(value: Any) -> bool:
    return hasattr(value, "untyped_storage") and hasattr(value, "detach")


def fitted(state: Mapping[str, Any], names: set[str]) -> dict[str, Any]:
    """Return weights by the names that a module has: what wrapped it while it was trained put a name before each.

    ``module.`` of data parallel training, ``model.`` or any other attribute of a Lightning module, ``_orig_mod.`` of a
    compiled one.
    """
    if names <= set(state):
        return {name: state[name] for name in names} if len(names) < len(state) and _extra(state, names) else {**state}
    prefixes = {name[: -len(known)] for known in list(names)[:1] for name in state if name.endswith(known)}
    for prefix in sorted(prefixes, key=len):
        if all(f"{prefix}{name}" in state for name in names):
            return {name: state[f"{prefix}{name}"] for name in names}
    return dict(state)


def _extra(state: Mapping[str, Any], names: set[str]) -> bool:
    """Tell whether what the module does not have is of something else, such as a loss; not a part of the same layer."""
    heads = {name.rpartition(".")[0] for name in names}
    return all(name.rpartition(".")[0] not in heads for name in state if name not in names)


def write_state(state: Mapping[str, Any], path: str) -> dict[str, list[int]]:
    """Write weights as safetensors; return their shapes."""
    from safetensors.torch import save_file

    tensors = {str(name): tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()}
    save_file(tensors, path, metadata={"format": "pt"})
    return {name: list(tensor.shape) for name, tensor in tensors.items()}
