"""Rasters in files that GDAL reads: GeoTIFF, VRT, JPEG 2000 and others, on a disk or over a network."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelstac.catalog.errors import DataError
from modelstac.registry.running.labels.systems import called
from modelstac.registry.running.labels.units import UNITS, said
from modelstac.registry.scenes.reading.finding import landsat
from modelstac.registry.scenes.reading.finding.handles import Handles, settings
from modelstac.registry.scenes.reading.finding.masks import Missing, nodata_of
from modelstac.registry.scenes.reading.finding.names import file_name, of_file, times_of_file
from modelstac.registry.scenes.reading.finding.parts import (
    Numbers,
    Offer,
    Origin,
    Stored,
    Values,
    is_remote,
    plain,
    shown,
)
from modelstac.registry.scenes.reading.finding.sentinel import (
    NODATA,
    QUANTIFICATION,
    is_reflectance,
    of_file_name,
    of_path,
)

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox
    from rasterio.io import DatasetReader

_MEDIA_TYPES = {"GTiff": "image/tiff; application=geotiff", "JP2OpenJPEG": "image/jp2", "PNG": "image/png"}


_HDF4 = b"\x0e\x03\x13\x01"
_CLASS = re.compile(r"CLASS_-?\d+")
_PART = re.compile(r'[A-Z0-9_]+:"?([^":]+)"?:')
"""How GDAL calls the variables of NetCDF and HDF: NETCDF:"scene.nc":red."""


class FilePart:
    """Bands of one file; see :class:`modelstac.registry.scenes.reading.finding.parts.Part`.

    Parameters
    ----------
    path, handles
        The file, and what opens it.
    crs
        Reference system, where the caller knows it better.
    otherwise
        Where the file says none.
    copies
        Where else it lies, if it cannot be opened there.
    names
        What its item calls its bands.

    Raises
    ------
    DataError
        If it cannot be opened, is no raster, lies nowhere, or holds complex numbers.
    """

    def __init__(
        self,
        path: str,
        handles: Handles,
        *,
        crs: Any = None,
        otherwise: str | None = None,
        copies: Sequence[str] = (),
        names: Sequence[str] = (),
    ) -> None:
        from rasterio.errors import NotGeoreferencedWarning

        self._handles, self.note = handles, ""
        self.path = path = self._first_there(path, copies)
        self.name = plain(path)
        with settings(**_remote(path)), warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)  # which is refused below
            with self._opened() as dataset:
                self._check(dataset)
                self.grid = _grid(dataset, self.name, crs or dataset.crs or otherwise)
                self.bands, self.times = of_file(dataset, path), times_of_file(dataset, path)
                self.stored = tuple(self._stored(dataset, number) for number in range(1, dataset.count + 1))
                self._missing = Missing.of(dataset, names)
                self.shown = tuple(number for number in range(dataset.count) if number != self._missing.alpha - 1)
                href = self.name if is_remote(path) or "://" not in path else next(iter(dataset.files), "")
                self.origin = Origin(href, _MEDIA_TYPES.get(dataset.driver), _identity(path, dataset.files))

    def read(self, bands: tuple[int, ...], rows: slice, columns: slice) -> tuple[Values, Values | None]:
        """Read a window."""
        from rasterio.errors import RasterioError
        from rasterio.windows import Window

        window = Window(columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start)
        with settings(**_remote(self.path)), self._opened() as dataset:
            try:
                values = dataset.read([band + 1 for band in bands], window=window)
                return values, self._missing.read(dataset, bands, window, values)
            except (RasterioError, OSError, ValueError, MemoryError) as error:
                reason = _reason(error)
                raise DataError(
                    f"cannot read {self.name}, {shown(rows, columns)}: {reason}: the file may be cut off; fetch it "
                    "again, or leave out what cannot be read (--skip-errors)"
                ) from error

    def _first_there(self, path: str, copies: Sequence[str]) -> str:
        """Find the first place where it can be opened.

        Raises
        ------
        DataError
            If there is none; it tells of the first.
        """
        if not copies:
            return path
        errors: list[DataError] = []
        for self.path in (path, *copies):
            self.name = plain(self.path)
            try:
                with settings(**_remote(self.path)), self._opened():
                    self.note = f"{plain(path)} cannot be opened: its copy {self.name} is read" if errors else ""
                    return self.path
            except DataError as error:
                errors.append(error)
        raise errors[0]

    @contextmanager
    def _opened(self) -> Iterator[DatasetReader]:
        """Give a handle for as long as it is used."""
        from rasterio.errors import RasterioError

        try:
            dataset = self._handles.take(self.path)
        except (RasterioError, OSError, ValueError) as error:
            raise DataError(f"cannot open {self.name}: {self._why(error)}") from error
        try:
            yield dataset
        finally:
            self._handles.give_back(self.path, dataset)

    def _why(self, error: Exception) -> str:
        if not is_remote(self.path) and not self.path.startswith("/vsi"):
            path = Path(self.path)
            if (part := _PART.match(self.path)) is not None:
                return f"it is a part of a file in the words of GDAL: name the file, or a group of it, {part[1]}/GROUP"
            if not path.exists():
                return "there is no such file"
            if path.is_file() and not path.stat().st_size:
                return "it is empty"
            if path.is_file() and "not recognized" in str(error):
                with path.open("rb") as file:
                    head = file.read(16)
                if head.startswith(_HDF4):
                    return (
                        "it is HDF4, which this GDAL does not read: make a GeoTIFF of it with one that does "
                        "(gdal_translate of conda-forge or of a Linux distribution)"
                    )
                return (
                    f"it is no raster that GDAL reads here; it begins with {head!r}: name a GeoTIFF, VRT or JPEG 2000"
                )
        reason = _reason(error)
        return f"{reason}: the file may be cut off; fetch it again" if "TIFFReadDirectory" in reason else reason

    def _check(self, dataset: DatasetReader) -> None:
        if not dataset.count:
            inside = f", such as {dataset.subdatasets[0]}" if dataset.subdatasets else ""
            raise DataError(f"{self.name} has no bands of its own: name one of its parts{inside}")
        if not is_remote(self.path):
            far = next(
                (name for name in dataset.files if name.startswith(("/vsicurl", "/vsis3", "/vsigs", "/vsiaz"))), ""
            )
            if far:
                raise DataError(f"{self.name} reads {plain(far)} over the network: name that itself, if it is meant")

    def _stored(self, dataset: DatasetReader, number: int) -> Stored:
        scale, offset = float(dataset.scales[number - 1]), float(dataset.offsets[number - 1])
        says = (scale, offset) != (1.0, 0.0)
        nodata = nodata_of(dataset, number)
        numbers = Numbers(
            scale if says else None,
            offset if says else None,
            nodata,
            unit_of(dataset, number),
            not says and _has_classes(dataset, number),  # a picture of what is packed has a palette, too
            self.name if says else "",
        )
        return Stored(dataset.dtypes[number - 1], numbers)


def unit_of(dataset: DatasetReader, number: int) -> str | None:
    """Return the unit of a band: from GDAL's own field, or a tag, as of GRIB and of what was an array of xarray."""
    tags = dataset.tags() | dataset.tags(number)
    return said(dataset.units[number - 1] or next((tags[key] for key in UNITS if key in tags), None))


def offers_of_file(path: str, handles: Handles, owner: int, *, crs: Any = None) -> tuple[list[Offer], Origin, bool]:
    """Open a file and offer its bands, with what the name of a Sentinel-2 product says of them.

    Returns
    -------
    offers, origin, sentinel
        The last tells whether it is one of Sentinel-2.

    Raises
    ------
    DataError
        If it cannot be opened or used.
    """
    part = FilePart(path, handles, crs=crs)
    tile, (offset, source) = of_file_name(file_name(path)), of_path(path)
    sentinel = tile is not None or bool(source)
    offers = []
    for number in range(len(part.bands)):
        band, numbers = part.bands[number], Numbers()
        if sentinel and is_reflectance(band.name):
            numbers = replace(numbers, nodata=NODATA, counts=True)
            if offset is not None:
                numbers = replace(
                    numbers, scale=1 / QUANTIFICATION, offset=offset / QUANTIFICATION, source=f"Sentinel-2, {source}"
                )
        elif (known := landsat.of_file_name(file_name(path), band)) is not None:
            band, numbers = known
        label = f"{part.name}, band {number + 1}" if len(part.shown) > 1 else part.name
        offers.append(
            Offer(
                band,
                number,
                lambda: part,
                label,
                owner,
                file_name(path),
                numbers,
                part.times[number],
                tile[1] if tile else None,
                hidden=number not in part.shown,
            )
        )
    return offers, part.origin, sentinel


def _remote(path: str) -> dict[str, Any]:
    """Give the settings for a network, where looking for files beside one costs a request each."""
    return {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR"} if is_remote(path) else {}


def _grid(dataset: DatasetReader, name: str, system: Any) -> GeoBox:
    from odc.geo.geobox import GeoBox

    transform = dataset.transform
    if transform.is_identity:
        reason = "only ground control points" if dataset.gcps[0] else "no place"
        raise DataError(f"{name} says {reason}, so that a map of it would lie nowhere: warp it first, with gdalwarp")
    if not all(map(isfinite, transform[:6])) or not transform.determinant:
        numbers = ", ".join(f"{number:g}" for number in transform[:6])
        raise DataError(
            f"{name} says the transform ({numbers}), which places no pixel: correct it, with gdal_edit -a_ullr"
        )
    if not system:
        raise DataError(
            f"{name} says no reference system, so that a map of it would lie nowhere: name it, --crs EPSG:…"
        )
    grid: GeoBox = GeoBox((dataset.height, dataset.width), transform, _short(system))
    box = grid.boundingbox
    # Half a pixel beyond a pole is how global grids of points are written.
    if grid.crs.geographic and max(-box.bottom, box.top) > 90 + abs(transform.e):
        raise DataError(
            f"{name} reaches from {box.bottom:g} to {box.top:g} in degrees of latitude, by {called(grid.crs)}: it has "
            "another reference system, or another place; name the right one, --crs EPSG:…"
        )
    return grid


def _short(system: Any) -> Any:
    """Give a reference system by its number, where it has one and that is the same."""
    from rasterio.crs import CRS

    code = system.to_epsg() if isinstance(system, CRS) else None
    return f"EPSG:{code}" if code is not None and CRS.from_epsg(code) == system else system


def _has_classes(dataset: DatasetReader, number: int) -> bool:
    """Tell whether a band names things: it has a colour for each of its numbers, or names of them, as ours have."""
    named = any(_CLASS.fullmatch(key) for key in dataset.tags(number))
    return named or str(dataset.colorinterp[number - 1].name) == "palette"


def _identity(path: str, files: list[str]) -> dict[str, Any]:
    if is_remote(path):
        return {"path": plain(path)} | _stamp(path)
    found: dict[str, Any] = {"path": str(Path(path).absolute())}
    states = []
    for name in sorted({path, *files}):
        try:
            state = Path(name).stat()
        except OSError:
            continue
        states.append([str(Path(name).absolute()), state.st_size, state.st_mtime_ns])
    return found | {"files": states}


def _stamp(url: str) -> dict[str, str]:
    """Ask a server which state of a file it has; nothing where it does not say."""
    from http.client import HTTPException
    from urllib.request import Request, urlopen

    if not url.startswith(("http://", "https://")):
        return {}
    try:
        with urlopen(Request(url, method="HEAD"), timeout=30) as response:  # noqa: S310 - the scheme was looked at
            heads = {key: response.headers.get(key) for key in ("ETag", "Last-Modified", "Content-Length")}
    except (HTTPException, OSError, ValueError):
        return {}
    return {key: value for key, value in heads.items() if value}


def _reason(error: BaseException) -> str:
    """Say in half a line what GDAL says; the first cause is the most exact."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = " ".join(str(error).split()) or type(error).__name__
    return text.split("?")[0].rstrip(".")[:200] if "://" in text else text.rstrip(".")[:200]
