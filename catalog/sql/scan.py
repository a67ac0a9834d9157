"""Search without an index: the items go into a database in memory for one query."""

from __future__ import annotations

from collections.abc import Iterable

from modelstac.catalog.base import Page
from modelstac.catalog.documents import Document
from modelstac.catalog.query import Query
from modelstac.catalog.sql import derived


def scan(items: Iterable[Document], aliases: Iterable[derived.Alias], query: Query, *, count: bool) -> Page:
    """Return one page of a search among these items.

    Parameters
    ----------
    aliases
        Collection, alias and item id of every alias.
    """
    return derived.search("", None, lambda: (items, aliases), query, count=count)
