"""Cloud Optimised GeoTIFF (OGC 21-026): tiles and overviews in one file, its pixels streamed.

Class names are tags of the band, ``CLASS_<value>``: GDAL keeps category names and attribute tables of a GeoTIFF in a
file beside it, which is lost on the way. Compression is DEFLATE, which every reader of TIFF knows.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from modelstac.catalog.errors import DataError, ModelStacError, StorageError
from modelstac.registry.running.labels.systems import called
from modelstac.registry.scenes.rasters import Layer, Raster
from modelstac.registry.scenes.writing.layers import pixels, rgb, stored, windows
from modelstac.registry.scenes.writing.outputs import ADVICE, Target

BLOCK = 512
_SETTINGS = {
    "GDAL_CACHEMAX": 64 << 20,  # bytes of blocks that GDAL keeps
    "GDAL_NUM_THREADS": "ALL_CPUS",  # of overviews, too: nothing else runs any more
    "GDAL_PAM_ENABLED": False,
    "GDAL_TIFF_OVR_BLOCKSIZE": BLOCK,
}
_TAGS = {"title": "TIFFTAG_IMAGEDESCRIPTION", "software": "TIFFTAG_SOFTWARE"}


def write_cog(
    raster: Raster, path: Path, *, tags: Mapping[str, str], overviews: bool = True, target: Target | None = None
) -> None:
    """Write a layer of any number of bands.

    Parameters
    ----------
    raster
        What is written, read once, window by window.
    path
        In a folder that has as much space as the pixels uncompressed, and the result, need.
    tags
        Texts by name: ``title`` and ``software`` become tags of TIFF, the others GDAL's with ``MODELSTAC_`` before.
    overviews
        Whether smaller versions are in the file: the most frequent class, or the mean; of what is there.
    target
        What errors call the file; ``path`` by default.

    Raises
    ------
    StorageError
        If it cannot be written whole.
    DataError
        If the layer cannot be.
    """
    import rasterio
    import rasterio.shutil
    from rasterio._err import CPLE_BaseError

    layer = stored(raster.layer)
    name = path if target is None else target
    # Uncompressed and beside the result: overviews are made of all of it, and few machines could hold it.
    whole = path.with_name(f"{path.stem}.pixels.tif")
    try:
        with rasterio.Env(**_SETTINGS):
            size = int(np.prod(layer.grid.shape)) * len(layer.bands) * np.dtype(layer.dtype).itemsize
            _check_space(path.parent, size + size // 3 * overviews, name)
            _write_pixels(raster, layer, whole, tags)
            _check(whole.stat().st_size >= size, name)
            if overviews:
                smaller = _write_overviews(layer, whole)
                # What cannot be written when GDAL closes a file is not always said.
                _check(whole.stat().st_size >= size + smaller, name)
            rasterio.shutil.copy(whole, path, driver="COG", **_options(layer, overviews=overviews))
            _check_last_blocks(path, name)
    except (rasterio.errors.RasterioError, CPLE_BaseError, OSError) as error:
        if isinstance(error, ModelStacError):
            raise
        raise _explained(error, path, name) from error
    finally:
        whole.unlink(missing_ok=True)


def check_system(layer: Layer, target: Target) -> None:
    """Refuse a reference system that GeoTIFF has no words for, such as rotated poles: the map would lie nowhere.

    Raises
    ------
    DataError
        If it is such.
    """
    import rasterio

    if layer.grid.crs is None or layer.grid.crs.epsg:
        return
    profile = {"driver": "GTiff", "height": 1, "width": 1, "count": 1, "dtype": "uint8", "crs": _crs(layer)}
    with rasterio.Env(**_SETTINGS), rasterio.MemoryFile() as file:
        with file.open(**profile, transform=layer.grid.affine):
            pass
        with file.open() as read:
            known = read.crs
    if known is None:
        name = called(layer.grid.crs)
        raise DataError(
            f"cannot write {target}: GeoTIFF has no words for the reference system {name!r}: name a .nc or .zarr, or "
            "bring the scene onto another system, --grid EPSG:…"
        )


def _write_pixels(raster: Raster, layer: Layer, path: Path, tags: Mapping[str, str]) -> None:
    import rasterio
    from rasterio.windows import Window

    height, width = layer.grid.shape
    profile: dict[str, Any] = {
        "driver": "GTiff",
        "height": height,
        "width": width,
        "count": len(layer.bands),
        "dtype": layer.dtype,
        "crs": _crs(layer),
        "transform": layer.grid.affine,
        "nodata": layer.nodata,
        "tiled": True,
        "blockxsize": BLOCK,
        "blockysize": BLOCK,
        "interleave": "band",  # overviews are made of one after the other
        "bigtiff": "IF_SAFER",
        "photometric": "MINISBLACK",  # or three bands of bytes would be red, green and blue, and a fourth transparency
    }
    with rasterio.open(path, "w", **profile) as file:
        _describe(file, layer, tags)
        for rows, columns in windows(layer, BLOCK):
            place = Window.from_slices(rows, columns)
            file.write(pixels(raster, (rows, columns), layer.dtype), window=place)


def _write_overviews(layer: Layer, path: Path) -> int:
    """Make the smaller versions here, uncompressed too, and return how many bytes they are at least.

    The COG driver makes them band by band in a compressed file of whole pixels, and writes each block of it anew for
    each band: of nine scores that file grew beyond what was to be written.
    """
    import rasterio
    from rasterio.enums import Resampling

    longest = max(layer.grid.shape)
    factors: list[int] = []
    while longest > BLOCK * 2 ** len(factors):
        factors.append(2 ** (len(factors) + 1))
    if factors:
        with rasterio.open(path, "r+") as file:
            file.build_overviews(factors, Resampling.mode if layer.classes else Resampling.average)
    pixel = len(layer.bands) * np.dtype(layer.dtype).itemsize
    height, width = layer.grid.shape
    return sum(-(-height // factor) * -(-width // factor) * pixel for factor in factors)


def _crs(layer: Layer) -> Any:
    from rasterio.crs import CRS

    if layer.grid.crs is None:
        return None
    return CRS.from_epsg(layer.grid.crs.epsg) if layer.grid.crs.epsg else CRS.from_wkt(layer.grid.crs.to_wkt())


def _describe(file: Any, layer: Layer, tags: Mapping[str, str]) -> None:
    if layer.classes and len(layer.bands) == 1 and layer.dtype == "uint8":
        # Of a palette all 256 have a colour: those that are no class are transparent.
        colors = {found.value: (*rgb(str(found.color)), 255) for found in layer.classes if 0 <= found.value < 256}
        file.write_colormap(1, dict.fromkeys(range(256), (0, 0, 0, 0)) | colors)
    file.update_tags(**{_TAGS.get(key, f"MODELSTAC_{key.upper()}"): text for key, text in tags.items()})
    classes = {f"CLASS_{found.value}": found.name for found in layer.classes}
    for i, band in enumerate(layer.bands, start=1):
        file.set_band_description(i, band or layer.name)
        if classes:
            file.update_tags(i, **classes)
    if layer.unit:
        file.units = [layer.unit] * len(layer.bands)


def _options(layer: Layer, *, overviews: bool) -> dict[str, Any]:
    predictor = "NO" if layer.classes else "YES"  # neighbours of a class are the same, not near
    return {
        "BLOCKSIZE": BLOCK,
        "COMPRESS": "DEFLATE",
        "LEVEL": 1 if np.dtype(layer.dtype).kind == "f" else 6,  # more makes fractions slower, and no smaller
        "PREDICTOR": predictor,
        "OVERVIEWS": "AUTO" if overviews else "NONE",
        "NUM_THREADS": "ALL_CPUS",
        "BIGTIFF": "IF_SAFER",
    }


def _check_last_blocks(path: Path, name: Target) -> None:
    """Read the last block of every level: what GDAL could not write when it closed the file, it does not always say."""
    import rasterio
    from rasterio.windows import Window

    with rasterio.open(path) as file:
        levels = [None, *range(len(file.overviews(1)))]
    for level in levels:
        with rasterio.open(path, **({} if level is None else {"overview_level": level})) as file:
            rows, columns = ((length - 1) // BLOCK * BLOCK for length in file.shape)
            last = Window(columns, rows, file.width - columns, file.height - rows)
            _check(file.read(window=last).size > 0, name)


def _check(whole: bool, name: Target) -> None:
    if not whole:
        raise StorageError(f"cannot write {name}: the file was cut off; {ADVICE}")


def _check_space(folder: Path, size: int, name: Target) -> None:
    """Refuse at once what cannot be: GDAL says little of a full disk, and much of it to the terminal."""
    free = shutil.disk_usage(folder).free
    if free < size:
        raise StorageError(
            f"cannot write {name}: its pixels need {size >> 20} MB beside it while it is made, and {free >> 20} MB are "
            "free; make space, or name another output"
        )


def _explained(error: BaseException, path: Path, name: Target) -> StorageError:
    """Say in one line what GDAL could not; it keeps the system's reason to itself."""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    reason = getattr(cause, "errmsg", None) or str(cause)
    if isinstance(error, OSError) and error.strerror:
        reason = os.strerror(error.errno or 0).lower()
    free = shutil.disk_usage(path.parent).free
    return StorageError(
        f"cannot write {name}: {' '.join(str(reason).split())[:200]} ({free >> 20} MB are free there now); {ADVICE}"
    )
