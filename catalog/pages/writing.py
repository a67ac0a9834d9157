"""Pages as files: beside the documents of a catalog in a folder, or anywhere for any catalog."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from modelstac.catalog.backends.static import StaticCatalog
from modelstac.catalog.backends.storage import Folder, explained
from modelstac.catalog.base import Catalog
from modelstac.catalog.errors import StorageError
from modelstac.catalog.items import documents
from modelstac.catalog.items.collections import widening
from modelstac.catalog.items.documents import Document
from modelstac.catalog.items.identity import is_model
from modelstac.catalog.messages import Advanced, Finished, Report, Started, ignore
from modelstac.catalog.pages.page import Links, entry, model_page, models_page
from modelstac.catalog.pages.values import text

INDEX = "index.html"
_OURS = b'<meta name="generator" content="modelstac">'
_TASK = "pages"
Picture = Callable[[Mapping[str, Any], str], str | None]
"""From an item and the key of an asset to the picture as a ``data:`` address; None where it cannot be had."""


@dataclass(frozen=True)
class Page:
    """A page to be written: of which model, to which path, and which list of models it is in."""

    name: str
    path: str
    collection: Document
    items: Sequence[Document]
    links: Links


def write_beside(catalog: StaticCatalog, *, address: str, footer: str = "", report: Report = ignore) -> dict[str, str]:
    """Write a page into the folder of each model of a catalog, a list of them beside its root, and links to them.

    Parameters
    ----------
    catalog
        In a folder.
    address
        What people give as the catalog.
    footer
        Last line of every page.
    report
        Gets progress.

    Returns
    -------
    dict of str to str
        Paths of the pages by the name of the model; the list is :data:`INDEX`.

    Raises
    ------
    StorageError
        If a file that is none of these pages stands where one goes, or one cannot be written. The former is found
        before anything is written.
    """
    catalog.name_odd(report)
    pages = list(_beside(catalog, address))
    _refuse_others(pages, catalog.read_file, catalog.href)
    report(Started(_TASK, len(pages)))
    for page in pages:
        with explained(f"write {page.path}"):
            catalog.write_page(page.path, _rendered(page, footer))
            catalog.link_page(page.name, page.path)
        report(Advanced(_TASK, note=page.name))
    catalog.write_page(INDEX, _listed(pages, _title(catalog), footer, Links(address, collection=documents.ROOT)))
    catalog.link_list(INDEX)
    report(Finished(_TASK))
    return {page.name: page.path for page in pages}


def write_elsewhere(
    catalog: Catalog,
    folder: Path,
    *,
    address: str,
    picture: Picture,
    footer: str = "",
    report: Report = ignore,
) -> dict[str, str]:
    """Write a page for each model of any catalog into a folder, and a list of them; the catalog stays as it is.

    Parameters
    ----------
    catalog, address, footer, report
        As in :func:`write_beside`.
    folder
        Made where there is none.
    picture
        How pictures come into a page.

    Returns
    -------
    dict of str to str
        As :func:`write_beside` does.

    Raises
    ------
    StorageError
        As :func:`write_beside` does.
    """
    place = Folder(folder)
    pages = list(_elsewhere(catalog, address, picture, report))
    with explained(f"write pages to {folder}"):
        _refuse_others(pages, place.read, str(folder))
        report(Started(_TASK, len(pages)))
        for page in pages:
            place.write(page.path, _rendered(page, footer))
            report(Advanced(_TASK, note=page.name))
        place.write(INDEX, _listed(pages, _title(catalog), footer, Links(address)))
    report(Finished(_TASK))
    return {page.name: page.path for page in pages}


def _beside(catalog: StaticCatalog, address: str) -> Iterator[Page]:
    taken = {INDEX}
    for branch, found in catalog.leaves():
        if branch.document["type"] != "Collection" or not any(is_model(document) for _, document in found):
            continue
        folder, file = posixpath.split(branch.path)
        path = posixpath.join(folder, INDEX if file == "collection.json" else f"{posixpath.splitext(file)[0]}.html")
        if path in taken:
            path = posixpath.join(folder, f"{_slug(branch.name, taken)}.html")
        taken.add(path)
        places = {id(document): place for place, document in found}
        links = _links_beside(path, branch.path, places, address)
        yield Page(branch.name, path, branch.document, [document for _, document in found], links)


def _links_beside(page: str, collection: str, places: Mapping[int, str], address: str) -> Links:
    """Return where a page leads that lies among the documents: every address is relative to it."""

    def item(document: Mapping[str, Any]) -> str:
        return documents.relative(places[id(document)], page)

    def asset(document: Mapping[str, Any], key: str) -> str | None:
        href = document["assets"][key].get("href")
        if not isinstance(href, str):
            return None
        found = documents.resolve(href, places[id(document)])
        inside = "://" not in found and not found.startswith(("/", "../", "data:"))
        return documents.relative(found, page) if inside else found if "://" in found or found[:5] == "data:" else None

    return Links(
        catalog=address,
        collection=documents.relative(collection, page),
        models=documents.relative(INDEX, page),
        address=f"{address.rstrip('/')}/{quote(page)}" if "://" in address else "",
        item=item,
        asset=asset,
        picture=asset,
    )


def _elsewhere(catalog: Catalog, address: str, picture: Picture, report: Report) -> Iterator[Page]:
    by_model: dict[str, list[Document]] = {}
    for item in catalog.readable(report):
        document = item.to_dict(transform_hrefs=False)
        if is_model(document):
            by_model.setdefault(item.collection_id or item.id, []).append(document)
    known = {one.id: one.to_dict(transform_hrefs=False) for one in catalog.collections()}
    taken: set[str] = {posixpath.splitext(INDEX)[0]}
    for name, items in sorted(by_model.items()):
        collection = known.get(name) or widening.new_collection(name, items[0]["properties"])
        if not is_model(collection):
            collection = widening.widened(collection, *items)
        collection |= {"interop:aliases": _aliases(items)}
        links = Links(catalog=address, models=INDEX, asset=_on_the_web, item=_self, picture=picture)
        yield Page(name, f"{_slug(name, taken)}.html", collection, items, links)


def _aliases(items: Iterable[Document]) -> dict[str, str]:
    return {str(alias): one["id"] for one in items for alias in one["properties"].get("interop:aliases") or ()}


def _on_the_web(document: Mapping[str, Any], key: str) -> str | None:
    href = document["assets"][key].get("href")
    return href if isinstance(href, str) and href.startswith(("https://", "http://")) else None


def _self(document: Mapping[str, Any]) -> str | None:
    found = (link["href"] for link in document["links"] if link["rel"] == "self")
    return next((href for href in found if href.startswith(("https://", "http://"))), None)


def _slug(name: str, taken: set[str]) -> str:
    """Return a file name for a model that no other has, also where case does not count."""
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip(".-") or "model"
    found, number = plain, 1
    while found.casefold() in taken:
        number += 1
        found = f"{plain}-{number}"
    taken.add(found.casefold())
    return found


def _refuse_others(pages: Iterable[Page], read: Callable[[str], bytes | None], where: str) -> None:
    for path in (INDEX, *(page.path for page in pages)):
        found = read(path)
        if found is not None and _OURS not in found:
            raise StorageError(
                f"{posixpath.join(where, path)} is there and no page of modelstac: move it away, or name another "
                "folder (--output)"
            )


def _title(catalog: Catalog) -> str:
    found = catalog.read_file(documents.ROOT) if isinstance(catalog, StaticCatalog) else None
    return (text(json.loads(found).get("title")) if found else "") or "Models for Earth observation"


def _rendered(page: Page, footer: str) -> bytes:
    return model_page(page.collection, page.items, page.links, footer=footer).encode()


def _listed(pages: Sequence[Page], title: str, footer: str, links: Links) -> bytes:
    found = [entry(page.collection, quote(page.path)) for page in sorted(pages, key=lambda page: page.name)]
    return models_page(title, found, links, footer=footer).encode()
