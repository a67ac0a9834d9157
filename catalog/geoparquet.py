"""All items of a catalog as one GeoParquet file, so that DuckDB, GeoPandas and stac-map read it.

Source: stac-geoparquet specification 1.1. Parquet wants one type a column: a field that is a number in one item and a
text in another is written as JSON text in all of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelstac.catalog.errors import CatalogError, InvalidItemError, MissingPackageError
from modelstac.catalog.items.documents import located
from modelstac.catalog.messages import Note, Report, ignore
from modelstac.catalog.search.ranges import rfc3339
from modelstac.catalog.times import first_and_last

if TYPE_CHECKING:
    from modelstac.catalog.base import Catalog

_TIMES = ("datetime", "start_datetime", "end_datetime", "created", "updated", "expires", "published", "unpublished")
_TYPED = ("type", "stac_version", "stac_extensions", "id", "geometry", "bbox", "collection")
_NOWHERE = {"type": "Polygon", "coordinates": []}
"""Of an item without a place; stac-geoparquet itself reads no geometry that lacks coordinates, and no null."""


@dataclass(frozen=True)
class Written:
    """What was written.

    Parameters
    ----------
    items
        How many.
    as_text
        Fields that are JSON text, as items do not agree what they are: ``properties.mlm:hyperparameters.depth``.
    """

    items: int
    as_text: tuple[str, ...]


def write_geoparquet(catalog: Catalog, path: Path, *, report: Report = ignore) -> Written:
    """Write all items of a catalog, one a row, with absolute hrefs; properties are columns.

    What one item of several does not say is null, as Parquet has it; an item without a place has an empty geometry.

    Parameters
    ----------
    catalog
        The catalog.
    path
        The file to write.
    report
        Gets a note for each item that cannot be read, and is left out.

    Raises
    ------
    MissingPackageError
        If stac-geoparquet is not installed.
    CatalogError
        If the catalog is empty.
    InvalidItemError
        If items cannot be written so.
    OSError
        If the file cannot be written.
    """
    try:
        import pyarrow as pa
        from stac_geoparquet import arrow
    except ModuleNotFoundError as error:
        raise MissingPackageError.extra(str(error.name), "geoparquet", "writing GeoParquet") from error

    documents = list(_timed(map(located, catalog.readable(report)), report))
    if not documents:
        raise CatalogError(f"{catalog.href} has no items: publish one before it is written as GeoParquet")
    solid = all(len(document.get("bbox") or ()) == 6 for document in documents)
    for document in documents:
        document["geometry"] = document.get("geometry") or _NOWHERE
        box = document.get("bbox") or _bounds(document["geometry"])
        # Of whole degrees alone Parquet would make a column of whole numbers, which GeoParquet takes for no boxes.
        document["bbox"] = list(map(float, box if solid or len(box) == 4 else [*box[:2], *box[3:5]]))
    as_text: list[str] = []
    for name in dict.fromkeys(name for document in documents for name in document if name not in _TYPED):
        saying = [document for document in documents if name in document]
        if all(document[name] == {} for document in saying):
            continue
        column = _one_type([document[name] for document in saying], name, as_text)
        for document, value in zip(saying, column, strict=True):
            document[name] = value
    collections = {
        found.id: found.to_dict(include_self_link=False, transform_hrefs=False) for found in catalog.collections()
    }
    try:
        table = arrow.parse_stac_items_to_arrow(documents)
        arrow.to_parquet(table, path, collections=collections, compression="zstd")
    except (pa.ArrowException, AssertionError, ValueError, TypeError, KeyError) as error:
        reason = " ".join(str(error).split())[:300]
        raise InvalidItemError(
            f"items of {catalog.href} cannot be written as GeoParquet ({reason}): 'modelstac check' finds what is odd"
        ) from error
    return Written(len(documents), tuple(as_text))


def _timed(documents: Iterable[dict[str, Any]], report: Report) -> Iterator[dict[str, Any]]:
    """Yield the items with their times as the moments of a column; a note names those whose times are none."""
    for document in documents:
        properties = document["properties"] = dict(document["properties"])
        for name in _TIMES:
            try:
                if (said := properties.get(name)) is not None:
                    properties[name] = rfc3339(first_and_last(said)[name == "end_datetime"])
            except (ArithmeticError, AttributeError, TypeError, ValueError):
                found = repr(said)[:60]
                report(Note(f"{document['id']} is left out: its {name} is {found}, and a time of RFC 3339 is needed"))
                break
        else:
            yield document


def _bounds(geometry: dict[str, Any]) -> list[float]:
    """Return the box of a geometry, of numbers that are none where it has no place."""
    import shapely

    return list(shapely.geometry.shape(geometry).bounds)


def _one_type(values: list[Any], where: str, as_text: list[str]) -> list[Any]:
    """Return values that Parquet holds in one column, JSON text where they are of several types."""
    there = [value for value in values if value is not None]
    if there and all(isinstance(value, dict) for value in there):
        names = list(dict.fromkeys(name for value in there for name in value))
        if names:
            return _fields(values, names, where, as_text)
    elif there and all(isinstance(value, list) for value in there):
        flat = iter(_one_type([one for value in there for one in value], f"{where}[]", as_text))
        return [None if value is None else [next(flat) for _ in value] for value in values]
    elif _is_one(there):
        return values
    as_text.append(where)
    return [None if value is None else json.dumps(value, ensure_ascii=False) for value in values]


def _fields(values: list[Any], names: list[str], where: str, as_text: list[str]) -> list[Any]:
    columns = {
        name: iter(
            _one_type(
                [value[name] for value in values if value is not None and name in value], f"{where}.{name}", as_text
            )
        )
        for name in names
    }
    return [None if value is None else {name: next(columns[name]) for name in value} for value in values]


def _is_one(values: list[Any]) -> bool:
    """Tell whether plain values are all truths, all texts, or all numbers that Parquet can hold."""
    kinds = {type(value) for value in values}
    if kinds <= {int, float}:
        most = 2**53 if float in kinds else 2**63 - 1  # a column of doubles holds no larger whole number
        return all(isinstance(value, float) or abs(value) <= most for value in values)
    return len(kinds) <= 1 and not kinds & {dict, list}
