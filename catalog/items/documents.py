"""The JSON documents of a static catalog: relative links between them, and what a collection says of its items.

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

from modelstac.catalog.errors import InvalidItemError, ModelStacError
from modelstac.catalog.items.evidence import with_verified
from modelstac.catalog.items.geometry import covering_box
from modelstac.catalog.items.identity import ALIASES, EVIDENCE_ASSETS
from modelstac.catalog.items.provenance import ITEM_ID_FIELD, PAGE_FIELD, is_image
from modelstac.catalog.items.reading import asset_href
from modelstac.catalog.items.versions import is_version, version_key

if TYPE_CHECKING:
    import pystac

ROOT = "catalog.json"
_HALF = re.compile("[\ud800-\udfff]")
Document = dict[str, Any]

VERSION_FIELDS = ("version", "interop:variant")
VERSION_RELS = ("predecessor-version", "successor-version", "latest-version")
# Links that depend on what else is in the catalog, and where: every store writes its own.
STRUCTURAL_RELS = frozenset({"root", "parent", "collection", "self", "item", "child", "items", *VERSION_RELS})
_EVERYWHERE = (-180, -90, 180, 90)
_SUMMARISED = ("mlm:framework", "mlm:architecture", "interop:format", "interop:backend", "version")


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
    return {"rel": rel, "href": href, "type": media_type} | ({"title": title} if title else {})


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


def new_collection(name: str, properties: Document) -> Document:
    """Return the collection of a model whose first item, with these properties, is published."""
    import pystac

    return {
        "type": "Collection",
        "stac_version": pystac.get_stac_version(),
        "id": name,
        "title": properties.get("interop:model_title") or properties.get("title") or name,
        "description": properties.get("description") or name,
        "license": properties.get("license", "other"),
        "extent": {"spatial": {"bbox": []}, "temporal": {"interval": []}},
        "summaries": {},
        "links": [link("root", f"../{ROOT}"), link("parent", f"../{ROOT}")],
    }


def with_item(
    collection: Document, item: pystac.Item, *, folder: str | None = None, path: str | None = None
) -> Document:
    """Return a collection that links to one more item, with extent, keywords and summaries widened to it.

    Parameters
    ----------
    folder, path
        The item's folder and the collection's document, where they are not those of the layout.
    """
    here = path or collection_path(collection["id"])
    href = relative(f"{folder or item_folder(item)}/{item.id}.json", here)
    title = item.properties.get("title")
    wider = widened(collection, item.to_dict(transform_hrefs=False))
    version = {name: item.properties[name] for name in VERSION_FIELDS if name in item.properties}
    return wider | {"links": [*wider["links"], link("item", href, "application/geo+json", title) | version]}


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


def widened(collection: Document, *items: Document) -> Document:
    """Return a collection with extent, keywords, providers, licences and summaries widened to more items.

    Raises
    ------
    InvalidItemError
        If it is no collection of STAC, as one that was written by hand.
    """
    try:
        return _wider(collection, *items)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        if isinstance(error, ModelStacError):
            raise
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:120]
        raise InvalidItemError(
            f"collection {collection.get('id')!r} takes no items, its extent, summaries or links are none of STAC's "
            f"({reason}): restore it from a copy"
        ) from error


def _wider(collection: Document, *items: Document) -> Document:
    said = [item["properties"] for item in items]
    extent = collection["extent"]
    boxes = [*extent["spatial"]["bbox"][:1], *(i.get("bbox") or _EVERYWHERE for i in items)]
    intervals = [*extent["temporal"]["interval"][:1], *map(_interval, said)]
    known = collection.get("summaries", {})
    summaries = {
        name: values
        for name in _SUMMARISED
        if (values := _union(known.get(name, ()), [properties[name] for properties in said if name in properties]))
    }
    if tasks := _union(known.get("mlm:tasks", ()), _lists(said, "mlm:tasks")):
        summaries["mlm:tasks"] = tasks
    linked = {found["href"] for found in collection["links"]}
    licences = {f["href"]: f for item in items for f in item["links"] if f["rel"] == "license"}
    descriptions = [properties["description"] for properties in said if properties.get("description")]
    wider = collection | {
        "description": (descriptions or [collection["description"]])[-1],
        "extent": {
            "spatial": {"bbox": [list(covering_box(boxes))]},
            # RFC 3339 in UTC with a "Z": the order of the strings is the order in time.
            "temporal": {
                "interval": [[_open_or(min, [i[0] for i in intervals]), _open_or(max, [i[1] for i in intervals])]]
            },
        },
        "summaries": summaries,
        "links": [*collection["links"], *(found for href, found in licences.items() if href not in linked)],
    }
    for name in ("keywords", "providers"):
        if values := _union(collection.get(name, ()), _lists(said, name)):
            wider[name] = values
    return wider


def _interval(properties: Document) -> list[str | None]:
    moment = properties.get("datetime")
    return [properties.get("start_datetime") or moment, properties.get("end_datetime") or moment]


def _lists(said: Iterable[Document], name: str) -> list[Any]:
    return [value for properties in said for value in properties.get(name, ())]


def _open_or(choose: Callable[[list[str]], str], moments: list[str | None]) -> str | None:
    # None is an open end, which no moment widens.
    return None if None in moments else choose([moment for moment in moments if moment is not None])


def covering(collection: Document, items: Iterable[Document]) -> Document:
    """Return a collection with extent and summaries of just these items; as it is when there are none."""
    covered = list(items)
    return widened(collection | _covering_nothing(), *covered) if covered else collection


def begun(collection: Document) -> Document:
    """Return a collection without items as its first one should find it.

    What it says of items is of those that were deleted; what somebody said of it who made it without any is kept.
    """
    summaries = collection.get("summaries")
    said = isinstance(summaries, dict) and summaries.get("version")
    return collection | _covering_nothing() if said else collection


def _covering_nothing() -> Document:
    return {"extent": {"spatial": {"bbox": []}, "temporal": {"interval": []}}, "summaries": {}}


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
    if "assets" in document:
        result["assets"] = {
            key: asset if is_image_asset(asset) else asset | {"href": read(asset["href"], href)}
            for key, asset in document["assets"].items()
        }
    return result


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


def _union(first: Iterable[Any], second: Iterable[Any]) -> list[Any]:
    merged, more = list(first), list(second)
    try:
        # Of texts, such as versions, there may be thousands.
        return list(dict.fromkeys(merged + more))
    except TypeError:  # of objects, such as providers, few
        texts = {value for value in merged if isinstance(value, str)}
        for value in more:
            if value not in (texts if isinstance(value, str) else merged):
                merged.append(value)
                texts.update([value] if isinstance(value, str) else [])
        return merged
