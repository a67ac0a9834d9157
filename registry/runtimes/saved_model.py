"""TensorFlow's SavedModel: one archive of the folder, its ``serving_default`` signature or the only one."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from modelstac.catalog.errors import DataError, InvalidItemError
from modelstac.registry.inspecting.folders import read_members, unpack
from modelstac.registry.inspecting.saved_model import MEMBERS, served
from modelstac.registry.runtimes.opened import Opened

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
    """Unpack the folder where only this user reaches it, load it and take its one signature.

    Raises
    ------
    UntrustedError
        If the archive holds other files than a model needs; its graph was looked into before TensorFlow was imported.
    InvalidItemError
        If TensorFlow cannot load it.
    """
    members = read_members(artifact.data, artifact.path, allowed=MEMBERS, max_bytes=policy.max_bytes)
    with tempfile.TemporaryDirectory(prefix="modelstac-") as name:
        unpack(members, Path(name))
        try:
            model = tf.saved_model.load(name)
            signature = model.signatures[served(model.signatures)]
        except Exception as error:  # TensorFlow raises whatever a broken folder leads it to
            reason = " ".join(str(error).split())
            raise InvalidItemError(f"{artifact.path} cannot be loaded by TensorFlow: {reason}") from error
    inputs, outputs = signature.structured_input_signature[1], signature.structured_outputs

    def run(arrays: Mapping[str, np.ndarray[Any, Any]]) -> Mapping[str, np.ndarray[Any, Any]]:
        try:
            found = signature(**{name: tf.constant(array) for name, array in arrays.items()})
            return {name: tensor.numpy() for name, tensor in found.items()}
        except (ValueError, TypeError, tf.errors.OpError) as error:
            reason = " ".join(str(error).split())
            shapes = ", ".join(str(list(array.shape)) for array in arrays.values())
            raise DataError(f"TensorFlow refuses an array of shape {shapes}: {reason}") from error

    return Opened(model, run, tuple(inputs), tuple(outputs), parallel=True)
