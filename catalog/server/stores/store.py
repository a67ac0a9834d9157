"""What the server asks of a backend: JSON documents in and out. The embedded file and pgstac both answer it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar

import orjson

from modelstac.catalog.items.documents import Document
from modelstac.catalog.search.page import Page
from modelstac.catalog.search.query import Query
from modelstac.catalog.search.sql.fields import reduced
from modelstac.catalog.server.stores.links import shown_item
from modelstac.catalog.server.teams.session import Session

Result = TypeVar("Result")
# Gets the stored document and gives the one to store; raises to leave it as it is.
Change = Callable[[Document], Document]
# Gets the stored document, as readers see it; raises to leave it there.
Check = Callable[[Document], None]


@dataclass(frozen=True)
class Shown:
    """A page of items as a client sees it.

    Parameters
    ----------
    features
        The items as JSON, each a document or its text.
    next, matched
        As in :class:`modelstac.catalog.search.page.Page`.
    """

    features: list[Document | orjson.Fragment]
    next: str | None
    matched: int | None


class Store(ABC):
    """A backend of the server. Documents come without the links that depend on the server's address."""

    alias_rules: Mapping[str, Sequence[str]] = MappingProxyType({})
    """What aliases require on this server, beside what their models' collections say."""

    async def open(self) -> None:  # noqa: B027 - most backends have nothing to open
        """Make ready to answer; called in the server's own event loop."""

    async def close(self) -> None:  # noqa: B027
        """Give back what is held."""

    @abstractmethod
    async def ping(self) -> None:
        """Raise :class:`StorageError` unless the backend answers."""

    @abstractmethod
    async def item(self, collection_id: str, item_id: str) -> Document | None:
        """Return an item, None when there is none."""

    @abstractmethod
    async def collection(self, collection_id: str) -> Document | None:
        """Return a collection, None when there is none."""

    @abstractmethod
    async def search(self, query: Query) -> Page:
        """Return a page of the items that a query finds."""

    async def shown(self, query: Query, base: str) -> Shown:
        """Return a page of the items that a query finds as a client sees it, who knows the server by this address."""
        page = await self.search(query)
        features = [reduced(shown_item(found, base), query.fields) for found in page.documents]
        return Shown([*features], page.next, page.matched)

    @abstractmethod
    async def search_collections(self, query: Query) -> Page:
        """Return a page of the collections that a query finds."""

    @abstractmethod
    async def add_items(self, collection_id: str, items: Sequence[Document]) -> list[bool]:
        """Store items, all or none, and tell of each whether it is new.

        Raises
        ------
        NotFoundError
            If there is no such collection, or an item is derived from one that is not there.
        ItemExistsError
            If an id is taken by other content.
        """

    @abstractmethod
    async def add_parts(self, parts: AsyncIterator[list[Document]]) -> int:
        """Store items of any collections as they come, all or none; collections that are missing are made.

        Returns
        -------
        int
            How many are new.

        Raises
        ------
        NotFoundError, ItemExistsError
            As :meth:`add_items` does.
        """

    @abstractmethod
    async def change_items(self, collection_id: str, changes: Mapping[str, Change]) -> list[Document]:
        """Replace the documents of items, by their ids, by what the changes make of them, all or none."""

    @abstractmethod
    async def remove_item(self, collection_id: str, item_id: str, check: Check) -> None:
        """Remove an item unless ``check`` raises, atomically."""

    @abstractmethod
    async def add_collection(self, collection: Document, *, catalog: str | None = None) -> None:
        """Store a new collection, in a catalog that then owns it, or in that of the team that writes."""

    @abstractmethod
    async def change_collection(self, collection_id: str, change: Change) -> Document:
        """Replace a collection's document by what ``change`` makes of it, atomically."""

    @abstractmethod
    async def remove_collection(self, collection_id: str, check: Check) -> None:
        """Remove a collection and its items unless ``check`` raises, atomically."""

    @abstractmethod
    async def facets(
        self, query: Query, names: Sequence[str], *, count: bool
    ) -> tuple[dict[str, dict[str, int]], int | None]:
        """Count the items that a query finds by the values of some properties, and all of them where that is asked.

        Of a list, each value counts. All is counted at one moment.
        """

    @abstractmethod
    async def run(self, work: Callable[[Session], Coroutine[Any, Any, Result]], *, write: bool = False) -> Result:
        """Ask the tables beside the items (audit log, catalogs), or change them, in one transaction."""

    @abstractmethod
    async def score_names(self, collection_id: str | None) -> list[str]:
        """Return the names of the scores of some thousand items, of one collection or of all."""

    @abstractmethod
    async def for_unnamed(self, digests: Sequence[str], act: Callable[[str], None]) -> None:
        """Call a function for each of these SHA-256 that no asset of any item has.

        Meanwhile no item that names an artifact is stored: whoever publishes one finds it there for good, or missing.
        """
