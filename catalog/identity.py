"""What of an item never changes once it is published, and where two items differ in it."""

from __future__ import annotations

from typing import Any

import pystac

from modelstac.catalog.write_item import ITEM_ID_FIELD

# Evidence that the catalog's keeper may add later, and the store's own time stamps.
MUTABLE_PROPERTIES = frozenset({"created", "updated", "deprecated", "expires", "interop:verified"})


def immutable_content(item: pystac.Item) -> dict[str, Any]:
    """Return what is fixed for ever, by a name that a person understands: it does not depend on where the item lies."""
    content: dict[str, Any] = {
        "collection": item.collection_id,
        "geometry": _plain(item.geometry),
        "bbox": _plain(item.bbox),
        "sources": sorted(
            str(link.extra_fields.get(ITEM_ID_FIELD) or link.get_href(transform_href=False))
            for link in item.get_links("derived_from")
        ),
    }
    for name, value in item.properties.items():
        if name not in MUTABLE_PROPERTIES:
            content[name] = _plain(value)
    for key, asset in item.assets.items():
        fields = _plain(asset.to_dict())
        # The same bytes may lie anywhere.
        del fields["href"]
        content[f"asset {key}"] = fields
    return content


def differences(first: pystac.Item, second: pystac.Item) -> list[str]:
    """Return the names of the immutable parts in which two items differ."""
    one, other = immutable_content(first), immutable_content(second)
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def _plain(value: Any) -> Any:
    # JSON knows no tuples: what was written and what was read must compare equal.
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return value
