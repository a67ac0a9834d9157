"""Sub-catalogs with the models and catalogs in them, as the multi-tenant catalogs extension has them.

A link shows a model, or another catalog, in a catalog; any number of catalogs may show one. One of the links may own
what it shows: that which was made with it. Keys that may write one catalog write what it owns, directly or through the
catalogs that it owns; to link somebody else's model changes nothing of who may write it.

Source: https://github.com/StacLabs/multi-tenant-catalogs, 1.0.0.
"""

from __future__ import annotations

import json
from typing import Literal

from modelstac.catalog.errors import ConflictError, ItemExistsError, NotFoundError
from modelstac.catalog.items.documents import Document
from modelstac.catalog.journal import Entry
from modelstac.catalog.server.teams.session import Session

Kind = Literal["Catalog", "Collection"]
CATALOG: Kind = "Catalog"
COLLECTION: Kind = "Collection"
_BELOW = (
    "WITH RECURSIVE below (id) AS (SELECT CAST($1 AS TEXT) UNION SELECT child FROM {prefix}children "
    "JOIN below ON parent = below.id WHERE kind = 'Catalog') "
)
_ABOVE = (
    "WITH RECURSIVE above (id) AS (SELECT parent FROM {prefix}children WHERE kind = $1 AND child = $2 AND owns = 1 "
    "UNION SELECT parent FROM {prefix}children JOIN above ON child = above.id WHERE kind = 'Catalog' AND owns = 1) "
)


async def get(session: Session, catalog_id: str) -> Document:
    """Return a catalog.

    Raises
    ------
    NotFoundError
        If there is none.
    """
    found = await session.fetch("SELECT document FROM {prefix}catalogs WHERE id = $1", catalog_id)
    if not found:
        raise NotFoundError(f"no catalog {catalog_id!r}: see /catalogs")
    document: Document = json.loads(found[0][0])
    return document


async def page(session: Session, limit: int, after: str) -> list[Document]:
    """Return catalogs by id, after one of them."""
    found = await session.fetch(
        "SELECT document FROM {prefix}catalogs WHERE id > $1 " + f"ORDER BY id LIMIT {limit:d}", after
    )
    return [json.loads(text) for (text,) in found]


async def children(session: Session, catalog_id: str, kind: Kind) -> list[str]:
    """Return the ids of the catalogs or collections that a catalog shows."""
    found = await session.fetch(
        "SELECT child FROM {prefix}children WHERE parent = $1 AND kind = $2 ORDER BY child", catalog_id, kind
    )
    return [child for (child,) in found]


async def parents(session: Session, kind: Kind, child: str) -> list[str]:
    """Return the ids of the catalogs that show a catalog or collection, that which owns it first."""
    found = await session.fetch(
        "SELECT parent FROM {prefix}children WHERE kind = $1 AND child = $2 ORDER BY owns DESC, parent", kind, child
    )
    return [parent for (parent,) in found]


async def collections_below(session: Session, catalog_id: str) -> list[str]:
    """Return the ids of all collections that a catalog, or one below it, shows."""
    found = await session.fetch(
        _BELOW + "SELECT DISTINCT child FROM {prefix}children JOIN below ON parent = below.id "
        "WHERE kind = 'Collection' ORDER BY child",
        catalog_id,
    )
    return [child for (child,) in found]


async def owned(session: Session, catalog_id: str) -> list[str]:
    """Return the ids of all collections that a catalog owns, directly or through catalogs that it owns."""
    found = await session.fetch(
        _BELOW.replace("WHERE kind", "WHERE owns = 1 AND kind")
        + "SELECT DISTINCT child FROM {prefix}children JOIN below ON parent = below.id "
        "WHERE kind = 'Collection' AND owns = 1",
        catalog_id,
    )
    return [child for (child,) in found]


async def owns(session: Session, catalog_id: str, kind: Kind, child: str) -> bool:
    """Tell whether a catalog owns a catalog or collection, directly or through catalogs that it owns."""
    if kind == CATALOG and child == catalog_id:
        return True
    return bool(await session.fetch(_ABOVE + "SELECT 1 FROM above WHERE id = $3", kind, child, catalog_id))


async def create(session: Session, catalog: Document, parent: str | None) -> None:
    """Store a new catalog, in another one or at the top.

    Raises
    ------
    ItemExistsError
        If there is one of this id.
    """
    catalog_id = catalog["id"]
    if await session.fetch("SELECT 1 FROM {prefix}catalogs WHERE id = $1", catalog_id):
        raise ItemExistsError(f"there is a catalog {catalog_id!r}: change it by PUT, or take another id")
    # A model may have been made in one of this id at the moment in which that was removed.
    await session.fetch("DELETE FROM {prefix}children WHERE parent = $1", catalog_id)
    await session.fetch("INSERT INTO {prefix}catalogs (id, document) VALUES ($1, $2)", catalog_id, json.dumps(catalog))
    if parent is not None:
        await show(session, parent, CATALOG, catalog_id, owned=True)
    await session.record([Entry("create-team", None, None, {"team": catalog_id} | ({"in": parent} if parent else {}))])


async def replace(session: Session, catalog: Document) -> None:
    """Store a catalog in place of the one with its id; what it shows stays."""
    statement = "UPDATE {prefix}catalogs SET document = $2 WHERE id = $1"
    await session.fetch(statement, catalog["id"], json.dumps(catalog))
    await session.record([Entry("change-team", None, None, {"team": catalog["id"]})])


async def remove(session: Session, catalog_id: str) -> None:
    """Remove a catalog; what it shows stays where it is, at the top where nothing else shows it."""
    await session.fetch("DELETE FROM {prefix}children WHERE parent = $1", catalog_id)
    await session.fetch("DELETE FROM {prefix}children WHERE kind = 'Catalog' AND child = $1", catalog_id)
    await session.fetch("DELETE FROM {prefix}catalogs WHERE id = $1", catalog_id)
    await session.record([Entry("delete-team", None, None, {"team": catalog_id})])


async def show(session: Session, catalog_id: str, kind: Kind, child: str, *, owned: bool = False) -> None:
    """Make a catalog show another catalog, or a collection, that is there.

    Raises
    ------
    ConflictError
        If a catalog would be below itself.
    """
    if kind == CATALOG:
        below = _BELOW + "SELECT 1 FROM below WHERE id = $2"
        if await session.fetch(below, child, catalog_id):
            raise ConflictError(f"catalog {child!r} cannot be in {catalog_id!r}, which is in it, or is it")
    await session.fetch(
        "INSERT INTO {prefix}children (parent, kind, child, owns) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        catalog_id,
        kind,
        child,
        int(owned),
    )


async def hide(session: Session, catalog_id: str, kind: Kind, child: str) -> None:
    """Make a catalog no longer show a catalog or collection, which stays; if it owned it, nobody does.

    Raises
    ------
    NotFoundError
        If it does not show it.
    """
    statement = "DELETE FROM {prefix}children WHERE parent = $1 AND kind = $2 AND child = $3 RETURNING 1"
    if not await session.fetch(statement, catalog_id, kind, child):
        raise NotFoundError(f"no {kind.lower()} {child!r} in catalog {catalog_id!r}")


async def forget(session: Session, collection_id: str) -> None:
    """Take a collection that is deleted out of all catalogs."""
    await session.fetch("DELETE FROM {prefix}children WHERE kind = 'Collection' AND child = $1", collection_id)
