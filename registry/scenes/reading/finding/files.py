"""Rasters in files that GDAL reads: GeoTIFF, VRT, JPEG 2000 and others, on a disk or over a network."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from modelstac.catalog.errors import DataError
from modelstac.registry.scenes.reading.finding.handles import Handles, settings
from modelstac.registry.scenes.reading.finding.names import file_name, of_file, time_in_name
from modelstac.registry.scenes.reading.finding.parts import (
    Numbers,
    Offer,
    Origin,
    Stored,
    Values,
    is_missing,
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


class FilePart:
    """Bands of one file; see :class:`modelstac.registry.scenes.reading.finding.parts.Part`.

    Raises
    ------
    DataError
        If it cannot be opened, is no raster, lies nowhere, or holds complex numbers.
    """

    def __init__(self, path: str, handles: Handles, *, crs: Any = None) -> None:
        from rasterio.errors import NotGeoreferencedWarning

        self.path = path
        self.name = plain(path)
        self._handles = handles
        with settings(**_remote(path)), warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)  # which is refused below
            with self._opened() as dataset:
                self._check(dataset)
                self.grid = _grid(dataset, self.name, crs)
                self.bands = of_file(dataset, path)
                self.stored = tuple(self._stored(dataset, number) for number in range(1, dataset.count + 1))
                kinds = enumerate(dataset.colorinterp, 1)
                self.shown = tuple(number - 1 for number, kind in kinds if kind.name != "alpha")
                self._masks = tuple(_mask_of(dataset, number) for number in range(1, dataset.count + 1))
                self.origin = Origin(self.name, _MEDIA_TYPES.get(dataset.driver), _identity(path, dataset.files))

    def read(self, bands: tuple[int, ...], rows: slice, columns: slice) -> tuple[Values, Values | None]:
        """Read a window."""
        from rasterio.errors import RasterioError
        from rasterio.windows import Window

        window = Window(columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start)
        with settings(**_remote(self.path)), self._opened() as dataset:
            try:
                values = dataset.read([band + 1 for band in bands], window=window)
                return values, self._missing(dataset, bands, window, values)
            except (RasterioError, OSError, ValueError, MemoryError) as error:
                reason = _reason(error)
                raise DataError(
                    f"cannot read {self.name}, {shown(rows, columns)}: {reason}: the file may be cut off; fetch it "
                    "again, or leave out what cannot be read (--skip-errors)"
                ) from error

    def _missing(self, dataset: DatasetReader, bands: tuple[int, ...], window: Any, values: Values) -> Values | None:
        missing: Values | None = None
        alike: Values | None = None
        for place, band in enumerate(bands):
            kind = self._masks[band]
            gone = is_missing(values[place], self.stored[band].numbers.nodata)
            if kind == "own":
                here = dataset.read_masks(band + 1, window=window) == 0
            elif kind == "shared":
                alike = dataset.dataset_mask(window=window) == 0 if alike is None else alike
                here = alike
            elif kind == "alpha":
                alike = dataset.read(_alpha(dataset), window=window) == 0 if alike is None else alike
                here = alike
            else:
                here = None
            if here is not None and here.any():
                gone = here if gone is None else gone | here
            if gone is not None:
                missing = np.zeros(values.shape, bool) if missing is None else missing
                missing[place] = gone
        return missing

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
            if not path.exists():
                return "there is no such file"
            if path.is_file() and not path.stat().st_size:
                return "it is empty"
            if path.is_file() and "not recognized" in str(error):
                with path.open("rb") as file:
                    head = file.read(16)
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
        nodata = dataset.nodatavals[number - 1]
        numbers = Numbers(
            scale if says else None,
            offset if says else None,
            None if nodata is None or _is_masked(dataset, number) else float(nodata),
            dataset.units[number - 1] or None,
            _has_classes(dataset, number),
            self.name if says else "",
        )
        return Stored(dataset.dtypes[number - 1], numbers)


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
    for number in part.shown:
        band, numbers = part.bands[number], Numbers()
        if sentinel and is_reflectance(band.name):
            numbers = replace(numbers, nodata=NODATA, counts=True)
            if offset is not None:
                numbers = replace(
                    numbers, scale=1 / QUANTIFICATION, offset=offset / QUANTIFICATION, source=f"Sentinel-2, {source}"
                )
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
                time_in_name(path),
                tile[1] if tile else None,
            )
        )
    return offers, part.origin, sentinel


def _remote(path: str) -> dict[str, Any]:
    """Give the settings for a network, where looking for files beside one costs a request each."""
    return {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR"} if is_remote(path) else {}


def _grid(dataset: DatasetReader, name: str, crs: Any) -> GeoBox:
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
    system = dataset.crs if crs is None else crs
    if not system:
        raise DataError(
            f"{name} says no reference system, so that a map of it would lie nowhere: name it, --crs EPSG:…"
        )
    grid: GeoBox = GeoBox((dataset.height, dataset.width), transform, _short(system))
    box = grid.boundingbox
    # Half a pixel beyond a pole is how global grids of points are written.
    if grid.crs.geographic and max(-box.bottom, box.top) > 90 + abs(transform.e):
        raise DataError(
            f"{name} reaches from {box.bottom:g} to {box.top:g} in degrees of latitude, by {grid.crs}: it has another "
            "reference system, or another place; name the right one, --crs EPSG:…"
        )
    return grid


def _short(system: Any) -> Any:
    """Give a reference system by its number, where it has one and that is the same."""
    from rasterio.crs import CRS

    code = system.to_epsg() if isinstance(system, CRS) else None
    return f"EPSG:{code}" if code is not None and CRS.from_epsg(code) == system else system


def _mask_of(dataset: DatasetReader, number: int) -> str:
    """Tell whether there is a mask beside nodata: of its own, one that bands share, or a band of alpha."""
    flags = {flag.name for flag in dataset.mask_flag_enums[number - 1]}
    if "per_dataset" in flags or "alpha" in flags:
        return "shared"
    if "nodata" in flags and dataset.dtypes[number - 1] in ("int64", "uint64"):
        return "own"  # rasterio gives their nodata as a fraction, which is another number, or none
    if flags & {"all_valid", "nodata"}:
        # GDAL takes alpha as a mask of one or three bands only; pictures of drones have five and more.
        return "alpha" if _alpha(dataset) not in (0, number) else ""
    return "own"


def _alpha(dataset: DatasetReader) -> int:
    """Give the number of the band of alpha; 0 where there is none."""
    return next((number for number, kind in enumerate(dataset.colorinterp, 1) if kind.name == "alpha"), 0)


def _is_masked(dataset: DatasetReader, number: int) -> bool:
    """Tell whether a mask says all that is missing, and nodata nothing more."""
    return _mask_of(dataset, number) in {"own", "shared"}


def _has_classes(dataset: DatasetReader, number: int) -> bool:
    """Tell whether a band names things: it has a colour for each of its numbers."""
    return str(dataset.colorinterp[number - 1].name) == "palette"


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
