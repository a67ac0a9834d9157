"""Whether an item is what a query asks for: the reference that each backend's own search must agree with."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from modelstac.catalog.errors import InvalidItemError
from modelstac.catalog.items.geometry import boxes_meet
from modelstac.catalog.items.identity import ALIASES
from modelstac.catalog.items.versions import parse_version, version_in
from modelstac.catalog.search.query import EQUAL_FIELDS, VERSION_FIELDS, Query
from modelstac.catalog.search.ranges import fold, interval, number_range, requirements, terms
from modelstac.catalog.search.spellings import canonical

if TYPE_CHECKING:
    import pystac

PARITY = "interop:parity"
VERIFIED, DIFFERENCE = "interop:verified", "max_absolute_difference"


def matches(query: Query, item: pystac.Item) -> bool:
    """Tell whether an item is searched for."""
    properties = item.properties
    return (
        (query.ids is None or item.id in query.ids)
        and (query.collections is None or item.collection_id in query.collections)
        and all(_equal(field, getattr(query, field), properties.get(name)) for field, name in EQUAL_FIELDS.items())
        and all(_in_range(getattr(query, field), properties.get(name)) for field, name in VERSION_FIELDS.items())
        and (query.task is None or fold(query.task) in map(fold, properties.get("mlm:tasks", ())))
        and (query.alias is None or query.alias in properties.get(ALIASES, ()))
        and (query.deprecated is None or query.deprecated == bool(properties.get("deprecated")))
        and (query.parameters is None or _counts(query.parameters, properties.get("mlm:total_parameters")))
        and (query.parity is None or _agrees(query.parity, properties.get(PARITY)))
        and (
            (query.runs_with is None and query.runs_within is None)
            or runs_with(properties.get(VERIFIED), query.runs_with or (), query.runs_within)
        )
        and (query.bbox is None or (item.bbox is not None and boxes_meet(query.bbox, item.bbox)))
        and (query.datetime is None or _meets(item, query.datetime))
        and (query.text is None or says(searched_text(item.to_dict(transform_hrefs=False)), query.text))
        and (query.intersects is None or _touches(query.intersects, item.geometry))
        and (query.filter is None or _passes(query.filter, item))
    )


def says(text: str, wanted: str) -> bool:
    """Tell whether a folded text has all words of one of the alternatives that are searched for."""
    alternatives = terms(wanted)
    return not alternatives or any(all(word in text for word in words) for words in alternatives)


def searched_text(document: dict[str, Any]) -> str:
    """Return the text in which free text is looked for: id, title, description and keywords, case folded."""
    properties = document["properties"]
    said = [document["id"], properties.get("title"), properties.get("description"), *(properties.get("keywords") or ())]
    return " ".join(part for part in said if isinstance(part, str)).casefold()


def runs_with(verified: Any, wanted: tuple[str, ...], within: float | None = None) -> bool:
    """Tell whether one of the verified environments has all the packages wanted, in versions within their ranges.

    Parameters
    ----------
    within
        What the model may have differed by there; an environment that does not say does not count then.
    """
    asked = requirements(wanted)
    environments = [e for e in verified if isinstance(e, dict)] if isinstance(verified, list) else []
    return any(
        all(_in_environment(environment, name, specifier) for name, specifier in asked)
        and (within is None or _is_within(environment.get(DIFFERENCE), within))
        for environment in environments
    )


def _is_within(difference: Any, limit: float) -> bool:
    return isinstance(difference, (int, float)) and not isinstance(difference, bool) and difference <= limit


def _in_environment(environment: dict[str, Any], name: str, specifier: Any) -> bool:
    packages = environment.get("packages")
    if name == "python":
        found = environment.get("python")
    else:
        found = packages.get(name) if isinstance(packages, dict) else None
    try:
        return isinstance(found, str) and specifier.contains(parse_version(found), prereleases=True)
    except InvalidItemError:
        return False


def _equal(field: str, wanted: str | None, found: Any) -> bool:
    if wanted is None or not isinstance(found, str):
        return wanted is None
    return fold(canonical(found) if field == "framework" else found) == fold(wanted)


def _in_range(wanted: str | None, found: Any) -> bool:
    return wanted is None or (isinstance(found, str) and in_range(found, wanted))


def in_range(version: str, wanted: str) -> bool:
    """Tell whether a version lies in a range; what is no version, which others may have written, lies in none."""
    try:
        return version_in(version, wanted)
    except InvalidItemError:
        return False


def _counts(wanted: str, found: Any) -> bool:
    return isinstance(found, (int, float)) and all(
        compare(found, number) for compare, _, number in number_range(wanted)
    )


def _agrees(wanted: float, parity: Any) -> bool:
    return isinstance(parity, dict) and bool(parity.get("max_absolute_difference", float("inf")) <= wanted)


def moments(document: dict[str, Any]) -> tuple[datetime, datetime] | None:
    """Return first and last moment of an item, None when it has none."""
    properties = document["properties"]
    first = properties.get("start_datetime") or properties.get("datetime")
    last = properties.get("end_datetime") or properties.get("datetime")
    if not isinstance(first, str) or not isinstance(last, str):
        return None
    return interval(first)[0], interval(last)[0]


def _meets(item: pystac.Item, wanted: str) -> bool:
    start, stop = interval(wanted)
    found = moments(item.to_dict(transform_hrefs=False))
    return found is not None and found[0] <= stop and found[1] >= start


def _touches(wanted: dict[str, Any], geometry: dict[str, Any] | None) -> bool:
    from shapely.geometry import shape

    return geometry is not None and bool(shape(wanted).intersects(shape(geometry)))


def _passes(wanted: str | dict[str, Any], item: pystac.Item) -> bool:
    import cql2

    expression = cql2.Expr(wanted)
    document = json.loads(json.dumps(item.to_dict(transform_hrefs=False)))
    try:
        return bool(expression.matches(document))
    except Exception:  # noqa: BLE001 - cql2 raises plain Exception for what SQL calls null
        return False
