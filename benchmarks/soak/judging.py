"""The judge: tables and files as they lie there, against what was acknowledged. None of our readers is asked."""

from __future__ import annotations

import hashlib
import json
import posixpath
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from benchmarks.soak.journal import content_of, parameters_of, read
from benchmarks.soak.places import Pgstac, Place

_VERSIONS = ("predecessor-version", "successor-version", "latest-version")


@dataclass
class Found:
    """What a catalog holds: items and collections by name, and where each asset's file lies."""

    items: dict[str, dict[str, Any]] = field(default_factory=dict)
    collections: dict[str, dict[str, Any]] = field(default_factory=dict)
    aliases: dict[tuple[str, str], str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def judge(place: Place) -> tuple[list[str], dict[str, int]]:
    """Return what is wrong with a catalog that nobody writes to any more, and what was looked at."""
    found = {"embedded": _of_sqlite, "pgstac": _of_pgstac, "folder": _of_folder}[place.kind](place)
    lines = [list(read(path)) for path in sorted((place.folder / "journals").glob("writer-*.jsonl"))]
    walks = [line for path in sorted((place.folder / "journals").glob("reader-*.jsonl")) for line in read(path)]
    expected = Expected(lines)
    wrong = [
        *found.problems,
        *place.answers(),
        *expected.against(found),
        *_collections(found),
        *_versions(place, found),
        *_files(place, found),
        *(problem for walk in walks if "ids" in walk for problem in expected.of_walk(walk)),
        *(f"a walk was refused: {walk['why']}" for walk in walks if "status 4" in walk.get("why", "")),
    ]
    return wrong, {"items there": len(found.items), "collections there": len(found.collections)}


class Expected:
    """What may be there, by what each writer was told."""

    def __init__(self, journals: list[list[dict[str, Any]]]) -> None:
        self.there: dict[str, set[bool]] = {}
        self.deprecated: dict[str, set[bool]] = {}
        self.aliases: dict[tuple[str, str], set[str | None]] = {}
        # When an item was surely there, from and until; and when it may have changed.
        self.since: dict[str, float] = {}
        self.until: dict[str, float] = {}
        self.changes: dict[str, list[float]] = {}
        for journal in journals:
            for line in journal:
                for item_id in line.get("ids", [None]):
                    self._learn(line, item_id)

    def _learn(self, line: dict[str, Any], item_id: str | None) -> None:
        op, begun, done, name = line["op"], line.get("begun"), line.get("done"), line.get("name")
        place, moment = f"{name}/{item_id}", line["t"]
        refused = "refused" in line and op != "publish"
        self.changes.setdefault(place, []).append(moment)
        if op == "alias":
            known = self.aliases.setdefault((str(name), line["alias"]), {None})
            if done:
                known.clear()
            if not refused:
                known.add(line["target"])
            elif begun is None and len(known) > 1:
                pass  # what was begun and refused changed nothing, and cannot be told from what was there
        elif op == "deprecate":
            states = self.deprecated.setdefault(place, {False})
            if done:
                states.clear()
            states.add(line["value"])
        elif op in {"publish", "delete"}:
            states = self.there.setdefault(place, {False})
            if done:
                states.clear()
            if not refused or begun:
                states.add(op == "publish")
            if op == "publish" and done:
                self.since.setdefault(place, moment)
            if op == "delete" and begun:
                self.until.setdefault(place, moment)
                self.deprecated.setdefault(place, {False}).add(False)

    def against(self, found: Found) -> Iterator[str]:
        """Yield how a catalog differs from what was acknowledged."""
        for place, states in self.there.items():
            if (place in found.items) not in states:
                yield f"{place} is {'there' if place in found.items else 'lost'}, acknowledged was {states}"
        for place, item in found.items.items():
            if place not in self.there:
                yield f"{place} was published by nobody"
            if item["properties"]["mlm:total_parameters"] != parameters_of(item["id"]):
                yield f"{place} has other content"
            states = self.deprecated.get(place, {False})
            if bool(item["properties"].get("deprecated")) not in states:
                yield f"{place}: deprecated is {item['properties'].get('deprecated')}, acknowledged was {states}"
        for key in {*self.aliases, *found.aliases}:
            target = found.aliases.get(key)
            if target not in self.aliases.get(key, {None}):
                yield f"alias {key} points to {target}, acknowledged was {self.aliases.get(key)}"
            if target is not None and f"{key[0]}/{target}" not in found.items:
                yield f"alias {key} points to {target}, which is not there"

    def of_walk(self, walk: dict[str, Any]) -> Iterator[str]:
        """Yield what is wrong with a walk over pages: all that was there from its beginning to its end, each once."""
        begun, ended, ids = walk["begun"], walk["t"], walk["ids"]
        shown = {name: walk[name] for name in ("sort", "limit", "below")}
        for place in {*ids}:
            # What was changed, or deleted and published again, may have two places in an order.
            moved = any(begun - 60 < moment < ended + 60 for moment in self.changes.get(place, ()))
            if ids.count(place) > 1 and not moved:
                yield f"a walk {shown} has {place} {ids.count(place)} times"
        seen = {*ids}
        for place, since in self.since.items():
            if since < begun and self.until.get(place, ended + 1) > ended and place not in seen:
                changed = "updated" in (walk["sort"] or "") and any(
                    begun - 60 < moment < ended + 60 for moment in self.changes[place]
                )
                if (walk["below"] is None or parameters_of(place.partition("/")[2]) < walk["below"]) and not changed:
                    yield f"a walk {shown} of {len(ids)} items lacks {place}"
        if walk["below"] is not None:
            known = {place: parameters_of(place.partition("/")[2]) for place in ids}
            yield from (f"a walk {shown} has {place}" for place, number in known.items() if number >= walk["below"])


def _collections(found: Found) -> Iterator[str]:
    """Yield which collections do not cover just their items."""
    for name, collection in found.collections.items():
        items = [item for place, item in found.items.items() if place.startswith(f"{name}/")]
        if not items:
            continue
        wests, souths, easts, norths = zip(*(item["bbox"] for item in items), strict=True)
        box = [min(wests), min(souths), max(easts), max(norths)]
        if [list(map(float, b)) for b in collection["extent"]["spatial"]["bbox"]] != [list(map(float, box))]:
            yield f"{name}: its box is {collection['extent']['spatial']['bbox']}, its items' {box}"
        first = min(item["properties"]["start_datetime"] for item in items)
        last = max(item["properties"]["end_datetime"] for item in items)
        if collection["extent"]["temporal"]["interval"] != [[first, last]]:
            yield f"{name}: its interval is {collection['extent']['temporal']['interval']}, its items' {[first, last]}"
        versions = {item["properties"]["version"] for item in items}
        if sorted(versions) != sorted(collection["summaries"].get("version", [])):
            yield f"{name}: its summary of versions is {collection['summaries'].get('version')}, its items' {versions}"


def _versions(place: Place, found: Found) -> Iterator[str]:
    """Yield which items do not lead to the versions before and after them, where links are stored."""
    families: dict[tuple[str, str], list[tuple[list[int], str]]] = {}
    for item in found.items.values():
        properties = item["properties"]
        version = [int(part) for part in properties["version"].split(".")]
        families.setdefault((item["collection"], properties["interop:variant"]), []).append((version, item["id"]))
    for (name, _), members in families.items():
        ordered = [item_id for _, item_id in sorted(members)]
        for index, item_id in enumerate(ordered):
            links = [f for f in found.items[f"{name}/{item_id}"]["links"] if f["rel"] in _VERSIONS]
            said = {f["rel"]: posixpath.basename(unquote(f["href"])).removesuffix(".json") for f in links}
            if place.kind != "pgstac":
                # Derived when they are read, or, in a folder, by whoever publishes next: none may lead to nowhere else.
                continue
            expected = {"predecessor-version": ordered[index - 1]} if index else {}
            if index < len(ordered) - 1:
                expected |= {"successor-version": ordered[index + 1], "latest-version": ordered[-1]}
            if said != expected:
                yield f"{name}/{item_id}: its versions are {said}, expected {expected}"


def _files(place: Place, found: Found) -> Iterator[str]:
    """Yield which files are not those of their items, and which belong to nobody."""
    named = set()
    for key, item in found.items.items():
        for name, asset in item["assets"].items():
            path = Path(asset["href"])
            named.add(path)
            data = path.read_bytes() if path.is_file() else b""
            if f"1220{hashlib.sha256(data).hexdigest()}" != asset["file:checksum"] or len(data) != asset["file:size"]:
                yield f"{key}: {name} at {path} has {len(data)} bytes, and is not the published file"
        expected = place.folder / "made" / f"content-{content_of(item['id'])}" / "model.bin"
        if hashlib.sha256(expected.read_bytes()).hexdigest() not in str(item["assets"]["model"]["file:checksum"]):
            yield f"{key}: its file is another one"
    if place.kind == "folder":
        return
    for path in sorted(place.artifacts.rglob("*")):
        if path.is_file() and path not in named:
            yield f"{path.relative_to(place.artifacts)} belongs to nobody after gc"
        if path.is_dir() and not any(path.iterdir()) and path.name != ".uploads":
            yield f"{path.relative_to(place.artifacts)} is an empty folder"


def _of_sqlite(place: Place) -> Found:
    found = Found()
    connection = sqlite3.connect(place.folder / "models.sqlite")
    said = connection.execute("PRAGMA integrity_check").fetchall()
    if said != [("ok",)]:
        found.problems.append(f"SQLite says {said[:3]}")
    for text, name, item_id in connection.execute("SELECT document, collection, id FROM items"):
        item = json.loads(text)
        if (item["collection"], item["id"]) != (name, item_id):
            found.problems.append(f"the row of {name}/{item_id} holds another item")
        _locate(item, place)
        found.items[f"{name}/{item_id}"] = item
    for text, name in connection.execute("SELECT document, id FROM collections"):
        found.collections[name] = json.loads(text)
    found.aliases = {(name, alias): item for name, alias, item in connection.execute("SELECT * FROM aliases")}
    connection.close()
    return found


def _of_pgstac(place: Place) -> Found:
    import psycopg

    assert isinstance(place, Pgstac)
    found = Found()
    with psycopg.connect(place.url) as connection:
        connection.execute("SET search_path = pgstac, public")
        for (item,) in connection.execute("SELECT content_hydrate(i) FROM items i"):
            _locate(item, place)
            if f"{item['collection']}/{item['id']}" in found.items:
                found.problems.append(f"{item['id']} is there twice")
            found.items[f"{item['collection']}/{item['id']}"] = item
        for (collection,) in connection.execute("SELECT content FROM collections"):
            found.collections[collection["id"]] = collection
            for alias, target in collection.get("interop:aliases", {}).items():
                found.aliases[collection["id"], alias] = target
    return found


def _locate(item: dict[str, Any], place: Place) -> None:
    """Make an asset's href the path of its file: below the server, or below the folder of the file."""
    for asset in item["assets"].values():
        href = asset["href"]
        path = Path(href) if href.startswith("/") else place.artifacts / href.removeprefix("artifacts/")
        if href.startswith("models.artifacts/"):
            # The catalog's own copy; the one that clients are given lies beside the other uploads.
            path = place.artifacts / href.removeprefix("models.artifacts/")
        asset["href"] = str(path)


def _of_folder(place: Place) -> Found:
    found, root = Found(), place.folder / "catalog"
    catalog = json.loads((root / "catalog.json").read_text())
    for child in [link["href"] for link in catalog["links"] if link["rel"] == "child"]:
        path = root / child
        collection = json.loads(path.read_text())
        found.collections[collection["id"]] = collection
        for alias, target in collection.get("interop:aliases", {}).items():
            found.aliases[collection["id"], alias] = target
        for href in [unquote(link["href"]) for link in collection["links"] if link["rel"] == "item"]:
            document = path.parent / href
            item = json.loads(document.read_text())
            for asset in item["assets"].values():
                asset["href"] = str((document.parent / unquote(asset["href"])).resolve())
            key = f"{collection['id']}/{item['id']}"
            if key in found.items:
                found.problems.append(f"{key} is linked twice")
            found.items[key] = item
    if any((root / ".staging").glob("*/*")) and not any((root / ".staging").glob("*.lock")):
        found.problems.append("something is left in .staging that no publish will remove")
    return found
