"""Levels of the air, the sea or the ground: each of a variable is a band of its own, such as t850 and t500."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from modelstac.registry.running.bands import CALLED
from modelstac.registry.running.labels.grids import image_axis_of

if TYPE_CHECKING:
    import xarray as xr

_NAMES = frozenset({"level", "lev", "plev", "pressure_level", "pressure", "isobaric", "isobaricinhpa", "depth"})
_PASCALS = frozenset({"pa", "pascal", "pascals"})


def level_dim(array: xr.DataArray) -> str | None:
    """Name the dimension of several levels: by its name, else by what its coordinate says (CF 1.11, section 4.3)."""
    for dim in map(str, array.dims):
        if array.sizes[dim] < 2 or dim.casefold() in CALLED or image_axis_of(array, dim) is not None:
            continue
        along = array.coords.get(dim)
        if along is None or along.dtype.kind not in "iuf":
            continue
        vertical = "positive" in along.attrs or str(along.attrs.get("axis", "")).casefold() == "z"
        if vertical or dim.casefold() in _NAMES:
            return dim
    return None


def with_levels(dataset: xr.Dataset, wanted: Sequence[str] = ()) -> xr.Dataset:
    """Make a variable of each level of those that have several, called by it and its level: t850, thetao0.494025.

    Parameters
    ----------
    dataset
        Whose variables may have levels; pressures are named in hPa, others as they are numbered.
    wanted
        Names of a model's bands, which may be spelled otherwise: t_850.
    """
    spelled = {_plain(name): name for name in wanted}
    found: dict[str, xr.DataArray] = {}
    for variable, array in dataset.data_vars.items():
        if (dim := level_dim(array)) is None or variable in wanted:  # of a model that has levels itself
            found[str(variable)] = array
            continue
        pascals = str(array[dim].attrs.get("units", "")).casefold() in _PASCALS
        names = [f"{variable}{level / 100 if pascals else level:g}" for level in array[dim].values.astype(float)]
        names = [spelled.get(_plain(name), name) for name in names]
        if len({*names}) < len(names) or {*names} & {*dataset.data_vars}:
            found[str(variable)] = array  # which of them is meant nobody could tell
        else:
            found |= {name: array.isel({dim: number}, drop=True) for number, name in enumerate(names)}
    return dataset if [*found] == [*dataset.data_vars] else dataset.drop_vars([*dataset.data_vars]).assign(found)


def _plain(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum() or character == ".")
