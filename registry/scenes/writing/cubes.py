"""Zarr (format 3) and NetCDF-4 by the CF conventions (1.11): layers as variables, in groups where their grids differ.

A grid whose rows and columns run along its axes has coordinates of its pixel centres; a rotated one has none (they
would be two-dimensional), and lies where ``GeoTransform`` of its grid mapping says, which GDAL and rioxarray read.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from modelstac.catalog.errors import DataError, MissingPackageError, StorageError
from modelstac.registry.running.labels.systems import has_meridians
from modelstac.registry.scenes.rasters import Layer, Raster
from modelstac.registry.scenes.writing.layers import distinct, file_name, pixels, stored, windows, words
from modelstac.registry.scenes.writing.outputs import ADVICE, Target
from modelstac.registry.scenes.writing.places import crs_of, is_straight

if TYPE_CHECKING:
    import xarray as xr
    from odc.geo.geobox import GeoBox

CONVENTIONS = "CF-1.11"
MAPPING = "spatial_ref"
"""Name of the grid mapping: rioxarray's and GDAL's."""
_CHUNK = 1024
_TAKEN = frozenset({"x", "y", "band", MAPPING})
_GLOBAL = {"model": "source", "software": "history"}
"""What CF calls our tags (section 2.6.2)."""


@dataclass(frozen=True)
class _Part:
    """A variable: where it is, what describes it, and what its pixels come from."""

    group: str | None
    name: str
    raster: Raster
    layer: Layer


def write_zarr(rasters: Sequence[Raster], path: Path, *, tags: Mapping[str, str], target: Target | None = None) -> None:
    """Write layers as a Zarr store, which is a folder.

    Raises
    ------
    StorageError
        If it cannot be written.
    DataError
        If a layer cannot be.
    """
    zarr = _package("zarr")
    with _explained(target or path):
        parts = _arranged(rasters)
        for group, dataset, encoding in _datasets(parts, tags):
            with warnings.catch_warnings():
                # Text is in no final specification of Zarr 3 yet; readers of today read it.
                warnings.simplefilter("ignore")
                dataset.to_zarr(
                    path, group=group, mode="a", zarr_format=3, encoding=encoding, compute=False, consolidated=False
                )
        for part in parts:
            array = zarr.open_group(path, mode="r+", path=part.group or "", zarr_format=3)[part.name]
            _fill(part, array)
        with warnings.catch_warnings():
            # All metadata in one document, which is in no final specification either: one request opens the store.
            warnings.simplefilter("ignore")
            zarr.consolidate_metadata(path, zarr_format=3)


def write_netcdf(
    rasters: Sequence[Raster], path: Path, *, tags: Mapping[str, str], target: Target | None = None
) -> None:
    """Write layers as a NetCDF-4 file.

    Raises
    ------
    StorageError
        If it cannot be written.
    DataError
        If a layer cannot be.
    """
    netcdf = _package("netCDF4")
    with _explained(target or path):
        parts = _arranged(rasters)
        for i, (group, dataset, encoding) in enumerate(_datasets(parts, tags)):
            stored_as = {name: _of_netcdf(given) for name, given in encoding.items()}
            dataset.to_netcdf(
                path, mode="a" if i else "w", group=group, engine="netcdf4", encoding=stored_as, compute=False
            )
        with netcdf.Dataset(path, "r+") as file:
            file.set_auto_maskandscale(False)
            for part in parts:
                _fill(part, (file[part.group] if part.group else file)[part.name])


def _of_netcdf(encoding: Mapping[str, Any]) -> dict[str, Any]:
    found = {key: value for key, value in encoding.items() if key not in {"chunks", "fill_value"}}
    if "chunks" in encoding:
        found |= {"chunksizes": encoding["chunks"], "zlib": True, "complevel": 4, "shuffle": True}
    return found


def _fill(part: _Part, array: Any) -> None:
    """Copy pixels chunk by chunk: the windows are whole chunks, so that each is written once."""
    for rows, columns in windows(part.layer, _CHUNK):
        values = pixels(part.raster, (rows, columns), part.layer.dtype)
        if values.shape[0] == 1 and len(array.shape) == 2:
            array[rows, columns] = values[0]
        else:
            array[:, rows, columns] = values


def _arranged(rasters: Sequence[Raster]) -> list[_Part]:
    layers = [stored(raster.layer) for raster in rasters]
    alone = all(layer.grid == layers[0].grid for layer in layers)
    alone = alone and len({layer.bands for layer in layers if len(layer.bands) > 1}) <= 1
    names = distinct(f"{name}_values" if name in _TAKEN else name for name in (file_name(one.name) for one in layers))
    return [
        _Part(None if alone else name, name, raster, layer)
        for name, raster, layer in zip(names, rasters, layers, strict=True)
    ]


def _datasets(
    parts: Sequence[_Part], tags: Mapping[str, str]
) -> Iterator[tuple[str | None, xr.Dataset, dict[str, Any]]]:
    """Give the datasets of the groups, without their pixels, and how they are encoded."""
    import xarray as xr

    attrs = {"Conventions": CONVENTIONS} | {_GLOBAL.get(key, key): text for key, text in tags.items()}
    if any(part.group for part in parts):
        yield None, xr.Dataset(attrs=attrs), {}
    for group in dict.fromkeys(part.group for part in parts):
        within = [part for part in parts if part.group == group]
        variables = {part.name: _variable(part.layer) for part in within}
        widest = max((part.layer for part in within), key=lambda layer: len(layer.bands))
        dataset = xr.Dataset(variables, _coordinates(widest), {} if group else attrs)
        encoding: dict[str, Any] = {name: {"_FillValue": None} for name in dataset.coords if name in {"x", "y"}}
        for part in within:
            chunks = tuple(min(_CHUNK, size) for size in part.layer.grid.shape)
            chunks = chunks if len(part.layer.bands) == 1 else (1, *chunks)
            fill = None if part.layer.nodata is None else np.dtype(part.layer.dtype).type(part.layer.nodata)
            encoding[part.name] = {"chunks": chunks, "dtype": part.layer.dtype, "_FillValue": fill}
            if fill is not None:
                encoding[part.name]["fill_value"] = fill
        yield group, dataset, encoding


def _variable(layer: Layer) -> Any:
    import dask.array
    import xarray as xr

    dims: tuple[str, ...] = ("y", "x")
    shape: tuple[int, ...] = tuple(layer.grid.shape)
    if len(layer.bands) > 1:
        dims, shape = ("band", *dims), (len(layer.bands), *shape)
    attrs: dict[str, Any] = {"long_name": layer.name, "grid_mapping": MAPPING}
    if layer.unit:
        attrs["units"] = layer.unit
    if layer.classes:
        attrs |= _flags(layer)
    # Only the form: nothing of it is computed.
    return xr.Variable(dims, dask.array.zeros(shape, dtype=layer.dtype, chunks=-1), attrs)


def _flags(layer: Layer) -> dict[str, Any]:
    """Return what CF calls flags (section 3.5): values, and their meanings as words without blanks."""
    return {
        "flag_values": np.array([found.value for found in layer.classes], layer.dtype),
        "flag_meanings": " ".join(words(layer.classes)),
        "flag_colors": " ".join(str(found.color) for found in layer.classes),
    }


def _coordinates(layer: Layer) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if is_straight(layer.grid):
        found |= _centres(layer.grid)
    if len(layer.bands) > 1:
        found["band"] = ("band", np.array(distinct(layer.bands), object), {"long_name": "band"})
    a, b, c, d, e, f = layer.grid.affine[:6]
    attrs: dict[str, Any] = {}
    if layer.grid.crs is not None:
        attrs = crs_of(layer.grid).to_cf()
        attrs["spatial_ref"] = attrs["crs_wkt"]
    attrs["GeoTransform"] = " ".join(repr(float(number)) for number in (c, a, b, f, d, e))
    found[MAPPING] = ((), np.int32(0), attrs)
    return found


def _centres(grid: GeoBox) -> dict[str, Any]:
    a, _, c, _, e, f = grid.affine[:6]
    x = c + a * (np.arange(grid.shape[1]) + 0.5)
    y = f + e * (np.arange(grid.shape[0]) + 0.5)
    crs = None if grid.crs is None else crs_of(grid)
    if crs is not None and crs.is_geographic:
        names = {"x": ("longitude", "degrees_east"), "y": ("latitude", "degrees_north")}
        if not has_meridians(crs):
            names = {axis: (f"grid_{name}", "degrees") for axis, (name, _) in names.items()}
    else:
        unit = _unit_name(crs)
        names = {axis: (f"projection_{axis}_coordinate", unit) for axis in ("x", "y")}
    return {
        axis: (axis, values, {"standard_name": names[axis][0], "units": names[axis][1], "axis": axis.upper()})
        for axis, values in (("x", x), ("y", y))
    }


def _unit_name(crs: Any) -> str:
    name = crs.axis_info[0].unit_name if crs is not None and crs.axis_info else "metre"
    return {"metre": "m", "kilometre": "km"}.get(name, name.replace(" ", "_"))


def _package(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise MissingPackageError.extra(name, "scenes", "writing this map") from error


@contextmanager
def _explained(name: Target) -> Iterator[None]:
    """Turn what the libraries raise when they cannot write into one line."""
    try:
        yield
    except (DataError, StorageError, MissingPackageError):
        raise
    except OSError as error:
        raise StorageError.doing(f"write {name}", error, advice=ADVICE) from error
    except RuntimeError as error:  # netCDF4's
        raise StorageError(f"cannot write {name}: {' '.join(str(error).split())}; {ADVICE}") from error
