"""Maps and labels as rasters on one grid: opened, laid onto each other, and read with what their masks leave out."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from modelstac.catalog.errors import DataError, MissingPackageError
from modelstac.registry.scenes.rasters import Class

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

    from modelstac.registry.scenes.rasters import Raster

_ALIGNED = 1e-3  # pixels
_TAG = "CLASS_"
PLAIN = (1.0, 0.0)
"""Scale and offset of numbers that are stored as they are meant."""
Read = tuple[NDArray[Any], NDArray[np.bool_]]
"""Values of a window, and where there are any."""


@dataclass(frozen=True)
class Rules:
    """How maps and labels are compared.

    Parameters
    ----------
    ignore
        Values of labels that count as none.
    translate
        Values of labels that stand for another value of the map.
    resample
        Whether labels on another grid are brought onto that of the map, by nearest neighbour.
    band
        Of the map, from 1; needed where it has several.
    """

    ignore: Collection[float] = ()
    translate: Mapping[int, int] = field(default_factory=dict)
    resample: bool = False
    band: int | None = None


@dataclass(frozen=True, eq=False)
class Map:
    """One band of a map, wherever its pixels are: its name and grid, and what reads a window of it."""

    name: str
    crs: Any
    transform: Any
    width: int
    height: int
    read: Callable[[Any], Read]


def opened(stack: ExitStack, path: str | Path, what: str) -> DatasetReader:
    """Open a raster until the stack is left.

    Raises
    ------
    DataError
        If it is none.
    MissingPackageError
        If rasterio is not installed.
    """
    try:
        import rasterio
        from rasterio.errors import RasterioError
    except ModuleNotFoundError as error:
        raise MissingPackageError.extra(str(error.name), "scenes", "evaluating maps") from error
    try:
        raster = rasterio.open(path)
    except RasterioError as error:
        raise DataError(f"the {what} {path} cannot be read as a raster: {' '.join(str(error).split())}") from error
    return stack.enter_context(raster)


def classes_of_file(path: str | Path, band: int | None = None) -> tuple[Class, ...]:
    """Return the classes that a map names in its tags, ``CLASS_<value>``, as ours do; none where it names none."""
    with ExitStack() as stack:
        tags = opened(stack, path, "map").tags(band or 1)
    named = {key.removeprefix(_TAG): name for key, name in tags.items() if key.startswith(_TAG)}
    return tuple(sorted((Class(int(v), n) for v, n in named.items() if v.lstrip("-").isdigit()), key=lambda c: c.value))


def labels_of_file(stack: ExitStack, path: str | Path) -> DatasetReader:
    """Open labels, which are one band; a second one may be a mask.

    Raises
    ------
    DataError
        If they are none, or several.
    """
    raster = opened(stack, path, "labels")
    shown = [kind for kind in raster.colorinterp if kind.name != "alpha"]
    if len(shown) > 1:
        raise DataError(
            f"the labels {path} have {len(shown)} bands, and nobody can tell which is meant: give a file of one"
        )
    return raster


def map_of_file(stack: ExitStack, path: str | Path, rules: Rules, *, numbers: bool = False) -> Map:
    """Open a map that is a file; of ``numbers`` as its scale and offset make them."""
    raster = opened(stack, path, "map")
    band = _band(raster.count, rules, str(path))
    factors = factors_of(raster, band) if numbers else PLAIN
    return Map(
        str(path),
        raster.crs,
        raster.transform,
        raster.width,
        raster.height,
        lambda window: read(raster, band, window, str(path), factors),
    )


def factors_of(raster: Any, band: int) -> tuple[float, float]:
    """Return scale and offset, which make of stored numbers those that are meant."""
    return float(raster.scales[band - 1]), float(raster.offsets[band - 1])


def map_of_layer(raster: Raster, rules: Rules, name: str) -> Map:
    """Take a map as it comes from a model."""
    from rasterio.crs import CRS

    layer = raster.layer
    band = _band(len(layer.bands), rules, name or layer.name)
    crs = None if layer.grid.crs is None else CRS.from_wkt(layer.grid.crs.to_wkt())

    def read_window(window: Any) -> Read:
        values = raster.read(window.toslices())[band - 1]
        there = np.ones(values.shape, bool) if layer.nodata is None else values != layer.nodata
        return values, there & np.isfinite(values) if values.dtype.kind == "f" else there

    height, width = layer.grid.shape
    return Map(name or layer.name, crs, layer.grid.affine, int(width), int(height), read_window)


def on_grid(stack: ExitStack, labels: DatasetReader, ours: Map, *, resample: bool) -> Any:
    """Give labels on the grid of a map: as they are, cut out where pixels meet, or resampled where that was asked.

    Raises
    ------
    DataError
        If they lie on another grid, or nobody says where.
    """
    from rasterio.enums import Resampling
    from rasterio.vrt import WarpedVRT

    size = (labels.width, labels.height) == (ours.width, ours.height)
    if ours.crs is None or labels.crs is None:
        if ours.crs is labels.crs and size and ours.transform == labels.transform:
            return labels
        without = ours.name if ours.crs is None else labels.name
        raise DataError(f"{without} does not say where it lies (no CRS): maps and labels are compared by their place")
    meets = ours.crs == labels.crs and _pixels_meet(ours, labels)
    if meets and size and [round(n) for n in _offset(ours, labels)] == [0, 0]:
        return labels
    if not meets and not resample:
        raise DataError(
            f"the labels {labels.name} lie on another grid ({_told(labels)}) than the map ({_told(ours)}): "
            "bring them onto it, or let --resample nearest do it"
        )
    return stack.enter_context(
        WarpedVRT(
            labels,
            crs=ours.crs,
            transform=ours.transform,
            width=ours.width,
            height=ours.height,
            resampling=Resampling.nearest,
            add_alpha=labels.nodata is None,
        )
    )


def read(raster: Any, band: int, window: Any, path: str, factors: tuple[float, float] = PLAIN) -> Read:
    """Read a window of a file: stored numbers times the first factor, plus the second.

    Raises
    ------
    DataError
        If it cannot be read, or holds complex numbers.
    """
    from rasterio.errors import RasterioError

    try:
        values, mask = raster.read(band, window=window), raster.read_masks(band, window=window) != 0
    except RasterioError as error:
        place = f"row {window.row_off}, column {window.col_off}"
        raise DataError(f"{path} cannot be read at {place}: {' '.join(str(error).split())}") from error
    if values.dtype.kind == "c":
        raise DataError(f"{path} has complex numbers, which are neither classes nor numbers of a map")
    if factors != PLAIN:
        values = values * np.float64(factors[0]) + factors[1]
    return values, mask & np.isfinite(values) if values.dtype.kind == "f" else mask


def _band(count: int, rules: Rules, name: str) -> int:
    if rules.band is None and count > 1:
        raise DataError(f"the map {name} has {count} bands: say which one is evaluated (--band)")
    if rules.band is not None and not 1 <= rules.band <= count:
        raise DataError(f"the map {name} has no band {rules.band}: its bands are 1 to {count}")
    return rules.band or 1


def _pixels_meet(ours: Map, labels: DatasetReader) -> bool:
    size = max(ours.width, ours.height, labels.width, labels.height)
    a, b = ours.transform, labels.transform
    scale = max(abs(a.a), abs(a.b), abs(a.d), abs(a.e))
    alike = all(abs(getattr(a, n) - getattr(b, n)) * size < _ALIGNED * scale for n in "abde")
    return alike and all(abs(n - round(n)) < _ALIGNED for n in _offset(ours, labels))


def _offset(ours: Map, labels: DatasetReader) -> tuple[float, float]:
    """Return where labels begin on the grid of a map: column and row."""
    t = ours.transform
    east, south = labels.transform.c - t.c, labels.transform.f - t.f
    det = t.a * t.e - t.b * t.d
    return (t.e * east - t.b * south) / det, (t.a * south - t.d * east) / det


def _told(raster: Any) -> str:
    t = raster.transform
    across, down = math.hypot(t.a, t.d), math.hypot(t.b, t.e)
    size = f"{across:g}" if math.isclose(across, down) else f"{across:g} x {down:g}"
    code = raster.crs.to_epsg()
    return f"{f'EPSG:{code}' if code else 'another CRS'}, {raster.width} x {raster.height} pixels of {size}"
