"""The protocol of a catalog. A backend implements four methods; the rest is derived here, once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import pystac

from modelstac.catalog.errors import InvalidQueryError, ItemExistsError, NotFoundError
from modelstac.catalog.identity import differences
from modelstac.catalog.messages import Report, ignore
from modelstac.catalog.query import EQUAL_FIELDS, Query


class Catalog(ABC):
    """A place where items are published, found and searched.

    Items that are returned have absolute hrefs, so that their files can be read as they are.

    Parameters
    ----------
    href
        Where the catalog is: a folder or a URL.
    """

    def __init__(self, href: str) -> None:
        self.href = href

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.href!r})"

    @abstractmethod
    def items(self) -> Iterator[pystac.Item]:
        """Return all items, one after the other."""

    @abstractmethod
    def collections(self) -> Iterator[pystac.Collection]:
        """Return all collections, one for every model name."""

    @abstractmethod
    def find(self, item_id: str) -> pystac.Item | None:
        """Return the item, None when there is no such id."""

    @abstractmethod
    def add(self, item: pystac.Item, *, report: Report) -> pystac.Item:
        """Store a validated item and its files atomically and return it as stored.

        An item that is there already goes through :meth:`same_or_refuse`, under whatever keeps other writers out.
        """

    def ids(self) -> Iterator[str]:
        """Return all item ids."""
        return (item.id for item in self.items())

    def get(self, item_id: str) -> pystac.Item:
        """Return an item by its id.

        Raises
        ------
        NotFoundError
            If there is none; the message names the nearest ids.
        """
        item = self.find(item_id)
        if item is None:
            raise NotFoundError.unknown("item", item_id, self.ids(), where=self.href)
        return item

    def publish(self, item: pystac.Item, *, report: Report = ignore) -> pystac.Item:
        """Validate and store an item with its files; after a failure the catalog is what it was.

        Publishing what is there already changes nothing and returns the published item.

        Raises
        ------
        InvalidItemError
            If the item is invalid.
        ItemExistsError
            If the id is taken by other content.
        StorageError, IntegrityError
            If a file cannot be written, or is not the one described.
        """
        from modelstac.catalog.validation import validate

        validate(item)
        return self.add(item, report=report)

    def search(self, query: Query | None = None, **fields: Any) -> list[pystac.Item]:
        """Return the items that a query, or the fields of one, ask for, ordered by id.

        Raises
        ------
        InvalidQueryError
            If the query cannot be understood, or names a framework, backend, format or task that nobody knows.
        """
        if query is not None and fields:
            raise InvalidQueryError("search takes a query or the fields of one, not both")
        query = query or Query(**fields)
        return self.select(query)

    def select(self, query: Query) -> list[pystac.Item]:
        """Find the items of a query by looking at every one; a backend with an index has a faster way."""
        known: dict[str, set[str]] = {"task": set()}
        found = []
        for item in self.items():
            for field, name in EQUAL_FIELDS.items():
                if isinstance(value := item.properties.get(name), str):
                    known.setdefault(field, set()).add(value)
            if query.matches(item):
                found.append(item)
        query.check_values(known)
        return sorted(found, key=lambda item: item.id)[: query.limit]

    def same_or_refuse(self, published: pystac.Item, item: pystac.Item) -> pystac.Item:
        """Return the published item when the new one says the same.

        Raises
        ------
        ItemExistsError
            If it says anything else.
        """
        if differing := differences(published, item):
            shown = ", ".join(differing[:4]) + (", …" if len(differing) > 4 else "")
            raise ItemExistsError(
                f"item {item.id!r} is already in {self.href} with other content ({shown}): "
                "published items do not change, publish under a new version"
            )
        return published
