"""Sending items and their files to a STAC API: each file by itself, then the items of a model at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pystac

from modelstac.catalog.ahead import batches
from modelstac.catalog.backends.api.http import Api, quoted
from modelstac.catalog.backends.published import Published
from modelstac.catalog.base import Catalog
from modelstac.catalog.errors import InvalidItemError, ItemExistsError, MissingFileError, NotFoundError
from modelstac.catalog.items import documents
from modelstac.catalog.items.collections import widening
from modelstac.catalog.items.documents import Document, is_structural
from modelstac.catalog.items.links import ITEM_ID_FIELD, has_local_files, local_file, local_path
from modelstac.catalog.messages import Advanced, Finished, Note, Report, Started, ignore
from modelstac.catalog.search.sql.rows import dumps

_AT_ONCE = 3
_TRIES = 3
_LARGEST_REQUEST = 8 << 20
_LINES_AT_A_TIME = 100
_REMOTE = ("http://", "https://", "s3://", "gs://", "az://")


class Writer:
    """Writes validated items into the catalog behind an API.

    Parameters
    ----------
    catalog
        The catalog, which finds what is there already.
    api
        Its API.
    report
        Gets the progress of uploads.
    by_reference
        Send no files: items that have some on this machine are refused.
    """

    def __init__(self, catalog: Catalog, api: Api, report: Report, *, by_reference: bool) -> None:
        self._catalog = catalog
        self._api = api
        self._report = report
        self._by_reference = by_reference

    def write(self, items: list[pystac.Item]) -> Published:
        """Store items; those of one model all or none, unless they fill several requests."""
        for _ in range(_TRIES):
            try:
                return self._write(items)
            except MissingFileError:
                # Removed after it was found to be there, by a delete or by gc: then it is sent again.
                if not any(map(has_local_files, items)):
                    raise
        return self._write(items)

    def _write(self, items: list[pystac.Item]) -> Published:
        by_id: dict[str, pystac.Item] = {}
        for item in items:
            if by_id.setdefault(item.id, item) is not item:
                self._catalog.same_or_refuse(by_id[item.id], item)
            for link in item.links:
                if not is_structural(found := link.to_dict(transform_href=False)) and _only_here(found):
                    text = f"item {item.id!r}: its link {link.rel!r} leads to this machine only, and is left out"
                    self._report(Note(text))
        # Asked for before their files are sent; what has none is refused by the server, or found to be there.
        present = {item.id for item in items if has_local_files(item) and self._is_there(item)}
        new = {item_id: item for item_id, item in by_id.items() if item_id not in present}
        if self._api.takes_lines and len(by_id) > 1:
            self._send_lines(list(new.values()))
        else:
            self._send_models(new)
        return Published(self._catalog.get, [item.id for item in items])

    def _send_lines(self, items: list[pystac.Item]) -> None:
        """Send items in one request that is stored whole or not at all."""
        uploaded = {item.id: self._uploaded(item, self._report) for item in items if has_local_files(item)}
        if not any(item.get_links("derived_from") for item in items):
            # A model after the other is less work for the server.
            items = sorted(items, key=lambda item: str(item.collection_id))

        def lines() -> Iterator[bytes]:
            for some in batches(items, _LINES_AT_A_TIME):
                yield b"".join(_line(uploaded.get(item.id) or self._uploaded(item, ignore)) for item in some)

        if items:
            self._api.send_lines("bulk_items", lines)

    def _send_models(self, items: dict[str, pystac.Item]) -> None:
        """Send items by their ids, those of a model in as few requests as servers take."""
        by_name: dict[str, list[Document]] = {}
        for item in items.values():
            by_name.setdefault(str(item.collection_id), []).append(self._uploaded(item, self._report))

        def post(name: str) -> None:
            self._make_collection(name, by_name[name])
            for some in _in_requests(by_name[name]):
                self._post(name, some, items)

        # What is derived from another of them has to wait for it.
        derived = any(item.get_links("derived_from") for item in items.values())
        with ThreadPoolExecutor(1 if derived else _AT_ONCE, thread_name_prefix="publish") as threads:
            posted = [threads.submit(post, name) for name in by_name]
            try:
                for done in posted:
                    done.result()
            finally:
                threads.shutdown(cancel_futures=True)

    def _is_there(self, item: pystac.Item) -> bool:
        stored = self._catalog.find(f"{item.collection_id}/{item.id}")
        return stored is not None and bool(self._catalog.same_or_refuse(stored, item))

    def _post(self, name: str, new: list[Document], items: dict[str, pystac.Item]) -> None:
        body: Document = {"type": "FeatureCollection", "features": new} if len(new) > 1 else new[0]
        try:
            self._api.send("POST", f"collections/{quoted(name)}/items", body)
        except ItemExistsError:
            # With other content, or the server takes nothing twice.
            missing = [document for document in new if not self._is_there(items[document["id"]])]
            if len(missing) == len(new):
                raise
            if missing:
                self._post(name, missing, items)

    def _uploaded(self, item: pystac.Item, report: Report) -> Document:
        paths = {key: local_file(asset) for key, asset in item.assets.items()}
        task = f"publish {item.id}"
        report(Started(task, len(item.assets)))
        hrefs = {}
        for key, path in paths.items():
            asset = item.assets[key]
            if path is None:
                hrefs[key] = asset.href
            elif self._by_reference:
                raise InvalidItemError(
                    f"asset {key!r} of {item.id!r} is {path}, on this machine only: "
                    f"name it by an address ({', '.join(_REMOTE)}…) or publish without --by-reference"
                )
            else:
                hrefs[key] = self._api.upload(path, str(asset.extra_fields["file:checksum"]))
            report(Advanced(task, note=key))
        report(Finished(task))
        document = documents.stored_item(documents.located(item), hrefs, {})
        return document | {"links": [link for link in document["links"] if not _only_here(link)]}

    def _make_collection(self, name: str, items: list[Document]) -> None:
        try:
            self._api.get(f"collections/{quoted(name)}")
        except NotFoundError:
            collection = widening.widened(widening.new_collection(name, items[0]["properties"]), *items)
            try:
                self._api.send("POST", "collections", documents.stored_collection(collection))
            except ItemExistsError:
                return  # somebody else published the first version of this model


def _in_requests(new: list[Document]) -> Iterator[list[Document]]:
    """Split items into as many requests as are needed for none to be larger than servers take."""
    some: list[Document] = []
    size = 0
    for document in new:
        length = len(json.dumps(document))
        if some and size + length > _LARGEST_REQUEST:
            yield some
            some, size = [], 0
        some.append(document)
        size += length
    yield some


def _line(document: Document) -> bytes:
    try:
        return dumps(document).encode() + b"\n"
    except ValueError as error:
        raise InvalidItemError(f"item {document['id']!r} has what JSON cannot hold: {error}") from error


def _only_here(link: Document) -> bool:
    """Tell whether a link leads to a file of this machine, which a server would take for an address below its own."""
    return ITEM_ID_FIELD not in link and local_path(str(link["href"])) is not None
