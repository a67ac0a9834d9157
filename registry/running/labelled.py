"""Arrays of xarray in and out: dimensions by name, physical values, times and coordinates.

What is given has physical values (mm/h, reflectance, …); they are scaled as the item says. What comes back has
coordinates where they are known, and physical values where the item says how to get them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from modelstac.catalog.errors import DataError
from modelstac.registry.running.aligning import Aligned, aligned
from modelstac.registry.running.bands import axis_of, listed
from modelstac.registry.running.cuts import GLOBAL
from modelstac.registry.running.labels.stated import unit_of_output
from modelstac.registry.running.labels.times import duration
from modelstac.registry.running.places import place
from modelstac.registry.running.signature import BATCH, TIME
from modelstac.registry.running.values.physical import runner
from modelstac.registry.running.values.steps import computed

if TYPE_CHECKING:
    from modelstac.registry.running.signature import Runnable, TensorSignature

LEAD_TIME = "interop:lead_time"
"""Field of an output whose times follow those of the input: ISO 8601 duration from frame to frame."""


def predict_labelled(
    model: Runnable, given: Mapping[str, Any], overlap: Mapping[str, int], *, scaled: bool | None = None
) -> xr.DataArray | dict[str, xr.DataArray]:
    """Run a model on named dimensions; block by block and only when computed, where the values are Dask's.

    Parameters
    ----------
    model
        The model.
    given
        A dataset, or arrays by the name of their input.
    overlap
        Pixels that neighbouring blocks share, by dimension; see :mod:`modelstac.registry.running.blocks`.
    scaled
        Whether values are those that the model reads; by default those with labels are physical, and others are.

    Returns
    -------
    xarray.DataArray or dict of them
        One for a model of one output; for several by name, in the order of the item.

    Raises
    ------
    DataError
        If names, dimensions, bands, times, places or values are not those of the model.
    InvalidItemError
        If the scaling that the item names cannot be computed.
    """
    found = aligned(given, model, scaled=scaled is True)
    physical = [one.layout.name for one in found if scaled is False or (scaled is None and one.labelled)]
    sure = [one.layout.name for one in found if one.sure or scaled is False]
    missing = {one.layout.name: one.missing for one in found}
    run = runner(model, physical, sure=sure, missing=missing, scaled=scaled)
    if all(one.array.chunks is None for one in found):
        if overlap:
            raise DataError("overlap is for blocks, and the values are no array of Dask: leave it out, or .chunk() it")
        values: Mapping[str, Any] = run({one.layout.name: one.array.values for one in found})
    else:
        from modelstac.registry.running.blocks import predict_blocks

        known: Any = {"sizes": model.description.sizes, "halo": _halo(model)}
        values = predict_blocks(run, found, _as_given(model, scaled), **known, overlap=overlap)
    results = {
        layout.name: _labelled(values[layout.name], found, layout, model, physical=scaled is not True)
        for layout in model.signature.outputs
    }
    return next(iter(results.values())) if len(results) == 1 else results


def _halo(model: Runnable) -> dict[str, dict[str, Any]]:
    """Give what outputs depend on, by input and axis; samples that do not stand alone are not to be cut apart."""
    halo = {name: dict(axes) for name, axes in (model.description.halo or {}).items()}
    if model.description.moves_with_batch:
        for tensor in model.signature.inputs:
            halo.setdefault(tensor.name, {})[BATCH] = GLOBAL
    return halo


def _as_given(model: Runnable, scaled: bool | None) -> list[TensorSignature]:
    """Give the layouts of the outputs; whole numbers and half precision that are made physical have more digits."""
    post = {output.name for output in model.description.outputs if computed(output.post_processing_function)[0]}
    return [
        replace(layout, dtype=str(np.result_type(layout.dtype, np.float32)))
        if layout.name in post and scaled is not True and layout.dtype != "other"
        else layout
        for layout in model.signature.outputs
    ]


def _labelled(
    values: Any, found: Sequence[Aligned], layout: TensorSignature, model: Runnable, *, physical: bool
) -> xr.DataArray:
    """Name an output's dimensions as the data do, and give it the coordinates that are known."""
    output = next(source for source in model.description.outputs if source.name == layout.name)
    lengths = dict(zip(layout.dim_order, values.shape, strict=True))
    where = place(found, layout, lengths, model)
    names, coordinates, owner = where.names, where.coordinates, where.owners.get(TIME)
    if owner is not None and names[TIME] in owner.array.coords and owner.array[names[TIME]].dtype.kind == "M":
        lead = duration((output.model_extra or {}).get(LEAD_TIME), model.description)
        if lead is not None:
            times = owner.array[names[TIME]]
            after = lead.after(times.values.max(), lengths[TIME])
            coordinates[names[TIME]] = (names[TIME], after, times.attrs)
    bands = listed(output)
    axis = axis_of(layout.dim_order, values.shape, len(bands))
    if axis is not None:
        dim = names[layout.dim_order[axis]]
        coordinates[dim] = (dim, bands)
    attributes = {"item": model.item.id}
    steps, complete = computed(output.post_processing_function)
    if physical and steps and complete and (unit := unit_of_output(bands, model)):
        attributes["units"] = unit
    name = bands[0] if len(bands) == 1 else layout.name
    result = xr.DataArray(values, coordinates, [names[dim] for dim in lengths], name, attributes)
    dropped = [names[dim] for dim, one in where.owners.items() if dim in one.added and lengths[dim] == 1]
    return where.finished(result).squeeze(dropped, drop=True)
