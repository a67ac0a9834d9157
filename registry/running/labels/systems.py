"""Reference systems, as far as they can be read: with PROJ where it is installed, else by their names."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from modelstac.catalog.errors import DataError

_NAMELESS = frozenset({"undefined", "unknown", "unnamed"})
"""What a reference system is called whose file gives it no name."""


def is_geographic(system: Any) -> bool:
    """Tell whether a reference system has degrees; as far as its text or number says so where PROJ is not installed."""
    if (crs := parsed_crs(system)) is not None:
        return bool(crs.is_geographic)
    text = str(system).upper()
    return text.startswith(("GEOG", "GEODCRS")) or text in {"4326", "EPSG:4326", "OGC:CRS84", "CRS84"}


def has_meridians(crs: Any) -> bool:
    """Tell whether places of a system of PROJ are longitudes and latitudes: those about a rotated pole are neither."""
    return bool(crs.is_geographic and not crs.is_derived)


def import_proj() -> bool:
    """Import PROJ, bound to the library that comes with it, and tell whether it is installed.

    It is to come before xarray opens a file, for which that imports all of its plug-ins. One of them brings ecCodes
    (2.50.0, seen with pyproj 3.7.2), whose libraries hold a PROJ of their own: unbound, pyproj would take it for its
    own, find no database for the rest of the process, and corrupt its memory.
    """
    bound = hasattr(os, "RTLD_DEEPBIND") and "eckitlib" in sys.modules and "pyproj" not in sys.modules
    before = sys.getdlopenflags() if bound else 0
    try:
        if bound:
            sys.setdlopenflags(before | os.RTLD_DEEPBIND)
        import pyproj  # noqa: F401 - for what it loads
    except ModuleNotFoundError:
        return False
    finally:
        if bound:
            sys.setdlopenflags(before)
    return True


def parsed_crs(system: Any) -> Any:
    """Return PROJ's reading of a reference system; None where it is not installed, or does not know it.

    Raises
    ------
    DataError
        If it knows none, as its database is not found.
    """
    if not import_proj():
        return None
    import pyproj

    if isinstance(system, Mapping) and "grid_mapping_name" in system:
        return _quietly(lambda: pyproj.CRS.from_cf(dict(system)))
    return _quietly(lambda: pyproj.CRS.from_user_input(system))


def are_one(one: Any, other: Any) -> bool:
    """Tell whether two reference systems are one, whatever they are called and in whichever order their axes are."""
    if str(one) == str(other):
        return True
    here, there = parsed_crs(one), parsed_crs(other)
    return here is not None and there is not None and bool(here.equals(there, ignore_axis_order=True))


def called(system: Any) -> str:
    """Name a reference system in a message: by its number, else by its name, and not by a page of its own words."""
    crs = parsed_crs(system)
    if crs is None:
        return str(system)
    if authority := crs.to_authority():
        return ":".join(authority)
    method = "" if crs.coordinate_operation is None else str(crs.coordinate_operation.method_name)
    return method if method and crs.name.casefold() in _NAMELESS else str(crs.name)


def _quietly(read: Callable[[], Any]) -> Any:
    import pyproj

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of texts in old notations, which are read all the same
        try:
            return read()
        except (pyproj.exceptions.CRSError, KeyError, TypeError, ValueError) as error:
            if "no database context" in str(error):
                raise DataError(
                    "PROJ has no database in this process, where another package's came first (as that of ecCodes, "
                    "which a plug-in of xarray brings): import pyproj before files are opened"
                ) from error
            return None
