"""Copies that go on from the last one: what changed at the source since then, and what is gone there.

Every catalog notes in ``updated`` when an item was published or changed. A deleted item leaves nothing behind, so a
file beside the copy keeps the ids that the source had: what it has no more was deleted, whatever kind of catalog it is.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pystac
from pystac.utils import str_to_datetime

from modelstac.catalog.backends.storage import Folder
from modelstac.catalog.base import Catalog
from modelstac.catalog.errors import CatalogError, ConflictError, InvalidItemError, NotFoundError, StorageError
from modelstac.catalog.items.documents import Document, as_item
from modelstac.catalog.items.identity import differences, in_collection, reference
from modelstac.catalog.messages import Note, Report, ignore
from modelstac.catalog.search.query import Query
from modelstac.catalog.search.ranges import rfc3339
from modelstac.catalog.sync import Synced, said_by_collections, sync

OVERLAP = timedelta(hours=1)
"""So far back it is looked again: clocks of servers differ, and a large publish is stored after its moment."""


@dataclass(frozen=True)
class Continued:
    """What a copy that went on did.

    Parameters
    ----------
    synced
        What was copied; ``present`` counts what was looked at again.
    gone
        Items that the source had when it was copied last, and has no more: by ``collection/id`` where it has others of
        the id, else by the id.
    deleted
        Those of them that were removed from the target.
    """

    synced: Synced
    gone: tuple[str, ...]
    deleted: tuple[str, ...]


@dataclass(frozen=True)
class State:
    """What is known of the last copy.

    Parameters
    ----------
    source, target
        Between which catalogs it was.
    until
        The latest ``updated`` that was seen; None before the first copy.
    items
        What the source had then, by ``collection/id``, and what is gone there but not from the target.
    collections
        What its collections said then, by name.
    untaken
        What of the items the target had not after the copy, as it takes none such; None where that is not known.
    """

    source: str
    target: str
    until: str | None = None
    items: frozenset[str] = frozenset()
    collections: Mapping[str, Document] = field(default_factory=dict)
    untaken: frozenset[str] | None = None

    @classmethod
    def read(cls, path: Path, source: Catalog, target: Catalog) -> State:
        """Read it; a new one where there is no file.

        Raises
        ------
        CatalogError
            If the file is damaged, or that of other catalogs.
        StorageError
            If it cannot be read.
        """
        new = cls(source.href, target.href)
        try:
            fields = json.loads(path.read_bytes())
            items, collections = frozenset(map(str, fields["items"])), dict(fields.get("collections", {}))
            untaken = frozenset(map(str, fields["untaken"])) if "untaken" in fields else None
            found = cls(fields["source"], fields["target"], fields["until"], items, collections, untaken)
            if found.until is not None:
                str_to_datetime(found.until)
        except FileNotFoundError:
            return new
        except OSError as error:
            raise StorageError.doing(f"read {path}", error) from error
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise CatalogError(f"{path} is no state of a copy: remove it, and everything is compared once") from error
        if any(_place(one) != _place(other) for one, other in zip(found.between, new.between, strict=True)):
            raise CatalogError(
                f"{path} is the state of a copy from {found.source} to {found.target}, not from {new.source} to "
                f"{new.target}: name another file"
            )
        return found

    @property
    def between(self) -> tuple[str, str]:
        """Source and target."""
        return self.source, self.target

    def write(self, path: Path) -> None:
        """Write it in one step.

        Raises
        ------
        StorageError
            If it cannot be written.
        """
        fields = vars(self) | {"items": sorted(self.items), "untaken": sorted(self.untaken or ())}
        Folder(path.absolute().parent).write(path.name, json.dumps(fields, indent=0).encode())


def _place(href: str) -> str:
    """Return where a catalog is, however its address is written."""
    return href.rstrip("/") if "://" in href else os.path.realpath(href)


def sync_on(
    source: Catalog,
    target: Catalog,
    state: Path,
    *,
    delete: bool = False,
    theirs: bool = False,
    artifacts: bool = True,
    report: Report = ignore,
) -> Continued:
    """Copy what is new or changed since the last time, and the aliases; the first time, everything.

    Parameters
    ----------
    source, target
        From where, and to where.
    state
        File that keeps what was copied last; made when it is not there, and replaced once all is done.
    delete
        Remove items from the target that are gone from the source, or are other ones there under their ids; only those
        that were copied from it, and none that an alias of the target points to.
    theirs, artifacts, report
        As in :func:`modelstac.catalog.sync.sync`.

    Raises
    ------
    CatalogError
        If the file is none, or that of other catalogs.
    ItemExistsError, IntegrityError, StorageError
        As :func:`modelstac.catalog.sync.sync` does, or where another copy with this file runs for long; the state is
        left as it was, and the same again goes on.
    """
    with Folder(state.absolute().parent).lock(f".{state.name}.lock"):
        copy = partial(sync, source, target, theirs=theirs, artifacts=artifacts, report=report)
        return _gone_on(source, target, state, copy, delete=delete, report=report)


def _gone_on(
    source: Catalog, target: Catalog, state: Path, copy: Callable[..., Synced], *, delete: bool, report: Report
) -> Continued:
    before = State.read(state, source, target)
    now = set(source.references())  # before the items: what is published meanwhile is of the next time
    latest: list[str] = [] if before.until is None else [before.until]
    replaced: list[str] = []

    def seen() -> Iterator[pystac.Item]:
        unseen = now - before.items
        for item in _changed(source, before.until, report):
            name = reference(item.collection_id, item.id)
            now.add(name)
            unseen.discard(name)
            if (moment := _moment(item.properties.get("updated"))) is not None:
                latest.append(moment)
            if delete and name in before.items and _is_another(target, name, item):
                replaced.extend(_deleted(target, [name], report))
            yield item
        # What is new, and says that it changed long ago, as others' items do and those of a clock that is wrong; and
        # what a list left out whose pages shift while it is read.
        for name in sorted(unseen):
            now.discard(name)
            found = None
            with suppress(CatalogError, InvalidItemError):  # it cannot be read, which a note says
                found = source.find(name)
            if found is not None:
                now.add(name)
                yield found

    said = said_by_collections(source)
    synced = copy(items=seen(), before=before.collections)
    said |= {name: before.collections.get(name, {}) for name in synced.untold}
    # A list whose pages shift while it is read may leave one out: each is looked for by its name.
    now |= {name for name in before.items - now if source.find(name) is not None}
    gone = sorted(before.items - now)
    if gone and (unread := source.page(Query(fields=("id",), limit=1)).notes):
        report(Note(f"nothing is taken for gone from {source.href}, of which {len(unread)} documents cannot be read"))
        now |= before.items
        gone = []
    deleted = _deleted(target, gone, report) if delete else []
    until = max(latest, key=str_to_datetime, default=None)
    items = frozenset(now.union(gone).difference(deleted))
    untaken = items.difference(target.references())
    _name_lost(before, untaken, state, report)
    replace(before, until=until, items=items, collections=said, untaken=untaken).write(state)
    several = Counter(in_collection(one)[1] for one in before.items | now)

    def shown(names: list[str]) -> tuple[str, ...]:
        plain = [in_collection(one)[1] for one in names]
        return tuple(id_ if several[id_] == 1 else name for name, id_ in zip(names, plain, strict=True))

    return Continued(synced, shown(gone + replaced), shown(deleted + replaced))


def _name_lost(before: State, untaken: frozenset[str], state: Path, report: Report) -> None:
    """Name what was copied before and is not in the target any more: nobody reads it again that did not change."""
    if before.untaken is not None and (lost := sorted(untaken & before.items - before.untaken)):
        report(
            Note(
                f"{lost[0]}{f' and {len(lost) - 1} more' if lost[1:] else ''} had been copied and "
                f"{'are' if lost[1:] else 'is'} not in {before.target} any more: deleted there, or it is an older copy "
                f"of itself; without {state} all is compared and copied once more"
            )
        )


def _is_another(target: Catalog, name: str, item: pystac.Item) -> bool:
    published = target.find(name)
    return published is not None and bool(differences(published, item))


def _deleted(target: Catalog, gone: list[str], report: Report) -> list[str]:
    """Remove items, and say which are not there any more; those that an alias points to stay."""
    deleted = []
    for name in gone:
        try:
            target.delete(name)
        except NotFoundError:
            pass
        except ConflictError as error:
            report(Note(f"kept: {error}"))
            continue
        deleted.append(name)
    return deleted


def _changed(source: Catalog, until: str | None, report: Report) -> Iterator[pystac.Item]:
    """Yield the items that changed since a moment, and those that say nothing of it; a note names what is odd."""
    if until is None:
        yield from source.readable(report)
        return
    since = rfc3339(str_to_datetime(until).astimezone(UTC) - OVERLAP).replace("+00:00", "Z")
    page = source.page(Query(filter=f"updated >= TIMESTAMP('{since}') OR updated IS NULL"))
    for note in page.notes:
        report(Note(note))
    yield from map(as_item, page.documents)


def _moment(text: Any) -> str | None:
    """Return a moment of an item as it is compared; None for what is none, or lies in the future."""
    with suppress(ValueError, TypeError, OverflowError):
        moment = str_to_datetime(text)
        if moment <= datetime.now(UTC) + OVERLAP:
            return str(text)
    return None
