"""Scenes that are STAC items: bands of their assets, with what the item says of their numbers.

Sources: STAC 1.0 and 1.1 (common metadata ``bands``), EO 1.1 and 2.0, raster 1.1 and 2.0, ITEM-COLLECTION of STAC API.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import numpy as np

from modelstac.catalog.errors import DataError
from modelstac.registry.running.bands import Band
from modelstac.registry.scenes.reading.finding.files import FilePart
from modelstac.registry.scenes.reading.finding.names import are_counted
from modelstac.registry.scenes.reading.finding.parts import Found, Numbers, Offer, Origin, is_remote, plain
from modelstac.registry.scenes.reading.finding.sentinel import (
    NODATA,
    QUANTIFICATION,
    is_reflectance,
    is_sentinel,
    named,
    of_item,
)

if TYPE_CHECKING:
    import pystac

    from modelstac.registry.scenes.reading.finding.handles import Handles

SENSOR_FIELDS = ("constellation", "platform", "instruments")
_RASTERS = ("image/tiff", "image/vnd.stac.geotiff", "image/jp2", "application/vnd.gdal.vrt", "application/x-geotiff")
_ENDINGS = (".tif", ".tiff", ".jp2", ".vrt")
_NOT_DATA = frozenset({"thumbnail", "overview", "visual", "metadata"})
_PICTURES = ("visual", "thumbnail", "overview", "preview", "rendered_preview", "tci", "true_color")
_SPELLED = ("raster:{}", "{}")
_OF_ITEM = {"scale": _SPELLED[:1], "offset": _SPELLED[:1], "nodata": _SPELLED, "unit": _SPELLED}
"""How fields are spelled at a band or asset, and among the properties of an item, where others have such names, too."""
_LARGEST = 200 * 2**20


def read_items(path: str) -> list[pystac.Item]:
    """Read an item or a collection of items from a path or URL.

    Raises
    ------
    DataError
        If it cannot be read, or is neither.
    """
    text = _text(path)
    try:
        found = json.loads(text)
    except ValueError as error:
        raise DataError(f"{plain(path)} is no JSON, of which a STAC item is made: {error}") from error
    return list(items_of(found, plain(path), base=path))


def items_of(found: Any, name: str, *, base: str | None = None) -> Iterator[pystac.Item]:
    """Yield the items that JSON holds; links of assets are taken from where it lies.

    Raises
    ------
    DataError
        If it is neither an item nor a collection of items, or one of them is broken.
    """
    import pystac

    kind = found.get("type") if isinstance(found, Mapping) else type(found).__name__
    if kind == "FeatureCollection":
        for feature in found.get("features") or ():
            yield from items_of(feature, name, base=base)
        return
    if kind != "Feature" or "assets" not in found:
        what = "a collection" if kind == "Collection" else "a catalog" if kind == "Catalog" else repr(kind)
        raise DataError(
            f"{name} is {what}, and no STAC item or collection of items: name an item of it, or search (--from)"
        )
    try:
        item = pystac.Item.from_dict(dict(found), migrate=False)
        if base is not None and item.get_self_href() is None:
            item.set_self_href(base)  # from which its assets are found
    except Exception as error:  # pystac's, KeyError and ValueError of what is missing
        raise DataError(f"{name} is no STAC item that can be read: {type(error).__name__}: {error}") from error
    yield item


def found_of_items(items: Iterable[pystac.Item], handles: Handles, begin: int, *, crs: Any = None) -> Found:
    """Offer the bands of items; a file is opened when one of its bands was chosen.

    Raises
    ------
    DataError
        If an item has no raster.
    """
    offers: list[Offer] = []
    origins: list[Origin] = []
    sensors: dict[str, set[str]] = {}
    sentinel = False
    for owner, item in enumerate(items, begin):
        here = list(_offers(item, handles, owner, crs))
        if not here:
            raise DataError(
                f"item {item.id!r} has no asset that is a raster; it has {', '.join(item.assets) or 'none'}"
            )
        offers += here
        href = item.get_self_href()
        stamp = {key: item.properties[key] for key in ("updated", "version") if key in item.properties}
        identity = {"item": item.id, "collection": item.collection_id} | stamp
        if href:
            origins.append(Origin(plain(href), "application/geo+json", identity, item.id))
        else:
            origins += [Origin(plain(one.label), None, identity, item.id) for one in here[:1]]
        sentinel = sentinel or is_sentinel(item.properties)
        for field in SENSOR_FIELDS:
            said = item.properties.get(field)
            for name in said if isinstance(said, list) else [said]:
                if isinstance(name, str) and name:
                    sensors.setdefault(field, set()).add(name)
    return Found(tuple(offers), tuple(origins), {key: frozenset(names) for key, names in sensors.items()}, sentinel)


def _offers(item: pystac.Item, handles: Handles, owner: int, crs: Any) -> Iterator[Offer]:
    rasters = {key: asset for key, asset in item.assets.items() if _is_raster(key, asset)}
    for key, asset in rasters.items():
        path = _path(asset.get_absolute_href() or asset.href)

        @cache
        def opened(path: str = path) -> FilePart:
            return FilePart(path, handles, crs=crs)

        entries = _entries(asset.extra_fields)
        if are_counted([str(entry.get("name", "")) for entry in entries]):
            entries = [entry | {"name": entry.get("description")} for entry in entries]
        nameless = not any(entry.get("name") for entry in entries)
        own = _own_bands(opened()) if nameless and len(rasters) == 1 else []
        entries += [{} for _ in range(max(len(own), 1) - len(entries))]
        for number, entry in enumerate(entries):
            band = own[number] if number < len(own) else _band(entry, key, len(entries))
            band = named(band) if is_sentinel(item.properties) else band
            yield Offer(
                band,
                number,
                opened,
                plain(path) if len(entries) == 1 else f"{plain(path)}, band {number + 1}",
                owner,
                key,
                _numbers(entry, asset.extra_fields, item, band, key),
                _time(item),
                _pixel(entry, asset.extra_fields),
            )


def _own_bands(part: FilePart) -> list[Band]:
    """Give what a file says of its bands, if it has several: who names none of them leaves that to the file."""
    return [part.bands[number] for number in part.shown] if len(part.shown) > 1 else []


def _is_raster(key: str, asset: pystac.Asset) -> bool:
    if _NOT_DATA & set(asset.roles or ()) or key.casefold().startswith(_PICTURES):
        return False
    kind = (asset.media_type or "").casefold()
    return kind.startswith(_RASTERS) if kind else urlsplit(asset.href).path.casefold().endswith(_ENDINGS)


def _entries(fields: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Put together what an asset says of each of its bands, in the lists of any version of STAC."""
    lists = [found for key in ("eo:bands", "raster:bands", "bands") if isinstance(found := fields.get(key), list)]
    merged: list[dict[str, Any]] = [{} for _ in range(max(map(len, lists), default=0))]
    for found in lists:
        for place, entry in enumerate(found):
            merged[place] |= entry if isinstance(entry, Mapping) else {}
    return merged


def _band(entry: Mapping[str, Any], key: str, count: int) -> Band:
    name = entry.get("name") or (key if count == 1 else "")
    common = entry.get("eo:common_name") or entry.get("common_name") or ""
    centre = entry.get("eo:center_wavelength", entry.get("center_wavelength"))
    width = entry.get("eo:full_width_half_max", entry.get("full_width_half_max"))
    centre, width = (
        float(n) if isinstance(n, int | float) and not isinstance(n, bool) and n > 0 else None for n in (centre, width)
    )
    return Band(str(name), str(common), centre, width)


def _numbers(entry: Mapping[str, Any], asset: Mapping[str, Any], item: pystac.Item, band: Band, key: str) -> Numbers:
    scale, offset, nodata = (_number(_said(name, entry, asset, item)) for name in ("scale", "offset", "nodata"))
    unit = _said("unit", entry, asset, item)
    classes = bool(entry.get("classification:classes") or asset.get("classification:classes"))
    says = f"item {item.id!r}" if (scale, offset) != (None, None) else ""
    numbers = Numbers(
        scale, offset, nodata, unit if isinstance(unit, str) else None, classes or key.casefold() == "scl", says
    )
    if (
        is_sentinel(item.properties)
        and (is_reflectance(band.name) or is_reflectance(band.common))
        and not numbers.classes
    ):
        return _of_sentinel(numbers, item)
    return numbers


def _of_sentinel(numbers: Numbers, item: pystac.Item) -> Numbers:
    """Add what the baseline says; that the offset was applied holds against what the bands still say."""
    added, source = of_item(item.properties)
    nodata = NODATA if numbers.nodata is None else numbers.nodata
    scale = 1 / QUANTIFICATION if numbers.scale is None else numbers.scale
    if "applied" in source or (numbers.offset is None and added is not None):
        assert added is not None
        where = f"item {item.id!r}, {source}"
        return replace(numbers, scale=scale, offset=_rounded(added * scale), nodata=nodata, source=where, counts=True)
    if numbers.offset is None and numbers.scale is None:
        return replace(numbers, nodata=nodata, counts=True)
    return replace(numbers, scale=scale, nodata=nodata, counts=True)


def _rounded(number: float) -> float:
    return round(number, 12)


def _said(name: str, entry: Mapping[str, Any], asset: Mapping[str, Any], item: pystac.Item) -> Any:
    """Find a field of a band, its asset or the whole item, the nearest first, as STAC 1.1 hands them down."""
    for place, keys in ((entry, _SPELLED), (asset, _SPELLED), (item.properties, _OF_ITEM[name])):
        for key in keys:
            if place.get(said := key.format(name)) is not None:
                return place[said]
    return None


def _number(value: Any) -> float | None:
    if isinstance(value, str) and value.casefold() in ("nan", "inf", "-inf"):
        return float(value)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _pixel(entry: Mapping[str, Any], asset: Mapping[str, Any]) -> float | None:
    for place in (entry, asset):
        for key in ("raster:spatial_resolution", "spatial_resolution", "gsd", "eo:gsd"):
            if (found := _number(place.get(key))) is not None and found > 0:
                return found
    transform = asset.get("proj:transform")
    return abs(float(transform[0])) if isinstance(transform, list) and len(transform) >= 6 and transform[0] else None


def _time(item: pystac.Item) -> np.datetime64 | None:
    time = item.datetime or item.common_metadata.start_datetime
    if time is None:
        return None
    return np.datetime64(time.astimezone(UTC).replace(tzinfo=None) if time.tzinfo else time, "us")


def _path(href: str) -> str:
    parts = urlsplit(href)
    if parts.scheme == "file":
        return unquote(parts.path)
    # A link is percent-encoded, and many write the bare name of a file.
    return href if parts.scheme or Path(href).exists() or not Path(unquote(href)).exists() else unquote(href)


def _text(path: str) -> str:
    """Read a small text from a path or URL."""
    from http.client import HTTPException
    from urllib.request import urlopen

    try:
        if not is_remote(path):
            return Path(path).read_text(encoding="utf-8")
        if not path.startswith(("http://", "https://")):
            raise DataError(f"{plain(path)}: items are read from a path or from http(s): fetch it first")
        with urlopen(path, timeout=60) as response:  # noqa: S310 - the scheme was looked at
            return str(response.read(_LARGEST).decode("utf-8"))
    except (HTTPException, OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(f"cannot read {plain(path)}: {reason}") from error
