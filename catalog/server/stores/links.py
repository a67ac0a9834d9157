"""Documents as the server answers them: with absolute links, and with the fields that were asked for."""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from urllib.parse import quote

import orjson
from starlette.datastructures import URL
from starlette.requests import Request

from modelstac.catalog.items.documents import VERSION_RELS, Document, link

INFERRED = frozenset(
    {"self", "item", "items", "parent", "collection", "root", "http://www.opengis.net/def/rel/ogc/1.0/queryables"}
)
_DERIVED = INFERRED | set(VERSION_RELS)
JSON, GEOJSON = "application/json", "application/geo+json"


_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


def base_url(request: Request) -> str:
    """Return the address of the service as this client sees it, with a slash at the end."""
    scope = request.scope
    host = next((value for name, value in scope["headers"] if name == b"host"), None)
    return _base_url(scope["scheme"], host, scope.get("server"), scope.get("app_root_path", scope.get("root_path", "")))


@lru_cache(maxsize=256)
def _base_url(scheme: str, host: bytes | None, server: tuple[str, int] | None, root_path: str) -> str:
    path = root_path if root_path.endswith("/") else f"{root_path}/"
    headers = [(b"host", host)] if host is not None else []
    return str(URL(scope={"scheme": scheme, "server": server, "path": path, "headers": headers}))


def item_path(collection_id: str, item_id: str) -> str:
    """Return the path of an item below the server's address."""
    return f"collections/{quote(collection_id, safe='')}/items/{quote(item_id, safe='')}"


def etag(document: Document) -> str:
    """Return the entity tag of a stored document; the server's address does not change it."""
    data = orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
    return f'"{hashlib.blake2b(data, digest_size=12).hexdigest()}"'


def names_tag(header: str | None, tag: str, *, weak: bool) -> bool:
    """Tell whether a header such as ``If-Match`` names an entity tag, or any; weak tags count where they may."""
    named = [part.strip() for part in (header or "").split(",")]
    return "*" in named or tag in named or (weak and f"W/{tag}" in named)


def shown_item(stored: Document, base: str) -> Document:
    """Return a stored item with absolute links; stored hrefs without a scheme are below the server's address."""
    parent = f"{base}collections/{quote(stored['collection'], safe='')}"
    own = [
        link("self", base + item_path(stored["collection"], stored["id"]), GEOJSON),
        link("parent", parent),
        link("collection", parent),
        link("root", base),
    ]
    assets = {
        key: asset if _is_absolute(asset["href"]) else asset | {"href": base + asset["href"].lstrip("/")}
        for key, asset in stored.get("assets", {}).items()
    }
    return stored | {"links": own + _kept(stored, base), "assets": assets}


def shown_collection(stored: Document, base: str) -> Document:
    """Return a stored collection with absolute links."""
    here = f"{base}collections/{quote(stored['id'], safe='')}"
    own = [
        link("self", here),
        link("parent", base),
        link("root", base),
        link("items", f"{here}/items", GEOJSON),
        link(
            "http://www.opengis.net/def/rel/ogc/1.0/queryables",
            f"{here}/queryables",
            "application/schema+json",
            title="Queryables",
        ),
    ]
    return stored | {"links": own + _kept(stored, base)}


def stored_document(document: Document, base: str) -> Document:
    """Return a document as it is stored: without the inferred links, and relative to the server's address."""
    links = [
        found | {"href": found["href"].removeprefix(base)}
        for found in document.get("links", ())
        if found.get("rel") not in _DERIVED
    ]
    stored = document | {"links": links}
    if isinstance(document.get("assets"), dict):
        stored["assets"] = {
            key: asset | {"href": asset["href"].removeprefix(base)} for key, asset in document["assets"].items()
        }
    return stored


def _kept(stored: Document, base: str) -> list[Document]:
    kept = [found for found in stored.get("links", ()) if found.get("rel") not in INFERRED]
    return [f if _is_absolute(f["href"]) else f | {"href": base + f["href"].lstrip("/")} for f in kept]


def _is_absolute(href: str) -> bool:
    return _ABSOLUTE.match(href) is not None
