"""What a collection says of its items: extent and summaries, and where it was made from them, all the rest."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from modelstac.catalog.errors import InvalidItemError, ModelStacError
from modelstac.catalog.items.documents import (
    ROOT,
    VERSION_FIELDS,
    Document,
    collection_path,
    item_folder,
    link,
    relative,
)
from modelstac.catalog.items.geometry import covering_box, flat
from modelstac.catalog.items.identity import FROM_ITEMS
from modelstac.catalog.times import first_and_last

if TYPE_CHECKING:
    import pystac

_EVERYWHERE = (-180, -90, 180, 90)
# The last two of a collection that was made from items alone: these tell it from those that people wrote.
_OF_MODELS = ("mlm:framework", "mlm:architecture")
_SUMMARISED = (*_OF_MODELS, "interop:format", "interop:backend", "version")
_TASKS = "mlm:tasks"


def new_collection(name: str, properties: Document) -> Document:
    """Return the collection of a model whose first item, with these properties, is published."""
    import pystac

    return {
        "type": "Collection",
        "stac_version": pystac.get_stac_version(),
        "id": name,
        "title": properties.get("interop:model_title") or properties.get("title") or name,
        "description": properties.get("description") or name,
        "license": properties.get("license", "other"),
        "extent": {"spatial": {"bbox": []}, "temporal": {"interval": []}},
        "summaries": {},
        "links": [link("root", f"../{ROOT}"), link("parent", f"../{ROOT}")],
    }


def is_made_from_items(collection: Document) -> bool:
    """Tell whether all that a collection says was taken from items, as their versions in its summaries show."""
    summaries, extent = collection.get("summaries"), collection.get("extent")
    if isinstance(extent, dict) and extent.get("spatial") == {"bbox": []}:
        return True
    return isinstance(summaries, dict) and isinstance(summaries.get("version"), list)


def is_described(collection: Document) -> bool:
    """Tell whether somebody wrote another description of a collection than its items have."""
    return FROM_ITEMS in collection and collection.get("description") != collection[FROM_ITEMS]


def described(stored: Document, changed: Document) -> Document:
    """Return a collection that somebody changed, with what its items say: so it is known whose its description is."""
    before = stored.get("description")
    if FROM_ITEMS in changed or not all(map(is_made_from_items, (stored, changed))):
        return changed
    if FROM_ITEMS not in stored and changed.get("description") == before:
        return changed
    return changed | {FROM_ITEMS: stored.get(FROM_ITEMS, before)}


def with_item(
    collection: Document, item: pystac.Item, *, folder: str | None = None, path: str | None = None
) -> Document:
    """Return a collection that links to one more item, widened to it.

    Parameters
    ----------
    folder, path
        The item's folder and the collection's document, where they are not those of the layout.
    """
    here = path or collection_path(collection["id"])
    href = relative(f"{folder or item_folder(item)}/{item.id}.json", here)
    title = item.properties.get("title")
    wider = widened(collection, item.to_dict(transform_hrefs=False))
    version = {name: item.properties[name] for name in VERSION_FIELDS if name in item.properties}
    return wider | {"links": [*wider["links"], link("item", href, "application/geo+json", title) | version]}


def widened(collection: Document, *items: Document) -> Document:
    """Return a collection that says what it says of more items, too.

    One that was made from items takes extent, description (unless somebody wrote another), keywords, providers,
    licences and summaries from them; one that people wrote stays as it is, but for an extent that its items leave, and
    what its models are.

    Raises
    ------
    InvalidItemError
        If it is no collection of STAC, as one that was written by hand.
    """
    with of_stac(collection):
        if not is_made_from_items(collection):
            return _with_places(collection, items) | _summaries(collection, items, (*_OF_MODELS, _TASKS))
        return _made_from(collection, items)


@contextlib.contextmanager
def of_stac(collection: Document) -> Iterator[None]:
    """Say of a collection in which nothing is where STAC has it that it takes no items.

    Raises
    ------
    InvalidItemError
        With the reason.
    """
    try:
        yield
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        if isinstance(error, ModelStacError):
            raise
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:120]
        raise InvalidItemError(
            f"collection {collection.get('id')!r} takes no items, its extent, summaries or links are none of STAC's "
            f"({reason}): restore it from a copy"
        ) from error


def _made_from(collection: Document, items: Sequence[Document]) -> Document:
    said = [item["properties"] for item in items]
    linked = {found["href"] for found in collection["links"]}
    licences = {f["href"]: f for item in items for f in item["links"] if f["rel"] == "license"}
    descriptions = [properties["description"] for properties in said if properties.get("description")]
    description = (descriptions or [collection.get(FROM_ITEMS, collection["description"])])[-1]
    boxes = [item.get("bbox") or _EVERYWHERE for item in items]
    wider = collection | {
        "description": collection["description"] if is_described(collection) else description,
        FROM_ITEMS: description,
        "extent": reaching(collection["extent"], boxes, list(map(_interval, said))),
        "links": [*collection["links"], *(found for href, found in licences.items() if href not in linked)],
        "summaries": _summaries(collection, items, (*_SUMMARISED, _TASKS)).get("summaries", {}),
    }
    for name in ("keywords", "providers"):
        if values := union(collection.get(name, ()), _lists(said, name)):
            wider[name] = values
    return wider


def _with_places(collection: Document, items: Sequence[Document]) -> Document:
    """Return a collection whose extent holds its items; those that say no place or time are in it wherever it is."""
    boxes = [item["bbox"] for item in items if item.get("bbox")]
    intervals = [found for item in items if any(found := _interval(item["properties"]))]
    return collection | {"extent": reaching(collection["extent"], boxes, intervals)}


def _summaries(collection: Document, items: Sequence[Document], names: Iterable[str]) -> Document:
    """Return the summaries with the values of items; ranges, schemas and what else people summarise stay."""
    summaries = dict(collection.get("summaries") or {})
    for name in names:
        found = [item["properties"][name] for item in items if name in item["properties"]]
        values = _flat(found) if name == _TASKS else found
        if values and isinstance(known := summaries.get(name, []), list):
            summaries[name] = union(known, values)
    return {"summaries": summaries} if summaries or "summaries" in collection else {}


def reaching(extent: Document, boxes: Sequence[Sequence[float]], intervals: Sequence[Sequence[str | None]]) -> Document:
    """Return an extent that holds boxes and intervals, too; as it is where it did, heights and parts included."""
    parts, times = extent["spatial"]["bbox"], extent["temporal"]["interval"]
    whole = covering_box([*parts[:1], *boxes]) if parts or boxes else ()
    if whole and not (parts and whole == flat(parts[0])):
        parts = [list(whole), *parts[1:]]
    ends = [*times[:1], *intervals]
    if intervals:
        times = [[_open_or(min, [e[0] for e in ends]), _open_or(max, [e[1] for e in ends])], *times[1:]]
    return extent | {
        "spatial": extent["spatial"] | {"bbox": parts},
        "temporal": extent["temporal"] | {"interval": times},
    }


def _interval(properties: Document) -> list[str | None]:
    moment = properties.get("datetime")
    return [properties.get("start_datetime") or moment, properties.get("end_datetime") or moment]


def _lists(said: Iterable[Document], name: str) -> list[Any]:
    return _flat([properties.get(name) for properties in said])


def _flat(values: Iterable[Any]) -> list[Any]:
    # What others wrote in place of a list has nothing to add to one.
    return [one for value in values if isinstance(value, list | tuple) for one in value]


def _open_or(choose: Callable[..., str], moments: list[str | None]) -> str | None:
    # None is an open end, which no moment widens.
    return None if None in moments else choose([one for one in moments if one is not None], key=first_and_last)


def covering(collection: Document, items: Iterable[Document]) -> Document:
    """Return a collection that was made from items as these alone make it; any other, and one without, as it is.

    The newest is the last, in whatever order a store gives them.
    """
    if not is_made_from_items(collection):
        return collection
    with of_stac(collection):
        covered = sorted(items, key=lambda item: (str(item["properties"].get("created", "")), str(item["id"])))
    return widened(collection | _covering_nothing(), *covered) if covered else collection


def begun(collection: Document) -> Document:
    """Return a collection without items as its first one should find it.

    What it says of items is of those that were deleted; what somebody said of it who made it without any is kept.
    """
    return collection | _covering_nothing() if is_made_from_items(collection) else collection


def _covering_nothing() -> Document:
    return {"extent": {"spatial": {"bbox": []}, "temporal": {"interval": []}}, "summaries": {}}


def union(first: Iterable[Any], second: Iterable[Any]) -> list[Any]:
    """Return the values of both, each once, in their order."""
    merged, more = list(first), list(second)
    try:
        # Of texts, such as versions, there may be thousands.
        return list(dict.fromkeys(merged + more))
    except TypeError:  # of objects, such as providers, few
        texts = {value for value in merged if isinstance(value, str)}
        for value in more:
            if value not in (texts if isinstance(value, str) else merged):
                merged.append(value)
                texts.update([value] if isinstance(value, str) else [])
        return merged
