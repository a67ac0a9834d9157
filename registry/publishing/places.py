"""Place and time of training data, as people write them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

from modelstac.catalog.errors import SpecError
from modelstac.catalog.items.geometry import box_geometry, check_bbox, check_geometry
from modelstac.catalog.times import first_and_last


def read_box(said: Any) -> dict[str, Any]:
    """Read west, south, east, north in degrees as GeoJSON; west beyond east crosses the antimeridian.

    Raises
    ------
    SpecError
        If it is no box.
    """
    what = f"bbox {said!r:.80}"
    try:
        west, south, east, north = (float(part) for part in (said.split(",") if isinstance(said, str) else said))
        swapped = -90 <= north < south <= 90
        if not swapped:
            check_bbox((west, south, east, north))
    except (TypeError, ValueError) as error:
        raise SpecError(f"{what} is no box: write WEST,SOUTH,EAST,NORTH in degrees") from error
    if swapped:
        raise SpecError(f"{what} has its south above its north: write WEST,SOUTH,EAST,NORTH in degrees")
    return box_geometry((west, south, east, north))


def read_geometry(said: Any, folder: Path) -> dict[str, Any]:
    """Read a geometry of GeoJSON, or the file that holds one.

    Raises
    ------
    SpecError
        If it is none.
    """
    if isinstance(said, str | Path):
        path = folder / said
        try:
            said = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise SpecError(f"geometry {path} cannot be read as GeoJSON ({error})") from error
    if not isinstance(said, Mapping):
        raise SpecError(f"geometry {said!r:.60} is no GeoJSON geometry, and no file that holds one")
    try:
        return check_geometry(dict(said))
    except ValueError as error:
        raise SpecError(str(error)) from error


def read_period(said: Any) -> tuple[datetime, datetime]:
    """Read ``START/END`` or two moments; a day, week, month or year is all of it.

    Raises
    ------
    SpecError
        If it is no time.
    """
    try:
        said = str(said) if isinstance(said, int) and not isinstance(said, bool) else said  # a year
        if isinstance(said, str):
            first, slash, last = said.partition("/")
            ends: tuple[Any, Any] = (first, last if slash else first)
        else:
            ends = (said, said) if isinstance(said, date) else tuple(said)
        start, end = first_and_last(ends[0])[0], first_and_last(ends[1])[1]
    except (TypeError, ValueError, OverflowError, IndexError) as error:
        raise SpecError(f"datetime {said!r:.60} is no time: write START/END, such as 2020-01-01/2021-12-31") from error
    if end < start:
        raise SpecError(f"datetime has its end {end:%Y-%m-%d} before start {start:%Y-%m-%d}: write START/END")
    return start, end
