"""What can be searched for, and whether an item is it: the reference that each backend's own search must agree with."""

from __future__ import annotations

import difflib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pystac
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from modelstac.catalog.errors import InvalidItemError, InvalidQueryError
from modelstac.catalog.formats import FORMATS
from modelstac.catalog.geometry import boxes_meet
from modelstac.catalog.mlm import FRAMEWORKS, TASKS, one_line
from modelstac.catalog.versions import parse_range, version_in

_BACKENDS = ("jax", "tensorflow", "torch")

# Field of the query → property of the item, for those that must be equal (case does not matter).
EQUAL_FIELDS = {
    "framework": "mlm:framework",
    "backend": "interop:backend",
    "format": "interop:format",
    "architecture": "mlm:architecture",
    "name": "mlm:name",
}
VERSION_FIELDS = {
    "framework_version": "mlm:framework_version",
    "backend_version": "interop:backend_version",
    "version": "version",
}
_KNOWN_VALUES = {"framework": FRAMEWORKS, "backend": _BACKENDS, "format": tuple(FORMATS), "task": TASKS}


class Query(BaseModel):
    """A search; fields that are not set ask for nothing.

    Parameters
    ----------
    ids, collections
        Item ids and model names, any of them.
    text
        Words that must all occur in id, title, description or keywords.
    bbox
        (west, south, east, north) in degrees, or with heights as six numbers.
    datetime
        A moment or an interval of RFC 3339, such as ``2010-08-26T00:00:00Z/..``; a day alone means the whole day.
    framework, backend, format, architecture, name
        Equal to what the item says, whatever the case.
    framework_version, backend_version, version
        Ranges such as ``>=2.7,<3``.
    task
        One of the tasks of MLM.
    limit
        At most so many items.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    ids: tuple[str, ...] | None = None
    collections: tuple[str, ...] | None = None
    text: str | None = None
    bbox: tuple[float, ...] | None = None
    datetime: str | None = None
    framework: str | None = None
    framework_version: str | None = None
    backend: str | None = None
    backend_version: str | None = None
    format: str | None = None
    task: str | None = None
    architecture: str | None = None
    name: str | None = None
    version: str | None = None
    limit: int | None = Field(default=None, ge=1)

    if not TYPE_CHECKING:  # a type checker should see the constructor that pydantic derives from the fields

        def __init__(self, **fields: Any) -> None:
            for field in fields:
                if field not in type(self).model_fields:
                    raise InvalidQueryError(f"unknown search field {field!r}{_nearest(field, type(self).model_fields)}")
            try:
                super().__init__(**fields)
            except ValidationError as error:
                raise InvalidQueryError(f"the search is malformed: {one_line(error)}") from error

    @field_validator("ids", "collections", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("datetime", mode="before")
    @classmethod
    def _from_datetime(cls, value: Any) -> Any:
        if isinstance(value, datetime):
            return _rfc3339(value)
        if isinstance(value, (tuple, list)) and len(value) == 2:
            return "/".join(".." if v is None else _rfc3339(v) if isinstance(v, datetime) else str(v) for v in value)
        return value

    @field_validator("bbox")
    @classmethod
    def _box(cls, value: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if value is None:
            return None
        half = len(value) // 2
        if len(value) not in {4, 6}:
            raise ValueError("west, south, east, north are needed (or six numbers with heights)")
        if not (-90 <= value[1] <= value[half + 1] <= 90 and all(-180 <= value[i] <= 180 for i in (0, half))):
            raise ValueError(f"{value} is not west, south, east, north in degrees")
        return value

    @model_validator(mode="after")
    def _understood(self) -> Query:
        for field in VERSION_FIELDS:
            if (wanted := getattr(self, field)) is not None:
                parse_range(wanted)
        if self.datetime is not None:
            interval(self.datetime)
        return self

    def check_values(self, known: dict[str, set[str]] | None = None) -> None:
        """Refuse a framework, backend, format or task that nobody knows, with the nearest known ones.

        Parameters
        ----------
        known
            Values that occur in a catalog beside the usual ones, by query field.
        """
        for field, usual in _KNOWN_VALUES.items():
            wanted = getattr(self, field)
            values = {*usual, *(known or {}).get(field, ())}
            if wanted is not None and wanted.casefold() not in {value.casefold() for value in values}:
                raise InvalidQueryError(f"unknown {field} {wanted!r}{_nearest(wanted, values)}")

    def matches(self, item: pystac.Item) -> bool:
        """Tell whether an item is searched for."""
        properties = item.properties
        return (
            (self.ids is None or item.id in self.ids)
            and (self.collections is None or item.collection_id in self.collections)
            and all(self._equal(field, properties.get(name)) for field, name in EQUAL_FIELDS.items())
            and all(self._in_range(field, properties.get(name)) for field, name in VERSION_FIELDS.items())
            and (self.task is None or self.task.casefold() in properties.get("mlm:tasks", ()))
            and (self.bbox is None or (item.bbox is not None and boxes_meet(self.bbox, item.bbox)))
            and (self.datetime is None or _meets(item, self.datetime))
            and (self.text is None or _says(item, self.text))
        )

    def _equal(self, field: str, found: Any) -> bool:
        wanted = getattr(self, field)
        return wanted is None or (isinstance(found, str) and found.casefold() == wanted.casefold())

    def _in_range(self, field: str, found: Any) -> bool:
        wanted = getattr(self, field)
        try:
            return wanted is None or (isinstance(found, str) and version_in(found, wanted))
        except InvalidItemError:
            # An item written by others may name anything as its version; it lies in no range then.
            return False


def _nearest(name: str, known: Any) -> str:
    by_folded = {value.casefold(): value for value in known}
    near = [by_folded[n] for n in difflib.get_close_matches(name.casefold(), by_folded, n=3, cutoff=0.5)]
    if near:
        return ": did you mean " + " or ".join(repr(n) for n in near) + "?"
    return f"; known: {', '.join(sorted(known))}"


def _rfc3339(value: datetime) -> str:
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).isoformat()


def interval(text: str) -> tuple[datetime, datetime]:
    """Return first and last moment of an RFC 3339 moment or interval; ``..`` or nothing leaves an end open.

    Raises
    ------
    InvalidQueryError
        If it is neither.
    """
    first, slash, last = text.partition("/")
    start = _moment(first, text, end=False)
    stop = _moment(last if slash else first, text, end=True)
    if (not slash and first in {"", ".."}) or start > stop:
        raise InvalidQueryError(
            f"datetime {text!r} is no interval: something like 2010-08-26T00:00:00Z/2010-08-27T00:00:00Z is needed"
        )
    return start, stop


def _moment(text: str, whole: str, *, end: bool) -> datetime:
    if text in {"", ".."}:
        return (datetime.max if end else datetime.min).replace(tzinfo=UTC)
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidQueryError(
            f"datetime {whole!r} cannot be read: something like 2010-08-26T00:00:00Z or 2010-08-26/.. is needed"
        ) from error
    if end and len(text) == len("2010-08-26"):
        found = found.replace(hour=23, minute=59, second=59, microsecond=999_999)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _meets(item: pystac.Item, wanted: str) -> bool:
    start, stop = interval(wanted)
    first = item.common_metadata.start_datetime or item.datetime
    last = item.common_metadata.end_datetime or item.datetime
    return first is not None and last is not None and first <= stop and last >= start


def _says(item: pystac.Item, text: str) -> bool:
    properties = item.properties
    said = [item.id, properties.get("title"), properties.get("description"), *properties.get("keywords", ())]
    everything = " ".join(part for part in said if isinstance(part, str)).casefold()
    return all(word in everything for word in text.casefold().split())
