"""Look into a ``.keras`` file before Keras does: three known members, a configuration of Keras' own classes, weights.

Keras' safe mode refuses most of this itself, but a process can switch that off for all
(``enable_unsafe_deserialization``). Source: Keras 3, ``keras.saving.save_model``, "The saved .keras file".
"""

from __future__ import annotations

import contextlib
import io
import json
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, cast

from modelstac.catalog.errors import InvalidItemError, StorageError, UntrustedError
from modelstac.registry.files.part import Part
from modelstac.registry.inspecting.weights import UNSUSPICIOUS, inspect_hdf5, unpacked
from modelstac.registry.trust.policy import LAMBDA, within

MEMBERS = frozenset({"config.json", "metadata.json", "model.weights.h5"})
WEIGHTS = "model.weights.h5"
MAX_CONFIG = 16 << 20
MAX_LAYERS = 1 << 13
CHUNK = 1 << 20
LOCAL_HEADER, ENCRYPTED = 30, 1  # APPNOTE.TXT 4.3.7 and 4.4.4: bytes before the name, and a flag
# Keras' own, but they run code or files that are not in the archive.
CODE_CLASSES = frozenset({"FlaxLayer", "JaxLayer", "Lambda", "TFSMLayer", "TorchModuleWrapper", "__lambda__"})
LAMBDAS = frozenset({"Lambda", "__lambda__"})
# Values, not classes: what Keras writes for a tuple, an array, a type and so on.
VALUE_CLASSES = frozenset(
    f"__{kind}__" for kind in ("bytes", "complex", "ellipsis", "keras_tensor", "numpy", "slice", "tensor", "tuple")
)
# A layer reads its vocabulary from the file that these name.
FILE_FIELDS = ("vocabulary", "idf_weights")
# Each layer has at least as many weights as these say.
SIZE_FIELDS = ("filters", "input_dim", "key_dim", "num_heads", "output_dim", "units", "value_dim")
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
    # Layers of its own architectures that it does not export, such as ConvNeXt's; Keras takes nothing but layers here.
    "keras.src.applications",
    "keras.src.models.functional",
    "keras.src.models.sequential",
    "keras.src.ops",
    # Where Keras on PyTorch finds "adam"; loading a model makes no optimizer.
    "keras.src.backend.torch.optimizers",
)
# What reading a broken archive raises.
_DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, struct.error, NotImplementedError, RuntimeError, RecursionError, EOFError),
    *(ValueError, KeyError),
)


def inspect_archive(
    data: bytes, path: Path, *, max_bytes: int, lambdas: bool = False, packages: Sequence[str] = ()
) -> bool:
    """Refuse a ``.keras`` file that could do more than describe a model of Keras' own layers.

    Parameters
    ----------
    data
        The file.
    path
        Its name in messages.
    max_bytes
        Largest size of all members together.
    lambdas
        Whether Lambda layers may be in it.
    packages
        Packages and modules whose classes it may name beside Keras' own.

    Returns
    -------
    bool
        Whether there are Lambda layers.

    Raises
    ------
    InvalidItemError
        If it is no ``.keras`` archive.
    UntrustedError
        If it holds other members, unpacks to more than ``max_bytes``, names classes outside Keras or files outside
        the archive, describes layers larger than its weights, or has weights that lie elsewhere.
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
            size = sum(member.file_size for member in members)
            if size > unpacked(len(data), max_bytes):
                raise UntrustedError(f"{path} ({len(data)} bytes) would unpack to {size} bytes, as no model does")
            if archive.getinfo("config.json").file_size > MAX_CONFIG:
                raise UntrustedError(f"{path} has a configuration of more than {MAX_CONFIG} bytes, as no model has")
            config = json.loads(archive.read("config.json"))
    except _DAMAGED as error:
        raise _no_archive(path, error) from error
    _check_count(config, path)
    _check_training(config, path, lambdas, packages)
    code = any([_check_class(value, path, lambdas, packages) for value in objects(config)])  # noqa: C419 - check all
    weights = weights_of(data, path, max_bytes=max_bytes)
    for value in objects(config):
        _check_fields(value, path, weights)
    return code


def weights_of(data: bytes, path: Path, *, max_bytes: int) -> int:
    """Look into the weights in an archive whose members are known, and count them.

    Raises
    ------
    InvalidItemError, UntrustedError
        As :func:`inspect_archive` does.
    """
    with open_weights(data, path) as file:
        return inspect_hdf5(file, path, max_bytes=max_bytes)


def open_weights(data: bytes, path: Path) -> IO[bytes]:
    """Open the weights in an archive whose members are known as a file, which is nowhere whole in memory once more.

    As Keras writes them they lie there as they are, and are read in place: their sum is not needed beside the file's
    SHA-256. Those that were compressed are unpacked into a file without a name.

    Raises
    ------
    InvalidItemError
        If the archive is damaged.
    StorageError
        If there is no room to unpack them.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            member = archive.getinfo(WEIGHTS)
            start = member.header_offset + LOCAL_HEADER
            begin = start + sum(struct.unpack("<HH", data[start - 4 : start]))  # lengths of its name and extra field
            end = begin + member.file_size
            plain = member.compress_type == zipfile.ZIP_STORED and not member.flag_bits & ENCRYPTED
            if plain and member.compress_size == member.file_size and end <= len(data):
                return cast("IO[bytes]", Part(data, begin, end))
            with archive.open(member) as packed:
                return _unpacked(packed, path)
    except _DAMAGED as error:
        raise _no_archive(path, error) from error


def _unpacked(packed: IO[bytes], path: Path) -> IO[bytes]:
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(tempfile.TemporaryFile(prefix="modelstac-"))
            while chunk := packed.read(CHUNK):
                file.write(chunk)
            file.seek(0)
        except OSError as error:
            advice = "free space there or set TMPDIR to another disk"
            action = f"unpack the weights of {path.name} into {tempfile.gettempdir()}"
            raise StorageError.doing(action, error, advice=advice) from error
        stack.pop_all()
    return file


def _no_archive(path: Path, error: Exception) -> InvalidItemError:
    return InvalidItemError(f"{path} is no .keras archive ({error}): publish the model anew")


def _check_count(config: Any, path: Path) -> None:
    """Refuse a configuration of more layers or calls than networks have; each takes Keras some milliseconds."""
    layers = calls = 0
    for value in objects(config):
        inner = value.get("config")
        layers += isinstance(value.get("class_name"), str) and isinstance(inner, dict) and "name" in inner
        calls += "args" in value and "kwargs" in value
    if layers > MAX_LAYERS or calls > MAX_LAYERS:
        raise UntrustedError(f"{path} describes {max(layers, calls):,} layers, more than the limit of {MAX_LAYERS:,}")


def _check_training(config: Any, path: Path, lambdas: bool, packages: Sequence[str]) -> None:
    """Refuse a loss or metric of somebody's own, which a model does not need, in words of its own."""
    trained = config.get("compile_config") if isinstance(config, dict) else None
    try:
        for value in objects(trained):
            _check_class(value, path, lambdas, packages)
    except UntrustedError as error:
        text = str(error).partition(", which runs code")[0]
        raise UntrustedError(
            f"{text} for its training, which is code of somebody's own: save it without how it was trained, "
            "keras.Model(model.inputs, model.outputs).save('model.keras')"
        ) from error


def _check_class(value: dict[str, Any], path: Path, lambdas: bool, packages: Sequence[str]) -> bool:
    """Refuse a class that is not to be trusted; return whether it is a Lambda layer, or its function."""
    name, module = value.get("class_name"), str(value.get("module"))
    if not isinstance(name, str) or name in VALUE_CLASSES:
        return False
    # A plain function is written as class "function" with its name as configuration.
    target = str(value.get("config")) if name == "function" else name
    code = target in LAMBDAS
    if code and lambdas:
        return True
    if target in CODE_CLASSES or not (module == "keras" or within(module, MODULES) or within(module, packages)):
        config = value.get("config")
        layer = config.get("name") if isinstance(config, dict) else None
        full = f"{module}.{target}" if value.get("module") else str(value.get("registered_name") or target)
        raise UntrustedError(
            f"{path} wants {full}{f' as {layer!r}' if isinstance(layer, str) else ''}, which runs code that "
            "is not in the archive or not Keras' own: build the model of Keras' own layers"
            + (f"; if you trust its publisher, load it with trust={LAMBDA!r}" if code else "")
        )
    return False


def _check_fields(value: dict[str, Any], path: Path, weights: int) -> None:
    for field in FILE_FIELDS:
        if isinstance(file := value.get(field), str):
            raise UntrustedError(f"{path} would read its {field} from the file {file!r}: save the model with it inside")
    shape = value.get("batch_shape")
    if isinstance(shape, list) and shape and isinstance(shape[0], int) and shape[0] > UNSUSPICIOUS:
        raise UntrustedError(f"{path} describes a batch of {shape[0]}, as no model fixes it")
    for field in SIZE_FIELDS:
        if isinstance(size := value.get(field), int) and size > max(weights, UNSUSPICIOUS):
            raise UntrustedError(f"{path} describes a layer of {size} {field} and holds {weights} weights in all")


def objects(config: Any) -> Iterator[dict[str, Any]]:
    """Yield every object in a configuration, wherever it lies."""
    stack = [config]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            yield value
            stack.extend(value.values())
        elif isinstance(value, list):
            stack.extend(value)
