"""What can be searched for, as a JSON schema; the same list makes pgstac's queryables and indexes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from modelstac.catalog.search.sql.schema import may_be_searched

_STRING, _NUMBER, _BOOLEAN = {"type": "string"}, {"type": "number"}, {"type": "boolean"}
_STRINGS = {"type": "array", "items": _STRING}
_MOMENT = {"type": "string", "format": "date-time"}

PROPERTIES: dict[str, dict[str, Any]] = {
    "id": {"title": "Item id"} | _STRING,
    "collection": {"title": "Model"} | _STRING,
    "geometry": {"title": "Where it was trained", "$ref": "https://geojson.org/schema/Geometry.json"},
    "datetime": {"title": "When its training data are from"} | _MOMENT,
    "start_datetime": {"title": "First training data"} | _MOMENT,
    "end_datetime": {"title": "Last training data"} | _MOMENT,
    "created": {"title": "Published"} | _MOMENT,
    "updated": {"title": "Changed"} | _MOMENT,
    "title": {"title": "Title"} | _STRING,
    "description": {"title": "Description"} | _STRING,
    "keywords": {"title": "Keywords"} | _STRINGS,
    "license": {"title": "Licence"} | _STRING,
    "version": {"title": "Version of the model"} | _STRING,
    "interop:version_key": {"title": "Version of the model, sortable"} | _STRING,
    "deprecated": {"title": "Deprecated"} | _BOOLEAN,
    "mlm:name": {"title": "Name of the model"} | _STRING,
    "mlm:architecture": {"title": "Architecture"} | _STRING,
    "mlm:tasks": {"title": "Tasks"} | _STRINGS,
    "mlm:framework": {"title": "Framework"} | _STRING,
    "mlm:framework_version": {"title": "Version of the framework"} | _STRING,
    "mlm:total_parameters": {"title": "Parameters"} | _NUMBER,
    "mlm:memory_size": {"title": "Memory (bytes)"} | _NUMBER,
    "mlm:pretrained": {"title": "Pretrained"} | _BOOLEAN,
    "mlm:accelerator": {"title": "Accelerator"} | _STRING,
    "interop:variant": {"title": "Variant"} | _STRING,
    "interop:format": {"title": "File format"} | _STRING,
    "interop:precision": {"title": "Precision of a converted model"} | _STRING,
    "interop:backend": {"title": "Backend of a Keras model"} | _STRING,
    "interop:backend_version": {"title": "Version of the backend"} | _STRING,
    "interop:framework_version_key": {"title": "Version of the framework, sortable"} | _STRING,
    "interop:backend_version_key": {"title": "Version of the backend, sortable"} | _STRING,
    "interop:parity.max_absolute_difference": {"title": "Largest difference from its source"} | _NUMBER,
    "interop:region": {"title": "Place of the training data"} | _STRING,
    "interop:months": {"title": "Months of the training data"} | {"type": "array", "items": {"type": "integer"}},
    "interop:job": {"title": "Digest of the job that made it"} | _STRING,
}
# For searches by pgstac itself, too, which has its own for id, collection, geometry and datetime.
INDEXED = (
    "mlm:framework",
    "interop:framework_version_key",
    "interop:backend",
    "interop:backend_version_key",
    "interop:format",
    "mlm:architecture",
    "version",
)


SCORES = "interop:scores"
# What is asked of the parts of inputs and outputs, where the search knows these names.
_PARTS = {
    "classes": {"title": "Names of classes of the outputs"} | _STRINGS,
    "bands": {"title": "Names of bands of the inputs"} | _STRINGS,
}
LOOKED_AT, MOST_SCORES = 2_000, 500
"""Of so many items the scores are looked for, so that a large catalog does not take longer; so many are told."""
# What of a collection can be sorted by.
_OF_COLLECTIONS = ("id", "title", "description", "license")
_SCHEMA = {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object"}


def queryables(address: str, scores: Iterable[str] = ()) -> dict[str, Any]:
    """Return the queryables document that is served at ``address``.

    Parameters
    ----------
    scores
        Names of the scores that items have.
    """
    return _SCHEMA | {
        "$id": address,
        "title": "Queryables",
        "description": "Names for filter, query and sortby; any other of an extension (eo:*, landsat:*) works too.",
        "properties": PROPERTIES | {n: _PARTS[n] for n in _PARTS if may_be_searched(n)} | _scores(scores),
        "additionalProperties": True,
    }


def sortables(address: str, scores: Iterable[str] = ()) -> dict[str, Any]:
    """Return the sortables document of items, which is served at ``address``: what is text, number or time."""
    kinds = {"string", "number", "boolean"}
    properties = {name: schema for name, schema in PROPERTIES.items() if schema.get("type") in kinds}
    return _sortables(address, properties | _scores(scores)) | {"additionalProperties": True}


def of_collections(address: str) -> dict[str, Any]:
    """Return the sortables document of collections, which is served at ``address``."""
    return _sortables(address, {name: PROPERTIES[name] for name in _OF_COLLECTIONS}) | {"additionalProperties": False}


def _sortables(address: str, properties: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return _SCHEMA | {
        "$id": address,
        "title": "Sortables",
        "description": "Names for sortby; a - before one sorts downwards, and what is missing comes last either way.",
        "properties": properties,
    }


def _scores(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    found = {f"{SCORES}.{name}": {"title": f"Score {name}"} | _NUMBER for name in sorted(names)}
    return {name: schema for name, schema in found.items() if may_be_searched(name)}
