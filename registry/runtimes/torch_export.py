"""PyTorch's exported program (``.pt2``): a graph of ATen operators; no pickle and no code of the publisher's."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from modelstac.catalog.errors import DataError, InvalidItemError, UntrustedError
from modelstac.registry.inspecting.torch_export import inspect_program

if TYPE_CHECKING:
    from modelstac.catalog.items.description import ModelDescription
    from modelstac.registry.files.fetch import Artifact
    from modelstac.registry.runtimes import Predict
    from modelstac.registry.runtimes.options import Options
    from modelstac.registry.trust.policy import TrustPolicy


def load(
    artifact: Artifact,
    description: ModelDescription,  # noqa: ARG001 - every runtime has this verb
    policy: TrustPolicy,
    options: Options,  # noqa: ARG001 - its threads and device are the process's own
) -> tuple[torch.export.ExportedProgram, Predict]:
    """Load the program from a copy that holds only what was looked at.

    Raises
    ------
    UntrustedError
        If it holds pickles or calls more than ATen operators.
    InvalidItemError
        If PyTorch cannot load it.
    """
    archive, samples = inspect_program(artifact.data, artifact.path, max_bytes=policy.max_bytes)
    try:
        torch.load(io.BytesIO(samples), weights_only=True)
    except Exception as error:
        raise UntrustedError(
            f"{artifact.path} has sample inputs that are more than tensors, in a pickle: export it with plain ones"
        ) from error
    try:
        program = torch.export.load(io.BytesIO(archive))
        module = program.module()
    except Exception as error:  # torch.export has no root class of its own errors
        reason = " ".join(str(error).split())
        raise InvalidItemError(f"{artifact.path} cannot be loaded by PyTorch {torch.__version__}: {reason}") from error

    def predict(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        if not values.flags.writeable:  # torch has no read-only tensors, and warns
            values = values.copy()
        try:
            with torch.inference_mode():
                result: np.ndarray[Any, Any] = module(torch.from_numpy(values)).numpy()
        except (RuntimeError, AssertionError) as error:
            reason = " ".join(str(error).split())
            raise DataError(f"the program refuses an array of shape {list(values.shape)}: {reason}") from error
        return result

    return program, predict
