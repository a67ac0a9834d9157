"""The search for collections: there is one a model, so that each is looked at."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from functools import total_ordering
from typing import Any

from modelstac.catalog.errors import InvalidItemError, InvalidQueryError, ItemExistsError
from modelstac.catalog.items.documents import Document
from modelstac.catalog.items.geometry import box_geometry, boxes_meet
from modelstac.catalog.items.identity import ALIASES
from modelstac.catalog.search.facts import says
from modelstac.catalog.search.page import Page
from modelstac.catalog.search.query import Query
from modelstac.catalog.search.ranges import interval
from modelstac.catalog.search.sql.judging import passes
from modelstac.catalog.search.sql.paging import Key, make_token, read_token
from modelstac.catalog.times import first_and_last

_FIRST, _LAST = "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"


def no_item(alias: str, item_id: str) -> InvalidItemError:
    """Return what is wrong with an alias that points to nothing of its collection."""
    return InvalidItemError(f"{ALIASES}.{alias}: there is no item {item_id[:80]!r} in this collection")


def collection_exists(collection_id: str) -> ItemExistsError:
    """Return what is wrong with making a collection that is there."""
    return ItemExistsError(f"there is a collection {collection_id!r}: change it by PUT or PATCH")


def pointing_to(item_id: str, aliases: Any) -> list[str]:
    """Return the aliases that point to an item; an earlier version let a collection have anything in their place."""
    return sorted(a for a, target in aliases.items() if target == item_id) if isinstance(aliases, dict) else []


def select(collections: Iterable[Document], query: Query) -> Page:
    """Return a page of the collections that a query finds, by id unless it says otherwise.

    A token says after which values the next page begins: the collection that had them may be gone by then.
    """
    found = [(_place(c, query), c) for c in collections if _matches(c, query)]
    found.sort(key=lambda one: _ordered(one[0], query))
    matched = len(found)
    if query.token is not None:
        after = _ordered(_after(query), query)
        found = [(place, c) for place, c in found if _ordered(place, query) > after]
    page = found[: query.limit]
    token = make_token(query, page[-1][0]) if len(page) < len(found) else None
    return Page(tuple(c for _, c in page), token, matched)


Place = tuple[str | None, ...]
"""What a collection is sorted by: its texts, None where it has none, and its id."""


def _place(collection: Document, query: Query) -> Place:
    names = [name.removeprefix("-").removeprefix("properties.") for name in query.sortby]
    values = [value if isinstance(value := collection.get(name), str) else None for name in names]
    return (*values, str(collection["id"]))


@total_ordering
class _Descending:
    def __init__(self, text: str) -> None:
        self._text = text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Descending) and self._text == other._text

    def __lt__(self, other: _Descending) -> bool:
        return self._text > other._text

    __hash__ = None  # type: ignore[assignment]


def _ordered(place: Place, query: Query) -> list[Any]:
    order: list[Any] = []
    for name, value in zip((*query.sortby, "id"), place, strict=True):
        # What is missing comes last either way.
        order += [value is None, _Descending(value or "") if name.startswith("-") else value or ""]
    return order


def _after(query: Query) -> Place:
    values = read_token(query, [Key(name) for name in (*query.sortby, "id")])
    if not all(value is None or isinstance(value, str) for value in values) or values[-1] is None:
        raise InvalidQueryError("token: this is none that a search gave")
    return tuple(values)


def _matches(collection: Document, query: Query) -> bool:
    try:
        extent = collection.get("extent", {})
        there = (
            (query.bbox is None or any(boxes_meet(query.bbox, box) for box in extent["spatial"]["bbox"] if box))
            and (query.datetime is None or _meets(extent["temporal"]["interval"], query.datetime))
            and (query.text is None or _says(collection, query.text))
        )
    except (AttributeError, LookupError, TypeError, ValueError):
        return False  # somebody's, whose extent or keywords are none: it is nowhere, and the others are found
    return there and (query.filter is None or _passes(collection, query.filter))


def _meets(intervals: list[list[str | None]], wanted: str) -> bool:
    start, stop = interval(wanted)
    ends = [[value and first_and_last(value) for value in found] for found in intervals[:1]]
    return any((not first or first[0] <= stop) and (not last or last[1] >= start) for first, last in ends)


def _says(collection: Document, text: str) -> bool:
    words = collection.get("keywords") or ()
    said = [collection["id"], collection.get("title"), collection.get("description"), *words]
    everything = " ".join(part for part in said if isinstance(part, str)).casefold()
    return says(everything, text)


def _passes(collection: Document, wanted: Any) -> bool:
    flat = {name: value for name, value in collection.items() if name not in {"links", "assets"}}
    # Place and time are those of its extent, as in pgstac.
    geometry = None
    with contextlib.suppress(AttributeError, LookupError, TypeError, ValueError):
        geometry = box_geometry(collection["extent"]["spatial"]["bbox"][0])
    with contextlib.suppress(AttributeError, LookupError, TypeError, ValueError):
        first, last = collection["extent"]["temporal"]["interval"][0]
        flat |= {"datetime": first, "start_datetime": first or _FIRST, "end_datetime": last or _LAST}
    found = {"id": collection["id"], "collection": collection["id"], "properties": flat, "geometry": geometry}
    return passes(wanted, found)
