"""The STAC item of a result: what and where it is, and what it was made of, for any tool that reads STAC 1.1."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pystac

from modelstac.catalog.errors import DataError
from modelstac.catalog.items.digests import multihash, sha256
from modelstac.catalog.items.documents import dump
from modelstac.catalog.items.geometry import bounding_box, box_geometry, covering_box
from modelstac.catalog.items.links import ITEM_ID_FIELD
from modelstac.catalog.items.mlm import FILE_SCHEMA_URI
from modelstac.catalog.items.validation import validate_document
from modelstac.registry.scenes.rasters import Layer
from modelstac.registry.scenes.writing.layers import words
from modelstac.registry.scenes.writing.places import crs_of, footprint, pixel_length
from modelstac.registry.scenes.writing.statements import PROGRAM, Statement, origin_href, own_version

CLASSIFICATION = "https://stac-extensions.github.io/classification/v2.0.0/schema.json"
PROCESSING = "https://stac-extensions.github.io/processing/v1.1.0/schema.json"
PROJECTION = "https://stac-extensions.github.io/projection/v2.0.0/schema.json"

MEDIA_TYPES = {
    ".tif": "image/tiff; application=geotiff; profile=cloud-optimized",
    ".tiff": "image/tiff; application=geotiff; profile=cloud-optimized",
    ".zarr": "application/vnd.zarr; version=3",
    ".nc": "application/x-netcdf",
    ".parquet": "application/vnd.apache.parquet",
    ".geoparquet": "application/vnd.apache.parquet",
    ".gpkg": "application/geopackage+sqlite3",
    ".geojson": "application/geo+json",
    ".json": "application/geo+json",
    ".png": "image/png",
}

When = datetime | tuple[datetime, datetime]


@dataclass(frozen=True)
class Written:
    """A file, or a folder that is one, that was written.

    Parameters
    ----------
    href
        Its path, or URL in an object store.
    kind
        ``map``, ``polygons``, ``preview`` or ``item``.
    layers
        The layers in it.
    media_type
        What it is of.
    checksum
        SHA-256 as hexadecimal digits; None of a folder.
    size
        Bytes.
    """

    href: str
    kind: str
    layers: tuple[Layer, ...]
    media_type: str
    checksum: str | None
    size: int


def measured(path: Path, href: str, kind: str, layers: Sequence[Layer]) -> Written:
    """Describe what lies at a path, to be found at an href."""
    media_type = MEDIA_TYPES.get(Path(href).suffix.lower(), "application/octet-stream")
    if path.is_dir():
        size = sum(found.stat().st_size for found in path.rglob("*") if found.is_file())
        return Written(href, kind, tuple(layers), media_type, None, size)
    return Written(href, kind, tuple(layers), media_type, sha256(path), path.stat().st_size)


def result_item(
    written: Sequence[Written],
    statement: Statement,
    *,
    item_id: str,
    hrefs: Mapping[str, str] | None = None,
    when: When | None = None,
    sensors: Mapping[str, Collection[str]] | None = None,
    software: Mapping[str, str] | None = None,
) -> pystac.Item:
    """Describe a result.

    Parameters
    ----------
    written
        Its files.
    statement
        Where it comes from: the model and the scene are linked to as ``derived_from``.
    item_id
        Its id.
    hrefs
        What its assets are called, by where they lie; as they are by default.
    when
        Of the scene: a moment, or its beginning and end; by default what an item says that the statement's origins lead
        to, or now.
    sensors
        What the scene calls its platform, constellation and instruments, by field.
    software
        Versions of what ran the model, by name (``processing:software``), beside ours.

    Raises
    ------
    InvalidItemError
        If it breaks STAC or one of the extensions that it declares.
    DataError
        If a layer has no reference system, or there is no layer.
    """
    layers = list({layer.name: layer for found in written for layer in found.layers}.values())
    if not layers:
        raise DataError("an item of a result needs a layer that was written")
    geometry = _geometry(layers)
    moment, period = _when(when, statement.origins)
    properties: dict[str, Any] = {
        "title": statement.heading,
        "processing:software": {PROGRAM: own_version(), **(software or {})},
        **_sensed(sensors or {}),
        **_pixel(layers),
        **period,
    }
    if statement.notes:
        properties["processing:lineage"] = "; ".join(statement.notes)
    same_place = all(layer.grid == layers[0].grid for layer in layers)
    if same_place:
        properties |= _projection(layers[0])
    item = pystac.Item(
        item_id,
        geometry,
        list(bounding_box(geometry)),
        moment,
        properties,
        stac_extensions=sorted(
            {PROCESSING, PROJECTION, FILE_SCHEMA_URI}
            | ({CLASSIFICATION} if any(one.classes for one in layers) else set())
        ),
    )
    for link in statement.origins:
        item.add_link(pystac.Link("derived_from", origin_href(link), link.media_type, link.title, link.extra_fields))
    if statement.model is not None:
        item.add_link(_model_link(statement.model))
    for found in written:
        if found.kind != "item":
            item.add_asset(_key(found, written), _asset(found, (hrefs or {}).get(found.href, found.href), same_place))
    return item


def item_bytes(item: pystac.Item) -> bytes:
    """Return the document of an item, held against the schemas of what it declares.

    Raises
    ------
    InvalidItemError
        If it breaks one.
    """
    document = item.to_dict(include_self_link=False, transform_hrefs=False)
    validate_document(document)
    return dump(document)


def _geometry(layers: Sequence[Layer]) -> dict[str, Any]:
    outlines = [footprint(layer.grid) for layer in layers]
    if all(outline == outlines[0] for outline in outlines):
        return outlines[0]
    return box_geometry(covering_box(bounding_box(outline) for outline in outlines))


def _when(when: When | None, origins: Sequence[pystac.Link]) -> tuple[datetime | None, dict[str, Any]]:
    """Return the moment of an item, or None and its period."""
    if isinstance(when, datetime):
        return _utc(when), {}
    if when is None:
        items = [link.target for link in origins if isinstance(link.target, pystac.Item)]
        moments = [_utc(item.datetime) for item in items if item.datetime is not None]
        for item in items:
            found = item.common_metadata
            moments += [_utc(moment) for moment in (found.start_datetime, found.end_datetime) if moment is not None]
        if not moments:
            return datetime.now(UTC), {"description": "The scene says no time: datetime is when the map was made."}
        when = (min(moments), max(moments))
    start, end = map(_utc, when)
    if start == end:
        return start, {}
    return None, {
        name: pystac.utils.datetime_to_str(at) for name, at in (("start_datetime", start), ("end_datetime", end))
    }


def _sensed(sensors: Mapping[str, Collection[str]]) -> dict[str, Any]:
    """Return what the scene was taken by; a field of one name is left out where there are several."""
    alone = {field: next(iter(names)) for field, names in sensors.items() if field != "instruments" and len(names) == 1}
    return alone | ({"instruments": sorted(sensors["instruments"])} if sensors.get("instruments") else {})


def _pixel(layers: Sequence[Layer]) -> dict[str, float]:
    """Return how far pixels of the finest layer are apart in the middle, in metres of the ground, to three digits."""
    found = min(pixel_length(layer.grid) for layer in layers)
    return {"gsd": float(f"{found:.3g}")} if math.isfinite(found) else {}


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _model_link(model: pystac.Item) -> pystac.Link:
    href = model.get_self_href() or f"{model.id}.json"
    title = model.properties.get("title")
    return pystac.Link("derived_from", href, "application/geo+json", title, {ITEM_ID_FIELD: model.id})


def _projection(layer: Layer) -> dict[str, Any]:
    crs = crs_of(layer.grid)
    authority = crs.to_authority()
    found: dict[str, Any] = {"proj:code": ":".join(authority) if authority else None}
    if authority is None:
        found["proj:wkt2"] = crs.to_wkt()
    corners = layer.grid.extent.boundingbox
    return found | {
        "proj:shape": list(layer.grid.shape),
        "proj:transform": [float(number) for number in layer.grid.affine[:6]],
        "proj:bbox": [float(number) for number in corners],
    }


def _key(found: Written, written: Sequence[Written]) -> str:
    """Return the name of an asset: what it is, and of which layer where there are several files."""
    several = sum(other.kind == found.kind for other in written) > 1
    return f"{found.kind}-{found.layers[0].name}" if several and found.layers else found.kind


_ROLES = {"map": ["data"], "polygons": ["data"], "preview": ["overview"]}


def _asset(found: Written, href: str, same_place: bool) -> pystac.Asset:
    fields: dict[str, Any] = {"file:size": found.size}
    if found.checksum is not None:
        fields["file:checksum"] = multihash(found.checksum)
    if found.kind == "map":
        bands = [band for layer in found.layers for band in _bands(layer)]
        fields["bands"] = bands
        if len(found.layers) == 1 and not same_place:
            fields |= _projection(found.layers[0])
    classes = [layer for layer in found.layers if layer.classes]
    if found.kind in {"map", "polygons"} and len(classes) == len(found.layers) == 1:
        fields["classification:classes"] = _classes(classes[0])
    titles = {"map": "Map", "polygons": "Polygons", "preview": "Preview"}
    names = ", ".join(layer.name for layer in found.layers)
    return pystac.Asset(
        href,
        title=f"{titles[found.kind]}: {names}" if names else titles[found.kind],
        media_type=found.media_type,
        roles=_ROLES[found.kind],
        extra_fields=fields,
    )


def _classes(layer: Layer) -> list[dict[str, Any]]:
    # A name is one word there, which a program can use; what a person reads is the title.
    return [
        {
            "value": found.value,
            "name": word,
            "title": found.name,
            "description": found.name,
            "color_hint": str(found.color).removeprefix("#").upper(),
        }
        for found, word in zip(layer.classes, words(layer.classes), strict=True)
    ]


def _bands(layer: Layer) -> list[dict[str, Any]]:
    shared: dict[str, Any] = {"data_type": layer.dtype}
    if layer.nodata is not None:
        shared["nodata"] = "nan" if math.isnan(layer.nodata) else layer.nodata
    if layer.unit:
        shared["unit"] = layer.unit
    return [{"name": name or layer.name, **shared} for name in layer.bands]
