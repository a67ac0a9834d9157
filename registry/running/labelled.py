"""Arrays of xarray in and out: dimensions by name, physical values, times and coordinates.

What is given has physical values (mm/h, reflectance, …); they are scaled as the item says. What comes back has
coordinates where they are known, and physical values where the item says how to get them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from modelstac.catalog.errors import DataError
from modelstac.registry.running.aligning import TIME, Aligned, aligned, duration
from modelstac.registry.running.bands import axis_of, listed
from modelstac.registry.running.scaling import AXES, processed, scale

if TYPE_CHECKING:
    from modelstac.registry.running.signature import Runnable, TensorSignature

    Arrays = Mapping[str, np.ndarray[Any, Any]]

LEAD_TIME = "interop:lead_time"
"""Field of an output whose times follow those of the input: ISO 8601 duration from frame to frame."""


def predict_labelled(
    model: Runnable, given: Mapping[str, Any], overlap: Mapping[str, int]
) -> xr.DataArray | dict[str, xr.DataArray]:
    """Run a model on named dimensions; block by block and only when computed, where the values are Dask's.

    Parameters
    ----------
    model
        The model.
    given
        A dataset, or arrays by the name of their input: those with labels have physical values.
    overlap
        Pixels that neighbouring blocks share, by dimension; see :mod:`modelstac.registry.running.blocks`.

    Returns
    -------
    xarray.DataArray or dict of them
        One for a model of one output; for several by name, in the order of the item.

    Raises
    ------
    DataError
        If names, dimensions, bands, times or values are not those of the model.
    InvalidItemError
        If the scaling that the item names cannot be computed.
    """
    found = aligned(given, model)
    run = _runner(model, frozenset(one.layout.name for one in found if one.labelled))
    if all(one.array.chunks is None for one in found):
        if overlap:
            raise DataError("overlap is for blocks, and the values are no array of Dask: leave it out, or .chunk() it")
        values: Mapping[str, Any] = run({one.layout.name: one.array.values for one in found})
    else:
        from modelstac.registry.running.blocks import predict_blocks

        known: Any = {"sizes": model.description.sizes, "halo": model.description.halo}
        values = predict_blocks(run, found, model.signature.outputs, **known, overlap=overlap)
    results = {layout.name: _labelled(values[layout.name], found, layout, model) for layout in model.signature.outputs}
    return next(iter(results.values())) if len(results) == 1 else results


def _runner(model: Runnable, physical: frozenset[str]) -> Callable[[Arrays], Arrays]:
    """Return what scales physical values, runs the model and gives physical values where the item says how."""
    owner = f"item {model.item.id!r}"
    layouts = {layout.name: layout for layout in model.signature.inputs}
    post = {
        output.name: _plain(output.post_processing_function)
        for output in model.description.outputs
        if output.post_processing_function is not None
    }

    def scaled(name: str, values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        layout = layouts[name]
        return scale(values, layout.scaling, layout.dim_order, of=f"{owner}, input {name!r}")

    def run(values: Arrays) -> Arrays:
        given = {name: scaled(name, array) if name in physical else array for name, array in values.items()}
        return {
            name: processed(array, post[name], of=f"{owner}, output {name!r}") if name in post else array
            for name, array in model.run(given).items()
        }

    return run


def _plain(functions: Any) -> Any:
    """Give typed processing expressions as the JSON that they came from."""
    if isinstance(functions, list | tuple):
        return [_plain(function) for function in functions]
    return functions.model_dump() if hasattr(functions, "model_dump") else functions


def _labelled(values: Any, found: Sequence[Aligned], layout: TensorSignature, model: Runnable) -> xr.DataArray:
    """Name an output's dimensions as the data do, and give it the coordinates that are known."""
    output = next(source for source in model.description.outputs if source.name == layout.name)
    lengths = dict(zip(layout.dim_order, values.shape, strict=True))
    owners = _owners(found, lengths)
    names = {dim: owners[dim].names[dim] if dim in owners else dim for dim in lengths}
    if len(set(names.values())) < len(names):  # inputs whose data name different dimensions alike
        names = {dim: dim for dim in lengths}
    coordinates = _coordinates(found, names, lengths)
    owner = owners.get(TIME)
    if owner is not None and names[TIME] in owner.array.coords and owner.array[names[TIME]].dtype.kind == "M":
        lead = duration((output.model_extra or {}).get(LEAD_TIME), model.description)
        if lead is not None:
            times = owner.array[names[TIME]]
            after = times.values.max() + lead.to_timedelta64() * np.arange(1, lengths[TIME] + 1)
            coordinates[names[TIME]] = (names[TIME], after, times.attrs)
    bands = listed(output)
    axis = axis_of(layout.dim_order, values.shape, len(bands))
    if axis is not None:
        dim = names[layout.dim_order[axis]]
        coordinates[dim] = (dim, bands)
    attributes = {"item": model.item.id}
    physical = output.post_processing_function is not None
    if physical and len(bands) == 1 and (unit := model.description.cube_variables.get(bands[0], {}).get("unit")):
        attributes["units"] = unit
    name = bands[0] if len(bands) == 1 else layout.name
    result = xr.DataArray(values, coordinates, [names[dim] for dim in lengths], name, attributes)
    dropped = [names[dim] for dim, owner in owners.items() if dim in owner.added and lengths[dim] == 1]
    return result.squeeze(dropped, drop=True)


def _owners(found: Sequence[Aligned], lengths: Mapping[str, int]) -> dict[str, Aligned]:
    """Say which input each dimension of an output is one of: of the same length before another, labelled before not."""
    owners, ordered = {}, sorted(found, key=lambda one: not one.labelled)
    for dim, length in lengths.items():
        having = [one for one in ordered if dim in one.names]
        if having:
            owners[dim] = next((one for one in having if one.length(dim) == length), having[0])
    return owners


def _coordinates(found: Sequence[Aligned], names: Mapping[str, str], lengths: Mapping[str, int]) -> dict[str, Any]:
    """Take the coordinates of inputs along dimensions that the output shares with them, but for times and bands."""
    coordinates: dict[str, Any] = {}
    for one in found:
        shared = {
            name
            for dim, name in one.names.items()
            if names.get(dim) == name and one.length(dim) == lengths[dim] and dim not in one.added
            if dim != TIME and dim not in AXES
        }
        for key, coordinate in one.array.coords.items():
            taken = key in names.values() and coordinate.dims != (key,)  # the name of a dimension of the output
            if set(coordinate.dims) <= shared and not taken:
                coordinates.setdefault(str(key), coordinate)
    return coordinates
