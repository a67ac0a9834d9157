"""Reference systems, as far as they can be read: with PROJ where it is installed, else by their names."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any


def is_geographic(system: Any) -> bool:
    """Tell whether a reference system has degrees; as far as its text or number says so where PROJ is not installed."""
    if (crs := parsed_crs(system)) is not None:
        return bool(crs.is_geographic)
    text = str(system).upper()
    return text.startswith(("GEOG", "GEODCRS")) or text in {"4326", "EPSG:4326", "OGC:CRS84", "CRS84"}


def parsed_crs(system: Any) -> Any:
    """Return PROJ's reading of a reference system; None where it is not installed, or does not know it."""
    try:
        import pyproj
    except ModuleNotFoundError:
        return None
    if isinstance(system, Mapping) and "grid_mapping_name" in system:
        return _quietly(lambda: pyproj.CRS.from_cf(dict(system)))
    return _quietly(lambda: pyproj.CRS.from_user_input(system))


def _quietly(read: Callable[[], Any]) -> Any:
    import pyproj

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of texts in old notations, which are read all the same
        try:
            return read()
        except (pyproj.exceptions.CRSError, KeyError, TypeError, ValueError):
            return None
