"""``GET /audit``: who published, promoted, deprecated, deleted what, and when, for those who have a key."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import attr
from fastapi import FastAPI, Query, Request
from stac_fastapi.types.extension import ApiExtension
from starlette.responses import Response

from modelstac.catalog.items.documents import link
from modelstac.catalog.journal import MOST, Asked, Entry
from modelstac.catalog.server.routes.client import answer
from modelstac.catalog.server.routes.keys import Keys, admit
from modelstac.catalog.server.stores.links import base_url
from modelstac.catalog.server.stores.store import Store
from modelstac.catalog.server.teams import hierarchy
from modelstac.catalog.server.teams.session import Session

_Text = Annotated[str | None, Query(max_length=200)]


@attr.s
class Audit(ApiExtension):
    """The audit log."""

    store: Store = attr.ib(kw_only=True)
    keys: Keys = attr.ib(kw_only=True)
    conformance_classes: list[str] = attr.ib(factory=list)
    schema_href: str | None = attr.ib(default=None)

    def register(self, app: FastAPI) -> None:
        """Add the route."""
        app.add_api_route("/audit", self.audit, methods=["GET"], response_model=None, tags=["Audit"])

    async def audit(
        self,
        request: Request,
        *,
        collection: _Text = None,
        item: _Text = None,
        action: _Text = None,
        by: _Text = None,
        datetime: _Text = None,
        before: Annotated[int | None, Query(ge=1, le=2**62)] = None,
        limit: Annotated[int, Query(ge=1, le=MOST)] = 100,
    ) -> Response:
        """Answer with the entries, the newest first; a key of a team is shown those of its models."""
        writer = admit(self.keys, request)
        asked = Asked(collection, item, action, by, datetime, None, before, limit)
        asked.statement()  # refuses what cannot be asked for

        async def read(session: Session) -> tuple[list[Entry], int | None]:
            wanted = asked
            if writer.team is not None:
                wanted = replace(asked, collections=await hierarchy.owned(session, writer.team))
            statement, parameters = wanted.statement("{prefix}")
            return wanted.page(await session.fetch(statement, *parameters))

        found, following = await self.store.run(read)
        links: list[dict[str, Any]] = [link("root", base_url(request)), link("self", str(request.url))]
        if following is not None:
            links.append(link("next", str(request.url.include_query_params(before=following))))
        return answer({"entries": [entry.to_dict() for entry in found], "links": links, "numberReturned": len(found)})
