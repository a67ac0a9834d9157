"""Maps and labels in NetCDF and Zarr, read as scenes are: their places, valid ranges, signs and groups."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from modelstac.registry.scenes.rasters import Class
from modelstac.registry.scenes.reading.finding.parts import is_cube, plain

if TYPE_CHECKING:
    from modelstac.registry.scenes.reading.finding.parts import Offer


def bands_of_cube(path: str | Path) -> list[Offer] | None:
    """Give the bands of NetCDF or Zarr, one for each time, level and variable; None of another file.

    Raises
    ------
    DataError
        If it cannot be read, or lies nowhere.
    """
    if not is_cube(str(path)):
        return None
    from modelstac.registry.scenes.reading.finding.arrays import offers_of_dataset, open_dataset

    return offers_of_dataset(open_dataset(str(path)), 0, plain(str(path)))


def flags_of_cube(path: str | Path) -> tuple[Class, ...]:
    """Return the classes that the first variable with flags names (CF 1.11, section 3.5); none where none does."""
    from modelstac.registry.scenes.reading.finding.arrays import open_dataset

    for variable in open_dataset(str(path)).data_vars.values():
        values = np.atleast_1d(variable.attrs.get("flag_values", ()))
        names = str(variable.attrs.get("flag_meanings", "")).split()
        if len(values) == len(names) and values.dtype.kind in "iu":
            return tuple(Class(int(value), name) for value, name in zip(values, names, strict=True))
    return ()
