"""Where a raster in a file has nothing: by its nodata, its masks and its alpha."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from modelstac.registry.scenes.reading.finding.names import counted
from modelstac.registry.scenes.reading.finding.parts import Values

if TYPE_CHECKING:
    from rasterio.io import DatasetReader


_NEAR = 4
"""Roundings by which a number may be off nodata of floating point (``ARE_REAL_EQUAL`` of GDAL)."""


@dataclass(frozen=True)
class Missing:
    """What tells the missing numbers of each band of a file.

    Parameters
    ----------
    masks
        What mask there is beside nodata; see :func:`_mask_of`.
    nodata
        What stands for a missing number, where no mask says all of them.
    alpha
        Number of the band of alpha; 0 where there is none.
    """

    masks: tuple[str, ...]
    nodata: tuple[float | None, ...]
    alpha: int = 0

    @classmethod
    def of(cls, dataset: DatasetReader, names: Sequence[str] = ()) -> Missing:
        """Read it from a file that is open; names are what its item calls its bands."""
        numbers, alpha = range(1, dataset.count + 1), alpha_of(dataset, names)
        return cls(
            tuple(_mask_of(dataset, number, alpha) for number in numbers),
            tuple(nodata_of(dataset, number) for number in numbers),
            alpha,
        )

    def read(self, dataset: DatasetReader, bands: tuple[int, ...], window: Any, values: Values) -> Values | None:
        """Tell where values of a window (band, row, column) are missing; None where none is. Bands count from 0."""
        missing: Values | None = None
        alike: Values | None = None
        for place, band in enumerate(bands):
            kind = self.masks[band]
            gone = is_missing(values[place], self.nodata[band])
            if kind == "own":
                here = dataset.read_masks(band + 1, window=window) == 0
            elif kind == "shared":
                alike = dataset.dataset_mask(window=window) == 0 if alike is None else alike
                here = alike
            elif kind == "alpha" and self.alpha - 1 not in bands:  # who reads it as data means that
                alike = dataset.read(self.alpha, window=window) == 0 if alike is None else alike
                here = alike
            else:
                here = None
            if here is not None and here.any():
                gone = here if gone is None else gone | here
            if gone is not None:
                missing = np.zeros(values.shape, bool) if missing is None else missing
                missing[place] = gone
        return missing


def nodata_of(dataset: DatasetReader, number: int) -> float | None:
    """Return what stands for a missing number of a band; None where a mask says all that is missing."""
    nodata = dataset.nodatavals[number - 1]
    return None if nodata is None or _mask_of(dataset, number, 0) in {"own", "shared"} else float(nodata)


def is_missing(values: Values, nodata: float | None) -> Values | None:
    """Tell where numbers are missing; None where none is."""
    gone = None
    if values.dtype.kind == "f":
        gone = ~np.isfinite(values)
        if nodata is not None and np.isfinite(nodata):
            # As GDAL masks it: programs write the least float32 in two to eight digits, which is a neighbour of it.
            limits = np.finfo(values.dtype)
            near = max(_NEAR * float(limits.eps) * abs(nodata), abs(nodata) - float(limits.max) / 2)
            with np.errstate(over="ignore"):
                low, high = values.dtype.type(nodata - near), values.dtype.type(nodata + near)
            gone |= (values >= low) & (values <= high)
    elif nodata is not None and np.isfinite(nodata) and float(nodata).is_integer():
        info = np.iinfo(values.dtype)
        if info.min <= nodata <= info.max:
            gone = values == values.dtype.type(int(nodata))
    return gone if gone is not None and gone.any() else None


def alpha_of(dataset: DatasetReader, names: Sequence[str] = ()) -> int:
    """Give the number of the band of alpha; 0 where there is none, or it is called something else.

    GDAL calls the last of four bands of 8 bits alpha if nobody says what it is, and that is the near infrared of many.
    """
    number = next((number for number, kind in enumerate(dataset.colorinterp, 1) if kind.name == "alpha"), 0)
    if not number:
        return 0
    name = (names[number - 1] if number <= len(names) else "") or dataset.descriptions[number - 1] or ""
    is_other = name and not counted(name) and not any(word in name.casefold() for word in ("alpha", "mask"))
    return 0 if is_other else number


def _mask_of(dataset: DatasetReader, number: int, alpha: int) -> str:
    """Tell whether there is a mask beside nodata: of its own, one that bands share, or a band of alpha."""
    flags = {flag.name for flag in dataset.mask_flag_enums[number - 1]}
    if "per_dataset" in flags and "alpha" not in flags:
        return "shared"
    if "nodata" in flags and dataset.dtypes[number - 1] in ("int64", "uint64"):
        return "own"  # rasterio gives their nodata as a fraction, which is another number, or none
    if flags & {"all_valid", "nodata", "alpha"}:
        # GDAL takes alpha as a mask of one or three bands only; pictures of drones have five and more.
        return "alpha" if alpha not in (0, number) else ""
    return "own"
