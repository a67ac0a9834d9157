"""Rules of the item itself: its parts, the extension's address, its box and times."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from modelstac.catalog.items.geometry import bounding_box, check_geometry
from modelstac.catalog.items.mlm import (
    DATACUBE_SCHEMA_URI,
    FILE_SCHEMA_URI,
    MLM_SCHEMA_URI,
    RASTER_SCHEMA_URI,
    SCIENTIFIC_SCHEMA_URI,
)
from modelstac.catalog.items.validation import MLM_SCHEMAS
from modelstac.registry.checking.fault import GEOJSON, MLM, STAC, Document, Fault, assets, declare, shown

_EXTENSIONS = {
    "cube": DATACUBE_SCHEMA_URI,
    "file": FILE_SCHEMA_URI,
    "raster": RASTER_SCHEMA_URI,
    "sci": SCIENTIFIC_SCHEMA_URI,
}


def parts(document: Document) -> Iterator[Fault]:
    """An item has properties, assets by key, links and extensions in lists."""
    if not isinstance(document.get("properties"), dict):
        yield Fault("properties", "properties", f"is {shown(document.get('properties'))}, no object", STAC, "{}")
        document["properties"] = {}
    found = document.get("assets")
    if not isinstance(found, dict):
        listed = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
        document["assets"] = {str(one.get("key") or one.get("title") or i): one for i, one in enumerate(listed)}
        text = f"is {shown(found)}, and assets stand in an object by key"
        yield Fault(
            "assets", "assets", text, STAC, f"an object with the keys {', '.join(document['assets']) or 'none'}"
        )
    for name in ("links", "stac_extensions"):
        if not isinstance(document.get(name), list):
            yield Fault(name.replace("_", "-"), name, f"is {shown(document.get(name))}, no list", STAC, "[]")
            document[name] = []


def address(document: Document) -> Iterator[Fault]:
    """The extension is declared at an address where there is a schema, of the version that is written."""
    declared = document["stac_extensions"]
    own = [uri for uri in declared if str(uri).startswith(MLM_SCHEMAS)]
    if own == [MLM_SCHEMA_URI]:
        return
    text = f"declares {', '.join(map(str, own))}" if own else "declares no address of the extension"
    why = (
        "of another version, or at an address where there is no schema any more" if own else "so that nothing checks it"
    )
    yield Fault("address", "stac_extensions", f"{text}, {why}", MLM, MLM_SCHEMA_URI)
    document["stac_extensions"] = [MLM_SCHEMA_URI, *(uri for uri in declared if uri not in own)]


def box(document: Document) -> Iterator[Fault]:
    """The box goes from south to north, and is that of the geometry; without one there is none."""
    geometry: Any = document.get("geometry")
    if geometry == {}:
        yield Fault("geometry", "geometry", "is an empty object: without a place it is null", GEOJSON, "null")
        document["geometry"] = geometry = None
    if geometry is None:
        if document.get("bbox") is not None:
            text = f"is {shown(document['bbox'])}, and the item has no geometry"
            yield Fault("bbox", "bbox", text, STAC, "left out")
            del document["bbox"]
        return
    if (moved := _moved(geometry)) is not None:
        text = "has longitudes from 180 to 360, and they go from -180 to 180"
        yield Fault("geometry", "geometry", text, GEOJSON, shown(moved))
        document["geometry"] = geometry = moved
        document["bbox"] = None
    try:
        own = list(bounding_box(check_geometry(geometry)))
    except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        yield Fault("geometry", "geometry", str(error).removeprefix("geometry: "), GEOJSON)
        return
    found = document.get("bbox")
    if not isinstance(found, list) or len(found) not in {4, 6} or not all(isinstance(n, int | float) for n in found):
        yield Fault("bbox", "bbox", f"is {shown(found)}, and not west, south, east, north", STAC, shown(own))
        document["bbox"] = own
    elif found[1] > found[len(found) // 2 + 1]:
        text = f"has south {found[1]} above north {found[len(found) // 2 + 1]}"
        yield Fault("bbox", "bbox", text, GEOJSON, shown(own))
        document["bbox"] = own


def _moved(geometry: Any) -> dict[str, Any] | None:
    """Give a geometry in the other half of a globe from 0 to 360 by its usual longitudes; None for any other."""
    found: list[float] = []

    def walk(part: Any, turn: float) -> Any:
        if isinstance(part, list) and part and isinstance(part[0], int | float):
            found.append(float(part[0]))
            return [round(part[0] + turn, 9), *part[1:]]
        return [walk(one, turn) for one in part] if isinstance(part, list) else part

    if not isinstance(geometry, dict):
        return None
    moved = walk(geometry.get("coordinates"), -360.0)
    return geometry | {"coordinates": moved} if found and min(found) >= 180 and 180 < max(found) <= 360 else None


def declared(document: Document) -> Iterator[Fault]:
    """What has fields of an extension declares it."""
    used = [*document["properties"], *(name for _, asset in assets(document) for name in asset)]
    for prefix, uri in _EXTENSIONS.items():
        named = next((name for name in used if str(name).startswith(f"{prefix}:")), None)
        if named is None or any(str(one).startswith(uri.rpartition("/v")[0]) for one in document["stac_extensions"]):
            continue
        yield Fault("extension", "stac_extensions", f"does not declare the extension of {named!r}", STAC, uri)
        declare(document, uri)
