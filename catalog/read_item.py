"""From a STAC item to the fields of a description."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pystac

from modelstac.catalog.digests import from_multihash
from modelstac.catalog.errors import InvalidItemError
from modelstac.catalog.formats import FORMATS
from modelstac.catalog.mlm import MODEL_ROLE
from modelstac.catalog.write_item import ITEM_ID_FIELD

_PLAIN_FIELDS = {
    "title": "title",
    "description": "description",
    "license": "license",
    "version": "version",
    "keywords": "keywords",
    "providers": "providers",
    "mlm:name": "name",
    "mlm:architecture": "architecture",
    "mlm:tasks": "tasks",
    "mlm:framework_version": "framework_version",
    "mlm:total_parameters": "parameters",
    "mlm:pretrained": "pretrained",
    "mlm:pretrained_source": "pretrained_source",
    "mlm:input": "inputs",
    "mlm:output": "outputs",
    "mlm:hyperparameters": "hyperparameters",
    "mlm:memory_size": "memory_size",
    "mlm:accelerator": "accelerator",
    "cube:dimensions": "cube_dimensions",
    "cube:variables": "cube_variables",
    "interop:variant": "variant",
    "interop:format": "format",
    "interop:backend": "backend",
    "interop:backend_version": "backend_version",
    "interop:model_title": "model_title",
    "interop:route": "route",
    "interop:parity": "parity",
    "interop:precision": "precision",
    "interop:timing": "timing",
    "interop:scores": "scores",
    "interop:job": "job",
}


def model_asset(item: pystac.Item) -> tuple[str, pystac.Asset]:
    """Return key and asset of the model file.

    Raises
    ------
    InvalidItemError
        If there is none, or more than one.
    """
    found = [(key, asset) for key, asset in item.assets.items() if MODEL_ROLE in (asset.roles or ())]
    if len(found) != 1:
        raise InvalidItemError(
            f"item {item.id!r} has {len(found)} assets with the role {MODEL_ROLE!r}: exactly one is needed, "
            "other variants are items of their own"
        )
    return found[0]


def local_path(href: str) -> Path | None:
    """Return the path that an absolute local href names, None for a URL of another place."""
    if href.startswith(("https://", "http://")):
        return None
    parts = urlsplit(href)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    # One letter before the colon is a drive of Windows.
    return None if len(parts.scheme) > 1 else Path(href)


def asset_href(asset: pystac.Asset) -> str:
    """Return where an asset is, as an absolute path or URL."""
    # pystac takes any address apart, and most lead to the web.
    if asset.href.startswith(("https://", "http://")):
        return asset.href
    return asset.get_absolute_href() or asset.href


def read_fields(item: pystac.Item) -> dict[str, Any]:
    """Return the fields of the description that an item holds (see :meth:`ModelDescription.from_item`)."""
    key, asset = model_asset(item)
    fields = {field: item.properties[name] for name, field in _PLAIN_FIELDS.items() if name in item.properties}
    fields |= {
        "geometry": item.geometry,
        "bbox": tuple(item.bbox or ()),
        "start": item.common_metadata.start_datetime or item.datetime,
        "end": item.common_metadata.end_datetime or item.datetime,
        "entrypoint": asset.extra_fields.get("mlm:entrypoint"),
        "sources": [_source(link) for link in item.get_links("derived_from")],
        "artifact": _place(asset),
        **_checksum(item.id, key, asset),
        "assets": {k: _extra_asset(item.id, k, a) for k, a in item.assets.items() if k != key},
    }
    fields.setdefault("format", _format(item, asset))
    fields.setdefault("pretrained", None)
    # A typed object is made of these; a field that is missing altogether is named there.
    expected = f"{fields.get('name')}-{fields.get('version')}-{fields.get('variant')}"
    if item.id != expected or item.collection_id != fields.get("name"):
        raise InvalidItemError(
            f"item {item.id!r} of collection {item.collection_id!r} should be {expected!r} of {fields.get('name')!r}, "
            "by mlm:name, version and interop:variant"
        )
    return fields


def _format(item: pystac.Item, asset: pystac.Asset) -> str:
    artifact_type = asset.extra_fields.get("mlm:artifact_type")
    if (found := FORMATS.of_artifact_type(artifact_type)) is not None:
        return found.name
    raise InvalidItemError(f"item {item.id!r}: no format is known for mlm:artifact_type {artifact_type!r}")


def _place(asset: pystac.Asset) -> Path | str:
    href = asset_href(asset)
    path = local_path(href)
    return href if path is None else path


def _checksum(item_id: str, key: str, asset: pystac.Asset) -> dict[str, Any]:
    checksum, size = asset.extra_fields.get("file:checksum"), asset.extra_fields.get("file:size")
    if not isinstance(checksum, str) or not isinstance(size, int):
        raise InvalidItemError(f"item {item_id!r}: asset {key!r} lacks file:checksum or file:size")
    return {"checksum": from_multihash(checksum), "size": size}


def _extra_asset(item_id: str, key: str, asset: pystac.Asset) -> dict[str, Any]:
    return {
        "path": _place(asset),
        "media_type": asset.media_type,
        "roles": asset.roles or (),
        "title": asset.title,
        "description": asset.description,
        **_checksum(item_id, key, asset),
    }


def _source(link: pystac.Link) -> dict[str, Any]:
    item_id = link.extra_fields.get(ITEM_ID_FIELD)
    media_type = link.media_type if not item_id or link.media_type != "application/geo+json" else None
    href = link.get_href(transform_href=False) or ""
    # Inside a catalog the id says it all; a path only leads a browser there.
    return {
        "item_id": item_id,
        "href": None if item_id and "://" not in href else href,
        "title": link.title,
        "media_type": str(media_type) if media_type else None,
    }
