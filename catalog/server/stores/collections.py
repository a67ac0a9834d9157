"""The search for collections: there is one a model, so that each is looked at."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from modelstac.catalog.errors import InvalidQueryError
from modelstac.catalog.items.documents import Document
from modelstac.catalog.items.geometry import boxes_meet
from modelstac.catalog.search.matching import says
from modelstac.catalog.search.page import Page
from modelstac.catalog.search.query import Query
from modelstac.catalog.search.ranges import interval
from modelstac.catalog.search.sql.paging import Key, make_token, read_token

_OFFSET = Key("offset")


def select(collections: Iterable[Document], query: Query) -> Page:
    """Return a page of the collections that a query finds, by id unless it says otherwise."""
    found = sorted((c for c in collections if _matches(c, query)), key=lambda collection: str(collection["id"]))
    for name in reversed(query.sortby):
        field = name.removeprefix("-").removeprefix("properties.")
        given = [c for c in found if _sortable(c.get(field))]
        given.sort(key=lambda collection: str(collection[field]), reverse=name.startswith("-"))
        found = given + [c for c in found if not _sortable(c.get(field))]
    start = _start(query)
    stop = start + (query.limit or len(found))
    token = make_token(query, (stop,)) if stop < len(found) else None
    return Page(tuple(found[start:stop]), token, len(found))


def _start(query: Query) -> int:
    if query.token is None:
        return 0
    start = read_token(query, [_OFFSET])[0]
    if not isinstance(start, int):
        raise InvalidQueryError("token: this is none that a search gave")
    return start


def _sortable(value: Any) -> bool:
    return isinstance(value, str)


def _matches(collection: Document, query: Query) -> bool:
    extent = collection.get("extent", {})
    return (
        (query.bbox is None or any(boxes_meet(query.bbox, box) for box in extent["spatial"]["bbox"] if box))
        and (query.datetime is None or _meets(extent["temporal"]["interval"], query.datetime))
        and (query.text is None or _says(collection, query.text))
        and (query.filter is None or _passes(collection, query.filter))
    )


def _meets(intervals: list[list[str | None]], wanted: str) -> bool:
    start, stop = interval(wanted)
    moments = [[value and datetime.fromisoformat(value) for value in found] for found in intervals[:1]]
    return any((not first or first <= stop) and (not last or last >= start) for first, last in moments)


def _says(collection: Document, text: str) -> bool:
    said = [collection["id"], collection.get("title"), collection.get("description"), *collection.get("keywords", ())]
    everything = " ".join(part for part in said if isinstance(part, str)).casefold()
    return says(everything, text)


def _passes(collection: Document, wanted: Any) -> bool:
    import cql2

    flat = {name: value for name, value in collection.items() if name not in {"links", "assets"}}
    try:
        return bool(cql2.Expr(wanted).matches(flat))
    except Exception as error:
        raise InvalidQueryError(f"filter: it cannot be applied to collections: {str(error)[:200]}") from error
