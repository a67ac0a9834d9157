"""The values of one labelled array as the item means them: missing ones found, unpacked, in its unit, its way round."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from modelstac.catalog.errors import DataError
from modelstac.registry.running.labels.contradictions import check_system, turned
from modelstac.registry.running.labels.grids import CRS, SPATIAL, SYSTEMS, grid_mapping, image_axis, is_mapping
from modelstac.registry.running.labels.packing import OFFSETS, SCALES, packing_of, unpacked, without, without_flags
from modelstac.registry.running.labels.stated import Stated
from modelstac.registry.running.labels.units import UNITS, converted, is_count, is_number, said, settles


def read_values(array: xr.DataArray, *, of: str, axis: str | None = None, scaled: bool = False) -> xr.DataArray:
    """Find missing values and unpack the others; see :func:`modelstac.registry.running.labels.packing.unpacked`.

    Parameters
    ----------
    array
        As it was given; a quantity of pint gives its unit as an attribute.
    of
        Which input it is, for messages.
    axis
        Dimension of the bands.
    scaled
        Whether the values are those that the model reads: what is left to find is what is missing.
    """
    data = array.variable._data
    if hasattr(data, "magnitude") and hasattr(data, "units"):
        array = array.copy(data=data.magnitude).assign_attrs(units=str(data.units))
    array = without_flags(array)
    if scaled:
        kept = {name: value for name, value in array.attrs.items() if name not in (*SCALES, *OFFSETS)}
        array = array.drop_attrs(deep=False).assign_attrs(kept)
    return unpacked(array, of=of, axis=axis)


def check_packed(array: xr.DataArray, units: Iterable[str | None], *, of: str) -> None:
    """Refuse packed values whose item reads counts, or that say no unit where it states a number: nobody tells which.

    Raises
    ------
    DataError
        If it is so.
    """
    found = packing_of(array.attrs)
    shown = ", ".join(f"{key} {value}" for key, value in found.items())
    known = [unit for unit in units if unit is not None] if found else []
    if counted := next((unit for unit in known if is_count(unit)), None):
        raise DataError(
            f"input {of!r}: the data say {shown}, and the item reads {counted!r}, numbers as they are stored: drop the "
            "attributes (.drop_attrs()) if these are they"
        )
    if wanted := next((unit for unit in known if is_number(unit)), None):
        if any(said(array.attrs.get(key)) is not None for key in UNITS):
            return
        raise DataError(
            f"input {of!r}: the data say {shown} and no unit, and the item says {wanted!r}: name the unit of what that "
            "makes of them, .assign_attrs(units=…)"
        )


def in_units(
    array: xr.DataArray, said_of: Stated, names: Sequence[str], *, of: str, axis: str | None, chosen: Sequence[int] = ()
) -> tuple[xr.DataArray, bool]:
    """Bring values to the units that the item states, and tell whether that settles what they are.

    It does where both sides name one for all of them; but counts and shares have none: both are 1.

    Parameters
    ----------
    array
        Values, with the bands of the model.
    said_of
        What the item says.
    names
        Bands or variables of the model, in its order.
    of
        Which input it is.
    axis
        Dimension of the bands.
    chosen
        Places that these bands had in the data, where attributes list something for each of those.
    """
    found = _units(next((array.attrs[key] for key in UNITS if key in array.attrs), None))
    here = [found[place] for place in chosen] if len(found) > 1 and chosen else found
    wanted = [said_of.units.get(name) for name in names] or [None]
    if len(set(here)) == 1 and len(set(wanted)) == 1:
        return converted(array, here[0], wanted[0], of=of), settles(here[0]) and settles(wanted[0])
    count = array.sizes.get(axis, 0) if axis is not None else 0
    here, wanted = (side * count if len(side) == 1 else side for side in (here, wanted))
    if axis is None or not len(here) == len(wanted) == count:
        return array, False
    parts = [
        converted(array.isel({axis: [i]}), one, other, of=of)
        for i, (one, other) in enumerate(zip(here, wanted, strict=True))
    ]
    whole = xr.concat(parts, dim=axis, coords="minimal", compat="override", join="override").transpose(*array.dims)
    array = whole if array.chunks is None else whole.chunk({axis: -1})
    return array, all(map(settles, (*here, *wanted)))


def _units(found: Any) -> list[str | None]:
    if isinstance(found, list | tuple | np.ndarray):
        return [said(unit) for unit in found]
    return [said(found)]


def marked(array: xr.DataArray, said_of: Stated, names: Sequence[str], axis: str | None) -> xr.DataArray:
    """Take for missing what the item says stands for it."""
    return without(array, [said_of.missing.get(name) for name in names], axis) if said_of.missing else array


def upright(
    array: xr.DataArray, names: Mapping[str, str], said_of: Stated, *, of: str, added: frozenset[str] = frozenset()
) -> tuple[xr.DataArray, frozenset[str]]:
    """Turn rows and columns as the item reads them, and name the dimensions of the model that were turned.

    Raises
    ------
    DataError
        If pixels have another size or system than the item's, or no order.
    """
    flipped = set()
    axes = {dim: axis for dim in names if dim not in added and (axis := image_axis(dim)) is not None}
    if axes:
        check_system(array, said_of, of=of)
    for dim, axis in axes.items():
        if array.sizes[names[dim]] > 1 and turned(array, names[dim], axis, said_of, of=of):
            flipped.add(dim)
    if flipped:
        chunks = array.chunksizes
        array = array.isel({names[dim]: slice(None, None, -1) for dim in flipped})
        if chunks:  # as they were cut: a last block that is shorter stays the last
            array = array.chunk({names[dim]: chunks[names[dim]] for dim in flipped})
    return array, frozenset(flipped)


def with_mapping(dataset: xr.Dataset) -> xr.Dataset:
    """Make coordinates of the variables that say in which system others lie, so that they go with each of these.

    What a dataset says of it, each of its variables says then.
    """
    named = {
        str(place["grid_mapping"]).split(":")[0].strip()
        for variable in dataset.data_vars.values()
        for place in (variable.attrs, variable.encoding)
        if "grid_mapping" in place
    }
    here = [name for name in named if name in dataset.data_vars and dataset[name].ndim == 0]
    if not named:  # xarray drops who names it where an encoding is given; what it is can still be seen
        alone = [str(name) for name, variable in dataset.data_vars.items() if is_mapping(variable)]
        here = alone if len(alone) == 1 else []
    dataset = dataset.set_coords(here) if here else dataset
    keys = [*SYSTEMS, CRS, *(key for key in map(str, dataset.attrs) if key.startswith(SPATIAL))]
    said = {key: dataset.attrs[key] for key in keys if dataset.attrs.get(key) is not None}
    if not said or here:
        return dataset
    return dataset.assign({name: one.assign_attrs(said | one.attrs) for name, one in dataset.data_vars.items()})


def stacked(parts: Sequence[xr.DataArray], dim: str, names: Sequence[str]) -> xr.DataArray:
    """Put variables together along an axis of bands: with the unit of each, and one grid mapping."""
    units = [next((part.attrs[key] for key in UNITS if key in part.attrs), None) for part in parts]
    array = xr.concat([part.drop_attrs(deep=False) for part in parts], dim=dim, coords="minimal", compat="override")
    array = array.assign_coords({dim: list(names)})
    mapping = next((name for part in parts if (name := grid_mapping(part)) is not None), None)
    array = array if all(unit is None for unit in units) else array.assign_attrs(units=units)
    return array if mapping is None else array.assign_attrs(grid_mapping=mapping)
