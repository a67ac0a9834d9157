"""Whether an item is what a query asks for: the reference that each backend's own search must agree with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modelstac.catalog.items.geometry import boxes_meet
from modelstac.catalog.items.identity import ALIASES
from modelstac.catalog.later import needing
from modelstac.catalog.search.facts import in_range, moments, runs_with, says, searched_text
from modelstac.catalog.search.query import EQUAL_FIELDS, VERSION_FIELDS, Query
from modelstac.catalog.search.ranges import fold, interval, number_range
from modelstac.catalog.search.spellings import canonical, same_architecture
from modelstac.catalog.search.sql.judging import passes

if TYPE_CHECKING:
    import pystac

PARITY = "interop:parity"
VERIFIED = "interop:verified"


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


def _equal(field: str, wanted: str | None, found: Any) -> bool:
    if wanted is None or not isinstance(found, str):
        return wanted is None
    if field == "architecture":
        return same_architecture(found, wanted)
    return fold(canonical(found) if field == "framework" else found) == fold(wanted)


def _in_range(wanted: str | None, found: Any) -> bool:
    return wanted is None or (isinstance(found, str) and in_range(found, wanted))


def _counts(wanted: str, found: Any) -> bool:
    return isinstance(found, (int, float)) and all(
        compare(found, number) for compare, _, number in number_range(wanted)
    )


def _agrees(wanted: float, parity: Any) -> bool:
    return isinstance(parity, dict) and bool(parity.get("max_absolute_difference", float("inf")) <= wanted)


def _meets(item: pystac.Item, wanted: str) -> bool:
    start, stop = interval(wanted)
    found = moments(item.to_dict(transform_hrefs=False))
    return found is not None and found[0] <= stop and found[1] >= start


def _touches(wanted: dict[str, Any], geometry: dict[str, Any] | None) -> bool:
    with needing("a search by geometry"):
        from shapely.geometry import shape

    return geometry is not None and bool(shape(wanted).intersects(shape(geometry)))


def _passes(wanted: str | dict[str, Any], item: pystac.Item) -> bool:
    return passes(wanted, item.to_dict(transform_hrefs=False))
