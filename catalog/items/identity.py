"""What of an item never changes once it is published, and where two items differ in it."""

from __future__ import annotations

from typing import Any

import pystac

from modelstac.catalog.items.provenance import ITEM_ID_FIELD

OUR_FIELD = "interop:variant"
"""What every item has that was made here."""
# Pointers of the collection to an item, shown on the item by the store that returns it.
CONFORMANCE = "urn:modelstac:conformance:search"
"""What a server says whose searches are ours: fields, sorting, text, CQL2 whatever the case, sortable versions."""
BULK_CONFORMANCE = "urn:modelstac:conformance:bulk"
"""What a server says that takes items of any models one a line, validates them and stores all or none."""
ALIASES = "interop:aliases"
# Evidence that the catalog's keeper may add later, and the store's own time stamps.
MUTABLE_PROPERTIES = frozenset({"created", "updated", "deprecated", "expires", "interop:verified", ALIASES})

SIGNATURE = "signature"
EVIDENCE_ASSETS = frozenset({SIGNATURE})
"""Assets of that kind."""


def immutable_content(item: pystac.Item) -> dict[str, Any]:
    """Return what is fixed for ever, by a name that a person understands: it does not depend on where the item lies."""
    content: dict[str, Any] = {
        "collection": item.collection_id,
        "geometry": plain(item.geometry),
        "bbox": plain(item.bbox),
        "sources": sorted(
            str(link.extra_fields.get(ITEM_ID_FIELD) or link.get_href(transform_href=False))
            for link in item.get_links("derived_from")
        ),
    }
    for name, value in item.properties.items():
        if name not in MUTABLE_PROPERTIES:
            content[name] = plain(value)
    for key, asset in item.assets.items():
        if key in EVIDENCE_ASSETS:
            continue
        fields = plain(asset.to_dict())
        # The same bytes may lie anywhere.
        del fields["href"]
        content[f"asset {key}"] = fields
    return content


def differences(first: pystac.Item, second: pystac.Item) -> list[str]:
    """Return the names of the immutable parts in which two items differ."""
    one, other = immutable_content(first), immutable_content(second)
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def plain(value: Any) -> Any:
    """Return a value as JSON has it: no tuples, so that what was written and what was read compare equal."""
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    return value
