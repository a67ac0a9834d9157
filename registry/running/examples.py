"""The example input and output published with an item, and whether a loaded model still gives the one from the other.

Both are plain ``.npy`` files, with checksums like every file of an item, and in the layout that the item declares: one
for each input and output. Of an only one the asset is called ``example-input``, of several ``example-input-<name>``.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from modelstac.catalog.errors import InvalidItemError, NotFoundError, StorageError
from modelstac.catalog.items.description import ExtraAsset
from modelstac.catalog.messages import Report, ignore
from modelstac.registry.files.fetch import fetch
from modelstac.registry.running.differences import (
    are_labels,
    count_differing,
    differences,
    few_enough,
    in_ppm,
    largest,
)
from modelstac.registry.running.values.physical import runner

if TYPE_CHECKING:
    import pystac

    from modelstac.catalog.items.description import ModelDescription
    from modelstac.registry.running.signature import Runnable

INPUT, OUTPUT, RAW = "example-input", "example-output", "example-raw-input"
MEDIA_TYPE = "application/octet-stream; format=npy"
MAX_BYTES = 256 << 20
ABSOLUTE, RELATIVE, PPM = 1e-5, 1e-4, 100.0
"""What an example may differ by where the item has no parity with a tolerance of its own."""
COARSE = MappingProxyType(
    {"fp16": (5e-3, 1e-2, 10_000.0), "bf16": (4e-2, 8e-2, 80_000.0), "int8": (5e-2, 1e-1, 100_000.0)}
)
"""The same of a file that computes in less than float32."""
_ODD = re.compile(r"[^0-9A-Za-z_.-]+")

Array = np.ndarray[Any, Any]
Example = tuple[dict[str, Array], dict[str, Array]]
"""Inputs by name, and what comes out of them by name."""


@dataclass(frozen=True)
class OutputTest:
    """How far an output of a replayed example is from the published one.

    Parameters
    ----------
    passed
        Whether what is allowed holds.
    max_absolute, max_relative
        Largest difference between found and published output, and the same as a share of the largest published value;
        infinite where the shapes differ or one has a number where the other has none.
    differing_ppm
        Of whole numbers and truth values, which are judged by it: how many are not the same, in parts per million.
    shape
        Of the published output.
    """

    passed: bool
    max_absolute: float
    max_relative: float
    differing_ppm: float | None
    shape: tuple[int, ...]


@dataclass(frozen=True)
class SelfTest:
    """What replaying the example of an item found; of several outputs, the one that is worst.

    Parameters
    ----------
    item
        Its id.
    passed
        Whether the differences of all outputs are within their tolerances.
    max_absolute, max_relative, differing_ppm, shape
        As in :class:`OutputTest`, of the output that is worst.
    absolute_tolerance, relative_tolerance, differing_ppm_tolerance
        What they may be.
    output
        Name of the output that is worst.
    outputs
        All of them by name.
    tolerance_by
        Who allows that, where it is not the precision of the file; in words.
    """

    item: str
    passed: bool
    max_absolute: float
    max_relative: float
    absolute_tolerance: float
    relative_tolerance: float
    shape: tuple[int, ...]
    differing_ppm: float | None = None
    differing_ppm_tolerance: float = PPM
    output: str = ""
    outputs: Mapping[str, OutputTest] = field(default_factory=dict)
    tolerance_by: str | None = None

    def __str__(self) -> str:
        verdict = "passed" if self.passed else "FAILED"
        by = f", {self.tolerance_by}" if self.tolerance_by else ""
        several = f" in {self.output!r}, the worst of {len(self.outputs)} outputs," if len(self.outputs) > 1 else ""
        if self.differing_ppm is not None:
            return (
                f"{self.item}: {verdict}, the example differs{several} in {self.differing_ppm:.0f} of a million values "
                f"(tolerance {self.differing_ppm_tolerance:.0f}{by}), by {self.max_absolute:g} at most"
            )
        return (
            f"{self.item}: {verdict}, the example differs{several} by {self.max_absolute:.1e} at most "
            f"(tolerance {self.absolute_tolerance:.2g}{by}), "
            f"{self.max_relative:.1e} of the largest value ({self.relative_tolerance:.2g})"
        )

    def to_dict(self) -> dict[str, Any]:
        """Give the fields as JSON types; what is not finite becomes None."""
        found: dict[str, Any] = _plain(asdict(self))
        return found


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, tuple):
        return list(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_example(
    folder: Path, inputs: Mapping[str, Array], outputs: Mapping[str, Array], *, raw: Mapping[str, Array] | None = None
) -> dict[str, ExtraAsset]:
    """Write an example into a folder and describe the files.

    Parameters
    ----------
    folder
        Where to.
    inputs, outputs
        Arrays by the names of the item, in its order.
    raw
        Inputs before they are scaled, of those that are.

    Raises
    ------
    StorageError
        If they cannot be written.
    """
    assets = {}
    for kind, arrays, names in ((INPUT, inputs, inputs), (OUTPUT, outputs, outputs), (RAW, raw or {}, inputs)):
        for name, key in example_keys(kind, names).items():
            if name not in arrays:
                continue
            path = folder / f"{key}.npy"
            try:
                np.save(path, np.ascontiguousarray(arrays[name]), allow_pickle=False)
            except OSError as error:
                raise StorageError.doing(f"write {path}", error) from error
            which = f" {name!r}" if len(arrays) > 1 else ""
            title = f"Example {kind.removeprefix('example-').replace('-', ' ')}{which}, for self-tests"
            assets[key] = ExtraAsset(path=path, media_type=MEDIA_TYPE, roles=("example",), title=title)
    return assets


def example_keys(kind: str, names: Iterable[str]) -> dict[str, str]:
    """Name the assets of an example by the inputs, or outputs, of the item: letters, digits, ``_``, ``.`` and ``-``.

    Two names that would be one asset are told apart by their numbers.
    """
    names = list(names)
    if len(names) == 1:
        return {names[0]: kind}
    plain = [_ODD.sub("-", name).strip("-.") for name in names]
    return {
        name: f"{kind}-{text}" if text and [p.lower() for p in plain].count(text.lower()) == 1 else f"{kind}-{number}"
        for number, (name, text) in enumerate(zip(names, plain, strict=True), 1)
    }


def read_example(item: pystac.Item, *, report: Report = ignore) -> Example:
    """Fetch and verify the example of an item.

    Returns
    -------
    inputs, outputs
        Arrays by name, in the order of the item; an input that may be left out may be missing.

    Raises
    ------
    NotFoundError
        If it has none.
    InvalidItemError
        If a file is no plain array.
    """
    found: list[dict[str, Array]] = []
    for kind, field_name in ((INPUT, "mlm:input"), (OUTPUT, "mlm:output")):
        keys = example_keys(kind, [str(tensor.get("name")) for tensor in item.properties.get(field_name) or ()])
        there = {name: key for name, key in keys.items() if key in item.assets}
        if not there:
            raise NotFoundError(
                f"item {item.id!r} was published without an example ({INPUT}, {OUTPUT}): train or export a new version"
            )
        found.append(
            {
                name: _array(fetch(item, key, max_bytes=MAX_BYTES, report=report).data, item.id, key)
                for name, key in there.items()
            }
        )
    return found[0], found[1]


def read_raw(item: pystac.Item, *, report: Report = ignore) -> dict[str, Array]:
    """Fetch and verify the inputs of an example before scaling; there may be none.

    Raises
    ------
    InvalidItemError
        If a file is no plain array.
    """
    keys = example_keys(RAW, [str(tensor.get("name")) for tensor in item.properties.get("mlm:input") or ()])
    return {
        name: _array(fetch(item, key, max_bytes=MAX_BYTES, report=report).data, item.id, key)
        for name, key in keys.items()
        if key in item.assets
    }


def _array(data: bytes, item_id: str, key: str) -> Array:
    """Read ``.npy``, once the header is known to claim what is there: NumPy allocates before it reads."""
    file = io.BytesIO(data)
    npy: Any = np.lib.format
    try:
        version = npy.read_magic(file)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read(file)
    except Exception as error:  # NumPy hands the header to Python's own tokenizer and parser
        raise _no_array(item_id, key, " ".join(str(error).split())) from error
    # A whole number of any size, as Python's are: the product of a lying shape does not overflow.
    if dtype.kind not in "fiub" or len(data) - file.tell() != math.prod(shape) * dtype.itemsize:
        raise _no_array(item_id, key, f"{dtype} of shape {shape} in {len(data)} bytes")
    array: Array = np.frombuffer(data, dtype, offset=file.tell()).reshape(shape, order="F" if fortran else "C")
    return array


def _no_array(item_id: str, key: str, reason: str) -> InvalidItemError:
    return InvalidItemError(f"asset {key!r} of item {item_id!r} is no plain array ({reason}): publish the model anew")


def self_test(model: Runnable, *, report: Report = ignore) -> SelfTest:
    """Replay the published example; see :meth:`modelstac.registry.running.model.Model.self_test`."""
    inputs, expected = read_example(model.item, report=report)
    found = model.run(inputs)
    known = model.description
    by_precision = f"the file computes in {known.precision}" if known.precision in COARSE else None
    outputs = {
        name: _compare(np.asarray(found[name]), array, known) for name, array in expected.items() if name in found
    }
    if raw := read_raw(model.item, report=report):
        # The scaling is part of what was published, and of what is tested.
        again = runner(model, raw, sure=raw, scaled=True)(inputs | raw)
        outputs |= {
            f"{name} of raw values": _compare(np.asarray(again[name]), array, known)
            for name, array in expected.items()
            if name in again
        }
    if not outputs:
        raise InvalidItemError(
            f"the example of item {model.item.id!r} has the outputs {', '.join(expected)}, the model "
            f"{', '.join(found)}: publish the model anew"
        )
    worst = max(outputs, key=lambda name: (not outputs[name].passed, _used(outputs[name], known)))
    absolute, relative, ppm = _allowed(known)
    return SelfTest(
        item=model.description.id,
        absolute_tolerance=absolute,
        relative_tolerance=relative,
        differing_ppm_tolerance=ppm,
        output=worst,
        outputs=outputs,
        tolerance_by=by_precision if known.parity is None else known.parity.tolerance_by,
        **asdict(outputs[worst]),
    )


def _allowed(known: ModelDescription) -> tuple[float, float, float]:
    """Say what the proof of a model allows; of one without, its precision."""
    if (parity := known.parity) is None:
        return COARSE.get(str(known.precision), (ABSOLUTE, RELATIVE, PPM))
    ppm = parity.differing_ppm_tolerance
    return parity.absolute_tolerance, parity.relative_tolerance, PPM if ppm is None else ppm


def _used(found: OutputTest, known: ModelDescription) -> float:
    """Give a difference as a share of what is allowed."""
    absolute, relative, ppm = _allowed(known)
    if found.differing_ppm is not None:
        return found.differing_ppm / ppm if ppm else math.inf
    return max(
        found.max_absolute / absolute if absolute else math.inf, found.max_relative / relative if relative else math.inf
    )


def _compare(found: Array, expected: Array, known: ModelDescription) -> OutputTest:
    absolute, relative, ppm = _allowed(known)
    labels, shape = are_labels(expected, found), tuple(expected.shape)
    if found.shape != expected.shape:
        return OutputTest(False, math.inf, math.inf, 1e6 if labels else None, shape)
    most = float(differences(expected, found).max(initial=0.0))
    scale = max(largest(expected), absolute)
    share = most / scale if scale else most and math.inf
    if not labels:
        # Where values are larger than 1 the absolute tolerance grows with them, as it did when the file was proved.
        return OutputTest(most <= absolute * max(1.0, scale) and share <= relative, most, share, None, shape)
    differing = count_differing(expected, found)
    passed = few_enough(differing, expected.size, ppm)
    return OutputTest(passed, most, share, in_ppm(differing, expected.size), shape)
