"""The catalog behind a STAC API: pystac-client reads, the Transaction extension writes, artifacts are uploaded.

What a query asks that STAC has no words for (ranges of versions, verified environments) is narrowed down on the server
as far as CQL2 can and decided here, item by item, by the rules of every other catalog.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pystac

from modelstac.catalog.backends.api.http import Api, next_request, quoted
from modelstac.catalog.backends.api.queries import body_of, residual
from modelstac.catalog.backends.api.writing import Writer
from modelstac.catalog.backends.oddities import oddity
from modelstac.catalog.backends.published import Published
from modelstac.catalog.base import Catalog, look_into
from modelstac.catalog.credentials import typed
from modelstac.catalog.errors import (
    AmbiguousError,
    CatalogError,
    ChangedMeanwhileError,
    InvalidQueryError,
    ItemExistsError,
    NotFoundError,
)
from modelstac.catalog.items import documents
from modelstac.catalog.items.collections import checking, merging
from modelstac.catalog.items.collections.merging import Change
from modelstac.catalog.items.documents import Document, as_item
from modelstac.catalog.items.evidence import with_verified
from modelstac.catalog.items.identity import ALIASES, RULES, in_collection, reference
from modelstac.catalog.items.links import has_local_files
from modelstac.catalog.journal import Asked, Entry
from modelstac.catalog.messages import Report
from modelstac.catalog.rules import check_rules, refuse_pointed_at, refuse_unexpected
from modelstac.catalog.search.matching import VERIFIED, matches
from modelstac.catalog.search.page import Page
from modelstac.catalog.search.query import EQUAL_FIELDS, Query
from modelstac.catalog.search.sql.derived import scan
from modelstac.catalog.search.sql.fields import reduced
from modelstac.catalog.search.sql.paging import Key, make_token, read_token

KEY_VARIABLE = "MODELSTAC_KEY"
_IDS = 1000
_TOKEN = [Key("link"), Key("skip")]


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

    keeps_audit = True

    def __init__(self, href: str, *, key: str | None = None, by_reference: bool = False) -> None:
        super().__init__(typed(href).rstrip("/"))
        self._api = Api(self.href, key or os.environ.get(KEY_VARIABLE))
        self._by_reference = by_reference

    def items(self) -> Iterator[pystac.Item]:
        """Return all items, one after the other."""
        return (as_item(document) for document, _, _ in self._found(Query()))

    def references(self) -> Iterator[str]:
        """Return ``collection/id`` of all items; a server of ours is asked for no more than these."""
        if not self._api.is_ours:
            yield from super().references()
            return
        body: Document = {"limit": _IDS, "fields": {"include": ["id", "collection"]}}
        link: Any = {"href": f"{self.href}/search", "method": "POST", "body": body}
        while link is not None:
            answer = self._api.follow(link)
            yield from (reference(document["collection"], document["id"]) for document in answer["features"])
            link = next_request(link, answer)

    def collections(self) -> Iterator[pystac.Collection]:
        """Return all collections, one for every model name."""
        return self._api.collections()

    def collection_documents(self) -> Iterator[Document]:
        """Return all collections as JSON, with absolute hrefs."""
        for document in self._api.collection_documents():
            yield documents.absolute(document, f"{self.href}/collections/{quoted(str(document.get('id')))}")

    def change_collection(self, name: str, change: Change) -> None:
        """Make a collection say what a function makes of what it says, or make a new one."""
        if name in {"", ".", ".."} or not name.isprintable():  # all else is for the server to judge
            checking.check_name(name)
        path = f"collections/{quoted(name)}"
        try:
            stored, tag = self._api.get(path)
        except NotFoundError:
            with contextlib.suppress(ItemExistsError):  # else somebody else was quicker
                return self._api.send("POST", "collections", change(None))
            stored, tag = self._api.get(path)
        while (changed := merging.changed(stored, change, f"{self.href}/{path}")) != stored:
            with contextlib.suppress(ChangedMeanwhileError):
                return self._api.send("PUT", path, changed, if_match=tag)
            stored, tag = self._api.get(path)
        return None

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
        """Return the item with an id, which may be ``collection/id``; None when there is none."""
        name, plain = in_collection(item_id)
        query = Query(ids=(plain,), collections=None if name is None else (name,))
        found = [document for document, _, _ in itertools.islice(self._found(query), 2)]
        if len(found) > 1:
            names = [str(document.get("collection")) for document, _, _ in self._found(query)]
            raise AmbiguousError.same_id(plain, names, where=self.href)
        return as_item(found[0]) if found else None

    def page(self, query: Query, *, count: bool = False) -> Page:
        """Return one page of the items that a query asks for; all of them when it has no limit."""
        self._check_values(query)
        if query.sortby and not self._api.is_ours:
            return self._sorted_here(query, count=count)
        limit = query.limit
        found: list[Document] = []
        token = None
        notes: dict[str, None] = {}
        for document, link, skip in self._found(query, notes):
            if len(found) == limit:
                token = make_token(query, self._going_on(link, skip))
                break
            found.append(document)
        matched = None
        if count:
            matched = sum(1 for _ in self._found(query.changed(token=None)))
        return Page(tuple(reduced(document, query.fields) for document in found), token, matched, tuple(notes))

    def _going_on(self, link: Document, skip: int) -> tuple[str, int]:
        """Return the request that begins after so many items of another one, and how many are to be skipped there.

        A server of ours is asked for just these once more: its own link leads on whatever changes meanwhile, whereas
        items that are counted may be others by then.
        """
        if skip and self._api.is_ours:
            answer = self._api.follow(link | {"body": link["body"] | {"limit": skip}})
            following = next_request(link, answer)
            if following is not None and len(answer["features"]) == skip:
                link = following | {"body": following["body"] | {"limit": link["body"]["limit"]}}
                skip = 0
        return json.dumps(link), skip

    def _sorted_here(self, query: Query, *, count: bool) -> Page:
        """Return a page of all that a query finds in somebody else's API; what they sort numbers as is not known."""
        everything = query.changed(sortby=(), limit=None, token=None, fields=())
        pointed = [(c.id, documents.aliases_of(c.extra_fields)) for c in self.collections()] if query.alias else []
        aliases = [(name, alias, item_id) for name, found in pointed for alias, item_id in found.items()]
        notes: dict[str, None] = {}
        try:
            page = scan((document for document, _, _ in self._found(everything, notes)), aliases, query, count=count)
        except sqlite3.IntegrityError as error:
            raise InvalidQueryError(f"{self.href} has an id twice in a collection: search without sorting") from error
        return replace(page, notes=tuple(notes))

    def _found(self, query: Query, notes: dict[str, None] | None = None) -> Iterator[tuple[Document, Any, int]]:
        """Yield what a query finds, from its token on, each with the request that found it and its place there.

        What other people's servers answer and is no item is left out, and named in the notes.
        """
        core = not self._api.is_ours
        rest = residual(query, core=core)
        narrowed = self._with_alias(query)
        if narrowed is None or () in (query.ids, query.collections):  # which servers take for all
            return
        skip = 0
        if query.token is None:
            link, answer = self._api.search(body_of(narrowed, core=core, sorts=self._api.sorts))
        else:
            text, skip = read_token(query, _TOKEN)
            link = json.loads(text)
            answer = self._api.follow(link)
        while True:
            for place, document in enumerate(answer.get("features") or ()):
                if core and (reason := oddity(document)) is not None:
                    if notes is not None:
                        notes[f"{document.get('collection')}/{document.get('id')} is left out: {reason}"] = None
                    continue
                if place >= skip and (rest is None or matches(rest, as_item(document))):
                    yield document, link, place
            if (after := next_request(link, answer)) is None:
                return
            link, skip, answer = after, 0, self._api.follow(after)

    def _with_alias(self, query: Query) -> Query | None:
        if query.alias is None:
            return query
        pointed = [documents.aliases_of(c.extra_fields).get(query.alias) for c in self.collections()]
        ids = {item_id for item_id in pointed if item_id and (query.ids is None or item_id in query.ids)}
        return query.changed(ids=tuple(sorted(ids))) if ids else None

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

    def _check(self, item: pystac.Item) -> None:
        """Refuse an item that is invalid, as far as a server of ours does not.

        It knows whether it takes what is no model. What has files on this machine is validated before any is sent.
        """
        if not self._api.takes_lines:
            super()._check(item)
            return
        from modelstac.catalog.items.validation import is_other_item, validate, validate_document

        if has_local_files(item):
            document = item.to_dict(include_self_link=False, transform_hrefs=False)
            validate_document(document) if is_other_item(document) else validate(item)
            look_into(item)

    def add_many(self, items: list[pystac.Item], *, report: Report) -> Published:
        """Store validated items; those of one model all or none, unless they fill several requests."""
        return Writer(self, self._api, report, by_reference=self._by_reference).write(items)

    def aliases(self, name: str) -> dict[str, str]:
        """Return the item ids that a model's aliases point to."""
        return dict(sorted(documents.aliases_of(self._collection(name)[0]).items()))

    def change_alias(self, name: str, alias: str, item_id: str | None, expected: Any) -> None:
        """Point an alias to an item, or remove it."""
        while True:
            collection, tag = self._collection(name)
            refuse_unexpected(name, alias, documents.aliases_of(collection).get(alias), expected)
            try:
                self._set_field(name, collection, tag, ALIASES, {alias: item_id})
            except ChangedMeanwhileError:
                continue
            return

    def protect_alias(self, name: str, alias: str, required: Sequence[str]) -> None:
        """Let an alias of a model point only to items that show what is required."""
        check_rules({alias: list(required)})
        self._set_field(name, self._collection(name)[0], None, RULES, {alias: list(required) or None})

    def _set_field(self, name: str, collection: Document, tag: str | None, field: str, values: Document) -> None:
        """Change parts of a field of a collection; other servers take a patch, and leave out what they do not know."""
        path = f"collections/{quoted(name)}"
        if self._api.is_ours:
            self._api.send("PATCH", path, {field: values}, if_match=tag)
            return
        known = collection.get(field)
        wanted = {key: value for key, value in ((known or {}) | values).items() if value is not None}
        self._api.send("PUT", path, collection | {field: wanted}, if_match=tag)
        if (kept := self._api.get(path)[0].get(field) or {}) != wanted:
            raise CatalogError(f"{self.href} keeps {str(kept)[:60]} of the {field} {wanted}: use another catalog")

    def audit(self, asked: Asked | None = None) -> tuple[list[Entry], int | None]:
        """Return who did what to the catalog, the newest first; needs a key."""
        return self._api.audit(asked or Asked())

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
        refuse_pointed_at(item.id, name, self.aliases(name))
        self._api.send("DELETE", _path(item))


def _path(item: pystac.Item) -> str:
    return f"collections/{quoted(str(item.collection_id))}/items/{quoted(item.id)}"
