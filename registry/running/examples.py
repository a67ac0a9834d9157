"""The example input and output published with an item, and whether a loaded model still gives the one from the other.

Both are plain ``.npy`` files, with checksums like every file of an item, and in the layout that the item declares.
"""

from __future__ import annotations

import io
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from modelstac.catalog.errors import InvalidItemError, NotFoundError, StorageError
from modelstac.catalog.items.description import ExtraAsset
from modelstac.catalog.messages import Report, ignore
from modelstac.registry.files.fetch import fetch

if TYPE_CHECKING:
    import pystac

    from modelstac.catalog.items.description import ModelDescription

INPUT, OUTPUT = "example-input", "example-output"
MEDIA_TYPE = "application/octet-stream; format=npy"
MAX_BYTES = 256 << 20
ABSOLUTE, RELATIVE = 1e-5, 1e-4
"""What an example may differ by where the item has no parity with a tolerance of its own."""

Array = np.ndarray[Any, Any]


class Loaded(Protocol):
    """What a self-test asks of a model: :class:`modelstac.registry.running.model.Model` is one."""

    item: pystac.Item
    description: ModelDescription

    def predict(self, inputs: Array, /) -> Any:
        """Compute the outputs for inputs in the layout that the item declares."""
        ...


@dataclass(frozen=True)
class SelfTest:
    """What replaying the example of an item found.

    Parameters
    ----------
    item
        Its id.
    passed
        Whether both differences are within their tolerances.
    max_absolute, max_relative
        Largest difference between found and published output, and the same as a share of the largest published value;
        infinite where the shapes differ or one has a number where the other has none.
    absolute_tolerance, relative_tolerance
        What they may be.
    shape
        Of the published output.
    """

    item: str
    passed: bool
    max_absolute: float
    max_relative: float
    absolute_tolerance: float
    relative_tolerance: float
    shape: tuple[int, ...]

    def __str__(self) -> str:
        verdict = "passed" if self.passed else "FAILED"
        return (
            f"{self.item}: {verdict}, the example differs by {self.max_absolute:.1e} at most "
            f"(tolerance {self.absolute_tolerance:.0e}), "
            f"{self.max_relative:.1e} of the largest value ({self.relative_tolerance:.0e})"
        )

    def to_dict(self) -> dict[str, Any]:
        """Give the fields as JSON types; what is not finite becomes None."""
        fields = asdict(self) | {"shape": list(self.shape)}
        return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in fields.items()}


def write_example(folder: Path, inputs: Array, outputs: Array) -> dict[str, ExtraAsset]:
    """Write an example into a folder and describe the files.

    Raises
    ------
    StorageError
        If they cannot be written.
    """
    assets = {}
    for key, array in ((INPUT, inputs), (OUTPUT, outputs)):
        path = folder / f"{key}.npy"
        try:
            np.save(path, np.ascontiguousarray(array), allow_pickle=False)
        except OSError as error:
            raise StorageError.doing(f"write {path}", error) from error
        title = f"Example {key.removeprefix('example-')}, for self-tests"
        assets[key] = ExtraAsset(path=path, media_type=MEDIA_TYPE, roles=("example",), title=title)
    return assets


def read_example(item: pystac.Item, *, report: Report = ignore) -> tuple[Array, Array]:
    """Fetch and verify the example of an item.

    Raises
    ------
    NotFoundError
        If it has none.
    InvalidItemError
        If a file is no plain array.
    """
    if not {INPUT, OUTPUT} <= item.assets.keys():
        raise NotFoundError(
            f"item {item.id!r} was published without an example ({INPUT}, {OUTPUT}): train or export a new version"
        )
    first, second = (
        _array(fetch(item, key, max_bytes=MAX_BYTES, report=report).data, item.id, key) for key in (INPUT, OUTPUT)
    )
    return first, second


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


def self_test(model: Loaded, *, report: Report = ignore) -> SelfTest:
    """Replay the published example; see :meth:`modelstac.registry.running.model.Model.self_test`."""
    inputs, expected = read_example(model.item, report=report)
    return _compare(model.predict(inputs), expected, model.description)


def _compare(found: Array, expected: Array, description: ModelDescription) -> SelfTest:
    parity = description.parity
    absolute, relative = (
        (ABSOLUTE, RELATIVE) if parity is None else (parity.absolute_tolerance, parity.relative_tolerance)
    )
    largest = math.inf
    if found.shape == expected.shape:
        f, e = (np.asarray(side, np.float64) for side in (found, expected))
        with np.errstate(invalid="ignore"):
            differences = np.where((f == e) | (np.isnan(f) & np.isnan(e)), 0.0, np.abs(f - e))
        largest = float(np.where(np.isnan(differences), math.inf, differences).max(initial=0.0))
    scale = max(float(np.abs(expected[np.isfinite(expected)]).max(initial=0.0)), absolute)
    share = largest / scale if largest else 0.0
    passed = largest <= absolute and share <= relative
    return SelfTest(description.id, passed, largest, share, absolute, relative, tuple(expected.shape))
