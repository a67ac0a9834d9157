"""Documents as the server answers them: with absolute links, and with the fields that were asked for."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import quote, unquote

import orjson
from starlette.datastructures import URL
from starlette.requests import Request

from modelstac.catalog.items.documents import (
    FORMS,
    QUERYABLES,
    SORTABLES,
    VERSION_RELS,
    Document,
    is_image_asset,
    leads,
    link,
)
from modelstac.catalog.items.identity import about, is_model
from modelstac.catalog.items.links import PAGE_FIELD
from modelstac.catalog.server.files.named import ARTIFACTS

INFERRED = frozenset({"self", "item", "items", "parent", "collection", "root", QUERYABLES, SORTABLES, *FORMS})
_DERIVED = INFERRED | set(VERSION_RELS)
MODELS = "models"
"""Where the pages of models are, below the server's address."""
JSON, GEOJSON, SCHEMA, HTML = "application/json", "application/geo+json", "application/schema+json", "text/html"


_PLAIN = "/!$&'()*+,;=:@~"
"""What stays as it is in the path of an address (RFC 3986, 3.3)."""
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


@lru_cache(maxsize=4096)
def quoted(text: str) -> str:
    """Return an id or a name as one part of an address; those that are asked for are so again and again."""
    return quote(text, safe="")


def item_path(collection_id: str, item_id: str) -> str:
    """Return the path of an item below the server's address."""
    return f"collections/{quoted(collection_id)}/items/{quoted(item_id)}"


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
    links = item_links(stored["collection"], stored["id"], stored.get("links", ()), base, of_model=is_model(stored))
    return stored | {"links": links, "assets": shown_assets(stored.get("assets", {}), base)}


def item_links(
    collection_id: str, item_id: str, links: Iterable[Document], base: str, *, of_model: bool
) -> list[Document]:
    """Return the links of an item as a client sees them, those of the server before its own."""
    path = item_path(collection_id, item_id)
    parent = f"{base}collections/{quoted(collection_id)}"
    own = [
        link("self", base + path, GEOJSON),
        link("parent", parent),
        link("collection", parent),
        link("root", base),
        form("edit-form", base, path),
        *([_page(collection_id, base)] if of_model else ()),
    ]
    return own + _kept(links, base)


def shown_assets(assets: dict[str, Document], base: str) -> dict[str, Document]:
    """Return the assets of an item as a client sees them; what others stored, and is none, is left out."""
    return {
        key: asset
        if is_absolute(asset["href"]) or is_image_asset(asset)
        else asset | {"href": base + address_of(asset["href"])}
        for key, asset in (assets.items() if isinstance(assets, dict) else ())
        if leads(asset)
    }


def shown_collection(stored: Document, base: str) -> Document:
    """Return a stored collection with absolute links."""
    here = f"{base}collections/{quoted(stored['id'])}"
    own = [
        link("self", here),
        link("parent", base),
        link("root", base),
        link("items", f"{here}/items", GEOJSON),
        link(QUERYABLES, f"{here}/queryables", SCHEMA, title="Queryables"),
        link(SORTABLES, f"{here}/sortables", SCHEMA, title="Sortables"),
        form("edit-form", base, here.removeprefix(base)),
        form("create-form", base, f"{here.removeprefix(base)}/items"),
        *([_page(stored["id"], base)] if is_model(stored) else ()),
    ]
    return stored | {"links": own + _kept(stored.get("links", ()), base)}


def form(rel: str, base: str, path: str) -> Document:
    """Return the link to the page that changes what is at a path below the server's address, or adds to it."""
    return link(rel, f"{base}forms/{path}", HTML, title="Change this" if rel == "edit-form" else "Add to this")


def stored_document(document: Document, base: str) -> Document:
    """Return a document as it is stored: without the inferred links, and relative to the server's address."""
    links = [
        found | {"href": found["href"].removeprefix(base)}
        for found in document.get("links", ())
        if found.get("rel") not in _DERIVED and PAGE_FIELD not in found
    ]
    stored = document | {"links": links}
    if isinstance(document.get("assets"), dict):
        stored["assets"] = {
            key: asset | {"href": _path_of(asset["href"].removeprefix(base))}
            for key, asset in document["assets"].items()
        }
    return stored


def address_of(path: str) -> str:
    """Return the address of a file below the server's, by its path."""
    return quote(path.lstrip("/"), safe=_PLAIN)


def _path_of(href: str) -> str:
    """Return the path of an artifact by its address below the server's; other addresses stay."""
    return unquote(href) if href.startswith(ARTIFACTS) else href


def _kept(links: Iterable[Document], base: str) -> list[Document]:
    listed = links if isinstance(links, list | tuple) else ()
    kept = [f for f in listed if leads(f) and f.get("rel") not in INFERRED and PAGE_FIELD not in f]
    return [f if is_absolute(f["href"]) else f | {"href": base + f["href"].lstrip("/")} for f in kept]


def _page(name: str, base: str) -> Document:
    return about(f"{base}{MODELS}/{quoted(name)}", name)


def is_absolute(href: str) -> bool:
    """Tell whether an address has a scheme, and is not below the server's."""
    return href.startswith(("https://", "http://")) or _ABSOLUTE.match(href) is not None
