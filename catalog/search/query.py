"""What can be searched for: the one form in which every backend, the command line and the server take a search."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from modelstac.catalog.errors import InvalidQueryError
from modelstac.catalog.items.formats import FORMATS
from modelstac.catalog.items.mlm.names import FRAMEWORKS, TASKS
from modelstac.catalog.items.versions import parse_range
from modelstac.catalog.later import needing
from modelstac.catalog.search import values
from modelstac.catalog.search.ranges import fold, interval, nearest, number_range, requirements

_MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_BACKENDS = ("jax", "tensorflow", "torch")

# Field of the query → property of the item, for those that must be equal (case does not matter).
EQUAL_FIELDS = {
    "framework": "mlm:framework",
    "backend": "interop:backend",
    "format": "interop:format",
    "precision": "interop:precision",
    "architecture": "mlm:architecture",
    "name": "mlm:name",
}
VERSION_FIELDS = {
    "framework_version": "mlm:framework_version",
    "backend_version": "interop:backend_version",
    "version": "version",
}
_FRAMEWORKS = tuple({*FRAMEWORKS, *(known.framework for known in FORMATS.values())})
_KNOWN_VALUES = {
    "framework": _FRAMEWORKS,
    "backend": _BACKENDS,
    "format": tuple(FORMATS),
    "precision": ("bf16", "fp16", "fp32", "int8"),
    "task": TASKS,
}
_TAKEN: Mapping[str, Callable[[Any], Any]] = MappingProxyType(
    {
        **dict.fromkeys(("ids", "collections", "runs_with", "sortby", "fields"), values.texts),
        **dict.fromkeys(("text", "backend", "format", "precision", "task", "architecture", "name"), values.text),
        **dict.fromkeys(("framework_version", "backend_version", "version", "alias", "parameters"), values.text),
        **dict.fromkeys(("token", "license", "region"), values.text),
        **dict.fromkeys(("classes", "bands", "months"), values.nothing),
        **dict.fromkeys(("parity", "runs_within"), values.distance),
        "bbox": values.box,
        "datetime": values.time,
        "framework": values.framework,
        "deprecated": values.truth,
        "intersects": values.geometry,
        "filter": values.expression,
        "limit": values.count,
    }
)
"""What each field takes, beside None where it is not set by default."""


@dataclass(frozen=True, kw_only=True)
class Query:
    """A search; fields that are not set ask for nothing.

    Parameters
    ----------
    ids, collections
        Item ids and model names, any of them.
    text
        Words that must all occur in id, title, description or keywords; commas separate alternatives.
    bbox
        (west, south, east, north) in degrees, or with heights as six numbers, which are not looked at; west beyond east
        crosses the antimeridian. It must meet the item's own box.
    datetime
        A moment or an interval of RFC 3339, such as ``2010-08-26T00:00:00Z/..``; a day, week (``2010-W34``), month or
        year is all of it, as the end of an interval, too.
    framework, backend, format, precision, architecture, name
        Equal to what the item says, whatever the case; a framework however it is spelled (``pytorch``, ``torch``).
    framework_version, backend_version, version
        Ranges such as ``>=2.7,<3``.
    task
        One of the tasks of MLM.
    alias
        What points to the item, such as ``champion``.
    deprecated
        True for deprecated items only, False for the others only.
    parameters
        Range of the number of parameters, such as ``<2e6``.
    parity
        Largest absolute difference from its source that a converted model may have; only models with a parity report.
    runs_with
        Requirements such as ``torch>=2.7``, ``torch 2.7`` (any 2.7) or ``python>=3.12`` that one environment, in which
        the item was verified, meets.
    runs_within
        Largest absolute difference from the forecast of the environment that wrote the item that this environment (or
        any, without ``runs_with``) may have given.
    intersects
        A GeoJSON geometry, or its JSON text, that the item's geometry shares a point with.
    classes, bands, license, region, months
        Names of classes, of bands, of the licence (SPDX) and of the place of the training data, whatever the case, and
        months of its season (names or 1 to 12): all that are named. They are written into the filter.
    filter
        An expression of CQL2 over any ``mlm:*``, ``interop:*`` or common property, as text or as JSON.
    sortby
        Names to sort by, ``-`` before one for descending order; items without the property come last. Ties, and
        searches that name none, are sorted by id.
    fields
        What a page's documents should hold, such as ``properties.mlm:framework``; with ``-`` before it, what not.
    limit
        At most so many items; the size of a page.
    token
        Where to go on: the ``next`` of the page before.
    """

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
    precision: str | None = None
    task: str | None = None
    architecture: str | None = None
    name: str | None = None
    version: str | None = None
    alias: str | None = None
    deprecated: bool | None = None
    parameters: str | None = None
    parity: float | None = None
    runs_with: tuple[str, ...] | None = None
    runs_within: float | None = None
    intersects: dict[str, Any] | None = None
    classes: tuple[str, ...] | None = None
    bands: tuple[str, ...] | None = None
    license: str | None = None
    region: str | None = None
    months: tuple[int | str, ...] | None = None
    filter: str | dict[str, Any] | None = None
    sortby: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    limit: int | None = None
    token: str | None = None

    if not TYPE_CHECKING:  # a type checker should see the constructor that follows from the fields

        def __init__(self, **given: Any) -> None:
            for field in given:
                if field not in _TAKEN:
                    raise InvalidQueryError(f"unknown search field {field!r}{nearest(field, _TAKEN)}")
            given |= _said_of_items(given)
            try:
                vars(self).update(_taken(given))
                self._understand()
            except ValueError as error:
                raise InvalidQueryError(f"the search is malformed: {error}") from error

    def _understand(self) -> None:
        for field in VERSION_FIELDS:
            if (wanted := getattr(self, field)) is not None:
                parse_range(wanted)
        if self.datetime is not None:
            interval(self.datetime)
        if self.parameters is not None:
            number_range(self.parameters)
        if self.runs_with is not None:
            requirements(self.runs_with)

    def changed(self, **others: Any) -> Query:
        """Return the search with other values of some fields, which are of their types already."""
        made = object.__new__(type(self))
        vars(made).update(vars(self) | others)
        return made

    def asked(self) -> dict[str, Any]:
        """Return the fields that ask for something."""
        return {field: value for field, value in vars(self).items() if value != getattr(Query, field)}

    def unknown_values(self) -> list[str]:
        """Return the fields whose value is none of the usual ones; what a catalog holds may still have it."""
        wanted = {field: getattr(self, field) for field in _KNOWN_VALUES}
        return [
            f for f, value in wanted.items() if value is not None and fold(value) not in map(fold, _KNOWN_VALUES[f])
        ]

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
            if wanted is not None and fold(wanted) not in map(fold, values):
                raise InvalidQueryError(f"unknown {field} {wanted!r}{nearest(wanted, values)}")


def _taken(given: dict[str, Any]) -> dict[str, Any]:
    """Return values as their types; what is wrong is said of the first three fields."""
    found, wrong = {}, []
    for field, value in given.items():
        try:
            found[field] = None if value is None and getattr(Query, field) is None else _TAKEN[field](value)
        except ValueError as error:
            wrong.append(f"{field}: {error}")
    if wrong:
        more = f"; and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise ValueError("; ".join(wrong[:3]) + more)
    return found


def _said_of_items(fields: dict[str, Any]) -> dict[str, Any]:
    """Write what is asked of classes, bands, licence, region and months as conditions of CQL2 beside the filter."""
    lists = [(name, wanted) for name in ("classes", "bands") if (wanted := _listed(fields.get(name)))]
    texts = [(name, [fields[name]]) for name in ("license", "region") if fields.get(name) is not None]
    for name, wanted in (*lists, *texts):
        if odd := [one for one in wanted if not isinstance(one, str)]:
            raise InvalidQueryError(f"{name}={odd[0]!r} is no text, as which it is searched: write it in quotes")
    asked: list[Any] = [{"op": "a_contains", "args": [{"property": name}, wanted]} for name, wanted in lists]
    for name, searched in (("license", "license"), ("region", "interop:region")):
        if isinstance(found := fields.get(name), str):
            sides = [{"op": "casei", "args": [side]} for side in ({"property": searched}, found)]
            asked.append({"op": "=", "args": sides})
    if months := _listed(fields.get("months")):
        asked.append({"op": "a_contains", "args": [{"property": "interop:months"}, list(map(month, months))]})
    if not asked:
        return {}
    given = fields.get("filter")
    if isinstance(given, str) and given.strip():
        with needing("a filter"):
            import cql2

        try:
            given = cql2.parse_text(given).to_json()
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            raise InvalidQueryError(f"the filter is no CQL2: {reason}") from error
    if not isinstance(given, dict | None):
        raise InvalidQueryError(f"the filter {given!r} is neither text nor JSON of CQL2")
    parts = [*asked, given] if given else asked
    nothing = dict.fromkeys(("classes", "bands", "license", "region", "months"))
    return nothing | {"filter": parts[0] if len(parts) == 1 else {"op": "and", "args": parts}}


def _listed(found: Any) -> list[Any]:
    if found is None:
        return []
    return list(found) if isinstance(found, list | tuple | set | frozenset) else [found]


def month(said: Any) -> int:
    """Return the number of a month, of its number or its name in English.

    Raises
    ------
    InvalidQueryError
        If it is none.
    """
    text = str(said).strip().lower()
    numbers = [n for n, name in enumerate(_MONTHS, 1) if len(text) > 2 and name.startswith(text)]
    if text.isdecimal() and 1 <= int(text) <= len(_MONTHS):
        return int(text)
    if len(numbers) != 1:
        raise InvalidQueryError(f"{said!r} is no month: something like Jul or 7 is needed")
    return numbers[0]
