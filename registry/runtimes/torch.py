"""PyTorch: weights in safetensors, the architecture from an allow-listed entry point. No pickle, ever.

The item's ``hyperparameters["architecture"]`` (or all hyperparameters, where there is no such key) is the one argument
of the entry point, which returns a ``torch.nn.Module``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors

from modelstac.catalog.errors import InvalidItemError, ModelStacError

if TYPE_CHECKING:
    from modelstac.catalog.items import ModelDescription
    from modelstac.registry.fetch import Artifact
    from modelstac.registry.runtimes import Predict
    from modelstac.registry.trust import TrustPolicy


def load(artifact: Artifact, description: ModelDescription, policy: TrustPolicy) -> tuple[torch.nn.Module, Predict]:
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
        state = load_safetensors(artifact.data)
    except SafetensorError as error:
        raise InvalidItemError(f"{artifact.path} is no safetensors file: {error}; publish the model anew") from error
    architecture = dict(description.hyperparameters.get("architecture", description.hyperparameters))
    try:
        # On the meta device nothing is allocated or initialised: quicker, and an item that claims a huge architecture
        # costs nothing before its weights are found not to fit.
        with torch.device("meta"):
            module = build(architecture)
        _fit(module, state, artifact)
        if any(tensor.is_meta for tensor in (*module.parameters(), *module.buffers())):
            module = build(architecture)  # it computes a buffer that is not saved, and so needs a real device
            _fit(module, state, artifact)
    except ModelStacError:
        raise
    except Exception as error:  # a builder may raise anything on a specification without sense
        reason = " ".join(str(error).split())
        raise InvalidItemError(
            f"item {artifact.item_id!r}: {description.entrypoint} could not build the model: "
            f"{type(error).__name__}: {reason}"
        ) from error
    module.eval()

    def predict(inputs: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        if not inputs.flags.writeable:  # torch has no read-only tensors, and warns
            inputs = inputs.copy()
        with torch.inference_mode():
            outputs: np.ndarray[Any, Any] = module(torch.from_numpy(inputs)).numpy()
        return outputs

    return module, predict


def _fit(module: torch.nn.Module, state: dict[str, torch.Tensor], artifact: Artifact) -> None:
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
