"""PyTorch: weights in safetensors, the architecture from an allow-listed entry point. No pickle, ever.

The item's ``hyperparameters["architecture"]`` (or all hyperparameters, where there is no such key) is the one argument
of the entry point, which returns a ``torch.nn.Module``.
"""

from __future__ import annotations

import inspect
import json
import math
import warnings
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors

from modelstac.catalog.errors import InvalidItemError, ModelStacError
from modelstac.registry.runtimes.opened import Opened
from modelstac.registry.runtimes.torch_export import outputs_of

if TYPE_CHECKING:
    from modelstac.catalog.items.description import ModelDescription
    from modelstac.registry.files.fetch import Artifact
    from modelstac.registry.runtimes.options import Options
    from modelstac.registry.trust.policy import TrustPolicy

DTYPES = MappingProxyType(
    {
        "F64": torch.float64,
        "F32": torch.float32,
        "F16": torch.float16,
        "BF16": torch.bfloat16,
        "I64": torch.int64,
        "I32": torch.int32,
        "I8": torch.int8,
        "U8": torch.uint8,
        "BOOL": torch.bool,
    }
)


def load(
    artifact: Artifact,
    description: ModelDescription,
    policy: TrustPolicy,
    options: Options,  # noqa: ARG001 - its threads and device are the process's own
) -> Opened:
    """Build the module by its entry point and fill in the weights, every one of them.

    Raises
    ------
    UntrustedError
        If the policy does not allow the entry point.
    InvalidItemError
        If the file is no safetensors, or its tensors are not exactly those of the module.
    """
    build = policy.builder(description.entrypoint, item_id=artifact.item_id)
    try:
        state = _tensors(artifact.data)
    except (SafetensorError, TypeError, ValueError, KeyError) as error:
        raise InvalidItemError(f"{artifact.path} is no safetensors file: {error}; publish the model anew") from error
    architecture = dict(description.hyperparameters.get("architecture", description.hyperparameters))
    try:
        # On the meta device nothing is allocated or initialised: quicker, and an item that claims a huge architecture
        # costs nothing before its weights are found not to fit.
        module = _sketched(build, architecture) or build(architecture)
        fit(module, state, artifact)
        if any(tensor.is_meta for tensor in (*module.parameters(), *module.buffers())):
            module = build(architecture)  # it computes a buffer that is not saved, and so needs a real device
            fit(module, state, artifact)
    except ModelStacError:
        raise
    except Exception as error:  # a builder may raise anything on a specification without sense
        reason = " ".join(str(error).split())
        raise InvalidItemError(
            f"item {artifact.item_id!r}: {description.entrypoint} could not build the model: "
            f"{type(error).__name__}: {reason}"
        ) from error
    return opened(module)


def _sketched(build: Callable[..., Any], architecture: Mapping[str, Any]) -> torch.nn.Module | None:
    """Build a module on the meta device; None where its builder reads numbers of tensors, which have none there."""
    try:
        with torch.device("meta"):
            module: torch.nn.Module = build(architecture)
    except (NotImplementedError, RuntimeError):
        return None
    return module


def opened(module: torch.nn.Module) -> Opened:
    """Return a module in inference mode; its inputs are the arguments of its ``forward``."""
    module.eval()

    def run(arrays: Mapping[str, np.ndarray[Any, Any]]) -> Mapping[str, np.ndarray[Any, Any]]:
        # Of their own memory: a module may write into what it is given, as ReLU(inplace=True) does.
        tensors = {name: torch.tensor(array) for name, array in arrays.items()}
        with torch.inference_mode():
            return outputs_of(module(*tensors.values()) if len(tensors) == 1 else module(**tensors))

    def exactly(arrays: Mapping[str, np.ndarray[Any, Any]]) -> Mapping[str, np.ndarray[Any, Any]]:
        with torch.jit.optimized_execution(False):  # type: ignore[attr-defined]
            return run(arrays)

    if not isinstance(module, torch.jit.ScriptModule):
        return Opened(module, run, _arguments(module), None, named=False)
    ways = ("TorchScript as PyTorch compiles it", "TorchScript as it is written")
    return Opened(module, run, _arguments(module), None, named=False, exactly=exactly, ways=ways)


def _arguments(module: torch.nn.Module) -> tuple[str, ...]:
    """Name the arguments that have no default; a script has a schema instead of Python's signature."""
    if isinstance(module, torch.jit.ScriptModule):
        return tuple(argument.name for argument in module.forward.schema.arguments[1:])  # type: ignore[attr-defined]
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    found = inspect.signature(module.forward).parameters.values()
    names = tuple(p.name for p in found if p.kind in kinds and p.default is inspect.Parameter.empty)
    return names or ("input",)  # one that takes what it is given


def _tensors(data: bytes) -> dict[str, torch.Tensor]:
    """Give the tensors of a safetensors file where they lie in memory.

    The library would copy them once more, which takes longer than all else. Nothing but the module keeps the bytes.
    """
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    if not {entry["dtype"] for entry in header.values()} <= DTYPES.keys() or length % 8:
        return cast("dict[str, torch.Tensor]", load_safetensors(data))
    tensors = {}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given buffer is not writable", UserWarning)
        for name, entry in header.items():
            dtype, shape = DTYPES[entry["dtype"]], entry["shape"]
            count, offset = math.prod(shape), 8 + length + entry["data_offsets"][0]
            found = (
                torch.frombuffer(data, dtype=dtype, count=count, offset=offset)
                if count
                else torch.empty(0, dtype=dtype)
            )
            tensors[name] = found.reshape(shape)
    return tensors


def fit(module: torch.nn.Module, state: dict[str, torch.Tensor], artifact: Artifact) -> None:
    """Put the published tensors into the module; names, shapes and types must be exactly its own."""
    declared = {name: (tuple(t.shape), t.dtype) for name, t in module.state_dict().items()}
    found = {name: (tuple(t.shape), t.dtype) for name, t in state.items()}
    if declared != found:
        name = min(k for k in declared.keys() | found.keys() if declared.get(k) != found.get(k))
        raise InvalidItemError(
            f"{artifact.path} does not fit the architecture of item {artifact.item_id!r}: tensor {name!r} should be "
            f"{_text(declared.get(name))} and is {_text(found.get(name))}; publish the model anew"
        )
    module.load_state_dict(state, strict=True, assign=True)


def _text(tensor: tuple[tuple[int, ...], torch.dtype] | None) -> str:
    return "absent" if tensor is None else f"{tensor[1]} {list(tensor[0])}".removeprefix("torch.")
