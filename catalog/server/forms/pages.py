"""The page and its address: one page for all, which reads from its address what it is to change.

It holds nothing of the catalog. What it shows its script asks of the API and writes as text; no other script runs
there, and it asks nobody but this server.
"""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files

from fastapi import FastAPI, Request
from starlette.responses import Response

from modelstac.catalog.errors import NotFoundError

_SHOWN = ("collections", "collections/{collection_id}", "collections/{collection_id}/items")
ADDRESSES = tuple(f"/forms/{path}" for path in (*_SHOWN, "collections/{collection_id}/items/{item_id}"))


def add_forms(app: FastAPI) -> None:
    """Add the pages; whether they may write is decided where they send to."""
    for address in ADDRESSES:
        app.add_api_route(address, _form, methods=["GET"], response_model=None, include_in_schema=False)


async def _form(request: Request) -> Response:
    if any(name in {"..", "."} for name in request.path_params.values()):
        raise NotFoundError("no form at this address: see /collections")
    page, policy = _page()
    headers = {
        "Content-Security-Policy": policy,
        "Cache-Control": "no-cache",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
    return Response(page, headers=headers, media_type="text/html")


@cache
def _page() -> tuple[str, str]:
    page = files(__package__).joinpath("form.html").read_text("utf-8")
    (script,), (style,) = (re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.S) for tag in ("script", "style"))
    own = "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    return page, f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; {own}"


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
