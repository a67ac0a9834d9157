"""What can be searched for, as a JSON schema; the same list makes pgstac's queryables and indexes."""

from __future__ import annotations

from typing import Any

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
    "interop:job": {"title": "Digest of the job that made it"} | _STRING,
}
# pgstac has its own for id, collection, geometry and datetime.
INDEXED = (
    "mlm:framework",
    "interop:framework_version_key",
    "interop:backend",
    "interop:backend_version_key",
    "interop:format",
    "mlm:architecture",
    "version",
)


def queryables(address: str) -> dict[str, Any]:
    """Return the queryables document that is served at ``address``."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": address,
        "type": "object",
        "title": "Queryables",
        "description": "Names for filter, query and sortby; any other mlm:* or interop:* property works too.",
        "properties": PROPERTIES,
        "additionalProperties": True,
    }
