"""What an item claims of a file against what the file says of itself: the file is believed, a contradiction refused.

The one place for it, whether an item is published, adopted, chosen or loaded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import pystac

from modelstac.catalog.errors import InvalidItemError, UntrustedError
from modelstac.catalog.items.description import ModelDescription
from modelstac.catalog.items.formats import FORMATS, Format
from modelstac.catalog.items.identity import OUR_FIELD
from modelstac.catalog.items.mlm import InputStructure, ModelInput, ModelOutput, Structure, band_axis
from modelstac.catalog.items.versions import parse_version
from modelstac.catalog.search.spellings import canonical
from modelstac.registry.facts import TYPES
from modelstac.registry.facts.records.reading import CALLED, UNSAFE, recognised
from modelstac.registry.facts.records.record import Record, Slot
from modelstac.registry.files.artifact import Artifact
from modelstac.registry.running.signature import Signature
from modelstac.registry.runtimes.names import matched
from modelstac.registry.runtimes.opened import Naming, Opened

# What a file of a format may have been made with; of what is a translation (ONNX, OpenVINO, LiteRT), anything.
MADE_WITH = MappingProxyType(
    {
        "keras": frozenset({"Keras", "TensorFlow", "PyTorch", "JAX"}),
        "torch": frozenset({"PyTorch"}),
        "torch-export": frozenset({"PyTorch", "Keras"}),
        "saved-model": frozenset({"TensorFlow", "Keras", "JAX"}),
    }
)
_FRAMEWORKS = frozenset({"Keras", "TensorFlow", "PyTorch", "JAX", "ONNX", "scikit-learn", "OpenVINO", "LiteRT"})
# https://onnx.ai/onnx/repo-docs/Versioning.html, "Released Versions": the minor release that brought an opset.
FIRST_OF_OPSET = MappingProxyType({opset: opset - 5 for opset in range(7, 27)})
_NO_VERSION = "0.0.0"


def compare(
    item: pystac.Item,
    key: str,
    artifact_type: str,
    description: ModelDescription,
    file: Artifact,
    *,
    told: Record | None,
) -> tuple[ModelDescription, list[str]]:
    """Hold what an item says of a model file against the file.

    Parameters
    ----------
    item, key, artifact_type
        The item, which of its assets, and as what that would be opened.
    description
        The same, typed.
    file, told
        The file, and what it says of itself; None where it is damaged, or no model at all: its runtime says how.

    Returns
    -------
    description, remarks
        What the item leaves open and the file does not is as in the file; half a line of each such thing.

    Raises
    ------
    UntrustedError
        If the file is of a kind that runs code when it is read.
    InvalidItemError
        If they contradict each other; names both sides.
    """
    form = FORMATS.of_artifact_type(artifact_type)
    if form is None or form.name not in CALLED:  # another package's, or what runs code and was trusted
        return description, []
    what, path = f"asset {key!r} of item {item.id!r}", file.path
    found = recognised(file.data)
    if found in UNSAFE:
        raise UntrustedError(
            f"{what} has the artifact type {artifact_type!r}, and its file {path.name} is {found}, which runs code "
            f"when it is read: ask its publisher for {CALLED[form.name]}"
        )
    if found not in {None, form.name}:
        raise InvalidItemError(
            f"{what} has the artifact type {artifact_type!r}, and its file {path.name} is {CALLED[str(found)]}: "
            f"{_advice(item)}"
        )
    if told is None:
        return description, []
    if lacks := told.details.get("lacks"):
        raise InvalidItemError(f"{what}: its file {path.name} lacks {lacks}, by which it is run: save it with that one")
    for said, is_ in (*_origin(item, form, told, description), *_details(item, form, told)):
        raise InvalidItemError(f"{what} is said to be {said}, and its file {path.name} {is_}: {_advice(item)}")
    return _tensors(item, description, told, path)


def _advice(item: pystac.Item) -> str:
    return "describe the file anew" if OUR_FIELD in item.properties else "ask its publisher which is right"


def _origin(item: pystac.Item, form: Format, told: Record, description: ModelDescription) -> Iterator[tuple[str, str]]:
    """Yield claims of framework, version and backend that are not so, each with what is."""
    get, ours = item.properties.get, OUR_FIELD in item.properties
    stated, version = get("mlm:framework"), get("mlm:framework_version")
    framework = canonical(stated) if isinstance(stated, str) else None
    possible = frozenset({form.framework}) if ours else MADE_WITH.get(form.name, _FRAMEWORKS) | {form.framework}
    if framework is not None and framework not in possible and (ours or framework in _FRAMEWORKS):
        yield f"of {stated} (mlm:framework)", f"is {CALLED[form.name]}, of {form.framework}"
    if ours and description.format != form.name:
        yield f"of the format {description.format} (interop:format)", f"is {CALLED[form.name]}"
    if form.name != "keras" and (backend := get("interop:backend")) is not None:
        yield f"made on Keras' backend {backend} (interop:backend)", f"is {CALLED[form.name]}, which has none"
    if (layout := told.details.get("layout", "PyTorch")) != "PyTorch":
        yield "weights of PyTorch", f"says that its tensors are laid out for {layout}"
    if framework == form.framework and isinstance(version, (str, int, float)):
        yield from _version(str(version), form, told)


def _version(stated: str, form: Format, told: Record) -> Iterator[tuple[str, str]]:
    if stated == _NO_VERSION:
        return
    if told.version is not None and not _agree(stated, told.version):
        yield f"of {form.framework} {stated} (mlm:framework_version)", f"says {told.version}"
    first = FIRST_OF_OPSET.get(told.details.get("opset", 0)) if form.name == "onnx" else None
    if first is not None and _release(stated) and _release(stated) < (1, first):
        yield f"of ONNX {stated} (mlm:framework_version)", f"has opset {told.details['opset']}, of ONNX 1.{first}"


def _agree(stated: str, told: str) -> bool:
    """Tell whether two texts name one release, as far as the shorter one goes (``2.1`` is any 2.1)."""
    one, other = _release(stated), _release(told)
    if not one or not other:
        return True
    common = min(len(one), len(other))
    return one[:common] == other[:common]


def _release(text: str) -> tuple[int, ...]:
    try:
        return tuple(parse_version(text).release)
    except InvalidItemError:
        return ()


def _details(item: pystac.Item, form: Format, told: Record) -> Iterator[tuple[str, str]]:
    """Yield what the item says of the file's layout, such as its opset, and is not so."""
    known = item.properties.get("mlm:hyperparameters")
    stated = known.get(form.name) if isinstance(known, Mapping) else None
    for name, value in stated.items() if isinstance(stated, Mapping) else ():
        if name in told.details and told.details[name] != value:
            yield f"of {name} {value} (mlm:hyperparameters)", f"says {told.details[name]}"


def _tensors(
    item: pystac.Item, description: ModelDescription, told: Record, path: Path
) -> tuple[ModelDescription, list[str]]:
    """Compare inputs and outputs: number, names, number of axes, lengths and data types."""
    if told.inputs is None and told.outputs is None:
        return description, []
    taken, given = told.inputs or (), told.outputs or ()
    into, back = _pairs(item, description, told)
    remarks: list[str] = []
    compared = []
    sides: tuple[_Side, _Side] = (
        ("input", description.inputs, taken, into),
        ("output", description.outputs, given, back),
    )
    for kind, tensors, slots, pairs in sides:
        by_name = {slot.name: slot for slot in slots}
        stated = _stated(item, kind)
        made = list(tensors)
        for number, tensor in enumerate(tensors):
            if tensor.name in pairs:
                slot = by_name[pairs[tensor.name]]
                found = _Both(item, kind, path, tensor, slot, said_type=number in stated)
                made[number] = found.agreed(remarks)
        compared.append(tuple(made))
    return description.model_copy(update={"inputs": compared[0], "outputs": compared[1]}), remarks


_Side = tuple[str, Sequence[ModelInput | ModelOutput], tuple[Slot, ...], dict[str, str]]
"""Input or output, those of the item, those of the file, and which is which."""


def _pairs(item: pystac.Item, description: ModelDescription, told: Record) -> tuple[dict[str, str], dict[str, str]]:
    """Say by which names of the file those of the item go, as a loaded model does, in the same words."""
    taken = () if told.inputs is None else told.inputs
    names = None if told.outputs is None else tuple(slot.name for slot in told.outputs)
    opened = Opened(
        None,
        dict,
        tuple(slot.name for slot in taken),
        names,
        named=told.named,
        optional=tuple(slot.name for slot in taken if slot.optional),
    )
    naming = Naming(
        {tensor.name: tensor.name_in_file for tensor in description.inputs},
        {tensor.name: tensor.name_in_file for tensor in description.outputs},
        free=OUR_FIELD not in item.properties,
    )
    try:
        signature = Signature.of(description).without_made(description, names)
    except InvalidItemError as error:
        raise InvalidItemError(f"item {item.id!r}: {error}") from error
    inputs = [] if told.inputs is None else [tensor.name for tensor in signature.inputs]
    outputs = [tensor.name for tensor in signature.outputs]
    where = f"the file of {item.id!r}"
    into, back = matched(opened, inputs, outputs, where=where, naming=naming, remarks=[])
    return into, back or {}


def _stated(item: pystac.Item, kind: str) -> frozenset[int]:
    """Give the numbers of the inputs or outputs whose data type the item itself states."""
    found = item.properties.get(f"mlm:{kind}")
    inner = {"input": "input", "output": "result"}[kind]
    return frozenset(
        number
        for number, tensor in enumerate(found if isinstance(found, Sequence) else ())
        if isinstance(tensor, Mapping)
        and isinstance(layout := tensor.get(inner), Mapping)
        and layout.get("data_type") is not None
    )


@dataclass(frozen=True)
class _Both:
    """One input or output as the item says it, and as the file does."""

    item: pystac.Item
    kind: str
    path: Path
    tensor: ModelInput | ModelOutput
    slot: Slot
    said_type: bool

    @property
    def _layout(self) -> Structure:
        return self.tensor.input if isinstance(self.tensor, ModelInput) else self.tensor.result

    def agreed(self, remarks: list[str]) -> ModelInput | ModelOutput:
        """Give what both say; of what the item leaves open, what the file says."""
        layout, shape, dtype = self._layout, self.slot.shape, self.slot.dtype
        if shape is not None:
            if len(shape) != len(layout.shape):
                raise self._contradiction(f", of {len(layout.shape)} axes")
            pairs = zip(self._claimed(), shape, strict=True)
            if any(length is not None and said not in {-1, length} for said, length in pairs):
                raise self._contradiction()
        if dtype in TYPES and layout.dtype not in {"other", dtype} and self.said_type:
            raise self._contradiction()
        foreign = OUR_FIELD not in self.item.properties
        return self._narrowed(self.tensor, remarks) if foreign and isinstance(self.tensor, ModelInput) else self.tensor

    def _contradiction(self, more: str = "") -> InvalidItemError:
        layout = self._layout
        lengths = ", ".join("?" if length == -1 else str(length) for length in self._claimed())
        return InvalidItemError(
            f"item {self.item.id!r}: the {self.kind} {self.tensor.name!r} is said to be {layout.dtype} [{lengths}]"
            f"{more}, and in its file {self.path.name} it is {self.slot}: {_advice(self.item)}"
        )

    def _claimed(self) -> list[int]:
        """Give the length of each axis as the item says it: where bands have names, they are counted."""
        axis, bands = band_axis(self._layout.dim_order), self.tensor.bands
        return [
            len(bands) if name == axis and bands and length == -1 else length
            for name, length in zip(self._layout.dim_order, self._layout.shape, strict=True)
        ]

    def _narrowed(self, tensor: ModelInput, remarks: list[str]) -> ModelInput:
        """Give an input of somebody else's item what its file says, where the item leaves it open."""
        layout, told = tensor.input, self.slot.shape or (None,) * len(tensor.input.shape)
        shape = [length if said == -1 and length else said for said, length in zip(layout.shape, told, strict=True)]
        dtype = str(self.slot.dtype) if self.slot.dtype in TYPES and not self.said_type else layout.dtype
        if (shape, dtype) == (list(layout.shape), layout.dtype):
            return tensor
        fixed = [
            f"{name} {n}" for name, n, said in zip(layout.dim_order, shape, layout.shape, strict=True) if n != said
        ]
        if fixed:
            remarks.append(f"its file takes {', '.join(fixed)} alone for {tensor.name!r}, and the item says any length")
        return tensor.model_copy(update={"input": InputStructure.of(shape, layout.dim_order, dtype)})
