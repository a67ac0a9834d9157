"""What is given of xarray, by input and in the order of the model's dimensions: names, bands, times and places.

A plain array among labelled ones is taken as :meth:`modelstac.registry.running.model.Model.run` takes it: in the layout
of its input and scaled already.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import isnan
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from modelstac.catalog.errors import DataError, InvalidItemError
from modelstac.registry.running.arrays import as_array
from modelstac.registry.running.bands import (
    CALLED,
    axis_of,
    bands_of_axis,
    bands_of_model,
    bands_of_variables,
    choose,
    listed,
    one_band,
)
from modelstac.registry.running.labels.grids import image_axis, image_axis_of
from modelstac.registry.running.labels.levels import with_levels
from modelstac.registry.running.labels.packing import missing_codes
from modelstac.registry.running.labels.reading import (
    check_packed,
    in_units,
    marked,
    read_values,
    stacked,
    upright,
    with_mapping,
)
from modelstac.registry.running.labels.stated import stated
from modelstac.registry.running.labels.times import by_time, time_dim
from modelstac.registry.running.signature import BATCH, TIME
from modelstac.registry.running.values.scaling import AXES

if TYPE_CHECKING:
    from modelstac.registry.running.signature import Runnable, TensorSignature

ALIASES: MappingProxyType[str, tuple[str, ...]] = MappingProxyType(
    {
        "height": ("y", "lat", "latitude"),
        "width": ("x", "lon", "longitude"),
        **{axis: tuple(name for name in CALLED if name != axis) for axis in AXES},
    }
)
"""Names of MLM, and what data call the same dimension."""
SINGLE = frozenset({BATCH, *AXES})
"""Dimensions that may be left out where there is one of them."""


@dataclass(frozen=True)
class Aligned:
    """An input in the order of the model's dimensions.

    Parameters
    ----------
    layout
        The input.
    array
        With the names of the data.
    names
        Name in the data of each of the model's dimensions.
    added
        Dimensions of the model that the data left out.
    labelled
        Whether it was given with labels.
    flipped
        Dimensions of the model along which the data run the other way, and were turned.
    sure
        Whether the data name the unit of the values, and the item does.
    missing
        What the data call missing, for messages.
    """

    layout: TensorSignature
    array: xr.DataArray
    names: Mapping[str, str]
    added: frozenset[str] = frozenset()
    labelled: bool = True
    flipped: frozenset[str] = frozenset()
    sure: bool = False
    missing: str = ""

    def length(self, dim: str) -> int:
        """Return how long a dimension of the model is."""
        return int(self.array.sizes[self.names[dim]])


def aligned(given: Mapping[str, Any], model: Runnable, *, scaled: bool = False) -> list[Aligned]:
    """Bring what is given into the order of the model's inputs and of their dimensions.

    Parameters
    ----------
    given
        A dataset, or arrays and datasets by the name of their input.
    model
        The model.
    scaled
        Whether the values are those that the model reads, of which units and packing say nothing.

    Raises
    ------
    DataError
        If names, dimensions, bands, times, units or pixels are not those of the model, or two inputs are of other
        places.
    """
    arrays = _by_input(given, model, scaled)
    model.signature.check_names(arrays)
    sources = {source.name: source for source in model.description.inputs}
    found = [
        align(arrays[layout.name], layout, sources[layout.name], model, scaled=scaled)
        if isinstance(arrays[layout.name], xr.DataArray)
        else _as_given(arrays[layout.name], layout)
        for layout in model.signature.inputs
        if layout.name in arrays
    ]
    model.signature.check_shared({one.layout.name: one.array for one in found})
    _check_places(found)
    return found


def _by_input(given: Mapping[str, Any], model: Runnable, scaled: bool) -> dict[str, Any]:
    """Take arrays from datasets: a variable, or several that are bands of an input, for each."""
    sources = model.description.inputs
    if not isinstance(given, xr.Dataset):
        by_name = {source.name: source for source in sources}
        return {
            name: _one_array(with_mapping(value), by_name[name], model, scaled)
            if isinstance(value, xr.Dataset) and name in by_name
            else value
            for name, value in given.items()
        }
    dataset = with_mapping(given)
    if len(sources) == 1:
        return {sources[0].name: _one_array(dataset, sources[0], model, scaled)}
    optional = {layout.name for layout in model.signature.inputs if layout.optional}
    by_bands = [source for source in sources if source.name not in dataset.data_vars and listed(source)]
    for one, other in combinations(by_bands, 2):  # two dates, which one set of variables cannot be
        if both := sorted(set(listed(one)) & set(listed(other)) & set(map(str, dataset.data_vars))):
            raise DataError(
                f"inputs {one.name!r} and {other.name!r} both have the band {both[0]}: give each by its name"
            )
    arrays = {}
    for source in sources:
        try:
            if source.name in dataset.data_vars or listed(source):
                arrays[source.name] = _one_array(dataset, source, model, scaled)
            elif source.name not in optional:
                raise _no_variable(source.name, dataset)
        except DataError:
            # Where some of its bands are there, it was meant to be.
            if source.name not in optional or set(listed(source)) & set(map(str, dataset.data_vars)):
                raise
    return arrays


def _one_array(dataset: xr.Dataset, source: Any, model: Runnable, scaled: bool) -> xr.DataArray:
    """Take the variable of an input's name, or those that are its bands, stacked in its order."""
    wanted, variables = bands_of_model(source, model.item), list(dataset.data_vars)
    array: xr.DataArray
    if (source.name in variables and source.name not in listed(source)) or (not wanted and len(variables) == 1):
        array = dataset[source.name if source.name in variables else variables[0]]
        return array
    if not wanted:
        raise _no_variable(source.name, dataset)
    dataset = with_levels(dataset, listed(source))
    variables = list(dataset.data_vars)
    chosen = choose(wanted, bands_of_variables(dataset), of=source.name, kind="variables")
    names = [variables[place] for place in chosen]
    if len(names) == 1:
        array = dataset[names[0]]
        return array
    order = source.input.dim_order
    axis = axis_of(order, source.input.shape, len(wanted))
    if axis is None:
        raise InvalidItemError(
            f"input {source.name!r} lists {len(wanted)} bands and has no axis of them: stack the data"
        )
    if not scaled:
        units = stated(listed(source), model.item, alone=len(model.signature.inputs) == 1).units
        for name, band in zip(names, wanted, strict=True):
            check_packed(dataset[name], [units.get(band.name)], of=source.name)
    parts = [read_values(dataset[name], of=source.name, scaled=scaled) for name in names]
    return stacked(parts, order[axis], [band.name for band in wanted])


def _no_variable(name: str, dataset: xr.Dataset) -> DataError:
    found = [str(variable) for variable in dataset.data_vars]
    near = difflib.get_close_matches(name, found, 1, 0.5)
    advice = f"rename {near[0]!r} if that is it" if near else "add it"
    return DataError(f"input {name!r} needs a variable {name!r}; found {', '.join(found) or 'none'}: {advice}")


def _as_given(values: Any, layout: TensorSignature) -> Aligned:
    array = np.asarray(as_array(values))
    if array.ndim != len(layout.dim_order) or isinstance(values, np.ma.MaskedArray):
        array = layout.check(values)  # says what is wrong
    return Aligned(layout, xr.DataArray(array, dims=layout.dim_order), {d: d for d in layout.dim_order}, labelled=False)


def align(
    array: xr.DataArray, layout: TensorSignature, source: Any, model: Runnable, *, scaled: bool = False
) -> Aligned:
    """Bring an array into the order of the model's dimensions, and its values into the unit of the item.

    Raises
    ------
    DataError
        If a dimension is missing or unknown, bands are not the model's, times are not evenly the model's, or units or
        pixels are others.
    """
    names = _dimensions(array, layout)
    if unknown := [name for name in names.values() if isnan(array.sizes[name])]:  # where a mask of Dask chose the rows
        raise DataError(
            f"input {layout.name!r}: nobody knows yet how long its blocks are along {unknown[0]!r}: compute "
            "that first, .data.compute_chunk_sizes()"
        )
    added = {dim: _scalar_of(dim, array) for dim in layout.dim_order if dim not in names}
    array, codes = by_time(array, names.get(TIME), model.description), missing_codes(array)
    for dim, name in added.items():
        label = one_band(array) if dim in AXES and name not in array.coords else None
        array = array.expand_dims(name if label is None else {name: [label]})
    names |= added
    array = array.transpose(*(names[dim] for dim in layout.dim_order))
    said = stated(listed(source), model.item, alone=len(model.signature.inputs) == 1)
    axis = next((names[dim] for dim in layout.dim_order if dim in AXES), None)
    if not scaled:
        check_packed(array, said.units.values(), of=layout.name)
    array = read_values(array, of=layout.name, axis=axis, scaled=scaled)
    array, chosen = _by_band(array, names, layout, source, model)
    sure = False
    if not scaled:
        array = marked(array, said, listed(source), axis)
        array, sure = in_units(array, said, listed(source), of=layout.name, axis=axis, chosen=chosen)
    array, flipped = upright(array, names, said, of=layout.name, added=frozenset(added))
    return Aligned(layout, array, names, frozenset(added), flipped=flipped, sure=sure, missing=codes)


def _dimensions(array: xr.DataArray, layout: TensorSignature) -> dict[str, str]:
    """Find the dimensions of the model among those of the data."""
    names = {}
    for dim, size in zip(layout.dim_order, layout.shape, strict=True):
        candidates = [name for name in (dim, *ALIASES.get(dim, ())) if name in array.dims]
        # GDAL and others call them Y, X and Band.
        candidates = candidates or [
            str(one) for one in array.dims if str(one).casefold() in (dim, *ALIASES.get(dim, ()))
        ]
        candidates = candidates or _told(array, dim)
        if candidates:
            names[dim] = candidates[0]
        elif dim not in SINGLE or size not in (1, -1):
            raise _unlike(array, layout, f"there is no dimension {dim!r}")
    if unknown := [str(name) for name in array.dims if name not in names.values()]:
        raise _unlike(array, layout, f"the dimension {unknown[0]!r} is none of them")
    return names


def _told(array: xr.DataArray, dim: str) -> list[str]:
    """Name the dimensions of the data that are one of the model's by what their coordinates say."""
    if dim == TIME:
        return [] if (found := time_dim(array)) is None else [found]
    axis = image_axis(dim)
    return [] if axis is None else [str(one) for one in array.dims if image_axis_of(array, str(one)) == axis]


def _scalar_of(dim: str, array: xr.DataArray) -> str:
    """Name a dimension that was left out by the label that one band has kept, so that it is compared."""
    kept = (name for name in ALIASES.get(dim, ()) if name in array.coords and array[name].ndim == 0)
    return next((name for name in kept if dim in AXES and isinstance(array[name].item(), str)), dim)


def _unlike(array: xr.DataArray, layout: TensorSignature, reason: str) -> DataError:
    found = ", ".join(f"{name} {size}" for name, size in array.sizes.items())
    return DataError(f"input {layout.name!r} is {layout}; found ({found}): {reason}; rename or select")


def _by_band(
    array: xr.DataArray, names: Mapping[str, str], layout: TensorSignature, source: Any, model: Runnable
) -> tuple[xr.DataArray, list[int]]:
    """Put labelled bands into the model's order, leave out those that it does not want, and say where they were."""
    wanted = bands_of_model(source, model.item)
    place = axis_of(layout.dim_order, layout.shape, len(wanted)) if wanted else None
    if place is None:
        return array, []
    axis = names[layout.dim_order[place]]
    chosen: list[int] = []
    if (found := bands_of_axis(array, axis, wanted)) is not None:
        kind = "bands" if source.bands else "variables"
        chosen = choose(wanted, found, of=layout.name, kind=kind)
        array = array if chosen == list(range(array.sizes[axis])) else array.isel({axis: chosen})
    # Blocks of one band each, as readers of rasters make them, are no blocks of an area.
    return array if array.chunks is None else array.chunk({axis: -1}), chosen


def _check_places(found: Sequence[Aligned]) -> None:
    """Refuse inputs that lie elsewhere: pixels of one index are taken as of one place."""
    for dim, one, other in _pairs(found):
        here, there = (side.array[side.names[dim]] for side in (one, other))
        if here.size == there.size and not _same(here.values, there.values):
            raise DataError(
                f"inputs {one.layout.name!r} and {other.layout.name!r} have other coordinates along "
                f"{one.names[dim]!r}: bring them onto one grid, or drop the coordinates"
            )


def _pairs(found: Sequence[Aligned]) -> Iterator[tuple[str, Aligned, Aligned]]:
    """Yield pairs of inputs with coordinates along the same dimension; two sensors may see at other times."""
    first: dict[str, Aligned] = {}
    for one in found:
        for dim, name in one.names.items():
            if dim != TIME and dim not in AXES and name in one.array.coords:
                if dim in first:
                    yield dim, first[dim], one
                first.setdefault(dim, one)


def _same(here: np.ndarray[Any, Any], there: np.ndarray[Any, Any]) -> bool:
    if here.dtype.kind not in "fiu" or there.dtype.kind not in "fiu":
        return bool(np.array_equal(here, there))
    pixel = abs(float(here[1] - here[0])) if here.size > 1 else abs(float(here[0])) if here.size else 0.0
    return bool(np.allclose(here, there, rtol=0, atol=1e-3 * pixel))
