"""Scenes that are STAC items: bands of their assets, with what the item says of their numbers.

Sources: STAC 1.0 and 1.1 (common metadata ``bands``), EO 1.1 and 2.0, raster 1.1 and 2.0, ITEM-COLLECTION of STAC API.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import numpy as np

from modelstac.catalog.errors import DataError
from modelstac.catalog.items.links import copies
from modelstac.registry.running.bands import Band, has_classes
from modelstac.registry.running.labels.grids import SYSTEM
from modelstac.registry.running.labels.systems import parsed_crs
from modelstac.registry.running.labels.units import are_apart
from modelstac.registry.scenes.reading.finding.checksums import check_file
from modelstac.registry.scenes.reading.finding.files import FilePart
from modelstac.registry.scenes.reading.finding.landsat import of_file_name
from modelstac.registry.scenes.reading.finding.names import are_counted, file_name
from modelstac.registry.scenes.reading.finding.parts import CUBES, Found, Numbers, Offer, Origin, is_remote, plain
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
    import xarray as xr

    from modelstac.registry.scenes.reading.finding.handles import Handles

SENSOR_FIELDS = ("constellation", "platform", "instruments")
_RASTERS = (
    *("image/tiff", "image/geotiff", "image/x-geotiff", "image/vnd.stac.geotiff", "application/x-geotiff"),
    *("image/jp2", "image/jpx", "application/vnd.gdal.vrt"),
)
_ENDINGS = (".tif", ".tiff", ".jp2", ".vrt")
_OF_ANY_TYPE = ("application/octet-stream", "binary/octet-stream")  # what servers call a file that they do not know
_CUBES = (
    *("application/netcdf", "application/x-netcdf", "application/vnd+netcdf", "application/vnd.zarr"),
    *("application/vnd+zarr", "application/x-zarr", "application/x-hdf", "application/hdf", "application/x-hdf5"),
)
_NOT_DATA = frozenset({"thumbnail", "overview", "visual", "metadata"})
_PICTURES = ("visual", "thumbnail", "overview", "preview", "rendered_preview", "tci", "true_color")
_SPELLED = ("raster:{}", "{}")
_OF_ITEM = {"scale": _SPELLED[:1], "offset": _SPELLED[:1], "nodata": _SPELLED, "unit": _SPELLED}
"""How fields are spelled at a band or asset, and among the properties of an item, where others have such names, too."""
_FAULT = "modelstac:fault"
_LARGEST = 200 * 2**20
_READ_FROM = "modelstac:read_from"
"""Where the JSON of an item lay: a copy that says where it was published has its assets beside itself."""


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
    if kind is None and "refs" in found:
        raise DataError(
            f"{name} lists parts of other files (kerchunk) and is no STAC item: open it with xarray, "
            'engine="kerchunk", and give the dataset to modelstac.predict_scene'
        )
    if kind != "Feature" or "assets" not in found:
        what = "a collection" if kind == "Collection" else "a catalog" if kind == "Catalog" else repr(kind)
        raise DataError(
            f"{name} is {what}, and no STAC item or collection of items: name an item of it, or search (--from)"
        )
    try:
        item = pystac.Item.from_dict(dict(found), migrate=False)
        if base is not None and item.get_self_href() is None:
            item.set_self_href(base)
        item.extra_fields[_READ_FROM] = base
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
    sentinel = False
    for owner, item in enumerate(items, begin):
        here = list(_offers(item, handles, owner, crs))
        if not here:
            has = ", ".join(f"{key} ({asset.media_type or 'of no type'})" for key, asset in item.assets.items())
            raise DataError(
                f"item {item.id!r} has no asset that is a raster, NetCDF or Zarr; it has {has or 'none'}: name a file "
                "of it that is one, or another item"
            )
        offers += here
        href = item.get_self_href()
        stamp = {key: item.properties[key] for key in ("updated", "version") if key in item.properties}
        identity = {"item": item.id, "collection": item.collection_id} | stamp
        place, kind = (href, "application/geo+json") if href else (here[0].label, None)
        origins.append(Origin(plain(place), kind, identity, item.id, owner, _sensors(item)))
        sentinel = sentinel or is_sentinel(item.properties)
    return Found(tuple(offers), tuple(origins), sentinel)


def _sensors(item: pystac.Item) -> dict[str, frozenset[str]]:
    said = {field: item.properties.get(field) for field in SENSOR_FIELDS}
    names = {field: one if isinstance(one, list) else [one] for field, one in said.items()}
    found = {field: frozenset(n for n in several if isinstance(n, str) and n) for field, several in names.items()}
    return {field: several for field, several in found.items() if several}


def _offers(item: pystac.Item, handles: Handles, owner: int, crs: Any) -> Iterator[Offer]:
    rasters = {key: asset for key, asset in item.assets.items() if _is_kind(key, asset, _RASTERS, _ENDINGS)}
    if not rasters:  # nothing but a picture, which its item calls data
        rasters = {
            key: asset
            for key, asset in item.assets.items()
            if "data" in _roles(asset) and _is_of_type(asset, _RASTERS, _ENDINGS)
        }
    if not rasters:
        yield from _of_cubes(item, owner, crs)
    for key, asset in rasters.items():
        paths = _places(item, asset)
        path = paths[0]

        @cache
        def opened(
            paths: tuple[str, ...] = paths,
            said: str | None = _system(asset.extra_fields, item.properties),
            fields: Mapping[str, Any] = asset.extra_fields,
        ) -> FilePart:
            names = [str(_band(entry, "", 0)).rstrip("?") for entry in _entries(fields)]
            part = FilePart(paths[0], handles, crs=crs, otherwise=said, copies=paths[1:], names=names)
            part.note = "; ".join(note for note in (part.note, check_file(part.path, fields, item.id)) if note)
            return part

        entries = _entries(asset.extra_fields)
        if are_counted([str(entry.get("name", "")) for entry in entries]):
            entries = [entry | {"name": entry.get("description")} for entry in entries]
        nameless = not any(entry.get("name") for entry in entries)
        own = _own_bands(opened()) if nameless and len(rasters) == 1 else []
        entries += [{} for _ in range(max(len(own), 1) - len(entries))]
        for number, entry in enumerate(entries):
            band = own[number] if number < len(own) else _band(entry, key, len(entries))
            band = named(band) if is_sentinel(item.properties) else band
            numbers = _numbers(entry, asset.extra_fields, item, band, key)
            if (numbers.scale, numbers.offset) == (None, None) and (known := of_file_name(file_name(path), band)):
                numbers = replace(known[1], nodata=numbers.nodata, unit=numbers.unit or known[1].unit)
            yield Offer(
                band,
                number,
                opened,
                plain(path) if len(entries) == 1 else f"{plain(path)}, band {number + 1}",
                owner,
                key,
                numbers,
                _time(item),
                _pixel(entry, asset.extra_fields),
                _until(item),
            )


def _places(item: pystac.Item, asset: pystac.Asset) -> tuple[str, ...]:
    """Return where an asset lies: beside its item, where that was published, and where else it says there is a copy."""
    from pystac.utils import make_absolute_href

    bases = [item.extra_fields.get(_READ_FROM), item.get_self_href()]
    found = [
        _path(make_absolute_href(href, base, start_is_dir=False) if base is not None else href)
        for href in (asset.href, *copies(asset))
        for base in ([base for base in bases if base is not None] or [None])
    ]
    return tuple(dict.fromkeys(found))


def _of_cubes(item: pystac.Item, owner: int, crs: Any) -> Iterator[Offer]:
    """Offer the variables of NetCDF and Zarr."""
    from modelstac.registry.scenes.reading.finding.arrays import offers_of_dataset

    for key, asset in item.assets.items():
        if _is_kind(key, asset, _CUBES, CUBES):
            path, dataset = _first_cube(_places(item, asset))
            check_file(path, asset.extra_fields, item.id)
            said = _system(asset.extra_fields, item.properties)
            dataset = dataset if said is None else dataset.assign_attrs({SYSTEM: said} | dataset.attrs)
            for offer in offers_of_dataset(dataset, owner, plain(path), crs=crs):
                yield replace(offer, time=_time(item), until=_until(item)) if offer.time is None else offer


def _first_cube(paths: Sequence[str]) -> tuple[str, xr.Dataset]:
    """Open the first that can be; what is said of none is said of the first."""
    from modelstac.registry.scenes.reading.finding.arrays import open_dataset

    for path in paths[1:] and paths:
        try:
            return path, open_dataset(path)
        except DataError:
            continue
    return paths[0], open_dataset(paths[0])


def _system(asset: Mapping[str, Any], properties: Mapping[str, Any]) -> str | None:
    """Return the reference system that an asset or its item says, in the words of projection 1.0 to 2.0."""
    number, written = "proj:epsg", "proj:projjson"
    said = (
        f"EPSG:{place[key]}" if key == number else json.dumps(place[key]) if key == written else place[key]
        for place in (asset, properties)
        for key in ("proj:code", number, "proj:wkt2", written)
        if place.get(key) is not None
    )
    return next((one for one in said if isinstance(one, str) and parsed_crs(one) is not None), None)


def _own_bands(part: FilePart) -> list[Band]:
    """Give what a file says of its bands, if it has several: who names none of them leaves that to the file."""
    return [part.bands[number] for number in part.shown] if len(part.shown) > 1 else []


def _is_kind(key: str, asset: pystac.Asset, kinds: tuple[str, ...], endings: tuple[str, ...]) -> bool:
    """Tell whether an asset has data of some media types, or a name that ends so where it states none."""
    if _NOT_DATA & _roles(asset) or key.casefold().startswith(_PICTURES):
        return False
    return _is_of_type(asset, kinds, endings)


def _roles(asset: pystac.Asset) -> set[str]:
    return set(map(str, asset.roles)) if isinstance(asset.roles, list) else set()


def _is_of_type(asset: pystac.Asset, kinds: tuple[str, ...], endings: tuple[str, ...]) -> bool:
    kind = (asset.media_type or "").casefold()
    if kind and not kind.startswith(_OF_ANY_TYPE):
        return kind.startswith(kinds)
    return urlsplit(asset.href).path.casefold().rstrip("/").endswith(endings)


def _entries(fields: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Put together what an asset says of each of its bands, in the lists of any version of STAC."""
    lists = [found for key in ("eo:bands", "raster:bands", "bands") if isinstance(found := fields.get(key), list)]
    merged: list[dict[str, Any]] = [{} for _ in range(max(map(len, lists), default=0))]
    for found in lists:
        for place, entry in enumerate(found):
            here = entry if isinstance(entry, Mapping) else {}
            apart = [text for key in _OF_ITEM if (text := _apart(merged[place].get(key), here.get(key), key))]
            merged[place] |= {**here, _FAULT: apart[0]} if apart else here
    told = fields.get("raster:bands")
    count = len(told) if isinstance(told, list) else 0
    if any((one.get("scale") or 1, one.get("offset") or 0) != (1, 0) for one in merged[:count]):
        for one in merged[count:]:  # which are of the same file
            one.setdefault(_FAULT, f"its item says scale and offset of {count} of its {len(merged)} bands: correct it")
    return merged


def _apart(one: Any, other: Any, key: str) -> str:
    """Say what lists of two versions of STAC contradict each other in; nothing where they do not."""
    if one is None or other is None or one == other:
        return ""
    alike = not are_apart(str(one), str(other)) if key == "unit" else str(_number(one)) == str(_number(other))  # NaN
    return "" if alike else f"its item says {key} {one} and {key} {other}, in lists of two versions of STAC: correct it"


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
    fault = entry.get(_FAULT) or _apart(entry.get("scale"), entry.get("raster:scale"), "scale")
    fault = fault or _apart(entry.get("offset"), entry.get("raster:offset"), "offset")
    classes = has_classes(entry) or has_classes(asset)
    says = f"item {item.id!r}" if (scale, offset) != (None, None) else ""
    numbers = Numbers(
        scale, offset, nodata, unit if isinstance(unit, str) else None, classes or key.casefold() == "scl", says,
        fault=fault,
    )  # fmt: skip
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
        return replace(numbers, scale=scale, offset=round(added * scale, 12), nodata=nodata, source=where, counts=True)
    if numbers.offset is None and numbers.scale is None:
        return replace(numbers, nodata=nodata, counts=True)
    return replace(numbers, scale=scale, nodata=nodata, counts=True)


def _said(name: str, entry: Mapping[str, Any], asset: Mapping[str, Any], item: pystac.Item) -> Any:
    """Find a field of a band, its asset or the whole item, the nearest first, as STAC 1.1 hands them down."""
    for place, keys in ((entry, _SPELLED), (asset, _SPELLED), (item.properties, _OF_ITEM[name])):
        for key in keys:
            if place.get(said := key.format(name)) is not None:
                return place[said]
    return None


def _number(value: Any) -> float | None:
    """Read a number, which some items write as text; STAC itself so writes those that JSON has not."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _pixel(entry: Mapping[str, Any], asset: Mapping[str, Any]) -> float | None:
    for place in (entry, asset):
        for key in ("raster:spatial_resolution", "spatial_resolution", "gsd", "eo:gsd"):
            if (found := _number(place.get(key))) is not None and found > 0:
                return found
    transform = asset.get("proj:transform")
    return abs(float(transform[0])) if isinstance(transform, list) and len(transform) >= 6 and transform[0] else None


def _time(item: pystac.Item) -> np.datetime64 | None:
    return _in_utc(item.datetime or item.common_metadata.start_datetime)


def _until(item: pystac.Item) -> np.datetime64 | None:
    """Return when the period of an item ended that is of no one time, such as eight days of MODIS."""
    return None if item.datetime is not None else _in_utc(item.common_metadata.end_datetime)


def _in_utc(time: datetime | None) -> np.datetime64 | None:
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
