"""What bands of a raster are called: by its descriptions, tags and colours, or by the name of its file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from modelstac.registry.running.bands import COMMON_NAMES, Band
from modelstac.registry.scenes.reading.finding.sentinel import named, of_file_name

if TYPE_CHECKING:
    import numpy as np
    from rasterio.io import DatasetReader

_IN_NAME = re.compile(r"(?:^|[_.\- ])(B\d{1,2}A?)(?=[_.\- ]|$)", re.IGNORECASE)
_COUNTED = re.compile(r"b?([1-9]\d*)|(?i:band)[ _]?([1-9]\d*)")
_WORDS = re.compile(r"[A-Za-z]+\d*")
_DATE = re.compile(
    r"(?<!\d)((?:19|20)\d{2})[-_.]?(0[1-9]|1[0-2])[-_.]?(0[1-9]|[12]\d|3[01])(?:T?(\d{2})(\d{2})(\d{2}))?(?!\d)"
)
_DAY_OF_YEAR = re.compile(r"(?:\.A?|doy)((?:19|20)\d{2})([0-3]\d{2})(?:T(\d{2})(\d{2})(\d{2}))?(?!\d)")
"""Dates as MODIS, VIIRS and HLS have them: A2023152, 2023152T102021."""


def file_name(path: str) -> str:
    """Return the last part of a path or URL."""
    return PurePosixPath(urlsplit(path).path if "://" in path else path).name


def are_counted(names: Sequence[str]) -> bool:
    """Tell whether names are numbers of bands, b1 or Band 1 and so on, as programs write them: no sensor has them."""
    return len(names) > 1 and [counted(name) for name in names] == [*range(1, len(names) + 1)]


def counted(name: str) -> int | None:
    """Return the number that a program gave a band in place of a name; None if it is a name."""
    match = _COUNTED.fullmatch(name)
    return int(match[1] or match[2]) if match else None


def of_file(dataset: DatasetReader, path: str) -> list[Band]:
    """Return what is known of the bands of a file; of one of one band its name says which."""
    found = []
    counted = are_counted([description or "" for description in dataset.descriptions])
    elements = _elements(dataset) if dataset.driver == "GRIB" else [""] * dataset.count
    for number, element in enumerate(elements, 1):
        tags = _lowered(dataset.tags(number)) | _lowered(dataset.tags(number, ns="IMAGERY"))
        said = element or dataset.descriptions[number - 1] or tags.get("name") or tags.get("band_name") or ""
        name = "" if counted else said.strip()
        if not name and dataset.count == 1:
            name = by_file_name(path)
        common = tags.get("common_name", "")
        colour = dataset.colorinterp[number - 1].name
        if not common and not name and colour in COMMON_NAMES:
            common = colour
        centre = _number(tags, "central_wavelength_um", "center_wavelength", "wavelength")
        width = _number(tags, "fwhm_um", "full_width_half_max", "fwhm")
        if centre is not None and centre > 100:  # nanometres
            centre, width = centre / 1e3, None if width is None else width / 1e3
        found.append(Band(name, common, centre, width))
    return [named(band) for band in found] if of_file_name(file_name(path)) else found


def _elements(dataset: DatasetReader) -> list[str]:
    """Name the bands of a GRIB by what was measured, and where one was at several levels, by both."""
    found = [
        tuple(dataset.tags(n).get(f"GRIB_{key}", "") for key in ("ELEMENT", "SHORT_NAME")) for n in dataset.indexes
    ]
    levels = {element: len({other[1] for other in found if other[0] == element}) for element, _ in found}
    return [f"{element} {level}" if levels[element] > 1 else element for element, level in found]


def times_of_file(dataset: DatasetReader, path: str) -> list[np.datetime64 | None]:
    """Return when each band of a file was taken, or is forecast for; None where neither it nor its name says so."""
    import numpy as np

    named = time_in_name(path)
    said = [dataset.tags(number).get("GRIB_VALID_TIME", "").split() for number in dataset.indexes]
    return [np.datetime64(int(found[0]), "s") if found and found[0].isdigit() else named for found in said]


def by_file_name(path: str) -> str:
    """Return the band that a file of one is named by, or its whole name without ending."""
    name = file_name(path)
    if (tile := of_file_name(name)) is not None:
        return tile[0]
    stem = name.rsplit(".", 1)[0]
    if marks := _IN_NAME.findall(stem):
        return str(marks[-1]).upper()
    words = [word for word in _WORDS.findall(stem.casefold()) if word in COMMON_NAMES]
    return words[-1] if len(words) == 1 else stem


def time_in_name(path: str) -> np.datetime64 | None:
    """Return the first date of a file's name, with its time if it has one; None if there is none."""
    import numpy as np

    name = file_name(path)
    if (match := _DATE.search(name) or _DAY_OF_YEAR.search(name)) is None:
        return None
    *day, hour, minute, second = match.groups()
    try:
        date = datetime.strptime("".join(day), "%Y%m%d" if len(day) == 3 else "%Y%j")
        return np.datetime64(date.replace(hour=int(hour or 0), minute=int(minute or 0), second=int(second or 0)), "s")
    except ValueError:  # the 31st of February
        return None


def _lowered(tags: Mapping[str, Any]) -> dict[str, str]:
    return {key.casefold(): str(value) for key, value in tags.items()}


def _number(tags: Mapping[str, str], *keys: str) -> float | None:
    for key in keys:
        try:
            return float(tags[key].split()[0])
        except (KeyError, IndexError, ValueError):
            continue
    return None
