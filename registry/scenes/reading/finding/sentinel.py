"""What is known of Sentinel-2 products that their files do not say: bands, quantification, offset, nodata.

Sources: Sentinel-2 Products Specification Document S2-PDGS-TAS-DI-PSD 14.9 and 15.0 (names; ``BOA_ADD_OFFSET`` and
``RADIO_ADD_OFFSET`` since processing baseline 04.00); spectral response functions of S2A, COPE-GSEG-EOPG-TN-15-0007.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from modelstac.registry.running.bands import Band

QUANTIFICATION = 10_000.0
OFFSET = -1000.0
OFFSET_SINCE = (4, 0)
"""Processing baseline since which stored numbers are a thousand higher, so that dark surfaces are not cut off at 0."""
NODATA = 0.0

BANDS: MappingProxyType[str, Band] = MappingProxyType(
    {
        name: Band(name, common, centre, width)
        for name, common, centre, width in (
            ("B01", "coastal", 0.443, 0.027),
            ("B02", "blue", 0.490, 0.098),
            ("B03", "green", 0.560, 0.045),
            ("B04", "red", 0.665, 0.038),
            ("B05", "rededge071", 0.704, 0.019),
            ("B06", "rededge075", 0.741, 0.018),
            ("B07", "rededge078", 0.783, 0.028),
            ("B08", "nir", 0.833, 0.145),
            ("B8A", "nir08", 0.865, 0.033),
            ("B09", "nir09", 0.945, 0.026),
            ("B10", "cirrus", 1.374, 0.075),
            ("B11", "swir16", 1.610, 0.143),
            ("B12", "swir22", 2.190, 0.242),
        )
    }
)
_PRODUCT = re.compile(r"S2[A-D]_MSIL(?:1C|2A)_\d{8}T\d{6}_N(\d{2})(\d{2})_")
_TILE = re.compile(r"(?:^|_)T\d{2}[A-Z]{3}_\d{8}T\d{6}_(B\d[\dA]|SCL|AOT|WVP|TCI)(?:_(\d{2})m)?\.[A-Za-z0-9]+$")
_BASELINES = ("s2:processing_baseline", "sentinel:processing_baseline", "processing:version")
_APPLIED = ("earthsearch:boa_offset_applied", "sentinel:boa_offset_applied")
_RANK = re.compile(r"B(\d{1,2})(A?)", re.IGNORECASE)


def named(band: Band) -> Band:
    """Add what is known of the band of this name; B2 is B02."""
    match = _RANK.fullmatch(band.name.replace("_", "").replace(" ", ""))
    key = f"B{match[1] if match[2] else match[1].zfill(2)}{match[2].upper()}" if match else ""
    if (known := BANDS.get(key)) is None or known.is_apart(band):  # B05 of Landsat
        return band
    return replace(
        band,
        common=band.common or known.common,
        centre=band.centre or known.centre,
        width=band.width or known.width,
    )


def is_reflectance(name: str) -> bool:
    """Tell whether a band of this name holds reflectances, and no classes or water vapour."""
    return named(Band(name)).centre is not None or name.casefold() in {band.common for band in BANDS.values()} | {
        "rededge1", "rededge2", "rededge3"
    }  # fmt: skip


def is_sentinel(properties: Mapping[str, Any]) -> bool:
    """Tell whether an item is of Sentinel-2."""
    said = [properties.get("constellation"), properties.get("platform")]
    return any(isinstance(name, str) and name.casefold().replace("_", "-").startswith("sentinel-2") for name in said)


def of_item(properties: Mapping[str, Any]) -> tuple[float | None, str]:
    """Return the offset in stored numbers, and who says so; None where nobody does."""
    for key in _APPLIED:
        if properties.get(key) is True:  # whatever its bands say: these stayed as they were when it was applied
            return 0.0, key
    for key in _BASELINES:
        parts = re.fullmatch(r"(\d{1,2})\.(\d{1,2})(?:\.\d+)?|N(\d{2})(\d{2})", str(properties.get(key, "")))
        if parts:
            return _offset(*(int(part) for part in parts.groups() if part)), f"processing baseline {properties[key]}"
    return None, ""


def of_path(path: str) -> tuple[float | None, str]:
    """Return the same of a file that lies in a product's own folder."""
    found = _PRODUCT.findall(path)
    if not found:
        return None, ""
    major, minor = map(int, found[-1])
    return _offset(major, minor), f"processing baseline {major:02}.{minor:02}"


def of_file_name(name: str) -> tuple[str, float | None] | None:
    """Return band and pixel in metres of a file that is named as those of a product are."""
    match = _TILE.search(name)
    return (match[1], float(match[2]) if match[2] else None) if match else None


def _offset(major: int, minor: int) -> float:
    return OFFSET if (major, minor) >= OFFSET_SINCE else 0.0


def all_named(bands: Sequence[Band]) -> list[Band]:
    """Add to all of them what is known."""
    return [named(band) for band in bands]
