"""Pickles of PyTorch and TorchScript, which run code of their publisher's when they are read.

Only a process of its own imports this, for a caller who trusts the publisher (``registry/isolated/trusted.py``).
"""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any

import torch

from modelstac.catalog.errors import InvalidItemError, ModelStacError, UntrustedError
from modelstac.registry.runtimes.opened import Opened
from modelstac.registry.runtimes.torch import fit, opened
from modelstac.registry.trust.policy import PICKLE

if TYPE_CHECKING:
    from modelstac.catalog.items.description import ModelDescription
    from modelstac.registry.files.artifact import Artifact
    from modelstac.registry.runtimes.options import Options
    from modelstac.registry.trust.policy import TrustPolicy


def load(
    artifact: Artifact,
    description: ModelDescription,
    policy: TrustPolicy,
    options: Options,  # noqa: ARG001 - its threads and device are the process's own
) -> Opened:
    """Read a module, or weights for the module that an allow-listed entry point builds.

    Raises
    ------
    UntrustedError
        If the policy does not trust pickles, or not the entry point.
    InvalidItemError
        If it holds neither, or something that is not installed.
    """
    if PICKLE not in policy.code:
        raise UntrustedError(f"{artifact.path} is a pickle, which runs code when read: load it with trust={PICKLE!r}")
    try:
        read = _read(artifact.data)
        module = read if isinstance(read, torch.nn.Module) else _built(read, artifact, description, policy)
        return opened(module)
    except ModelStacError:
        raise
    except Exception as error:  # unpickling may raise anything
        reason = " ".join(str(error).split())[:300]
        raise InvalidItemError(
            f"{artifact.path} cannot be read by PyTorch {torch.__version__}: {type(error).__name__}: {reason}"
        ) from error


def _read(data: bytes) -> Any:
    file = io.BytesIO(data)
    script = zipfile.is_zipfile(file) and any("/code/" in name for name in zipfile.ZipFile(file).namelist())
    file.seek(0)
    if script:
        return torch.jit.load(file, "cpu")  # type: ignore[no-untyped-call]
    return torch.load(file, "cpu", weights_only=False)


def _built(read: Any, artifact: Artifact, description: ModelDescription, policy: TrustPolicy) -> torch.nn.Module:
    state = read.get("state_dict", read) if isinstance(read, dict) else None
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise InvalidItemError(
            f"{artifact.path} holds a {type(read).__name__}, neither a module nor its weights: ask its publisher"
        )
    build = policy.builder(description.entrypoint, item_id=artifact.item_id)
    module: torch.nn.Module = build(dict(description.hyperparameters.get("architecture", description.hyperparameters)))
    fit(module, state, artifact)
    return module
