"""Pieces that scenes are made of: rasters of one grid and some bands, and bands on offer in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import numpy as np

from modelstac.registry.running.bands import Band

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

Values = np.ndarray[Any, Any]

REMOTE = ("http", "https", "s3", "gs", "az")
"""Schemes of what is read over a network."""


@dataclass(frozen=True)
class Numbers:
    """What is said of the numbers that a band stores; None where nobody says.

    Parameters
    ----------
    scale, offset
        Physical values are stored ones times the first plus the second.
    nodata
        What stands for a missing one.
    unit
        Of the physical values.
    classes
        Whether they are names rather than quantities, between which there is nothing.
    source
        Who says scale and offset.
    fault
        In what it contradicts itself, in half a line.
    counts
        Of a sensor whose offset came with a change of its processing: stored numbers without it are what models of
        stored numbers know.
    """

    scale: float | None = None
    offset: float | None = None
    nodata: float | None = None
    unit: str | None = None
    classes: bool = False
    source: str = ""
    counts: bool = False
    fault: str = ""

    @property
    def is_packed(self) -> bool:
        """Whether stored values are others than physical ones."""
        return (self.scale or 1.0, self.offset or 0.0) != (1.0, 0.0)

    @property
    def makes_sense(self) -> bool:
        """Whether scale and offset are numbers, and the first is not zero."""
        return self.scale != 0 and isfinite(self.scale or 0.0) and isfinite(self.offset or 0.0)


@dataclass(frozen=True)
class Stored:
    """One band of a part: the NumPy name of its type, and what its own file says of the numbers."""

    dtype: str
    numbers: Numbers = Numbers()


class Part(Protocol):
    """One raster: bands on one grid.

    Attributes
    ----------
    name
        What messages call it.
    grid
        Its own grid, whichever way its rows and columns run.
    stored
        Its bands.
    """

    name: str
    grid: GeoBox
    stored: tuple[Stored, ...]

    def read(self, bands: tuple[int, ...], rows: slice, columns: slice) -> tuple[Values, Values | None]:
        """Read a window that lies inside: stored numbers (band, row, column), and where there are none of them.

        Both are the caller's own, to write into.

        Raises
        ------
        DataError
            If it cannot be read; it names file and window.
        """
        ...


@dataclass(frozen=True)
class Origin:
    """Where something was read from: a link without signatures, and what tells it from an older state of itself.

    Offers of the same ``owner`` came from it. ``sensors`` are what an item calls platform, constellation and
    instruments, by field.
    """

    href: str
    media_type: str | None = None
    identity: Mapping[str, Any] = field(default_factory=dict)
    title: str | None = None
    owner: int | None = None
    sensors: Mapping[str, frozenset[str]] = field(default_factory=dict)


def sensors_of(origins: Iterable[Origin]) -> dict[str, frozenset[str]]:
    """Put together what several say of their sensors."""
    found: dict[str, frozenset[str]] = {}
    for origin in origins:
        for name, said in origin.sensors.items():
            found[name] = found.get(name, frozenset()) | said
    return found


@dataclass(frozen=True)
class Offer:
    """One band on offer, in a raster that may not be open yet.

    Parameters
    ----------
    band
        What is known of it.
    number
        Its place in the part, from 0.
    open
        Opens the part.
    label
        What messages call it.
    owner
        Which source it came with: item, file or array.
    key
        Name of its asset or file, for choosing among several of one name.
    numbers
        What an item says of its numbers, beside what the file says.
    time
        When it was taken, as NumPy's datetime64; None where nobody says.
    pixel
        How large its pixels are said to be, in metres; None where nobody says before it is open.
    until
        When it ended, where it is of a period.
    hidden
        Whether it is the alpha of the others, and a band only where its number is asked for.
    """

    band: Band
    number: int
    open: Callable[[], Part]
    label: str
    owner: int
    key: str = ""
    numbers: Numbers = Numbers()
    time: np.datetime64 | None = None
    pixel: float | None = None
    until: np.datetime64 | None = None
    hidden: bool = False


@dataclass(frozen=True)
class Found:
    """What was named by a user: bands on offer, where they came from, and what was noticed on the way."""

    offers: tuple[Offer, ...]
    origins: tuple[Origin, ...] = ()
    sentinel: bool = False

    @property
    def sensors(self) -> dict[str, frozenset[str]]:
        """What items call platform, constellation and instruments, by field."""
        return sensors_of(self.origins)


def plain(href: str) -> str:
    """Return a path or URL without user, password and query, in which signatures are."""
    parts = urlsplit(href)
    if parts.scheme not in REMOTE:
        return href
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def is_remote(path: str) -> bool:
    """Tell whether it is read over a network."""
    return urlsplit(path).scheme in REMOTE


CUBES = (".nc", ".nc4", ".cdf", ".h5", ".hdf5", ".zarr")
"""Endings of what is opened by xarray."""


_HEADS = (b"\x89HDF\r\n\x1a\n", b"CDF\x01", b"CDF\x02", b"CDF\x05")
"""How HDF5 and NetCDF begin, whatever their names."""


def is_cube(path: str) -> bool:
    """Tell whether xarray opens it, or a group of it: NetCDF, HDF5 and Zarr, by their names or by what they hold."""
    file_path, _ = file_and_group(path)
    if file_path.casefold().rstrip("/").endswith(CUBES) or is_zarr(path):
        return True
    if is_remote(path) or not Path(file_path).is_file():
        return False
    with Path(file_path).open("rb") as file:
        return file.read(8).startswith(_HEADS)


def file_and_group(path: str) -> tuple[str, str | None]:
    """Take apart ``scene.nc/group``; there is no group where all of it is a file, or a folder."""
    if is_remote(path) or Path(path).exists():
        return (urlsplit(path).path if is_remote(path) else path), None
    file = next((folder for folder in Path(path).parents if folder.is_file()), None)
    return (path, None) if file is None else (str(file), Path(path).relative_to(file).as_posix())


def is_zarr(path: str) -> bool:
    """Tell whether it is Zarr or a group of it, by its name or by what lies in it."""
    place = urlsplit(path).path if is_remote(path) else path
    if place.rstrip("/").endswith(".zarr"):
        return True
    if is_remote(path):
        return ".zarr/" in place and "." not in place.rstrip("/").rpartition("/")[2]
    return any((Path(path) / name).exists() for name in ("zarr.json", ".zgroup", ".zmetadata"))


def shown(rows: slice, columns: slice) -> str:
    """Name a window in a message."""
    return f"rows {rows.start} to {rows.stop - 1}, columns {columns.start} to {columns.stop - 1}"
