"""Write generated scenes as satellite products come: a file for each band, a STAC item, and the truth beside it.

What is kept in memory is one block of a scene, whatever its size.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from modelstac.catalog.errors import DataError, MissingPackageError, StorageError
from modelstac.catalog.messages import Advanced, Finished, Report, Started, ignore
from modelstac.training.scenes.items import EPSG, ORIGIN, TILE, scene_item
from modelstac.training.scenes.observing import BORDER, NO_POWER, SLANT, Observation, Sensor, observe
from modelstac.training.scenes.palette import CLASSES, NOTHING
from modelstac.training.scenes.sensors import POLARISATIONS, SENTINEL_2

if TYPE_CHECKING:
    from modelstac.registry.scenes.rasters import Window

FULL = 10_980
"""Pixels of 10 m a side of a tile of Sentinel-2."""
_BLOCK = 512  # of random numbers too: another size is another scene
_OBSERVED = time(10, 36, 29)
_CACHE = 64 << 20  # bytes, of GDAL's blocks
_PLAIN = 1  # predictor of what is no quantity
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Scene:
    """A scene on disk: its STAC item, its files by band, and the true land cover where it was asked for."""

    item: Path
    files: Mapping[str, Path]
    labels: Path | None


def generate_scene(
    folder: str | Path,
    size: int = 2000,
    *,
    seed: int = 0,
    day: date = date(2024, 6, 15),
    sensor: Sensor = "sentinel-2",
    clouds: float = 0.05,
    border: bool = True,
    labels: str | Path | None = None,
    report: Report = ignore,
) -> Scene:
    """Write a scene into ``folder``; the same arguments give the same pixels.

    Parameters
    ----------
    folder
        Gets the band files and the item.
    size
        Pixels of 10 m in a row, and in a column: even, and not more than 10,980, which is a whole tile of Sentinel-2.
    seed
        Another seed is another country; scenes of one seed show the same.
    day
        Plants are green in summer, and each field at a time of its own.
    sensor
        ``sentinel-2``: reflectances in ten bands as uint16, of 10 and of 20 m. ``sentinel-1``: the power of two
        polarisations as float32.
    clouds
        Share of the sky; radar sees through them.
    border
        Whether a corner is missing, as at the edge of an orbit.
    labels
        Path of the true land cover (GeoTIFF of WorldCover's codes, 0 where nothing or a cloud is seen), if wanted.

    Raises
    ------
    DataError
        If there is no such scene.
    StorageError
        If it cannot be written.
    """
    _check(size, sensor, clouds)
    folder = Path(folder)
    named = f"{'S1' if sensor == 'sentinel-1' else 'S2'}_{TILE}_{day:%Y%m%d}"
    plan = _plan(sensor)
    files = {band: folder / f"{named}_{band}.tif" for band in plan}
    truth = None if labels is None else Path(labels)
    try:
        for place in (folder, *(() if truth is None else (truth.parent,))):
            place.mkdir(parents=True, exist_ok=True)
        _write(files, truth, plan, Observation(seed, day, sensor, clouds, size, border), report)
        fields = scene_item(
            named,
            files,
            datetime.combine(day, _OBSERVED),
            _corners(size, border=border),
            size=size,
            clouds=None if sensor == "sentinel-1" else round(100 * clouds, 1),
            no_number=NO_POWER if sensor == "sentinel-1" else 0,
        )
        item = folder / f"{named}.json"
        item.write_text(json.dumps(fields, indent=2) + "\n", "utf-8")
    except OSError as error:
        raise StorageError.doing(f"write {folder}", error, advice="free some space or choose another folder") from error
    return Scene(item, files, truth)


def _check(size: int, sensor: str, clouds: float) -> None:
    if not 32 <= size <= FULL or size % 2:
        raise DataError(f"a scene of {size} pixels a side: ask for an even number from 32 to {FULL}")
    if sensor not in get_args(Sensor):
        raise DataError(f"there is no generated scene of {sensor!r}: {' or '.join(get_args(Sensor))}")
    if not 0 <= clouds <= 1:
        raise DataError(f"{clouds} is no share of clouds: give a number from 0 to 1")


def _plan(sensor: Sensor) -> dict[str, dict[str, Any]]:
    """Return how each band is written, by name."""
    if sensor == "sentinel-1":
        return {name: {"metres": 10, "dtype": "float32", "nodata": NO_POWER, "predictor": 3} for name in POLARISATIONS}
    return {b.name: {"metres": b.metres, "dtype": "uint16", "nodata": 0, "predictor": 2} for b in SENTINEL_2}


def _write(
    files: Mapping[str, Path],
    truth: Path | None,
    plan: Mapping[str, Mapping[str, Any]],
    what: Observation,
    report: Report,
) -> None:
    try:
        import rasterio
        from rasterio.errors import RasterioError
        from rasterio.windows import Window as Place
    except ModuleNotFoundError as error:
        raise MissingPackageError.extra(str(error.name), "scenes", "generating a scene") from error
    task, size = "generate a scene", what.size
    blocks = list(_blocks(size))
    report(Started(task, len(blocks)))
    paths = {name: (path, plan[name]) for name, path in files.items()}
    if truth is not None:
        paths["labels"] = (truth, {"metres": 10, "dtype": "uint8", "nodata": NOTHING, "predictor": _PLAIN})
    try:
        with ExitStack() as stack, rasterio.Env(GDAL_NUM_THREADS="2", GDAL_CACHEMAX=_CACHE):
            outputs = {
                name: stack.enter_context(rasterio.open(path, "w", **_profile(size, how)))
                for name, (path, how) in paths.items()
            }
            if truth is not None:
                outputs["labels"].write_colormap(1, _colours())
            for window in blocks:
                for name, pixels in observe(what, window).items():
                    if name in outputs:
                        by = paths[name][1]["metres"] // 10
                        (top, left), (high, wide) = [part.start // by for part in window], pixels.shape
                        outputs[name].write(pixels, 1, window=Place(left, top, wide, high))
                report(Advanced(task))
        for path, how in paths.values():
            _overviews(path, size * 10 // how["metres"], how["predictor"])
    except RasterioError as error:
        raise OSError(str(error)) from error
    report(Finished(task))


def _blocks(size: int) -> Iterator[Window]:
    for top in range(0, size, _BLOCK):
        for left in range(0, size, _BLOCK):
            yield slice(top, min(top + _BLOCK, size)), slice(left, min(left + _BLOCK, size))


def _profile(size: int, how: Mapping[str, Any]) -> dict[str, Any]:
    from affine import Affine

    side = size * 10 // how["metres"]
    profile = {
        "driver": "GTiff",
        "width": side,
        "height": side,
        "count": 1,
        "dtype": how["dtype"],
        "nodata": how["nodata"],
        "crs": f"EPSG:{EPSG}",
        "transform": Affine(how["metres"], 0, ORIGIN[0], 0, -how["metres"], ORIGIN[1]),
        "compress": "deflate",
        "zlevel": 1,
        "predictor": how["predictor"],
    }
    return profile | ({"tiled": True, "blockxsize": _BLOCK, "blockysize": _BLOCK} if side > _BLOCK else {})


def _colours() -> dict[int, tuple[int, int, int]]:
    return {c.value: (int(c.color[1:3], 16), int(c.color[3:5], 16), int(c.color[5:], 16)) for c in CLASSES if c.color}


def _corners(size: int, *, border: bool) -> list[tuple[float, float]]:
    """Return the corners of what is seen, counterclockwise from the lower left, in metres."""
    places: list[tuple[float, float]] = [(0, size), (size, size), (size, 0)]
    if border:
        places += [(BORDER * size, 0), (0, min(BORDER / SLANT, 1) * size)]
    else:
        places.append((0, 0))
    return [(ORIGIN[0] + 10 * x, ORIGIN[1] - 10 * y) for x, y in places]


def _overviews(path: Path, side: int, predictor: int) -> None:
    import rasterio
    from rasterio.enums import Resampling

    factors = [2**k for k in range(1, 8) if side / 2**k >= 128]
    if not factors:
        return
    options = {"COMPRESS_OVERVIEW": "DEFLATE", "ZLEVEL_OVERVIEW": "1", "PREDICTOR_OVERVIEW": str(predictor)}
    with rasterio.Env(GDAL_NUM_THREADS="2", GDAL_CACHEMAX=_CACHE, **options), rasterio.open(path, "r+") as raster:
        raster.build_overviews(factors, Resampling.mode if predictor == _PLAIN else Resampling.average)
