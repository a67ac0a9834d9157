"""What the server asks of a backend: JSON documents in and out. The embedded file and pgstac both answer it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Sequence

from modelstac.catalog.items.documents import Document
from modelstac.catalog.search.page import Page
from modelstac.catalog.search.query import Query

# Gets the stored document and gives the one to store; raises to leave it as it is.
Change = Callable[[Document], Document]
# Gets the stored document, as readers see it; raises to leave it there.
Check = Callable[[Document], None]


class Store(ABC):
    """A backend of the server. Documents come without the links that depend on the server's address."""

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

    @abstractmethod
    async def search_collections(self, query: Query) -> Page:
        """Return a page of the collections that a query finds; tokens are offsets."""

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
    async def change_item(self, collection_id: str, item_id: str, change: Change) -> Document:
        """Replace an item's document by what ``change`` makes of it, atomically."""

    @abstractmethod
    async def remove_item(self, collection_id: str, item_id: str, check: Check) -> None:
        """Remove an item unless ``check`` raises, atomically."""

    @abstractmethod
    async def add_collection(self, collection: Document) -> None:
        """Store a new collection."""

    @abstractmethod
    async def change_collection(self, collection_id: str, change: Change) -> Document:
        """Replace a collection's document by what ``change`` makes of it, atomically."""

    @abstractmethod
    async def remove_collection(self, collection_id: str, check: Check) -> None:
        """Remove a collection and its items unless ``check`` raises, atomically."""

    @abstractmethod
    async def facets(self, query: Query, names: Sequence[str]) -> dict[str, dict[str, int]]:
        """Count the items that a query finds by the values of some properties; of a list, each value counts."""

    @abstractmethod
    async def count(self, query: Query) -> int:
        """Count the items that a query finds."""

    @abstractmethod
    async def checksums(self) -> set[str]:
        """Return the ``file:checksum`` of every asset of every item."""
