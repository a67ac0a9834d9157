"""What OpenAPI says of routes: what those that write take (the checks are in ``incoming.py``), and their ids."""

from __future__ import annotations

import warnings
from typing import Any

from fastapi import FastAPI

_STRING, _OBJECT = {"type": "string"}, {"type": "object"}
_LINK = {"type": "object", "properties": {"rel": _STRING, "href": _STRING}, "required": ["rel", "href"]}
_ASSET = {"type": "object", "properties": {"href": _STRING}, "required": ["href"]}
_COMMON = {
    "stac_version": {"type": "string", "enum": ["1.1.0"]},
    "stac_extensions": {"type": "array", "items": _STRING},
    "id": _STRING,
    "links": {"type": "array", "items": _LINK},
}
_ITEM = {
    "type": "object",
    "properties": _COMMON
    | {
        "type": {"type": "string", "enum": ["Feature"]},
        "collection": _STRING,
        "geometry": _OBJECT,
        "bbox": {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 6},
        "properties": _OBJECT,
        "assets": {"type": "object", "additionalProperties": _ASSET},
    },
    "required": ["type", "stac_version", "id", "geometry", "bbox", "properties", "links", "assets"],
}
_COLLECTION = {
    "type": "object",
    "properties": _COMMON
    | {
        "type": {"type": "string", "enum": ["Collection"]},
        "title": _STRING,
        "description": _STRING,
        "license": _STRING,
        "extent": _OBJECT,
        "summaries": _OBJECT,
        "interop:aliases": {"type": "object", "additionalProperties": _STRING},
    },
    "required": ["type", "stac_version", "id", "description", "license", "extent", "links"],
}
_FEATURES = {
    "type": "object",
    "properties": {
        "type": {"type": "string", "enum": ["FeatureCollection"]},
        "features": {"type": "array", "items": _ITEM},
    },
    "required": ["type", "features"],
}
_BULK = {
    "type": "object",
    "properties": {"items": {"type": "object", "additionalProperties": _ITEM}},
    "required": ["items"],
}
_OPERATION = {
    "type": "object",
    "properties": {
        "op": {"type": "string", "enum": ["add", "remove", "replace", "move", "copy", "test"]},
        "path": _STRING,
        "from": _STRING,
        "value": {},
    },
    "required": ["op", "path"],
}
BYTES = {"requestBody": {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}}


def request_body(method: str, path: str) -> dict[str, Any] | None:
    """Return what a route of the Transaction extension takes; None when it takes nothing."""
    content: dict[str, Any]
    if method == "DELETE":
        return None
    if method == "PATCH":
        content = {
            "application/merge-patch+json": {"schema": _OBJECT},
            "application/json-patch+json": {"schema": {"type": "array", "items": _OPERATION}},
        }
    elif path == "/bulk_items":
        content = {"application/x-ndjson": {"schema": {"type": "array", "items": _ITEM}}}
    elif path.endswith("/bulk_items"):
        content = {"application/json": {"schema": _BULK}}
    elif path.endswith("/items"):
        content = {"application/geo+json": {"schema": {"anyOf": [_ITEM, _FEATURES]}}}
    elif "/items/" in path:
        content = {"application/geo+json": {"schema": _ITEM}}
    else:
        content = {"application/json": {"schema": _COLLECTION}}
    return {"requestBody": {"required": True, "content": content}}


def give_ids(app: FastAPI) -> None:
    """Have each operation named by its own method: FastAPI gives all those of a route the same id, and warns of it."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Duplicate Operation ID")
            document = made()
        for operations in document["paths"].values():
            for method, operation in operations.items():
                name, _, last = operation["operationId"].rpartition("_")
                operation["operationId"] = f"{name if last in operations else operation['operationId']}_{method}"
        return document

    app.openapi = openapi  # type: ignore[method-assign] # as FastAPI's documentation says
