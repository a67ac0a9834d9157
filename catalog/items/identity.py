"""What of an item never changes once it is published, and where two items differ in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from modelstac.catalog.items.links import ITEM_ID_FIELD, PAGE_FIELD
from modelstac.catalog.times import first_and_last

if TYPE_CHECKING:
    import pystac

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,198}", re.ASCII)
"""Ids and names of collections that become folders and parts of addresses."""
OUR_FIELD = "interop:variant"
"""What every item has that was made here."""
# Pointers of the collection to an item, shown on the item by the store that returns it.
CONFORMANCE = "urn:modelstac:conformance:search"
"""What a server says whose searches are ours: fields, sorting, text, CQL2 whatever the case, sortable versions."""
BULK_CONFORMANCE = "urn:modelstac:conformance:bulk"
"""What a server says that takes items of any models one a line, validates them and stores all or none."""
ALIASES = "interop:aliases"
RULES = "interop:alias_rules"
"""The field of a collection: what an alias requires, by its name."""
FROM_ITEMS = "interop:items_description"
"""The field of a collection: what its items say of it, which its description is until somebody writes another."""
# Evidence that the catalog's keeper may add later, and the store's own time stamps.
MUTABLE_PROPERTIES = frozenset({"created", "updated", "deprecated", "expires", "interop:verified", ALIASES})


def is_said_here(properties: Mapping[str, Any]) -> bool:
    """Tell whether an item was described here: it has a field of ours that its keeper did not add."""
    return any(str(name).startswith("interop:") for name in properties if name not in MUTABLE_PROPERTIES)


_TIMES = frozenset({"datetime", "start_datetime", "end_datetime"})

SIGNATURE = "signature"
EVIDENCE_ASSETS = frozenset({SIGNATURE})
"""Assets of that kind."""


def is_model(document: dict[str, Any]) -> bool:
    """Tell whether a collection or an item is of a model: then it has a page for people."""
    said = document.get("properties" if document.get("type") == "Feature" else "summaries")
    return isinstance(said, dict) and any(name.startswith("mlm:") for name in said)


def about(href: str, name: str) -> dict[str, Any]:
    """Return the link from an item or collection to the page of its model."""
    return {"rel": "about", "href": href, "type": "text/html", "title": f"Page of {name}", PAGE_FIELD: name}


def about_all(href: str) -> dict[str, Any]:
    """Return the link from a catalog to the list of its models, for people."""
    return {"rel": "about", "href": href, "type": "text/html", "title": "All models, a page each"}


def in_collection(reference: str) -> tuple[str | None, str]:
    """Split ``collection/id`` into both; of a bare id the collection is None.

    STAC wants an id to be unique within its collection alone.
    """
    collection, _, item_id = reference.rpartition("/")
    return (collection, item_id) if collection and item_id else (None, reference)


def reference(collection: str | None, item_id: str) -> str:
    """Return ``collection/id``, which names an item wherever several collections have its id; the id of one in none."""
    return f"{collection}/{item_id}" if collection else item_id


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
    own = frozenset(content)
    for name, value in item.properties.items():
        if name not in MUTABLE_PROPERTIES:
            # A property called as a part of the item, or an asset, stands in place of none: signatures are of this.
            taken = name in own or name.startswith(("asset ", "properties."))
            content[f"properties.{name}" if taken else name] = plain(value)
    if "datetime" not in content:  # pystac puts it among the properties when it first writes the item
        from pystac.utils import datetime_to_str

        content["datetime"] = None if item.datetime is None else datetime_to_str(item.datetime)
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
    return sorted(name for name in one.keys() | other.keys() if not _is_same(name, one.get(name), other.get(name)))


def _is_same(name: str, one: Any, other: Any) -> bool:
    """Tell whether two values are one: a time is, however it is written, and pystac writes those of an item anew."""
    if one == other or name not in _TIMES or not isinstance(one, str) or not isinstance(other, str):
        return bool(one == other)
    try:
        return first_and_last(one) == first_and_last(other)
    except (OverflowError, ValueError):
        return False


def plain(value: Any) -> Any:
    """Return a value as JSON has it: no tuples, so that what was written and what was read compare equal."""
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    return value
