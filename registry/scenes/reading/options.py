"""What a user says of a scene, beside what it says of itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from modelstac.catalog.errors import DataError
from modelstac.catalog.search.ranges import interval
from modelstac.registry.running.labels.systems import parsed_crs

METHODS = ("nearest", "bilinear", "cubic", "lanczos", "average", "max")
"""How bands come onto a grid."""


@dataclass(frozen=True)
class Options:
    """What the user says of a scene; see :func:`open_source`."""

    bands: Any = None
    resampling: str | None = None
    grid: Any = None
    bbox: Sequence[float] | None = None
    datetime: str | None = None
    physical: bool | None = None
    scale: float | None = None
    offset: float | None = None
    nodata: float | None = None
    fill: float | None = None
    crs: Any = None
    skip_errors: bool = False

    def __post_init__(self) -> None:
        if self.resampling is not None and self.resampling not in METHODS:
            raise DataError(f"resampling is one of {', '.join(METHODS)}, not {self.resampling!r}")
        if self.bbox is not None and len(self.bbox) not in (4, 6):
            raise DataError(f"a box is west, south, east and north in degrees, not {list(self.bbox)}")
        if self.bbox is not None and not all(map(_is_number, self.bbox)):
            raise DataError(f"a box is four numbers in degrees: west, south, east and north, not {list(self.bbox)}")
        if self.datetime is not None:
            interval(str(self.datetime))
        if self.crs is not None and parsed_crs(self.crs) is None:
            raise DataError(
                f"crs {str(self.crs)[:60]!r} is no reference system known here: name one, such as EPSG:32633"
            )
        for name in ("scale", "offset", "nodata", "fill"):
            number = getattr(self, name)
            if number is not None and (not _is_number(number) or (name == "scale" and not number)):
                raise DataError(f"{name} is a number, not {number!r}")

    def to_json(self) -> dict[str, Any]:
        """Return what tells results apart that were made of the same files."""
        return {key: _plain(value) for key, value in vars(self).items() if value is not None and value is not False}


def _is_number(value: Any) -> bool:
    try:
        return isfinite(value)
    except TypeError:
        return False


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(one) for one in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)
