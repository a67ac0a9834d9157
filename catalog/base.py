"""The protocol of a catalog. A backend implements the abstract methods; the rest is derived here, once.

``catalog/testing`` holds the contract that every backend keeps.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from modelstac.catalog.credentials import is_secret, shown, variable
from modelstac.catalog.errors import (
    CatalogError,
    InvalidItemError,
    InvalidQueryError,
    ItemExistsError,
    NotFoundError,
    StorageError,
)
from modelstac.catalog.items.documents import Document, as_item
from modelstac.catalog.items.evidence import instead
from modelstac.catalog.items.identity import differences, in_collection, reference
from modelstac.catalog.items.links import local_file
from modelstac.catalog.later import BEFORE_PUBLISHING, at
from modelstac.catalog.messages import Note, Report, ignore
from modelstac.catalog.rules import ANYTHING, Anything, check_alias
from modelstac.catalog.terminal import harmless

if TYPE_CHECKING:
    import pystac

    from modelstac.catalog.items.collections.merging import Change
    from modelstac.catalog.items.description import ModelDescription
    from modelstac.catalog.journal import Asked, Entry
    from modelstac.catalog.search.page import Page
    from modelstac.catalog.search.query import Query

LOG = logging.getLogger("modelstac")
_TIMES = ("datetime", "start_datetime", "end_datetime")
_OF_EVERY_ITEM = ("type", "stac_version", "geometry", "bbox", *(f"properties.{name}" for name in _TIMES))


class Catalog(ABC):
    """A place where items are published, found and searched.

    Items that are returned have absolute hrefs, so that their files can be read as they are.

    Parameters
    ----------
    href
        Where the catalog is: a folder or a URL.
    """

    keeps_audit: ClassVar[bool] = False
    """Whether it tells who did what, by :meth:`audit`."""

    def __init__(self, href: str) -> None:
        self.href = href

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.href!r})"

    @abstractmethod
    def items(self) -> Iterator[pystac.Item]:
        """Return all items, one after the other."""

    def readable(self, report: Report) -> Iterator[pystac.Item]:
        """Return all items that can be read; a note names each that cannot."""
        from modelstac.catalog.search.query import Query  # not at the top: who publishes searches nothing

        if self.name_odd(report):
            return (as_item(document) for document in self.page(Query()).documents)
        return self.items()

    def name_odd(self, report: Report) -> bool:
        """Name each item that cannot be read in a note; tell whether there are any."""
        from modelstac.catalog.search.query import Query

        notes = self.page(Query(fields=("id",))).notes
        for note in notes:
            report(Note(note))
        return bool(notes)

    @abstractmethod
    def collections(self) -> Iterator[pystac.Collection]:
        """Return all collections, one for every model name."""

    def collection_documents(self) -> Iterable[Document]:
        """Return all collections as JSON, as they are kept but with absolute hrefs."""
        return (found.to_dict(transform_hrefs=False) for found in self.collections())

    def change_collection(self, name: str, change: Change) -> None:  # noqa: ARG002 - to be overridden
        """Make a collection say what a function makes of what it says, or make a new one, in one step.

        Links that come from where it lies, aliases and their rules are left alone
        (:func:`modelstac.catalog.items.collections.merging.said`).

        Raises
        ------
        InvalidItemError
            If it is no collection.
        CatalogError
            If this kind of catalog makes its collections from items.
        """
        raise CatalogError(f"{self.href} makes collections from items: {name!r} says there what its items say")

    @abstractmethod
    def find(self, item_id: str) -> pystac.Item | None:
        """Return the item with an id, which may be ``collection/id``; None when there is none.

        Raises
        ------
        AmbiguousError
            If items of several collections have that id.
        """

    @abstractmethod
    def add(self, item: pystac.Item, *, report: Report) -> pystac.Item:
        """Store a validated item and its files atomically and return it as stored.

        An item that is there already goes through :meth:`same_or_refuse`, under whatever keeps other writers out.
        """

    @abstractmethod
    def page(self, query: Query, *, count: bool = False) -> Page:
        """Return one page of the items that a query asks for; all of them when it has no limit.

        Raises
        ------
        InvalidQueryError
            If the query cannot be understood, names a framework, backend, format or task that nobody knows, or has a
            token that is not its own.
        """

    @abstractmethod
    def aliases(self, name: str) -> dict[str, str]:
        """Return the item ids that a model's aliases point to.

        Raises
        ------
        NotFoundError
            If there is no such model.
        """

    @abstractmethod
    def change_alias(self, name: str, alias: str, item_id: str | None, expected: str | Anything | None) -> None:
        """Point an alias to an item of the model, or remove it, in one step; arguments are checked already.

        The backend passes what the alias points to at that moment through :func:`refuse_unexpected`.
        """

    @abstractmethod
    def deprecate(self, item_id: str, *, deprecated: bool = True) -> pystac.Item:
        """Mark an item as one that should no longer be used, or take that back; return it.

        Raises
        ------
        NotFoundError
            If there is no such item.
        """

    @abstractmethod
    def delete(self, item_id: str) -> None:
        """Remove an item; the collection stays, and the files that only this item had go.

        Raises
        ------
        NotFoundError
            If there is no such item.
        ConflictError
            If an alias points to it.
        """

    def attach(self, item_id: str, key: str, asset: dict[str, Any]) -> pystac.Item:  # noqa: ARG002 - to be overridden
        """Put evidence on a published item, in place of what was there: an asset whose href is a ``data:`` URL.

        Parameters
        ----------
        item_id
            Which item.
        key
            One of :data:`modelstac.catalog.items.identity.EVIDENCE_ASSETS`.
        asset
            As JSON.

        Raises
        ------
        NotFoundError
            If there is no such item.
        CatalogError
            If this kind of catalog keeps no evidence.
        """
        raise CatalogError(f"{self.href} keeps no {key} of an item: sign it in another catalog and copy it there")

    def add_verified(self, item_id: str, environments: Sequence[dict[str, Any]]) -> pystac.Item:  # noqa: ARG002
        """Add environments in which a published item was found to run to its evidence, ``interop:verified``.

        Parameters
        ----------
        item_id
            Which item.
        environments
            Such as ``{"python": "3.11", "packages": {"torch": "2.7.1"}, "max_absolute_difference": 1e-7}``; one takes
            the place of an environment of the same versions.

        Raises
        ------
        NotFoundError
            If there is no such item.
        InvalidItemError
            If one is no environment.
        CatalogError
            If this kind of catalog keeps no evidence.
        """
        raise CatalogError(f"{self.href} keeps no environments of an item: verify it in another catalog")

    def protect_alias(self, name: str, alias: str, required: Sequence[str]) -> None:  # noqa: ARG002
        """Let an alias of a model point only to items that show what is required; nothing takes the rule away.

        Parameters
        ----------
        required
            Any of ``self_test`` (it ran in an environment that agreed, ``modelstac test --record``), ``proved`` (it was
            run before it was published, or since), ``scores`` and ``signature``. What the alias points to already is
            left alone.

        Raises
        ------
        NotFoundError
            If there is no such model.
        InvalidItemError
            If nobody knows what is required.
        CatalogError
            If this kind of catalog keeps no rules.
        """
        raise CatalogError(f"{self.href} keeps no rules of aliases: set them in another catalog")

    def audit(self, asked: Asked | None = None) -> tuple[list[Entry], int | None]:  # noqa: ARG002
        """Return who did what to the catalog, the newest first, and the number before which the next page begins.

        Raises
        ------
        CatalogError
            If this kind of catalog keeps no audit log: one SQLite file and a server do.
        """
        raise CatalogError(f"{self.href} keeps no audit log: an .sqlite file does, and a server over it or a database")

    def add_many(self, items: list[pystac.Item], *, report: Report) -> Sequence[pystac.Item]:
        """Store validated items; a backend that can store them in one step does."""
        return [self.add(item, report=report) for item in items]

    def ids(self) -> Iterator[str]:
        """Return all item ids."""
        return (in_collection(found)[1] for found in self.references())

    def references(self) -> Iterator[str]:
        """Return ``collection/id`` of all items."""
        return (reference(item.collection_id, item.id) for item in self.items())

    def collection(self, name: str) -> pystac.Collection:
        """Return the collection of a model.

        Raises
        ------
        NotFoundError
            If there is none; the message names the nearest ones.
        """
        found = {collection.id: collection for collection in self.collections()}
        if name not in found:
            raise NotFoundError.unknown("model", name, found, where=self.href)
        return found[name]

    def get(self, item_id: str) -> pystac.Item:
        """Return an item by its id, by ``collection/id``, or by ``name@alias``.

        Raises
        ------
        NotFoundError
            If there is none; the message names the nearest ids.
        AmbiguousError
            If items of several collections have that id.
        """
        try:
            return self._got(item_id)
        except NotFoundError:
            if (found := self.with_odd_id(item_id)) is None:
                raise
            return found

    def with_odd_id(self, reference: str) -> pystac.Item | None:
        """Return the one item, of somebody else's, whose id, alone or after its collection, has a ``/`` or ``@``."""
        parts = reference.split("/")
        for place in range(len(parts)) if {"/", "@"} & set(reference) else ():
            collections = ("/".join(parts[:place]),) if place else None
            if len(found := self.search(ids=("/".join(parts[place:]),), collections=collections)) == 1:
                return found[0]
        return None

    def _got(self, item_id: str) -> pystac.Item:
        if "@" in item_id:
            item_id = self.pointed(item_id)
        item = self.find(item_id)
        if item is None:
            raise NotFoundError.unknown("item", item_id, self.ids(), where=self.href)
        return item

    def resolve(self, reference: str) -> str:
        """Return the item id that ``name@alias`` points to; what has no ``@`` is returned as it is.

        Raises
        ------
        NotFoundError
            If there is no such model or alias.
        """
        name, at, alias = reference.partition("@")
        if not at:
            return reference
        aliases = self.aliases(name)
        if alias not in aliases:
            hint = f"(modelstac alias {name} {alias} ID makes it)"
            raise NotFoundError.unknown(f"alias of {name}", alias, aliases, where=self.href, hint=hint)
        return aliases[alias]

    def pointed(self, reference: str) -> str:
        """Return ``collection/id`` of the item that ``name@alias`` points to."""
        name, _, _ = reference.partition("@")
        return f"{name}/{self.resolve(reference)}"

    def set_alias(
        self, name: str, alias: str, item_id: str | None, *, expected: str | Anything | None = ANYTHING
    ) -> None:
        """Point an alias of a model to one of its items.

        Parameters
        ----------
        name, alias
            The model and, for example, ``champion``.
        item_id
            The item; None removes the alias.
        expected
            What it should point to before, None for nothing; left out, whatever it is will be replaced.

        Raises
        ------
        NotFoundError
            If there is no such model, or no such item in it.
        ConflictError
            If it points to something else than expected, or the item lacks what the alias requires
            (:meth:`protect_alias`); nothing is changed.
        """
        check_alias(alias)
        if item_id is not None and self.find(f"{name}/{item_id}") is None:
            self.get(item_id)  # there is none at all, or
            raise NotFoundError(f"item {item_id!r} is none of model {name!r}: an alias points into its own collection")
        self.change_alias(name, alias, item_id, expected)

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
        self._check(item)
        return self.add(item, report=report)

    def _check(self, item: pystac.Item) -> None:
        """Refuse an item that is invalid, or whose files are, before anything of it is stored."""
        from modelstac.catalog.items.validation import validate

        validate(item)
        look_into(item)

    def publish_many(self, items: Iterable[pystac.Item], *, report: Report = ignore) -> Sequence[pystac.Item]:
        """Publish items in one go: all are validated before the first is stored.

        What is returned may read each item only when it is asked for.

        Raises
        ------
        InvalidItemError, ItemExistsError, StorageError, IntegrityError
            As :meth:`publish` does; then none of the items that were not there before is stored.
        """
        listed = list(items)
        for item in listed:
            self._check(item)
        return self.add_many(listed, report=report)

    def search(self, query: Query | None = None, **fields: Any) -> list[pystac.Item]:
        """Return the items that a query, or the fields of one, ask for, ordered by id unless it says otherwise.

        Raises
        ------
        InvalidQueryError
            As :meth:`page` does.
        """
        from modelstac.catalog.search.query import Query  # not at the top: who publishes searches nothing

        if query is not None and fields:
            raise InvalidQueryError("search takes a query or the fields of one, not both")
        query = query or Query(**fields)
        if query.fields:
            # Without these there is no item; a page's documents have just what was asked for.
            wanted = [field for field in query.fields if field.removeprefix("-") not in _OF_EVERY_ITEM]
            included = any(not field.startswith("-") for field in wanted)
            query = query.changed(fields=(*wanted, *(_OF_EVERY_ITEM if included else ())))
        page = self.page(query)
        for note in page.notes:
            LOG.warning("%s", harmless(note))
        return [as_item(document) for document in page.documents]

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
                f"item {item.id!r} is already in {self.href} with other content ({shown}): published items do not "
                f"change, {instead(published.id, published.properties)}"
            )
        return published


def look_into(item: pystac.Item, description: ModelDescription | None = None) -> None:
    """Refuse an item that does not go with its files.

    Parameters
    ----------
    description
        What the item says of its model, where that is read already.

    Raises
    ------
    IntegrityError, InvalidItemError, UntrustedError
        With both sides.
    StorageError
        If a file cannot be read.
    """
    from modelstac.catalog.items.digests import check_size  # not at the top: a search looks into none

    for name, href in _hrefs(item):
        if is_secret(href):
            raise InvalidItemError(
                f"{name} of item {item.id!r} has user and password in its address, which everybody could read: take "
                f"them out ({shown(href)}), and give them in ~/.netrc or {variable(urlsplit(href).hostname)}"
            )
    for key, asset in item.assets.items():
        path, said = local_file(asset), asset.extra_fields.get("file:size")
        if path is None or said is None:
            continue
        try:
            found = path.stat().st_size
        except OSError as error:
            raise StorageError.doing(f"read {path}, asset {key!r} of {item.id!r}", error) from error
        check_size(item, key, path, found)
    for place in BEFORE_PUBLISHING:
        at(place)(item, description)


def _hrefs(item: pystac.Item) -> Iterator[tuple[str, str]]:
    yield from ((f"asset {key!r}", asset.href) for key, asset in item.assets.items())
    for link in item.links:
        if isinstance(link.target, str):
            yield f"link {link.rel!r}", link.target
