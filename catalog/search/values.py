"""What the fields of a search take: values as Python, the command line and JSON write them, each as one type.

A function a kind, which returns the value or raises ValueError with what it should be. Plain functions, since a model
of pydantic would cost a process that searches once more than all else that it does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from types import MappingProxyType
from typing import Any

from modelstac.catalog.items.geometry import check_bbox, check_searched, cut
from modelstac.catalog.search.ranges import rfc3339
from modelstac.catalog.search.spellings import canonical

_NO, _YES = ("0", "off", "f", "false", "n", "no"), ("1", "on", "t", "true", "y", "yes")
_TRUTHS = MappingProxyType(dict.fromkeys(_NO, False) | dict.fromkeys(_YES, True))


def text(value: Any) -> str:
    """Take a text."""
    if not isinstance(value, str):
        raise ValueError("Input should be a valid string")  # noqa: TRY004 - as of every wrong value
    return value


def texts(value: Any) -> tuple[str, ...]:
    """Take texts, or one."""
    return (value,) if isinstance(value, str) else _each(text, value)


def numbers(value: Any) -> tuple[float, ...]:
    """Take numbers."""
    return _each(number, value)


def nothing(value: Any) -> tuple[Any, ...]:
    """Take a list of nothing: what has more was written in other words."""
    return _each(text, value)


def _each(taken: Callable[[Any], Any], values: Any) -> tuple[Any, ...]:
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise ValueError("Input should be a valid tuple")  # noqa: TRY004
    found = []
    for place, value in enumerate(values):
        try:
            found.append(taken(value))
        except ValueError as error:
            raise ValueError(f"entry {place}: {error}") from error
    return tuple(found)


def number(value: Any) -> float:
    """Take a number, or the text of one."""
    try:
        return float(value)
    except TypeError:
        raise ValueError("Input should be a valid number") from None
    except ValueError:
        raise ValueError("Input should be a valid number, unable to parse string as a number") from None


def distance(value: Any) -> float:
    """Take a number that is not negative."""
    if not (found := number(value)) >= 0:
        raise ValueError("Input should be greater than or equal to 0")
    return found


def count(value: Any) -> int:
    """Take a whole number from 1, or the text of one."""
    try:
        found = number(value)
    except ValueError as error:
        raise ValueError(str(error).replace("a number", "an integer").replace("number", "integer")) from None
    if not found.is_integer():
        fraction = "a valid integer, got a number with a fractional part"
        raise ValueError(f"Input should be {fraction if abs(found) < float('inf') else 'a finite number'}")
    if found < 1:
        raise ValueError("Input should be greater than or equal to 1")
    return int(value if isinstance(value, int) else found)


def truth(value: Any) -> bool:
    """Take true or false, or a word or a number for it."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float | str):
        known = _TRUTHS.get(value.lower() if isinstance(value, str) else f"{value:g}")
        if known is not None:
            return known
        raise ValueError("Input should be a valid boolean, unable to interpret input")
    raise ValueError("Input should be a valid boolean")


def box(value: Any) -> tuple[float, ...]:
    """Take a box in degrees."""
    found = numbers(value)
    try:
        check_bbox(found)
    except ValueError as error:  # which field it is, is said of every value
        raise ValueError(str(error).removeprefix("bbox: ")) from error
    return found


def time(value: Any) -> str:
    """Take a moment or an interval, as a text or as one or two datetimes."""
    if isinstance(value, tuple | list) and len(value) == 2:
        return "/".join(".." if v is None else _written(v) for v in value)
    return _written(value) if isinstance(value, date) else text(value)


def _written(value: Any) -> str:
    # A datetime is a date, too, and written with its time.
    return rfc3339(value) if isinstance(value, datetime) else str(value)


def framework(value: Any) -> str:
    """Take a framework, however it is spelled."""
    return canonical(text(value))


def geometry(value: Any) -> dict[str, Any]:
    """Take a geometry of GeoJSON, or the text of one, and cut it at the antimeridian."""
    try:
        value = json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError) as error:
        raise ValueError("a geometry of GeoJSON is needed, this is no JSON") from error
    if not isinstance(value, Mapping):
        raise ValueError("Input should be a valid dictionary")  # noqa: TRY004
    return cut(check_searched(dict(value)))


def expression(value: Any) -> str | dict[str, Any]:
    """Take an expression of CQL2, as text or as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return dict(value)
    raise ValueError("Input should be a valid string or dictionary")
