"""What LiteRT files, and archives of OpenVINO and SavedModels, say about themselves: their record and weights."""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
import math
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.etree import ElementTree

from modelstac.catalog.errors import InvalidItemError
from modelstac.catalog.items.formats import FORMATS
from modelstac.catalog.items.sizes import ANY, Size
from modelstac.catalog.items.versions import semver
from modelstac.registry.facts import Facts, Tensor
from modelstac.registry.facts.records import litert, openvino
from modelstac.registry.facts.records.reading import CALLED, recognised, record
from modelstac.registry.facts.records.record import Slot
from modelstac.registry.files.artifact import Artifact
from modelstac.registry.inspecting.folders import read_members, unpack
from modelstac.registry.inspecting.inspection import inspect
from modelstac.registry.inspecting.saved_model import MEMBERS, served
from modelstac.registry.trust.policy import TrustPolicy

_RUNS = {"litert": "ai-edge-litert", "openvino": "openvino", "saved-model": "tensorflow"}
_NO_WEIGHTS = frozenset({"i32", "i64", "u32", "u64", "boolean"})
"""Types of constants that are shapes and axes."""


def read(data: bytes, path: Path, policy: TrustPolicy) -> Facts:
    """Read the facts of a file; see :func:`modelstac.registry.facts.read_facts`."""
    form = recognised(data)
    if form not in _RUNS:
        called = "nothing that is known here" if form is None else CALLED.get(form, form)
        raise InvalidItemError(f"{path} is {called}, and not what its name says: give the file that was exported")
    inspect(Artifact(path.name, path, data, hashlib.sha256(data).hexdigest()), FORMATS[form].artifact_type, policy)
    told = record(data)
    if told is not None and "lacks" in told.details:
        raise InvalidItemError(f"{path} lacks {told.details['lacks']}: save it with what is to be served by that name")
    if told is None or not told.inputs or not told.outputs:
        raise InvalidItemError(f"{path} does not say what it takes and gives (no one signature): export it anew")
    return Facts(
        format=form,
        framework_version=_version(told.version, form),
        inputs=tuple(_tensor(slot, path) for slot in told.inputs),
        outputs=tuple(_tensor(slot, path) for slot in told.outputs),
        parameters=_parameters(data, path, form, policy),
        details=dict(told.details),
        notes=_notes(data) if form == "openvino" else tuple(_steps(told.details.get("quantization", {}))),
    )


def _notes(data: bytes) -> tuple[str, ...]:
    if not (number := openvino.at_limit(data)):
        return ()
    return (
        f"the file's constants hold 65,504, the largest number of float16, {number:,} times: OpenVINO's save_model "
        "writes all larger ones as that; where the model has larger ones, save it with compress_to_fp16=False",
    )


def _steps(quantization: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    """Say of whole numbers what they stand for: the model takes and gives them as they are."""
    for name, step in quantization.items():
        yield (
            f"the whole numbers of {name!r} stand for others, {step['scale']:g} * (number - {step['zero_point']}): the "
            "item has scale and zero_point (mlm:hyperparameters), and nothing is computed of them"
        )


def _tensor(slot: Slot, path: Path) -> Tensor:
    if slot.shape is None:
        raise InvalidItemError(
            f"{path}: {slot.name!r} has no number of axes: export it with a shape, open axes as None"
        )
    sizes = tuple(ANY if length is None else Size.fixed(length) for length in slot.shape)
    return Tensor(slot.name, sizes, slot.dtype or "an unknown type", slot.optional)


def _version(told: str | None, form: str) -> str:
    """Give the version that wrote it or, where it does not say, that of what runs it here."""
    if told is not None:
        return semver(told)
    try:
        return semver(importlib.metadata.version(_RUNS[form]))
    except importlib.metadata.PackageNotFoundError:
        return "0.0.0"


def _parameters(data: bytes, path: Path, form: str, policy: TrustPolicy) -> int:
    if form == "litert":
        return litert.parameters(data)
    if form == "openvino":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            root = ElementTree.fromstring(archive.read(openvino.GRAPH_MEMBER))  # noqa: S314 - its record was read
        found = root.iterfind("layers/layer[@type='Const']/data")
        shapes = [one.get("shape") or "" for one in found if one.get("element_type") not in _NO_WEIGHTS]
        return sum(math.prod(int(n) for n in shape.split(",") if n.strip()) for shape in shapes)
    return _variables(data, path, policy)


def _variables(data: bytes, path: Path, policy: TrustPolicy) -> int:
    """Count the numbers in the variables of a SavedModel."""
    import tensorflow as tf

    members = read_members(data, path, allowed=MEMBERS, max_bytes=policy.max_bytes)
    with tempfile.TemporaryDirectory(prefix="modelstac-") as name:
        unpack(members, Path(name))
        try:
            loaded = tf.saved_model.load(name)
            signature = loaded.signatures[served(loaded.signatures)]
        except Exception as error:  # TensorFlow raises whatever a broken folder leads it to
            reason = " ".join(str(error).split())[:200]
            raise InvalidItemError(f"{path} cannot be loaded by TensorFlow: {reason}") from error
        return sum(math.prod(variable.shape) for variable in signature.variables)
