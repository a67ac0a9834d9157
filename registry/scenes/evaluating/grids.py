"""Maps and labels as rasters on one grid: opened, laid onto each other, and read with what their masks leave out."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from modelstac.catalog.errors import DataError, MissingPackageError
from modelstac.registry.running.labels.units import converted, is_same
from modelstac.registry.scenes.evaluating.cubes import bands_of_cube, flags_of_cube
from modelstac.registry.scenes.rasters import Class
from modelstac.registry.scenes.reading.finding.files import unit_of
from modelstac.registry.scenes.reading.finding.handles import settings
from modelstac.registry.scenes.reading.finding.masks import Missing, alpha_of
from modelstac.registry.scenes.reading.finding.parts import Numbers, Stored, is_cube
from modelstac.registry.scenes.reading.fitting.resampling import Onto

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox
    from rasterio.io import DatasetReader

    from modelstac.registry.scenes.rasters import Raster, Window
    from modelstac.registry.scenes.reading.finding.parts import Offer

_TAG = "CLASS_"
_VECTORS = frozenset({".geojson", ".json", ".gpkg", ".shp", ".parquet", ".fgb", ".kml", ".gml"})
Read = tuple[NDArray[Any], NDArray[np.bool_]]
"""Values of a window, and where there are any."""


@dataclass(frozen=True)
class Rules:
    """How maps and labels are compared.

    Parameters
    ----------
    ignore
        Values of labels, as their file stores them, that count as none.
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
class Band:
    """One band of a map or of labels, wherever its pixels are: its name, grid and unit, and what reads a window."""

    name: str
    grid: GeoBox
    read: Callable[[Window], Read]
    unit: str | None = None


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
        from rasterio.errors import NotGeoreferencedWarning, RasterioError
    except ModuleNotFoundError as error:
        raise MissingPackageError.extra(str(error.name), "scenes", "evaluating maps") from error
    try:
        with settings(), warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)  # whoever needs its place refuses that
            raster = rasterio.open(path)
    except RasterioError as error:
        if Path(path).suffix.lower() in _VECTORS:
            raise DataError(
                f"the {what} {path} cannot be read as a raster, as its ending is that of polygons: burn the number of "
                "each class onto the grid of the map first, with gdal_rasterize -a"
            ) from error
        raise DataError(f"the {what} {path} cannot be read as a raster: {' '.join(str(error).split())}") from error
    stack.enter_context(raster)
    if not raster.count:
        inside = f", such as {raster.subdatasets[0]}" if raster.subdatasets else ""
        raise DataError(f"the {what} {path} has no bands of its own: name one of its parts{inside}")
    return raster


def classes_of_file(path: str | Path, band: int | None = None, *, what: str = "map") -> tuple[Class, ...]:
    """Return the classes that a raster names in its tags, ``CLASS_<value>``, as ours do; none where it names none."""
    if is_cube(str(path)):
        return flags_of_cube(path)
    with ExitStack() as stack:
        tags = opened(stack, path, what).tags(band or 1)
    named = {key.removeprefix(_TAG): name for key, name in tags.items() if key.startswith(_TAG)}
    return tuple(sorted((Class(int(v), n) for v, n in named.items() if v.lstrip("-").isdigit()), key=lambda c: c.value))


def labels_of_file(stack: ExitStack, path: str | Path, rules: Rules, *, numbers: bool = False) -> Band:
    """Open labels, which are one band; a second one may be a mask. Of ``numbers``, as scale and offset make them.

    Raises
    ------
    DataError
        If they are none, or several.
    """
    cube = bands_of_cube(path)
    raster = None if cube else opened(stack, path, "labels")
    shown = len(cube or ()) if raster is None else raster.count - bool(alpha_of(raster))
    if shown > 1:
        raise DataError(f"the labels {path} have {shown} bands, and nobody can tell which is meant: give a file of one")
    if cube:
        return _of_cube(cube[0], str(path), numbers, rules.ignore)
    assert raster is not None
    return _of_file(raster, 1, str(path), numbers, rules.ignore)


def map_of_file(stack: ExitStack, path: str | Path, rules: Rules, *, numbers: bool = False) -> Band:
    """Open a map that is a file; of ``numbers`` as its scale and offset make them."""
    if cube := bands_of_cube(path):
        return _of_cube(cube[_band(len(cube), rules, str(path)) - 1], str(path), numbers)
    raster = opened(stack, path, "map")
    return _of_file(raster, _band(raster.count, rules, str(path)), str(path), numbers)


def map_of_layer(raster: Raster, rules: Rules, name: str) -> Band:
    """Take a map as it comes from a model."""
    layer = raster.layer
    band = _band(len(layer.bands), rules, name or layer.name)

    def read(window: Window) -> Read:
        values = raster.read(window)[band - 1]
        there = np.ones(values.shape, bool) if layer.nodata is None else values != layer.nodata
        return values, there & np.isfinite(values) if values.dtype.kind == "f" else there

    return Band(name or layer.name, layer.grid, read, layer.unit)


def on_grid(labels: Band, ours: Band, *, resample: bool) -> Band:
    """Give labels on the grid of a map: as they are where pixels meet, or the nearest where that was asked.

    Raises
    ------
    DataError
        If they lie on another grid, or nobody says where.
    """
    if ours.grid.crs is None or labels.grid.crs is None:
        if ours.grid == labels.grid:
            return labels
        without = ours.name if ours.grid.crs is None else labels.name
        raise DataError(f"{without} does not say where it lies (no CRS): maps and labels are compared by their place")
    onto = Onto(_Part(labels), ours.grid, "nearest")
    if not onto.is_direct and not resample:
        raise DataError(
            f"the labels {labels.name} lie on another grid ({_told(labels.grid)}) than the map ({_told(ours.grid)}): "
            "bring them onto it, or let --resample nearest do it"
        )

    def read(window: Window) -> Read:
        values, missing = onto.read((0,), window)
        return values[0], np.ones(values[0].shape, bool) if missing is None else ~missing[0]

    return Band(labels.name, ours.grid, read, labels.unit)


def in_unit(labels: Band, ours: Band) -> Band:
    """Give labels in the unit of a map, where both say one.

    Raises
    ------
    DataError
        If theirs does not become it.
    """
    if labels.unit is None or ours.unit is None or is_same(labels.unit, ours.unit):
        return labels
    import xarray as xr

    def read(window: Window) -> Read:
        values, there = labels.read(window)
        try:
            found = converted(xr.DataArray(values, dims=("y", "x")), labels.unit, ours.unit, of=labels.name)
        except DataError as error:
            raise DataError(
                f"the labels {labels.name} are in {labels.unit!r} and the map {ours.name} in {ours.unit!r}, which they "
                "cannot become here: convert them, and name their unit as the map does"
            ) from error
        return found.values, there & np.isfinite(found.values)

    return replace(labels, read=read, unit=ours.unit)


class _Part:
    """Labels as what can be brought onto another grid."""

    def __init__(self, labels: Band) -> None:
        self.name, self.grid, self._labels = labels.name, labels.grid, labels
        corner = (slice(0, 1), slice(0, 1))
        self.stored: tuple[Stored, ...] = (Stored(labels.read(corner)[0].dtype.name),)

    def read(self, bands: tuple[int, ...], rows: slice, columns: slice) -> tuple[NDArray[Any], NDArray[Any]]:
        assert bands == (0,)
        values, known = self._labels.read((rows, columns))
        return values[None], ~known[None]


def _of_file(raster: DatasetReader, band: int, name: str, numbers: bool, ignore: Collection[float] = ()) -> Band:
    from odc.geo.geobox import GeoBox

    missing = Missing.of(raster)
    said = Numbers(raster.scales[band - 1], raster.offsets[band - 1], None, unit_of(raster, band))
    grid = GeoBox((raster.height, raster.width), raster.transform, raster.crs)
    stored = Band(name, grid, lambda window: _read(raster, missing, band, window, name))
    return _meant(stored, said if numbers else Numbers(), ignore)


def _of_cube(offer: Offer, name: str, numbers: bool, ignore: Collection[float] = ()) -> Band:
    part = offer.open()

    def read(window: Window) -> Read:
        values, missing = part.read((offer.number,), *window)
        return values[0], np.ones(values[0].shape, bool) if missing is None else ~missing[0]

    said = part.stored[offer.number].numbers
    return _meant(Band(name, part.grid, read), said if numbers else Numbers(), ignore)


def _meant(stored: Band, said: Numbers, ignore: Collection[float]) -> Band:
    """Give a band of what is stored, without ignored values, as its scale and offset make them."""
    scale, offset = 1.0 if said.scale is None else said.scale, said.offset or 0.0

    def read(window: Window) -> Read:
        values, there = stored.read(window)
        if len(ignore):
            there &= ~np.isin(values, _of_type(ignore, values.dtype))
        if (scale, offset) != (1.0, 0.0):
            values = values * np.float64(scale) + offset
        return values, there & np.isfinite(values) if values.dtype.kind == "f" else there

    return replace(stored, read=read, unit=said.unit)


def _of_type(values: Collection[float], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return those of some values that a type has, in it: -999.9 is another number in 32 bits than in 64."""
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return np.array([*values], np.float64).astype(dtype)
    info = np.iinfo(dtype)
    return np.array([int(one) for one in values if info.min <= one <= info.max and float(one).is_integer()], dtype)


def _read(raster: DatasetReader, missing: Missing, band: int, window: Window, name: str) -> Read:
    """Read a window of a file, and where there is anything.

    Raises
    ------
    DataError
        If it cannot be read, or holds complex numbers.
    """
    from rasterio.errors import RasterioError
    from rasterio.windows import Window as Place

    place = Place.from_slices(*window)
    try:
        values = raster.read([band], window=place)
        gone = None if values.dtype.kind == "c" else missing.read(raster, (band - 1,), place, values)
    except RasterioError as error:
        where = f"row {window[0].start}, column {window[1].start}"
        raise DataError(f"{name} cannot be read at {where}: {' '.join(str(error).split())}") from error
    if values.dtype.kind == "c":
        raise DataError(f"{name} has complex numbers, which are neither classes nor numbers of a map")
    return values[0], np.ones(values[0].shape, bool) if gone is None else ~gone[0]


def _band(count: int, rules: Rules, name: str) -> int:
    if rules.band is None and count > 1:
        raise DataError(f"the map {name} has {count} bands: say which one is evaluated (--band)")
    if rules.band is not None and not 1 <= rules.band <= count:
        raise DataError(f"the map {name} has no band {rules.band}: its bands are 1 to {count}")
    return rules.band or 1


def _told(grid: GeoBox) -> str:
    t = grid.affine
    across, down = math.hypot(t.a, t.d), math.hypot(t.b, t.e)
    size = f"{across:.7g}" if math.isclose(across, down) else f"{across:.7g} x {down:.7g}"
    code = grid.crs.to_epsg() if grid.crs is not None else None
    height, width = grid.shape
    system = f"EPSG:{code}" if code else "another CRS"
    return f"{system}, {width} x {height} pixels of {size} from {t.c:.10g}, {t.f:.10g}"
