"""Months of the year that a model was trained on, as people write them."""

from __future__ import annotations

import re
from typing import Any

from modelstac.catalog.errors import SpecError, at

_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
# Meteorological seasons by the initials of their months, and by name in the northern half of the globe.
_SEASONS = {"djf": (12, 1, 2), "mam": (3, 4, 5), "jja": (6, 7, 8), "son": (9, 10, 11)}
_NORTHERN = {"winter": "djf", "spring": "mam", "summer": "jja", "autumn": "son", "fall": "son"}
_OPPOSITE = {"djf": "jja", "mam": "son", "jja": "djf", "son": "mam"}


def read_months(said: Any, *, latitude: float = 0.0) -> tuple[int, ...]:
    """Read months, 1 to 12.

    Parameters
    ----------
    said
        Numbers, names, ranges such as ``Jun-Aug`` or ``11-2``, initials of three months (``JJA``) or, away from the
        equator, the name of a season; several with commas between them, or as a list.
    latitude
        Of the place, degrees: a summer is in other months south of the equator.

    Raises
    ------
    SpecError
        If something is no month, or a season has no months there.
    """
    parts = [said] if isinstance(said, int) else said.split(",") if isinstance(said, str) else said
    if not isinstance(parts, list | tuple):
        raise _none(said)
    found: set[int] = set()
    for number, part in enumerate(parts):
        with at(number):
            found.update(_months(part, latitude))
    return tuple(sorted(found))


def _months(part: Any, latitude: float) -> tuple[int, ...]:
    text = str(part).strip().casefold()
    if text in _NORTHERN:
        if abs(latitude) < 10:
            raise SpecError(f"{part!r} has no months near the equator: write them, such as Jun-Aug")
        initials = _NORTHERN[text]
        text = initials if latitude > 0 else _OPPOSITE[initials]
    if text in _SEASONS:
        return _SEASONS[text]
    first, dash, last = (piece.strip() for piece in re.sub("[–—]", "-", text).partition("-"))
    begin, end = _month(first, part), _month(last if dash else first, part)
    return tuple((begin + i - 1) % 12 + 1 for i in range((end - begin) % 12 + 1))


def _month(text: str, part: Any) -> int:
    if text.isdecimal() and 1 <= int(text) <= 12:
        return int(text)
    if len(text) >= 3 and text[:3] in _NAMES:
        return _NAMES.index(text[:3]) + 1
    raise _none(part)


def _none(said: Any) -> SpecError:
    return SpecError(f"season {said!r:.40} is none: write months, such as 6,7,8, Jun-Aug or JJA")
