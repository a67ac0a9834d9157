"""What a collection says of itself, wherever it lies, and what becomes of it where two catalogs do not say the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from modelstac.catalog.items.collections.widening import (
    described,
    is_described,
    is_made_from_items,
    of_stac,
    reaching,
)
from modelstac.catalog.items.documents import Document, absolute, is_structural
from modelstac.catalog.items.identity import ALIASES, FROM_ITEMS, RULES

Change = Callable[[Document | None], Document]
"""Gets what a collection says, None where there is none, and gives what it is to say."""
_OF_A_CATALOG = (ALIASES, RULES)
_APART = frozenset({"type", "stac_version", "id", "links", "extent", FROM_ITEMS})
_LISTS = frozenset({"keywords", "providers", "stac_extensions"})
_BY_NAME = frozenset({"assets", "item_assets", "summaries"})
_NOTHING = object()


def said(stored: Document, href: str, resolved: Callable[[str, str], str] | None = None) -> Document:
    """Return what a collection says: without the links that its catalog gave it, aliases and their rules.

    Parameters
    ----------
    href, resolved
        Where it lies, and how hrefs are made absolute there, as :func:`modelstac.catalog.items.documents.absolute`.
    """
    rest = {name: value for name, value in stored.items() if name not in _OF_A_CATALOG}
    shown = absolute(rest | {"links": _own_links(stored)}, href, resolved)
    return shown | {"links": shown["links"][:-1]}


def changed(stored: Document, change: Change, href: str, resolved: Callable[[str, str], str] | None = None) -> Document:
    """Return a stored collection that says what a function makes of what it says (:func:`said`).

    What was not changed stays as it is written.
    """
    before = said(stored, href, resolved)
    wanted = change(before)
    pairs = list(zip(before["links"], _own_links(stored), strict=True))
    links = [next((old for shown, old in pairs if shown == found), found) for found in wanted["links"]]
    result = wanted | {name: stored[name] for name in _OF_A_CATALOG if name in stored}
    result["links"] = [found for found in stored["links"] if is_structural(found)] + links
    if all(isinstance(one.get("assets"), dict) for one in (wanted, stored)):
        shown, old = before["assets"], stored["assets"]
        same = {key for key, asset in wanted["assets"].items() if shown.get(key) == asset}
        result["assets"] = {key: old[key] if key in same else asset for key, asset in wanted["assets"].items()}
    return described(stored, result)


def _own_links(document: Document) -> list[Document]:
    return [found for found in document.get("links", ()) if not is_structural(found)]


def merged(
    here: Document, theirs: Document, before: Document | None = None, *, yields: bool = False
) -> tuple[Document, list[str]]:
    """Return a collection with what another catalog says of it, and the names of what stays as it is here against that.

    What only one of them has, or has changed since they agreed, is taken; of what both have changed, what is said here.
    A collection that was made from items here said nothing of its own: then what they say is taken the first time; but
    for a description that somebody wrote here, where there it is that of the items.

    Parameters
    ----------
    before
        What the other catalog said the last time, which was taken then; None where that is not known.
    yields
        Where both say something, take what the other says.

    Raises
    ------
    InvalidItemError
        If one of them is no collection of STAC.
    """
    version = here["stac_version"]
    theirs, known = of_version(theirs, version), of_version(before, version) if before else {}
    names = (here.keys() | theirs.keys()) - _APART
    sides = _Sides(yields=yields or (is_made_from_items(here) and not before))
    found = {name: sides.member(name, *(one.get(name, _NOTHING) for one in (here, theirs, known))) for name in names}
    if not (before or yields) and is_described(here) and not is_described(theirs):
        found["description"] = here["description"]
    with of_stac(theirs), of_stac(here):
        result = {name: here[name] for name in here if name in _APART}
        result |= {name: found[name] for name in (*here, *theirs) if name in found and found[name] is not _NOTHING}
        result["extent"] = _extent(here["extent"], theirs["extent"], known.get("extent"))
        result["links"] = _both(here["links"], theirs["links"], known.get("links", ()))
    if result.get("description") != here.get("description") and FROM_ITEMS in theirs:
        result[FROM_ITEMS] = theirs[FROM_ITEMS]
    return result, sorted(sides.kept)


def of_version(document: Document, wanted: str) -> Document:
    """Return a collection in the version of STAC that is wanted, where it is the current one."""
    import pystac  # not at the top, as everywhere
    from pystac.serialization import identify_stac_object, migrate_to_latest

    if document["stac_version"] == wanted or wanted != pystac.get_stac_version():
        return document
    with of_stac(document):
        return migrate_to_latest(document, identify_stac_object(document))


class _Sides:
    """Two sides, of whose contradictions it is noted what stays."""

    def __init__(self, *, yields: bool) -> None:
        self._yields = yields
        self.kept: list[str] = []

    def member(self, name: str, here: Any, theirs: Any, before: Any) -> Any:
        sides = (here, theirs, {} if before is _NOTHING else before)
        if name in _LISTS and all(isinstance(side, list) for side in (here, theirs)):
            return _both(here, theirs, before if isinstance(before, list) else ())
        if name in _BY_NAME and all(isinstance(side, Mapping) for side in sides):
            return self._by_name(name, *sides)
        return self._one(name, here, theirs, before)

    def _by_name(self, name: str, here: Any, theirs: Any, before: Any) -> Document:
        result = {}
        for key in dict.fromkeys((*here, *theirs)):
            one, other, known = (side.get(key, _NOTHING) for side in (here, theirs, before))
            if name == "summaries" and isinstance(one, list) and isinstance(other, list):
                value: Any = _both(one, other, known if isinstance(known, list) else ())
            else:
                value = self._one(f"{name}.{key}", one, other, known)
            if value is not _NOTHING:
                result[key] = value
        return result

    def _one(self, name: str, here: Any, theirs: Any, before: Any) -> Any:
        if theirs != here and theirs is not _NOTHING and self._yields:
            return theirs
        if theirs in (here, before):
            return here
        if here == before or here is _NOTHING:
            return theirs
        self.kept += [] if theirs is _NOTHING else [name]
        return here


def _both(here: Iterable[Any], theirs: list[Any], before: Iterable[Any]) -> list[Any]:
    """Return the values of two lists, without those that one of them had before and has no more."""
    mine, known = list(here), list(before)
    left = [value for value in mine if value in theirs or value not in known]
    return left + [value for value in theirs if value not in mine and value not in known]


def _extent(here: Document, theirs: Document, before: Document | None) -> Document:
    if theirs in (here, before):
        return here
    if here == before:
        return theirs
    # Each says that there is something: both are right.
    wider = reaching(here, theirs["spatial"]["bbox"][:1], theirs["temporal"]["interval"][:1])
    return theirs | wider
