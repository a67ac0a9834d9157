"""Who may write what: a key without a team all of it, a key of a team what its catalog owns."""

from __future__ import annotations

from modelstac.catalog.errors import ForbiddenError
from modelstac.catalog.journal import Entry, writer
from modelstac.catalog.server.teams import hierarchy
from modelstac.catalog.server.teams.hierarchy import CATALOG, COLLECTION
from modelstac.catalog.server.teams.session import Session


async def may_write(session: Session, collection_id: str) -> None:
    """Refuse who writes unless the collection, which is there, is theirs.

    Raises
    ------
    ForbiddenError
        If it is another team's, or nobody's.
    """
    team = writer().team
    if team is not None and not await hierarchy.owns(session, team, COLLECTION, collection_id):
        raise ForbiddenError(
            f"this key writes the models of catalog {team!r} only, and {collection_id!r} is none of them: take another "
            "name for the model, or ask the keeper of the server"
        )


async def may_make(session: Session, collection_id: str) -> None:
    """Make a new collection the one of the team that writes.

    Raises
    ------
    ForbiddenError
        If the catalog of the team is gone.
    """
    team = writer().team
    if team is not None:
        if not await session.fetch("SELECT 1 FROM {prefix}catalogs WHERE id = $1", team):
            raise ForbiddenError(f"the catalog {team!r} of this key is not there: ask the keeper of the server")
        await hierarchy.show(session, team, COLLECTION, collection_id, owned=True)


async def made(session: Session, collection_id: str, catalog: str | None) -> None:
    """Note that a collection is made, in a catalog that then owns it, or in that of the team that writes."""
    if catalog is None:
        await may_make(session, collection_id)
    else:
        await hierarchy.get(session, catalog)
        await may_arrange(session, catalog)
        await hierarchy.show(session, catalog, COLLECTION, collection_id, owned=True)
    await session.record([Entry("create-model", collection_id, None, {"team": catalog} if catalog else {})])


async def may_arrange(session: Session, catalog_id: str, *, root: bool = False) -> None:
    """Refuse who writes unless a catalog is theirs.

    Parameters
    ----------
    root
        Whether it must be one that their own owns, and not that itself.

    Raises
    ------
    ForbiddenError
        If it is not.
    """
    team = writer().team
    if team is not None:
        if root and team == catalog_id:
            raise ForbiddenError(f"this key is one of catalog {team!r}, which only a key for the whole server removes")
        if not await hierarchy.owns(session, team, CATALOG, catalog_id):
            raise ForbiddenError(f"this key writes catalog {team!r} only, and {catalog_id!r} is not in it")


def may_do_all() -> None:
    """Refuse who writes unless their key is for the whole server.

    Raises
    ------
    ForbiddenError
        If it is one of a team.
    """
    team = writer().team
    if team is not None:
        raise ForbiddenError(f"this key writes catalog {team!r} only: make catalogs in it, by POST to its /catalogs")
