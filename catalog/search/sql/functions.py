"""What SQLite lacks: folding of case and accents, times, geometry, arrays and arithmetic, as functions of ours.

They serve queries only and no index, so that any SQLite program can read the file. Whatever does not fit gives null.
"""

from __future__ import annotations

import json
import math
import re
import sqlite3
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from modelstac.catalog.items.geometry import boxes_meet, valid
from modelstac.catalog.times import first_and_last

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SPATIAL = {
    "s_contains": "contains",
    "s_crosses": "crosses",
    "s_disjoint": "disjoint",
    "s_equals": "equals",
    "s_intersects": "intersects",
    "s_overlaps": "overlaps",
    "s_touches": "touches",
    "s_within": "within",
}
ARRAYS: dict[str, Callable[[set[str], set[str]], bool]] = {
    "a_containedby": lambda a, b: a <= b,
    "a_contains": lambda a, b: a >= b,
    "a_equals": lambda a, b: a == b,
    "a_overlaps": lambda a, b: bool(a & b),
}
_ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "div": lambda a, b: math.trunc(a / b),
    "%": math.fmod,
    "^": math.pow,
}
ARITHMETIC = tuple(_ARITHMETIC)


def register(connection: sqlite3.Connection) -> None:
    """Make the functions known to a connection."""
    functions: tuple[tuple[str, int, Callable[..., Any]], ...] = (
        ("ms_casei", 1, _casei),
        ("ms_accenti", 1, _accenti),
        ("ms_first", 1, lambda value: _moment(value, 0)),
        ("ms_last", 1, lambda value: _moment(value, 1)),
        ("ms_spatial", 3, _spatial),
        ("ms_box", 2, _box),
        ("ms_array", 3, _array),
        ("ms_arithmetic", 3, _arithmetic),
        ("ms_runs_with", 3, _runs_with),
    )
    for name, arguments, function in functions:
        connection.create_function(name, arguments, function, deterministic=True)


def microseconds(value: datetime) -> int:
    """Return a time as microseconds since 1970, so that times compare as numbers; without a zone it is UTC."""
    since = (value if value.tzinfo else value.replace(tzinfo=UTC)) - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


DAY = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
MOMENT = rf"{DAY}[Tt ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]+)?([Zz]|[+-](0[0-9]|1[0-4]):[0-5][0-9])?"
"""What of an item is a time: a day, or a moment as RFC 3339 writes it (without a zone it is UTC)."""
TIME = re.compile(f"{DAY}|{MOMENT}")


def _moment(value: Any, end: int) -> int | None:
    if not isinstance(value, str) or not TIME.fullmatch(value):
        return None
    try:
        return microseconds(first_and_last(value)[end])
    except (OverflowError, ValueError):
        return None


def casei(text: str) -> str:
    """Return a text without its case (Unicode's full case folding)."""
    return text.casefold()


def accenti(text: str) -> str:
    """Return a text without its accents."""
    return "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))


FOLDS: dict[str, Callable[[str], str]] = {"casei": casei, "accenti": accenti}


def _casei(value: Any) -> str | None:
    return casei(value) if isinstance(value, str) else None


def _accenti(value: Any) -> str | None:
    return accenti(value) if isinstance(value, str) else None


def _spatial(operation: str, first: str | None, second: str | None) -> bool | None:
    if first is None or second is None:
        return None
    from shapely.errors import ShapelyError

    try:
        return bool(getattr(geometry(first), SPATIAL[operation])(geometry(second)))
    except (ShapelyError, AttributeError, KeyError, TypeError, ValueError):
        return None  # somebody's geometry that is none


def _box(first: str, second: str | None) -> bool | None:
    try:
        return None if second is None else boxes_meet(json.loads(first), json.loads(second))
    except (IndexError, TypeError, ValueError):
        return None  # somebody's box that is none


@lru_cache(maxsize=1024)
def geometry(text: str) -> BaseGeometry:
    """Read a geometry of GeoJSON, as it is judged."""
    from shapely.geometry import shape

    return valid(shape(json.loads(text)))


def _array(operation: str, first: str | None, second: str | None) -> bool | None:
    if first is None or second is None:
        return None
    one, other = ({json.dumps(_plain(v), sort_keys=True) for v in json.loads(text)} for text in (first, second))
    return ARRAYS[operation](one, other)


def _plain(value: Any) -> Any:
    # 1 and 1.0 are one number.
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _arithmetic(operation: str, first: Any, second: Any) -> float | None:
    try:
        a, b = float(first), float(second)
        result = float(_ARITHMETIC[operation](a, b))
        # What is too small for a number is none, as what is too large.
        vanished = result == 0 and a != 0 and b != 0 and operation in {"*", "/", "^"}
        return result if math.isfinite(result) and not vanished else None
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None


def _runs_with(verified: str | None, wanted: str, within: float | None) -> bool:
    from modelstac.catalog.search.facts import runs_with

    return verified is not None and runs_with(json.loads(verified), tuple(json.loads(wanted)), within)
