"""What SQLite lacks: folding of case and accents, times, geometry, arrays and arithmetic, as functions of ours.

They serve queries only and no index, so that any SQLite program can read the file. Whatever does not fit gives null.
"""

from __future__ import annotations

import json
import math
import sqlite3
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

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
        ("ms_time", 1, microseconds),
        ("ms_spatial", 3, _spatial),
        ("ms_array", 3, _array),
        ("ms_arithmetic", 3, _arithmetic),
        ("ms_runs_with", 3, _runs_with),
    )
    for name, arguments, function in functions:
        connection.create_function(name, arguments, function, deterministic=True)


def microseconds(value: Any) -> int | None:
    """Return a time as microseconds since 1970, so that times compare as numbers; None when it is no time."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    since = (value if value.tzinfo else value.replace(tzinfo=UTC)) - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _casei(value: Any) -> str | None:
    return value.casefold() if isinstance(value, str) else None


def _accenti(value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    return "".join(c for c in unicodedata.normalize("NFD", value) if not unicodedata.combining(c))


def _spatial(operation: str, first: str | None, second: str | None) -> bool | None:
    if first is None or second is None:
        return None
    return bool(getattr(geometry(first), SPATIAL[operation])(geometry(second)))


@lru_cache(maxsize=1024)
def geometry(text: str) -> BaseGeometry:
    """Read a geometry of GeoJSON."""
    from shapely.geometry import shape

    return shape(json.loads(text))


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
        result = _ARITHMETIC[operation](float(first), float(second))
        return float(result) if math.isfinite(result) else None
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None


def _runs_with(verified: str | None, wanted: str, within: float | None) -> bool:
    from modelstac.catalog.search.matching import runs_with

    return verified is not None and runs_with(json.loads(verified), tuple(json.loads(wanted)), within)
