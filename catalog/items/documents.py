"""The JSON documents of a static catalog: links between them, what a collection says of its items, and items of them.

Layout, below the root::

    catalog.json
    <name>/collection.json
    <name>/<item id>/<item id>.json, and the item's files
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urljoin, urlsplit

from modelstac.catalog.items.evidence import with_verified
from modelstac.catalog.items.identity import ALIASES, EVIDENCE_ASSETS
from modelstac.catalog.items.links import ITEM_ID_FIELD, PAGE_FIELD, asset_href, is_image
from modelstac.catalog.items.versions import is_version, version_key

if TYPE_CHECKING:
    import pystac

ROOT = "catalog.json"
_HALF = re.compile("[\ud800-\udfff]")
Document = dict[str, Any]

VERSION_FIELDS = ("version", "interop:variant")
VERSION_RELS = ("predecessor-version", "successor-version", "latest-version")
# Links that depend on what else is in the catalog, and where: every store writes its own.
QUERYABLES = "http://www.opengis.net/def/rel/ogc/1.0/queryables"
SORTABLES = "http://www.opengis.net/def/rel/ogc/1.0/sortables"
# RFC 6861: pages to change this, and to add to it.
FORMS = ("edit-form", "create-form")
STRUCTURAL_RELS = frozenset(
    {"root", "parent", "collection", "self", "item", "child", "items", QUERYABLES, SORTABLES, *FORMS, *VERSION_RELS}
)


_SOME_TIME = "1970-01-01T00:00:00Z"
_PARTS = frozenset(
    {
        *("type", "stac_version", "stac_extensions", "id", "geometry", "bbox"),
        *("properties", "links", "assets", "collection"),
    }
)
_OF_A_LINK = frozenset({"rel", "href", "type", "title"})


def collection_path(name: str) -> str:
    """Return the path of a model's collection."""
    return f"{name}/collection.json"


def item_folder(item: pystac.Item) -> str:
    """Return the folder of an item and its files."""
    return f"{item.collection_id}/{item.id}"


def dump(document: Document) -> bytes:
    """Return a document as a person can read it."""
    return encoded(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def encoded(text: str) -> bytes:
    """Return a JSON text as bytes; half of a character, which no encoding has, stays as JSON writes it by number."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return _HALF.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode()


def link(rel: str, href: str, media_type: str = "application/json", title: str | None = None) -> Document:
    """Return a link object."""
    found = {"rel": rel, "href": href, "type": media_type}
    if title:
        found["title"] = title
    return found


def is_structural(found: Document) -> bool:
    """Tell whether a link depends on what else is in the catalog, and where."""
    return found["rel"] in STRUCTURAL_RELS or PAGE_FIELD in found


def relative(target: str, start: str) -> str:
    """Return the relative href from one document to another."""
    found = posixpath.relpath(target, posixpath.dirname(start) or ".")
    return quote(found if found.startswith("../") else f"./{found}")


def targets(document: Document, rel: str, path: str) -> list[str]:
    """Return the paths that a document, itself at a path, links to by a relation."""
    links = document.get("links")
    return [
        resolve(found["href"], path)
        for found in (links if isinstance(links, list) else ())
        if isinstance(found, dict) and found.get("rel") == rel and isinstance(found.get("href"), str)
    ]


def new_root(folder_name: str) -> Document:
    """Return the root document of a new, empty catalog."""
    import pystac

    return {
        "type": "Catalog",
        "stac_version": pystac.get_stac_version(),
        "id": folder_name or "models",
        "title": "Models for Earth observation",
        "description": (
            "Trained models, one collection a model and one item a variant (framework, format, version). "
            "Every item says how to run it and carries checksums; load one with `modelstac.load(id)`."
        ),
        "links": [link("root", f"./{ROOT}")],
    }


def with_versions(document: Document, here: str, others: dict[str, str]) -> Document:
    """Return an item that links to its other versions, and no longer to those of before.

    Parameters
    ----------
    here
        Path of the item's document.
    others
        Paths of the other versions, by relation.
    """
    kept = [found for found in document["links"] if found["rel"] not in VERSION_RELS]
    added = [link(rel, relative(place, here), "application/geo+json") for rel, place in others.items()]
    return document | {"links": kept + added}


def versions_of(collection: Document, variant: str | None, here: str) -> list[tuple[str, str]]:
    """Return the sortable version and the place of every item of one variant, from the first version to the last.

    Parameters
    ----------
    here
        Path of the collection.
    """
    return sorted(
        (version_key(f["version"]), resolve(f["href"], here))
        for f in collection["links"]
        if f["rel"] == "item" and f.get("interop:variant") == variant and is_version(f.get("version"))
    )


def relations(ordered: list[tuple[str, str]], index: int) -> dict[str, str]:
    """Return the paths of the other versions of the item at an index of :func:`versions_of`, by relation."""
    found = {}
    if index > 0:
        found["predecessor-version"] = ordered[index - 1][1]
    if index < len(ordered) - 1:
        found |= {"successor-version": ordered[index + 1][1], "latest-version": ordered[-1][1]}
    return found


def with_collection(root: Document, collection: Document, path: str | None = None) -> Document:
    """Return the root document with a link to one more collection."""
    href = relative(path or collection_path(collection["id"]), ROOT)
    return root | {"links": [*root["links"], link("child", href, title=collection.get("title"))]}


def item_document(
    item: pystac.Item,
    assets: dict[str, str],
    places: dict[str, str],
    *,
    folder: str | None = None,
    parent: str | None = None,
) -> Document:
    """Return an item as it is written below its collection.

    Parameters
    ----------
    assets
        File name in the item's folder, by asset key; an asset that is not named here stays where it is.
    places
        Path of the item document, by item id, for the sources in the same catalog.
    folder, parent
        The item's folder and its collection's document, where they are not those of the layout.
    """
    document = item.to_dict(include_self_link=False, transform_hrefs=False)
    here = f"{folder or item_folder(item)}/{item.id}.json"
    for key, name in assets.items():
        document["assets"][key]["href"] = f"./{quote(name)}"
    kept = [
        found | {"href": relative(places[found[ITEM_ID_FIELD]], here)} if found.get(ITEM_ID_FIELD) in places else found
        for found in document["links"]
        if not is_structural(found)
    ]
    collection = relative(parent or collection_path(str(item.collection_id)), here)
    document["links"] = [
        link("root", relative(ROOT, here)),
        link("parent", collection),
        link("collection", collection),
        *kept,
    ]
    return document


def located(item: pystac.Item) -> Document:
    """Return an item as JSON whose assets have absolute hrefs."""
    document: Document = item.to_dict(include_self_link=False, transform_hrefs=False)
    for key, asset in item.assets.items():
        document["assets"][key]["href"] = asset_href(asset)
    return document


def as_item(document: Document) -> pystac.Item:
    """Return a document as an item; what ``fields`` left out is empty."""
    import pystac  # not at the top: it brings a whole client for HTTP, which a search in a file does without

    complete: Document = {"links": [], "assets": {}} | document
    # pystac warns of deprecated items wherever one is read; here they are a field like any other.
    properties, deprecated = complete["properties"], complete["properties"].pop("deprecated", None)
    timeless = not (properties.get("datetime") or (properties.get("start_datetime") and properties.get("end_datetime")))
    if timeless:  # pystac builds none of these, which others have
        properties["datetime"] = _SOME_TIME
    # Migrating copies the whole document: only what another version of STAC wrote needs it.
    current = complete.get("stac_version") == pystac.get_stac_version()
    if current and complete.get("type") == "Feature":
        item = _built(complete)
    else:
        item = pystac.Item.from_dict(complete, migrate=not current, preserve_dict=False)
    if timeless:
        item.datetime = item.properties["datetime"] = properties["datetime"] = None
    if deprecated is not None:
        item.properties["deprecated"] = properties["deprecated"] = deprecated
    return item


def _built(document: Document) -> pystac.Item:
    """Return what :meth:`pystac.Item.from_dict` does, which spends most of its time on what is known here."""
    import pystac
    from pystac.utils import str_to_datetime

    properties = document["properties"]
    moment = properties.get("datetime")
    item = pystac.Item(
        id=document["id"],
        geometry=document.get("geometry"),
        bbox=document.get("bbox"),
        stac_extensions=document.get("stac_extensions"),
        collection=document.get("collection"),
        datetime=None if moment is None else str_to_datetime(moment),
        properties=properties,
        extra_fields={name: value for name, value in document.items() if name not in _PARTS},
        assets={key: pystac.Asset.from_dict(asset) for key, asset in document["assets"].items()},
    )
    for link in document["links"]:
        rest = {name: value for name, value in link.items() if name not in _OF_A_LINK}
        item.add_link(pystac.Link(link["rel"], link["href"], link.get("type"), link.get("title"), rest))
    return item


def stored_item(item: Document, assets: dict[str, str], places: dict[str, str]) -> Document:
    """Return an item as a database keeps it: only the links that no database can derive.

    Parameters
    ----------
    assets, places
        As :func:`item_document` takes them, with hrefs instead of names and paths.
    """
    moment = now()
    properties = item["properties"] | {"created": moment, "updated": moment}
    properties.pop(ALIASES, None)
    links = [
        found | {"href": places.get(found.get(ITEM_ID_FIELD), found["href"])}
        for found in item["links"]
        if not is_structural(found)
    ]
    placed = item["assets"]
    if assets:
        placed = {key: asset | {"href": assets.get(key, asset["href"])} for key, asset in placed.items()}
    return item | {"properties": properties, "links": links, "assets": placed}


def aliases_of(collection: Document) -> dict[str, str]:
    """Return the item ids of a collection's aliases; what others wrote in their place, and is no id, is left out."""
    found = collection.get(ALIASES)
    if not isinstance(found, dict):
        return {}
    return {alias: item_id for alias, item_id in found.items() if isinstance(item_id, str)}


def by_collection(items: Iterable[Document]) -> dict[str, list[Document]]:
    """Return items by the name of their collection."""
    found: dict[str, list[Document]] = {}
    for item in items:
        found.setdefault(str(item["collection"]), []).append(item)
    return found


def stored_collection(document: Document) -> Document:
    """Return a collection as a database keeps it."""
    kept = [found for found in document["links"] if not is_structural(found)]
    return {key: value for key, value in document.items() if key != ALIASES} | {"links": kept}


def with_evidence(document: Document, key: str, asset: Document) -> Document:
    """Return an item with an asset that may come after publication."""
    assert key in EVIDENCE_ASSETS, key
    changed = {"assets": document["assets"] | {key: asset}, "properties": document["properties"] | {"updated": now()}}
    return document | changed


def verified(document: Document, environments: Sequence[dict[str, Any]]) -> Document:
    """Return an item with environments added in which it was verified; the same item where they are there."""
    properties = with_verified(document["properties"], environments)
    return (
        document if properties == document["properties"] else document | {"properties": properties | {"updated": now()}}
    )


def now() -> str:
    """Return the time as items have it."""
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def absolute(document: Document, href: str, resolved: Callable[[str, str], str] | None = None) -> Document:
    """Return a document that was read from ``href``, with absolute links and asset hrefs.

    Parameters
    ----------
    resolved
        Makes an href absolute, given that of the document; by default as files and the web do.
    """
    read = resolved or resolve
    links = [found | {"href": read(found["href"], href)} for found in document.get("links", ())]
    media_type = "application/geo+json" if document.get("type") == "Feature" else "application/json"
    result = document | {"links": [f for f in links if f.get("rel") != "self"] + [link("self", href, media_type)]}
    if isinstance(document.get("assets"), dict):
        result["assets"] = {
            key: asset | {"href": read(asset["href"], href)} if leads(asset) and not is_image_asset(asset) else asset
            for key, asset in document["assets"].items()
        }
    return result


def leads(found: Any) -> bool:
    """Tell whether what stands for a link or an asset is one: others' collections may have anything in its place."""
    return isinstance(found, dict) and isinstance(found.get("href"), str)


def is_image_asset(asset: Document) -> bool:
    """Tell whether an asset is a container image, whose href is no place of a file."""
    return is_image(asset["href"], asset.get("type"), asset.get("roles") or ())


def resolve(href: str, base: str) -> str:
    """Return an href as seen from ``base``, the absolute path or URL of the document that has it."""
    if urlsplit(href).scheme or href.startswith("/"):
        return href
    if scheme := urlsplit(base).scheme:
        # urljoin knows no schemes of object stores.
        return f"{scheme}:" + urljoin(base.removeprefix(f"{scheme}:"), href)
    return posixpath.normpath(posixpath.join(posixpath.dirname(base), unquote(href)))
