"""The catalog behind a STAC API: pystac-client reads, the Transaction extension writes, artifacts are uploaded.

What a query asks that STAC has no words for (ranges of versions, verified environments) is narrowed down on the server
as far as CQL2 can and decided here, item by item, by the rules of every other catalog.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pystac

from modelstac.catalog.ahead import batches
from modelstac.catalog.backends.api_query import filter_of, residual
from modelstac.catalog.backends.http import Api, quoted
from modelstac.catalog.backends.published import Published
from modelstac.catalog.base import Catalog, as_item, refuse_pointed_at, refuse_unexpected
from modelstac.catalog.errors import (
    ChangedMeanwhileError,
    InvalidItemError,
    InvalidQueryError,
    ItemExistsError,
    NotFoundError,
)
from modelstac.catalog.items import documents
from modelstac.catalog.items.documents import Document
from modelstac.catalog.items.evidence import with_verified
from modelstac.catalog.items.identity import ALIASES
from modelstac.catalog.items.reading import asset_href, has_local_files, local_path
from modelstac.catalog.messages import Advanced, Finished, Report, Started, ignore
from modelstac.catalog.search.matching import VERIFIED, matches
from modelstac.catalog.search.page import Page
from modelstac.catalog.search.query import EQUAL_FIELDS, Query
from modelstac.catalog.search.ranges import interval, rfc3339
from modelstac.catalog.search.sql.fields import reduced
from modelstac.catalog.search.sql.paging import Key, make_token, read_token
from modelstac.catalog.search.sql.rows import dumps

KEY_VARIABLE = "MODELSTAC_KEY"
_PAGE = 250
_AT_ONCE = 3
_LARGEST_REQUEST = 8 << 20
_LINES_AT_A_TIME = 100
_TOKEN = [Key("link"), Key("skip")]
_REMOTE = ("http://", "https://", "s3://", "gs://", "az://")


class ApiCatalog(Catalog):
    """A catalog behind a STAC API.

    Parameters
    ----------
    href
        Address of the API's landing page.
    key
        The key to write with; that in ``MODELSTAC_KEY`` by default. Reading needs none.
    by_reference
        Publish items without uploading their files, which then must be where others can read them.

    Raises
    ------
    CatalogError
        If there is no STAC API.
    StorageError
        If nothing answers.
    """

    def __init__(self, href: str, *, key: str | None = None, by_reference: bool = False) -> None:
        super().__init__(href.rstrip("/"))
        self._api = Api(self.href, key or os.environ.get(KEY_VARIABLE))
        self._by_reference = by_reference

    def items(self) -> Iterator[pystac.Item]:
        """Return all items, one after the other."""
        return (as_item(document) for document, _, _ in self._found(Query()))

    def collections(self) -> Iterator[pystac.Collection]:
        """Return all collections, one for every model name."""
        return self._api.collections()

    def collection(self, name: str) -> pystac.Collection:
        """Return the collection of a model."""
        return pystac.Collection.from_dict(self._collection(name)[0])

    def _collection(self, name: str) -> tuple[Document, str | None]:
        try:
            return self._api.get(f"collections/{quoted(name)}")
        except NotFoundError as error:
            known = [collection.id for collection in self.collections()]
            raise NotFoundError.unknown("model", name, known, where=self.href) from error

    def find(self, item_id: str) -> pystac.Item | None:
        """Return the item, None when there is no such id."""
        found = next(self._found(Query(ids=(item_id,), limit=1)), None)
        return None if found is None else as_item(found[0])

    def page(self, query: Query, *, count: bool = False) -> Page:
        """Return one page of the items that a query asks for; all of them when it has no limit."""
        self._check_values(query)
        limit = query.limit
        found: list[Document] = []
        token = None
        for document, link, skip in self._found(query):
            if len(found) == limit:
                token = make_token(query, (json.dumps(link), skip))
                break
            found.append(document)
        matched = None
        if count:
            matched = sum(1 for _ in self._found(query.model_copy(update={"token": None})))
        return Page(tuple(reduced(document, query.fields) for document in found), token, matched)

    def _found(self, query: Query) -> Iterator[tuple[Document, Any, int]]:
        """Yield what a query finds, from its token on, each with the request that found it and its place there."""
        core = not self._api.is_ours
        rest = residual(query, core=core)
        narrowed = self._with_alias(query)
        if narrowed is None:
            return
        link: Any = {"href": f"{self.href}/search", "method": "POST", "body": _body(narrowed, core, self._api.sorts)}
        skip = 0
        if query.token is not None:
            text, skip = read_token(query, _TOKEN)
            link = json.loads(text)
        while link is not None:
            answer = self._api.follow(link)
            for place, document in enumerate(answer["features"]):
                if place >= skip and (rest is None or matches(rest, as_item(document))):
                    yield document, link, place
            link = next((found for found in answer.get("links", ()) if found["rel"] == "next"), None)
            skip = 0

    def _with_alias(self, query: Query) -> Query | None:
        if query.alias is None:
            return query
        pointed = [c.extra_fields.get(ALIASES, {}).get(query.alias) for c in self.collections()]
        ids = {item_id for item_id in pointed if item_id and (query.ids is None or item_id in query.ids)}
        return query.model_copy(update={"ids": tuple(sorted(ids))}) if ids else None

    def _check_values(self, query: Query) -> None:
        # Only what is none of the usual values is worth a look at what the catalog holds.
        if unknown := query.unknown_values():
            known: dict[str, set[str]] = {field: set() for field in unknown}
            for item in self.items():
                for field in unknown:
                    value = item.properties.get("mlm:tasks" if field == "task" else EQUAL_FIELDS[field], ())
                    known[field].update([value] if isinstance(value, str) else value)
            query.check_values(known)

    def add(self, item: pystac.Item, *, report: Report) -> pystac.Item:
        """Upload an item's files, store it and return it as stored."""
        return self.add_many([item], report=report)[0]

    def publish_many(self, items: Iterable[pystac.Item], *, report: Report = ignore) -> Sequence[pystac.Item]:
        """Publish items in one go; a server of ours validates them and stores all or none.

        Those with files on this machine are validated here too, before any file is sent.
        """
        listed = list(items)
        if not self._api.takes_lines:
            return super().publish_many(listed, report=report)
        from modelstac.catalog.items.validation import validate

        for item in listed:
            if has_local_files(item):
                validate(item)
        return self.add_many(listed, report=report)

    def add_many(self, items: list[pystac.Item], *, report: Report) -> Published:
        """Store validated items; those of one model all or none, unless they fill several requests."""
        by_id: dict[str, pystac.Item] = {}
        for item in items:
            if by_id.setdefault(item.id, item) is not item:
                self.same_or_refuse(by_id[item.id], item)
        # Asked for before their files are sent; what has none is refused by the server, or found to be there.
        present = {item.id for item in items if has_local_files(item) and self._is_there(item)}
        if self._api.takes_lines and len(by_id) > 1:
            self._send([item for item_id, item in by_id.items() if item_id not in present], report)
            return Published(self.get, [item.id for item in items])
        by_name: dict[str, list[Document]] = {}
        for item_id, item in by_id.items():
            if item_id not in present:
                by_name.setdefault(str(item.collection_id), []).append(self._uploaded(item, report))

        def post(name: str) -> None:
            self._make_collection(name, by_name[name])
            for some in in_requests(by_name[name]):
                self._post(name, some, by_id)

        # What is derived from another of them has to wait for it.
        derived = any(item.get_links("derived_from") for item in by_id.values())
        with ThreadPoolExecutor(1 if derived else _AT_ONCE, thread_name_prefix="publish") as threads:
            posted = [threads.submit(post, name) for name in by_name]
            try:
                for done in posted:
                    done.result()
            finally:
                threads.shutdown(cancel_futures=True)
        return Published(self.get, [item.id for item in items])

    def _send(self, items: list[pystac.Item], report: Report) -> None:
        """Send items in one request that is stored whole or not at all."""
        uploaded = {item.id: self._uploaded(item, report) for item in items if has_local_files(item)}
        if not any(item.get_links("derived_from") for item in items):
            # A model after the other is less work for the server.
            items = sorted(items, key=lambda item: str(item.collection_id))

        def lines() -> Iterator[bytes]:
            for some in batches(items, _LINES_AT_A_TIME):
                yield b"".join(_line(uploaded.get(item.id) or self._uploaded(item, ignore)) for item in some)

        if items:
            self._api.send_lines("bulk_items", lines)

    def _is_there(self, item: pystac.Item) -> bool:
        stored = self.find(item.id)
        return stored is not None and bool(self.same_or_refuse(stored, item))

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
        paths = {key: local_path(asset_href(asset)) for key, asset in item.assets.items()}
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
        return documents.stored_item(documents.located(item), hrefs, {})

    def _make_collection(self, name: str, items: list[Document]) -> None:
        try:
            self._api.get(f"collections/{quoted(name)}")
        except NotFoundError:
            collection = documents.widened(documents.new_collection(name, items[0]["properties"]), *items)
            try:
                self._api.send("POST", "collections", documents.stored_collection(collection))
            except ItemExistsError:
                return  # somebody else published the first version of this model

    def aliases(self, name: str) -> dict[str, str]:
        """Return the item ids that a model's aliases point to."""
        return dict(sorted(self._collection(name)[0].get(ALIASES, {}).items()))

    def change_alias(self, name: str, alias: str, item_id: str | None, expected: Any) -> None:
        """Point an alias to an item, or remove it."""
        while True:
            collection, tag = self._collection(name)
            refuse_unexpected(name, alias, collection.get(ALIASES, {}).get(alias), expected)
            try:
                self._api.send("PATCH", f"collections/{quoted(name)}", {ALIASES: {alias: item_id}}, if_match=tag)
            except ChangedMeanwhileError:
                continue
            return

    def deprecate(self, item_id: str, *, deprecated: bool = True) -> pystac.Item:
        """Mark an item as one that should no longer be used, or take that back; return it."""
        item = self.get(item_id)
        if bool(item.properties.get("deprecated")) != deprecated:
            self._api.send("PATCH", _path(item), {"properties": {"deprecated": deprecated}})
        return self.get(item_id)

    def attach(self, item_id: str, key: str, asset: dict[str, Any]) -> pystac.Item:
        """Put evidence on a published item; return it."""
        self._api.send("PATCH", _path(self.get(item_id)), {"assets": {key: asset}})
        return self.get(item_id)

    def add_verified(self, item_id: str, environments: Sequence[dict[str, Any]]) -> pystac.Item:
        """Add environments in which a published item was found to run; return it."""
        path = _path(self.get(item_id))
        while True:
            stored, tag = self._api.get(path)
            changed = with_verified(stored["properties"], environments)
            if changed == stored["properties"]:
                break
            try:
                self._api.send("PATCH", path, {"properties": {VERIFIED: changed[VERIFIED]}}, if_match=tag)
            except ChangedMeanwhileError:
                continue
            break
        return self.get(item_id)

    def delete(self, item_id: str) -> None:
        """Remove an item; its artifacts go with ``modelstac gc`` on the server."""
        item = self.get(item_id)
        name = str(item.collection_id)
        refuse_pointed_at(item_id, name, self.aliases(name))
        self._api.send("DELETE", _path(item))


def in_requests(new: list[Document]) -> Iterator[list[Document]]:
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


def _path(item: pystac.Item) -> str:
    return f"collections/{quoted(str(item.collection_id))}/items/{quoted(item.id)}"


def _body(query: Query, core: bool, sorts: bool) -> Document:
    if query.sortby and not sorts:
        raise InvalidQueryError(f"this API does not sort: search without {', '.join(query.sortby)}")
    names = [name.removeprefix("-").removeprefix("properties.") for name in query.sortby]
    sort = [
        {"field": name if name in {"id", "collection"} else f"properties.{name}", "direction": direction}
        for name, direction in zip(names, _directions(query.sortby), strict=True)
    ]
    body: Document = {
        "limit": min(query.limit or _PAGE, _PAGE),
        "ids": query.ids,
        "collections": query.collections,
        "bbox": query.bbox,
        "intersects": query.intersects,
        "datetime": query.datetime and _moments(query.datetime),
        "filter": None if core else filter_of(query),
        "q": query.text.split(",") if query.text and not core else None,
        "sortby": None if not sorts else sort if "id" in names else [*sort, {"field": "id", "direction": "asc"}],
    }
    if body["filter"] is not None:
        body["filter-lang"] = "cql2-json"
    return {name: value for name, value in body.items() if value is not None}


def _moments(text: str) -> str:
    """Return an interval as APIs understand it: whole moments of RFC 3339."""
    ends = [(datetime.min, datetime.max)[index] != end.replace(tzinfo=None) for index, end in enumerate(interval(text))]
    return "/".join(
        rfc3339(end.astimezone(UTC)).replace("+00:00", "Z") if given else ".."
        for given, end in zip(ends, interval(text), strict=True)
    )


def _directions(names: Iterable[str]) -> list[str]:
    return ["desc" if name.startswith("-") else "asc" for name in names]
