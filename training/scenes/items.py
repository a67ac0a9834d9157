"""The STAC item of a generated scene, as public catalogs of Sentinel-1 and Sentinel-2 write theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from modelstac.training.scenes.sensors import SENTINEL_2

SCALE, OFFSET = 0.0001, -0.1
"""From a number of Sentinel-2 to reflectance, since baseline 04.00."""
EPSG, ORIGIN, TILE = 32632, (300_000, 5_900_040), "32ULC"
"""Where generated scenes lie: the upper left corner of this tile of the Military Grid, in metres."""
GENERATED = "Generated, with no observation in it: to try things, and to test them."
_EO = "https://stac-extensions.github.io/eo/v1.1.0/schema.json"
_PROJECTION = "https://stac-extensions.github.io/projection/v1.1.0/schema.json"
_RASTER = "https://stac-extensions.github.io/raster/v1.1.0/schema.json"
_SAR = "https://stac-extensions.github.io/sar/v1.0.0/schema.json"


def scene_item(
    name: str,
    files: Mapping[str, Path],
    time: datetime,
    corners: Sequence[tuple[float, float]],
    *,
    size: int,
    clouds: float | None,
    no_number: float,
) -> dict[str, Any]:
    """Return the item of a scene.

    Parameters
    ----------
    name
        Its id.
    files
        By band, in the folder of the item.
    time
        Of the observation that it stands for.
    corners
        Of what is not nodata, in metres east and north.
    size
        Pixels of 10 m in a row, and in a column.
    clouds
        Per cent of the sky; None where clouds do not matter, for radar.
    no_number
        What stands for "nothing here".
    """
    ring = _degrees([*corners, corners[0]])
    optical = clouds is not None
    properties: dict[str, Any] = {
        "datetime": time.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "title": name,
        "description": GENERATED,
        "gsd": 10,
        "proj:epsg": EPSG,
    }
    if optical:
        properties |= {
            "platform": "sentinel-2b",
            "constellation": "sentinel-2",
            "instruments": ["msi"],
            "eo:cloud_cover": clouds,
            "s2:processing_baseline": "05.10",
            "s2:mgrs_tile": TILE,
        }
    else:
        properties |= {
            "platform": "sentinel-1a",
            "constellation": "sentinel-1",
            "instruments": ["c-sar"],
            "sar:instrument_mode": "IW",
            "sar:frequency_band": "C",
            "sar:polarizations": [band.upper() for band in files],
            "sar:product_type": "RTC",
        }
    longitudes, latitudes = zip(*ring, strict=True)
    make = _optical_asset if optical else _radar_asset
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [_EO if optical else _SAR, _PROJECTION, _RASTER],
        "id": name,
        "geometry": {"type": "Polygon", "coordinates": [[list(point) for point in ring]]},
        "bbox": [min(longitudes), min(latitudes), max(longitudes), max(latitudes)],
        "properties": properties,
        "links": [],
        "assets": {band: make(band, path, size, no_number) for band, path in files.items()},
    }


def _asset(path: Path, size: int, metres: int) -> dict[str, Any]:
    side = size * 10 // metres
    return {
        "href": f"./{path.name}",
        "type": "image/tiff; application=geotiff; profile=cloud-optimized",
        "roles": ["data"],
        "gsd": metres,
        "proj:shape": [side, side],
        "proj:transform": [metres, 0, ORIGIN[0], 0, -metres, ORIGIN[1]],
    }


def _optical_asset(name: str, path: Path, size: int, no_number: float) -> dict[str, Any]:
    band = next(band for band in SENTINEL_2 if band.name == name)
    told = {
        "name": band.name,
        "common_name": band.common_name.removesuffix("071").removesuffix("075").removesuffix("078"),
        "center_wavelength": band.centre,
        "full_width_half_max": band.width,
    }
    raster = {
        "nodata": no_number,
        "data_type": "uint16",
        "spatial_resolution": band.metres,
        "scale": SCALE,
        "offset": OFFSET,
    }
    return _asset(path, size, band.metres) | {"eo:bands": [told], "raster:bands": [raster]}


def _radar_asset(name: str, path: Path, size: int, no_number: float) -> dict[str, Any]:
    raster = {"nodata": no_number, "data_type": "float32", "spatial_resolution": 10, "unit": "1"}
    title = f"{name.upper()}: gamma nought, terrain corrected, linear power"
    return _asset(path, size, 10) | {"title": title, "raster:bands": [raster]}


def _degrees(ring: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    from pyproj import Transformer

    turn = Transformer.from_crs(EPSG, 4326, always_xy=True).transform
    found = (turn(*point) for point in ring)
    return [(round(x, 6), round(y, 6)) for x, y in found]
