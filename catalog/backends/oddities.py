"""What is wrong with a document that others wrote, in half a line: a search leaves it out, and finds the rest."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from modelstac.catalog.items.geometry import check_bbox, check_searched

Document = dict[str, Any]
_TIMES = ("datetime", "start_datetime", "end_datetime")


def oddity(document: Document) -> str | None:
    """Tell what of an item or a collection could not be searched, read or shown; None where all of it can.

    The schemas are not asked: what breaks them and does no harm is listed.
    """
    kind = document.get("type")
    if not isinstance(document.get("id"), str) or not document["id"]:
        return f"its id is {_short(document.get('id'))}, and a text is needed"
    if not isinstance(document.get("stac_version"), str):
        return f"its stac_version is {_short(document.get('stac_version'))}, and a text is needed"
    links = document.setdefault("links", [])
    if not isinstance(links, list) or any(not _is_link(link) for link in links):
        return "its links are no list of objects with rel and href"
    return _of_item(document) if kind == "Feature" else None


def _of_item(document: Document) -> str | None:
    properties, assets = document.get("properties"), document.setdefault("assets", {})
    if not isinstance(properties, dict):
        return f"its properties are {_short(properties)}, and an object is needed"
    if not isinstance(assets, dict) or any(not _is_asset(asset) for asset in assets.values()):
        return "its assets are no object of objects with href"
    if not isinstance(extensions := document.get("stac_extensions") or [], list):
        return f"its stac_extensions are {_short(extensions)}, and a list is needed"
    for name in _TIMES:
        if (moment := properties.get(name)) is not None and not _is_moment(moment):
            return f"its {name} is {_short(moment)}, and a time of RFC 3339 is needed"
    if not isinstance(properties.get("keywords") or [], list):
        return f"its keywords are {_short(properties['keywords'])}, and a list is needed"
    return _of_place(document)


def _of_place(document: Document) -> str | None:
    bbox, geometry = document.get("bbox"), document.get("geometry")
    try:
        if bbox is not None:
            if not isinstance(bbox, list) or not all(_is_number(value) for value in bbox):
                return f"bbox: {_short(bbox)} is no list of numbers"
            check_bbox(bbox)
        if geometry is not None:
            if not isinstance(geometry, dict):
                return f"geometry: {_short(geometry)} is no object"
            check_searched(geometry)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        return " ".join(str(error).split())[:200]
    return None


def _is_link(link: Any) -> bool:
    return isinstance(link, dict) and isinstance(link.get("rel"), str) and isinstance(link.get("href"), str)


def _is_asset(asset: Any) -> bool:
    roles = asset.get("roles") or [] if isinstance(asset, dict) else None
    return isinstance(roles, list) and isinstance(asset.get("href"), str) and all(isinstance(r, str) for r in roles)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_moment(value: Any) -> bool:
    try:
        datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return False
    return True


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
