"""Look into a ``.keras`` file before Keras does: three known members, and a configuration of Keras' own classes only.

Keras' safe mode refuses most of this itself, but a process can switch that off for all
(``enable_unsafe_deserialization``). Source: Keras 3, ``keras.saving.save_model``, "The saved .keras file".
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from modelstac.catalog.errors import InvalidItemError, UntrustedError

MEMBERS = frozenset({"config.json", "metadata.json", "model.weights.h5"})
MAX_RATIO = 1100  # deflate cannot do better than 1,032
MAX_CONFIG = 64 << 20
# Keras' own, but they run code or files that are not in the archive.
CODE_CLASSES = frozenset({"FlaxLayer", "JaxLayer", "Lambda", "TFSMLayer", "TorchModuleWrapper", "__lambda__"})
# Values, not classes: what Keras writes for a tuple, an array, a type and so on.
VALUE_CLASSES = frozenset(
    f"__{kind}__"
    for kind in ("bytes", "complex", "ellipsis", "keras_tensor", "numpy", "slice", "tensor", "tuple", "typespec")
)
MODULES = (
    "keras.activations",
    "keras.constraints",
    "keras.dtype_policies",
    "keras.initializers",
    "keras.layers",
    "keras.losses",
    "keras.metrics",
    "keras.models",
    "keras.optimizers",
    "keras.quantizers",
    "keras.random",
    "keras.regularizers",
    "keras.src.models.functional",
    "keras.src.models.sequential",
    "keras.src.ops",
)


def inspect_archive(data: bytes, path: Path, *, max_bytes: int) -> None:
    """Refuse a ``.keras`` file that could do more than describe a model of Keras' own layers.

    Raises
    ------
    InvalidItemError
        If it is no ``.keras`` archive.
    UntrustedError
        If it holds other members, unpacks to more than ``max_bytes``, or names classes outside Keras.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            names = [member.filename for member in members]
            if sorted(names) != sorted(MEMBERS):
                extra = sorted(set(names) - MEMBERS)
                raise UntrustedError(
                    f"{path} should hold exactly {', '.join(sorted(MEMBERS))}; "
                    f"{'unexpected: ' + ', '.join(map(repr, extra[:3])) if extra else 'some are missing or double'}"
                )
            unpacked = sum(member.file_size for member in members)
            if unpacked > min(max_bytes, MAX_RATIO * len(data)):
                raise UntrustedError(f"{path} ({len(data)} bytes) would unpack to {unpacked} bytes, as no model does")
            if archive.getinfo("config.json").file_size > MAX_CONFIG:
                raise UntrustedError(f"{path} has a configuration of more than {MAX_CONFIG} bytes, as no model has")
            config = json.loads(archive.read("config.json"))
    except (zipfile.BadZipFile, ValueError, RecursionError, NotImplementedError, RuntimeError, EOFError) as error:
        raise InvalidItemError(f"{path} is no .keras archive ({error}): publish the model anew") from error
    for module, name in _classes(config):
        ours = module == "keras" or any(module == m or module.startswith(f"{m}.") for m in MODULES)
        if name in CODE_CLASSES or not ours:
            raise UntrustedError(
                f"{path} wants {module}.{name}, which runs code that is not in the archive or not Keras' own: "
                "build the model of Keras' own layers"
            )


def _classes(config: Any) -> Iterator[tuple[str, str]]:
    """Yield module and name of every object that a configuration asks Keras to make."""
    stack = [config]
    while stack:
        value = stack.pop()
        if isinstance(value, list):
            stack.extend(value)
        elif isinstance(value, dict):
            name = value.get("class_name")
            if isinstance(name, str) and name not in VALUE_CLASSES:
                # A plain function is written as class "function" with its name as configuration.
                target = str(value.get("config")) if name == "function" else name
                yield str(value.get("module")), target
            stack.extend(value.values())
