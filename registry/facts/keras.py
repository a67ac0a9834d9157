"""What a ``.keras`` file says about itself.

The sizes of what its layers give are in no file; Keras computes them. So the file is looked into first, as always
before Keras sees it, and then read in safe mode: a model of Keras' own layers runs no code of its publisher's.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

from modelstac.catalog.errors import InvalidItemError
from modelstac.catalog.items.sizes import ANY, Size
from modelstac.catalog.items.versions import semver
from modelstac.registry.facts import Facts, Tensor
from modelstac.registry.files.fetch import Artifact
from modelstac.registry.inspecting.archives import inspect_archive
from modelstac.registry.running.memory import give_back
from modelstac.registry.runtimes.backends import import_keras
from modelstac.registry.trust.policy import TrustPolicy


def read(data: bytes, path: Path, policy: TrustPolicy) -> Facts:
    """Read the facts of a ``.keras`` file; see :func:`modelstac.registry.facts.read_facts`."""
    inspect_archive(data, path, max_bytes=policy.max_bytes)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        try:
            metadata = json.loads(archive.read("metadata.json"))
            version = semver(metadata["keras_version"])
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidItemError(f"{path} does not say which Keras wrote it ({error!r}): save it anew") from error
    import_keras(None, item_id=path.name)
    from modelstac.registry.runtimes.keras import interface, optional, read_archive

    model = read_archive(Artifact(path.name, path, data, hashlib.sha256(data).hexdigest()))
    inputs, outputs = interface(model)
    spare = optional(model)
    saved = metadata.get("date_saved")
    facts = Facts(
        format="keras",
        framework_version=version,
        inputs=tuple(_tensor(n, tensor, optional=n in spare) for n, tensor in zip(inputs, model.inputs, strict=True)),
        outputs=tuple(_tensor(*pair) for pair in zip(outputs, model.outputs, strict=True)),
        parameters=int(model.count_params()),
        details={"date_saved": saved} if isinstance(saved, str) else {},
    )
    del model
    give_back(facts.parameters)
    return facts


def _tensor(name: str, tensor: Any, *, optional: bool = False) -> Tensor:
    """Describe a tensor of Keras, which knows a length or does not, and has no name for one."""
    sizes = tuple(ANY if size is None else Size.fixed(int(size)) for size in tensor.shape)
    return Tensor(name, sizes, str(tensor.dtype), optional)
