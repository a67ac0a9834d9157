"""Search without an index: the items go into a database in memory for one query."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from modelstac.catalog.base import Page
from modelstac.catalog.documents import Document
from modelstac.catalog.query import Query
from modelstac.catalog.sql import rows
from modelstac.catalog.sql.fields import reduced
from modelstac.catalog.sql.functions import register
from modelstac.catalog.sql.schema import prepare
from modelstac.catalog.sql.search import Search


def scan(items: Iterable[Document], aliases: Iterable[tuple[str, str, str]], query: Query, *, count: bool) -> Page:
    """Return one page of a search among these items.

    Parameters
    ----------
    aliases
        Collection, alias and item id of every alias.
    """
    connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        register(connection)
        prepare(connection)
        by_key = {rows.insert(connection, document): document for document in items}
        connection.executemany("INSERT INTO aliases VALUES (?, ?, ?)", aliases)
        search = Search(connection, query)
        keys, token = search.rows()
        found = tuple(reduced(by_key[key], query.fields) for key in keys)
        return Page(found, token, search.count() if count else None)
    finally:
        connection.close()
