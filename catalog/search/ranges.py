"""Intervals of time and number, requirements and names, as people write them in a search."""

from __future__ import annotations

import difflib
import operator
import re
import string
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from modelstac.catalog.errors import InvalidQueryError
from modelstac.catalog.times import first_and_last

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet

_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_VERSION_OF = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s+([0-9]+(?:\.[0-9]+)*)\s*", re.ASCII)
_BOUND = re.compile(r"\s*(<=|>=|==|<|>|)\s*([0-9][0-9_]*(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?)\s*")
_LAST_SECOND = re.compile(r"[Tt ]23:59:59(Z|z|[+-]\d\d:?\d\d)?$", re.ASCII)
_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
    "==": operator.eq,
    "": operator.eq,
}


def fold(text: str) -> str:
    """Return the text with A to Z made small, which is what SQLite's NOCASE compares too."""
    return text.translate(_LOWER)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the end of a message about an unknown name: the nearest known ones, or all."""
    by_folded = {value.casefold(): value for value in known}
    near = [by_folded[n] for n in difflib.get_close_matches(name.casefold(), by_folded, n=3, cutoff=0.5)]
    if near:
        return ": did you mean " + " or ".join(repr(n) for n in near) + "?"
    return f"; known: {', '.join(sorted(by_folded.values()))}"


def number_range(text: str) -> list[tuple[Callable[[float, float], bool], str, float]]:
    """Read a range of numbers such as ``>=1000,<2e6`` as comparisons that must all hold.

    Raises
    ------
    InvalidQueryError
        If it is none.
    """
    bounds = [_BOUND.fullmatch(part) for part in text.split(",")]
    if not all(bounds):
        raise InvalidQueryError(
            f"{text!r} is no range of numbers: something like '<2000000' or '>=1000,<2e6' is needed"
        )
    return [(_OPERATORS[b[1]], b[1].replace("==", "=") or "=", float(b[2].replace("_", ""))) for b in bounds if b]


@lru_cache(maxsize=256)
def requirements(texts: tuple[str, ...]) -> list[tuple[str, SpecifierSet]]:
    """Read requirements such as ``torch>=2.7``, or ``torch 2.7`` for any 2.7, as pairs of package and range.

    Raises
    ------
    InvalidQueryError
        If one is malformed.
    """
    from packaging.requirements import InvalidRequirement, Requirement

    found = []
    for text in texts:
        try:
            requirement = Requirement(_VERSION_OF.sub(r"\1==\2.*", text) if _VERSION_OF.fullmatch(text) else text)
        except InvalidRequirement as error:
            raise InvalidQueryError(f"{text!r} is no requirement: something like 'torch>=2.7' is needed") from error
        found.append((requirement.name, requirement.specifier))
    return found


def terms(text: str) -> list[list[str]]:
    """Return the alternatives of a free-text search, which commas separate, each as words that must all occur."""
    return [words for part in text.casefold().split(",") if (words := part.split())]


def rfc3339(value: datetime) -> str:
    """Return a time as RFC 3339 writes it; one without zone is UTC."""
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).isoformat()


def interval(text: str) -> tuple[datetime, datetime]:
    """Return first and last moment of an RFC 3339 moment or interval; ``..`` or nothing leaves an end open.

    A day, week, month or year is all of it, as an end, too. So is a day whose end is written as its last second, as
    pystac-client writes it: ``2020-06-05T00:00:00Z/2020-06-05T23:59:59Z`` leaves out nothing of that day.

    Raises
    ------
    InvalidQueryError
        If it is neither.
    """
    first, slash, last = text.partition("/")
    start = _moment(first, text, end=False)
    stop = _moment(last if slash else first, text, end=True)
    if _LAST_SECOND.search(last):
        stop = stop.replace(microsecond=999_999)
    if (not slash and first in {"", ".."}) or start > stop:
        raise InvalidQueryError(
            f"datetime {text!r} is no interval: something like 2010-08-26T00:00:00Z/2010-08-27T00:00:00Z is needed"
        )
    return start, stop


def _moment(text: str, whole: str, *, end: bool) -> datetime:
    if text in {"", ".."}:
        return (datetime.max if end else datetime.min).replace(tzinfo=UTC)
    try:
        return first_and_last(text)[end]
    except (ValueError, OverflowError) as error:
        raise InvalidQueryError(
            f"datetime {whole!r} cannot be read: something like 2010-08-26T00:00:00Z or 2010-08-26/.. is needed"
        ) from error
