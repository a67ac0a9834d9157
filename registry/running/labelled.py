"""Arrays of xarray in and out: dimensions by name, physical values, times and coordinates.

What is given has physical values (mm/h, reflectance, …); they are scaled as the item says. What comes back has
coordinates where they are known, and physical values where the item says how to get them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from modelstac.catalog.errors import DataError, InvalidItemError
from modelstac.registry.running.scaling import BAND_AXES, processed, scale

if TYPE_CHECKING:
    from modelstac.catalog.items.description import ModelDescription
    from modelstac.registry.running.signature import Runnable, TensorSignature

ALIASES: MappingProxyType[str, tuple[str, ...]] = MappingProxyType(
    {
        "height": ("y", "lat", "latitude"),
        "width": ("x", "lon", "longitude"),
        "bands": ("band", "channel"),
        "variables": ("variable",),
        "channel": ("band", "bands"),
    }
)
"""Names of MLM, and what data call the same dimension."""
SINGLE = frozenset({"batch", *BAND_AXES})
"""Dimensions that may be left out where there is one of them."""
LEAD_TIME = "interop:lead_time"
"""Field of an output whose times follow those of the input: ISO 8601 duration from frame to frame."""


@dataclass(frozen=True)
class Aligned:
    """An input in the order of the model's dimensions.

    Parameters
    ----------
    array
        With the names of the data.
    names
        Name in the data of each of the model's dimensions.
    added
        Dimensions of the model that the data left out.
    """

    array: xr.DataArray
    names: Mapping[str, str]
    added: frozenset[str]


def predict_labelled(model: Runnable, given: Any, overlap: Mapping[str, int]) -> xr.DataArray:
    """Run a model on named dimensions; block by block and only when computed, where the values are Dask's.

    Parameters
    ----------
    model
        The model.
    given
        Physical values.
    overlap
        Pixels that neighbouring blocks share, by dimension; see :mod:`modelstac.registry.running.blocks`.

    Raises
    ------
    DataError
        If dimensions, bands, times or values are not those of the model.
    InvalidItemError
        If the scaling that the item names cannot be computed.
    """
    before, after = model.signature.inputs[0], model.signature.outputs[0]
    inputs = given if isinstance(given, xr.Dataset) else next(iter(given.values()))
    found = align(_one_array(inputs, model.description), before, model.description)
    run = _runner(model)
    if found.array.chunks is None:
        if overlap:
            raise DataError("overlap is for blocks, and the values are no array of Dask: leave it out, or .chunk() it")
        values: Any = run(found.array.values)
    else:
        from modelstac.registry.running.blocks import predict_blocks

        spans = {found.names.get(name, name): size for name, size in overlap.items()}
        values = predict_blocks(run, found.array, found.names, before, after, overlap=spans)
    return _labelled(values, found, model)


def _runner(model: Runnable) -> Any:
    before, after = model.signature.inputs[0], model.signature.outputs[0]
    post = getattr(model.description.outputs[0], "post_processing_function", None)
    owner = f"item {model.item.id!r}"

    def run(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        scaled = scale(values, before.scaling, before.dim_order, of=f"{owner}, input {before.name!r}")
        outputs = model.run({before.name: scaled})[after.name]
        return outputs if post is None else processed(outputs, _plain(post), of=f"{owner}, output {after.name!r}")

    return run


def _plain(functions: Any) -> Any:
    """Give typed processing expressions as the JSON that they came from."""
    if isinstance(functions, list | tuple):
        return [_plain(function) for function in functions]
    return functions.model_dump() if hasattr(functions, "model_dump") else functions


def _band_names(tensor: Any) -> list[str]:
    return [v if isinstance(v, str) else v.name for v in (*tensor.bands, *tensor.variables)]


def _one_array(inputs: xr.DataArray | xr.Dataset, description: ModelDescription) -> xr.DataArray:
    """Take the variables that the input names from a dataset."""
    if isinstance(inputs, xr.DataArray):
        return inputs
    source = description.inputs[0]
    names = _band_names(source)
    if not names and len(inputs.data_vars) == 1:
        names = [str(next(iter(inputs.data_vars)))]
    missing = [name for name in names if name not in inputs.data_vars]
    if missing or not names:
        found = ", ".join(map(str, inputs.data_vars)) or "none"
        raise DataError(f"input {source.name!r} needs the variables {', '.join(names) or 'of one'}; found {found}")
    if len(names) == 1:
        return inputs[names[0]]
    axis = next((name for name in source.input.dim_order if name in BAND_AXES), "variables")
    return inputs[names].to_array(dim=axis)


def align(array: xr.DataArray, layout: TensorSignature, description: ModelDescription) -> Aligned:
    """Bring an array into the order of the model's dimensions.

    Raises
    ------
    DataError
        If a dimension is missing or unknown, bands are others than the model's, or times are not evenly the model's.
    """
    names = {}
    for dim, size in zip(layout.dim_order, layout.shape, strict=True):
        candidates = [name for name in (dim, *ALIASES.get(dim, ())) if name in array.dims]
        if candidates:
            names[dim] = candidates[0]
        elif dim not in SINGLE or size not in (1, -1):
            raise _unlike(array, layout, f"there is no dimension {dim!r}")
    if unknown := [str(name) for name in array.dims if name not in names.values()]:
        raise _unlike(array, layout, f"the dimension {unknown[0]!r} is none of them")
    added = [dim for dim in layout.dim_order if dim not in names]
    array = _by_time(array, names.get("time"), description)
    for dim in added:
        array = array.expand_dims(dim)
    names |= {dim: dim for dim in added}
    array = array.transpose(*(names[dim] for dim in layout.dim_order))
    return Aligned(_by_band(array, names, layout, description), names, frozenset(added))


def _unlike(array: xr.DataArray, layout: TensorSignature, reason: str) -> DataError:
    found = ", ".join(f"{name} {size}" for name, size in array.sizes.items())
    return DataError(f"input {layout.name!r} is {layout}; found ({found}): {reason}; rename or select")


def _by_band(
    array: xr.DataArray, names: Mapping[str, str], layout: TensorSignature, description: ModelDescription
) -> xr.DataArray:
    """Put bands that are labelled into the model's order."""
    declared = _band_names(description.inputs[0])
    axis = next((names[name] for name in layout.dim_order if name in BAND_AXES), None)
    if axis is None or not declared or axis not in array.coords or array[axis].dtype.kind not in "UOT":
        return array
    labels = [str(label) for label in array[axis].values]
    if sorted(labels) != sorted(declared):
        raise DataError(
            f"input {layout.name!r} has the {axis} {', '.join(declared)}; found {', '.join(labels)}: select those"
        )
    return array if labels == declared else array.sel({axis: declared})


def _by_time(array: xr.DataArray, axis: str | None, description: ModelDescription) -> xr.DataArray:
    """Order frames by their times, as the model reads them, and check that they are evenly apart."""
    preparation = description.hyperparameters.get("preparation")
    newest_first = isinstance(preparation, dict) and preparation.get("newest_first") is True
    if axis is None:
        return array
    if axis not in array.coords or array[axis].dtype.kind != "M":
        if newest_first:
            raise DataError(f"the model reads the newest frame first: give the times as coordinate {axis!r}")
        return array
    times = pd.DatetimeIndex(array[axis].values)
    if times.hasnans or times.has_duplicates:
        raise DataError(f"the times {axis!r} have gaps or the same time twice: give every frame its time")
    step, steps = _step(description), times.sort_values()[1:] - times.sort_values()[:-1]
    if step is not None and len(steps) and not (steps == step).all():
        odd = steps[steps != step][0]
        raise DataError(f"the model reads frames {step} apart; found two that are {odd} apart: select or resample")
    wanted = np.argsort(times.values)
    wanted = wanted[::-1] if newest_first else wanted
    return array if (wanted == np.arange(len(wanted))).all() else array.isel({axis: wanted})


def _step(description: ModelDescription) -> pd.Timedelta | None:
    """Read the time from frame to frame of the training data."""
    return _duration(description.cube_dimensions.get("time", {}).get("step"), description)


def _duration(text: object, description: ModelDescription) -> pd.Timedelta | None:
    if text is None:
        return None
    try:
        return pd.Timedelta(str(text))
    except ValueError as error:
        raise InvalidItemError(f"item {description.id!r}: {text!r} is no duration, such as PT5M") from error


def _labelled(values: Any, found: Aligned, model: Runnable) -> xr.DataArray:
    """Name the output's dimensions as the data do, and give it the coordinates that are known."""
    source = found.array
    output = model.description.outputs[0]
    layout = model.signature.outputs[0]
    names = [found.names.get(dim, dim) for dim in layout.dim_order]
    sizes = dict(zip(names, values.shape, strict=True))
    kept = {name for name in names if name in source.dims and source.sizes[name] == sizes[name]}
    times = found.names.get("time")
    coordinates = {
        name: coordinate
        for name, coordinate in source.coords.items()
        if set(coordinate.dims) <= kept and times not in coordinate.dims and name not in found.added
    }
    if times in sizes and times in source.coords and source[times].dtype.kind == "M":
        lead = _duration((output.model_extra or {}).get(LEAD_TIME), model.description)
        if lead is not None:
            after = source[times].values.max() + lead.to_timedelta64() * np.arange(1, sizes[times] + 1)
            coordinates[times] = (times, after, source[times].attrs)
        coordinates = {k: v for k, v in coordinates.items() if times not in getattr(v, "dims", ()) or k == times}
    bands = _band_names(output)
    axis = next((i for i, dim in enumerate(layout.dim_order) if dim in BAND_AXES), None)
    if axis is not None and sizes[names[axis]] == len(bands):
        coordinates[names[axis]] = (names[axis], bands)
    attributes = {"item": model.item.id}
    physical = getattr(output, "post_processing_function", None) is not None
    if physical and len(bands) == 1 and (unit := model.description.cube_variables.get(bands[0], {}).get("unit")):
        attributes["units"] = unit
    name = bands[0] if len(bands) == 1 else layout.name
    result = xr.DataArray(values, coordinates, names, name, attributes)
    dropped = [names[i] for i, dim in enumerate(layout.dim_order) if dim in found.added and values.shape[i] == 1]
    return result.squeeze(dropped, drop=True)
