"""Sub-catalogs for teams: made, changed, linked and removed. Nothing here removes a model or an item."""

from __future__ import annotations

from typing import Any

import attr
from fastapi import Request
from starlette.responses import Response

from modelstac.catalog.errors import InvalidItemError, NotFoundError
from modelstac.catalog.items.collections.widening import described
from modelstac.catalog.items.documents import Document
from modelstac.catalog.items.identity import ALIASES
from modelstac.catalog.items.validation import validate_document
from modelstac.catalog.journal import Entry
from modelstac.catalog.server.routes.incoming import Checks, check_id, json_body, unchanged_meanwhile
from modelstac.catalog.server.routes.teams.catalogs import Catalogs
from modelstac.catalog.server.stores.links import base_url, stored_document
from modelstac.catalog.server.teams import hierarchy
from modelstac.catalog.server.teams.hierarchy import CATALOG, COLLECTION, Kind
from modelstac.catalog.server.teams.permission import may_arrange, may_do_all
from modelstac.catalog.server.teams.session import Session


@attr.s
class Arranging(Catalogs):
    """Routes that write; each needs a key, which the router asks for. Bodies are read by the rules of this server."""

    checks: Checks = attr.ib(kw_only=True)

    async def create_catalog(self, catalog: Any = None, request: Any = None, **_kwargs: Any) -> Response:
        """Answer ``POST /catalogs``."""
        del catalog
        document = _checked(await json_body(request), base_url(request))

        async def work(session: Session) -> None:
            may_do_all()
            await hierarchy.create(session, document, None)

        await self.store.run(work, write=True)
        return await self._created(request, document["id"])

    async def update_catalog(
        self, catalog_id: str, catalog: Any = None, request: Any = None, **_kwargs: Any
    ) -> Response:
        """Answer ``PUT /catalogs/{catalog_id}``; what the catalog shows stays."""
        del catalog
        document = _checked(await json_body(request), base_url(request), catalog_id)

        async def work(session: Session) -> None:
            await hierarchy.get(session, catalog_id)
            await may_arrange(session, catalog_id)
            await hierarchy.replace(session, document)

        await self.store.run(work, write=True)
        return await self.get_catalog(catalog_id, request)

    async def delete_catalog(self, catalog_id: str, request: Any = None, **_kwargs: Any) -> Response:
        """Answer ``DELETE /catalogs/{catalog_id}``; models stay, and nobody owns those that it owned."""
        del request

        async def work(session: Session) -> None:
            await hierarchy.get(session, catalog_id)
            await may_arrange(session, catalog_id, root=True)
            await hierarchy.remove(session, catalog_id)

        await self.store.run(work, write=True)
        return Response(status_code=204)

    async def create_sub_catalog(
        self, catalog_id: str, catalog: Any = None, request: Any = None, **_kwargs: Any
    ) -> Response:
        """Answer ``POST /catalogs/{catalog_id}/catalogs``: make one there, or link one that is there already."""
        del catalog
        body = await json_body(request)
        if body.keys() == {"id"}:
            await self._link(catalog_id, CATALOG, str(body["id"]))
            return await self.get_catalog(str(body["id"]), request)
        document = _checked(body, base_url(request))

        async def work(session: Session) -> None:
            await hierarchy.get(session, catalog_id)
            await may_arrange(session, catalog_id)
            await hierarchy.create(session, document, catalog_id)

        await self.store.run(work, write=True)
        return await self._created(request, document["id"])

    async def unlink_sub_catalog(
        self, catalog_id: str, sub_catalog_id: str, request: Any = None, **_kwargs: Any
    ) -> Response:
        """Answer ``DELETE /catalogs/{catalog_id}/catalogs/{sub_catalog_id}``."""
        del request
        return await self._unlink(catalog_id, CATALOG, sub_catalog_id)

    async def create_catalog_collection(
        self, catalog_id: str, collection: Any = None, request: Any = None, **_kwargs: Any
    ) -> Response:
        """Answer ``POST /catalogs/{catalog_id}/collections``: make a model there, or link one."""
        del collection
        body = await json_body(request)
        if body.keys() == {"id"}:
            name = str(body["id"])
            if await self.store.collection(name) is None:
                raise NotFoundError(f"no collection {name!r}: see /collections")
            await self._link(catalog_id, COLLECTION, name)
            return await self.get_catalog_collection(catalog_id, name, request)
        document = self.checks.collection(body, base_url(request))
        await self.store.add_collection(document, catalog=catalog_id)
        response = await self.get_catalog_collection(catalog_id, document["id"], request)
        response.status_code = 201
        return response

    async def update_catalog_collection(
        self, catalog_id: str, collection_id: str, collection: Any = None, request: Any = None, **_kwargs: Any
    ) -> Response:
        """Answer ``PUT /catalogs/{catalog_id}/collections/{collection_id}``; where it is shown stays."""
        del collection
        changed = self.checks.collection(await json_body(request), base_url(request), collection_id)
        await self.collection_in(catalog_id, collection_id)

        def change(stored: Document) -> Document:
            unchanged_meanwhile(request, stored)
            # Aliases are changed at the model's own address, by If-Match.
            return described(stored, changed | ({ALIASES: stored[ALIASES]} if ALIASES in stored else {}))

        await self.store.change_collection(collection_id, change)
        return await self.get_catalog_collection(catalog_id, collection_id, request)

    async def unlink_catalog_collection(
        self, catalog_id: str, collection_id: str, request: Any = None, **_kwargs: Any
    ) -> Response:
        """Answer ``DELETE /catalogs/{catalog_id}/collections/{collection_id}``; the model and its items stay."""
        del request
        return await self._unlink(catalog_id, COLLECTION, collection_id)

    async def _link(self, catalog_id: str, kind: Kind, child: str) -> None:
        async def work(session: Session) -> None:
            await hierarchy.get(session, catalog_id)
            if kind == CATALOG:
                await hierarchy.get(session, child)
            await may_arrange(session, catalog_id)
            await hierarchy.show(session, catalog_id, kind, child)
            await session.record([_entry("link", catalog_id, kind, child)])

        await self.store.run(work, write=True)

    async def _unlink(self, catalog_id: str, kind: Kind, child: str) -> Response:
        async def work(session: Session) -> None:
            await hierarchy.get(session, catalog_id)
            await may_arrange(session, catalog_id)
            await hierarchy.hide(session, catalog_id, kind, child)
            await session.record([_entry("unlink", catalog_id, kind, child)])

        await self.store.run(work, write=True)
        return Response(status_code=204)

    async def _created(self, request: Request, catalog_id: str) -> Response:
        response = await self.get_catalog(catalog_id, request)
        response.status_code = 201
        return response


def _entry(action: str, catalog_id: str, kind: Kind, child: str) -> Entry:
    if kind == COLLECTION:
        return Entry(action, child, None, {"team": catalog_id})
    return Entry(action, None, None, {"team": catalog_id, "catalog": child})


def _checked(document: Document, base: str, expected_id: str | None = None) -> Document:
    """Return a valid catalog as it is stored: without links to what it shows, which the server knows."""
    if document.get("type") != "Catalog":
        raise InvalidItemError("type: expected a STAC catalog of type 'Catalog'")
    check_id(document.get("id"), expected_id)
    links = document.setdefault("links", [])
    if not isinstance(links, list) or not all(isinstance(f, dict) and isinstance(f.get("href"), str) for f in links):
        raise InvalidItemError("links: expected a list of links, each with an href")
    stored = stored_document(document, base)
    stored["links"] = [found for found in stored["links"] if found.get("rel") not in _OURS]
    validate_document(stored)
    return stored


_OURS = frozenset({"child", "data", "catalogs", "children", "conformance", "search", "related", "canonical"})
