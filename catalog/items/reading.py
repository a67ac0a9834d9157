"""From a STAC item to its description."""

from __future__ import annotations

import marshal
from datetime import datetime
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelstac.catalog.errors import InvalidItemError
from modelstac.catalog.items.digests import from_multihash
from modelstac.catalog.items.evidence import is_unproved, sizes_and_halo
from modelstac.catalog.items.formats import FORMATS
from modelstac.catalog.items.identity import OUR_FIELD
from modelstac.catalog.items.links import (
    COMMON,
    ITEM_ID_FIELD,
    KEPT_RELS,
    PAGE_FIELD,
    SPDX,
    asset_href,
    is_image,
    local_path,
)
from modelstac.catalog.items.mlm.names import MODEL_ROLE
from modelstac.catalog.items.sizes import Size
from modelstac.catalog.times import first_and_last, is_leap

if TYPE_CHECKING:
    import pystac
    from pydantic import TypeAdapter

    from modelstac.catalog.items.description import ModelDescription

Document = dict[str, Any]
_MOST_SHARED = 16 << 10
"""Bytes of inputs or outputs that are kept for the next item."""
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
    "mlm:accelerator_constrained": "accelerator_constrained",
    "mlm:accelerator_summary": "accelerator_summary",
    "mlm:accelerator_count": "accelerator_count",
    "mlm:batch_size_suggestion": "batch_size_suggestion",
    "cube:dimensions": "cube_dimensions",
    "cube:variables": "cube_variables",
    "interop:variant": "variant",
    "interop:format": "format",
    "interop:backend": "backend",
    "interop:backend_version": "backend_version",
    "interop:model_title": "model_title",
    "interop:route": "route",
    "interop:parity": "parity",
    "interop:batch_difference": "batch_difference",
    "interop:precision": "precision",
    "interop:timing": "timing",
    "interop:scores": "scores",
    "interop:main_metric": "main_metric",
    "interop:job": "job",
    "interop:closed": "closed",
    "interop:region": "region",
    "interop:months": "months",
    "interop:code": "code",
    "interop:origin": "origin",
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
        raise _wrong_number(item.id, len(found))
    return found[0]


def read_item(item: pystac.Item) -> ModelDescription:
    """Read an item, wherever its assets are.

    Raises
    ------
    InvalidItemError
        If the item is no MLM item, or breaks our rules.
    """
    document = item.to_dict(include_self_link=False, transform_hrefs=False)
    for key, asset in item.assets.items():
        document["assets"][key]["href"] = asset_href(asset)
    return read_document(document)


def read_own(item: pystac.Item) -> ModelDescription:
    """Read an item for what needs all that an item of ours says, such as a conversion.

    Raises
    ------
    InvalidItemError
        As :func:`read_item` does; of somebody else's item, with what to do.
    """
    try:
        return read_item(item)
    except InvalidItemError as error:
        if OUR_FIELD in item.properties:
            raise
        raise InvalidItemError(
            f"item {item.id!r} was described elsewhere, and says too little for this ({error}): adopt it (modelstac "
            "adopt), and name the item that comes of it"
        ) from error


def read_document(document: Document, *, shared: bool = False) -> ModelDescription:
    """Read the JSON form of an item, whose hrefs are absolute or do not matter.

    Parameters
    ----------
    shared
        Whether inputs and outputs may be the objects that were read from an item before which says just the same, as
        all variants of a version do: for who only looks at them.

    Raises
    ------
    InvalidItemError
        As :func:`read_item` does.
    """
    from modelstac.catalog.items.description import ModelDescription  # not at the top: a search reads none

    fields = _fields(document)
    if shared:
        fields |= {name: _shared(name, fields[name]) for name in ("inputs", "outputs") if name in fields}
    return ModelDescription(**fields)


def _shared(name: str, tensors: Any) -> Any:
    """Return the typed inputs or outputs of a JSON value; the value itself where that cannot be, to be refused."""
    try:
        # Exact: values that differ in anything, such as True and 1, have other bytes. Version 2 knows no identities.
        exact = marshal.dumps(tensors, 2)
        return _typed(name, exact) if len(exact) <= _MOST_SHARED else tensors
    except ValueError:
        return tensors


@lru_cache(maxsize=256)
def _typed(name: str, exact: bytes) -> Any:
    return _adapters()[name].validate_python(marshal.loads(exact))  # noqa: S302 - written a moment ago, here


@cache
def _adapters() -> dict[str, TypeAdapter[Any]]:
    from pydantic import TypeAdapter

    from modelstac.catalog.items.mlm import ModelInput, ModelOutput

    return {"inputs": TypeAdapter(tuple[ModelInput, ...]), "outputs": TypeAdapter(tuple[ModelOutput, ...])}


def _fields(document: Document) -> dict[str, Any]:
    item_id, properties, assets = document["id"], document["properties"], document["assets"]
    start, end = (_moment(item_id, properties, name) for name in ("start_datetime", "end_datetime"))
    models = [key for key, asset in assets.items() if MODEL_ROLE in (asset.get("roles") or ())]
    if len(models) != 1:
        raise _wrong_number(item_id, len(models))
    [key] = models
    asset = assets[key]
    fields = {field: properties[name] for name, field in _PLAIN_FIELDS.items() if name in properties}
    fields |= {
        "geometry": document["geometry"],
        "bbox": tuple(document.get("bbox") or ()),
        "start": start,
        "end": end,
        "entrypoint": asset.get("mlm:entrypoint"),
        "sources": [_source(link) for link in document["links"] if link["rel"] == "derived_from"],
        "links": [_link(link) for link in document["links"] if _is_kept(link)],
        "common": {name: properties[name] for name in COMMON if name in properties},
        "band_details": _band_details(asset.get("raster:bands")),
        "artifact": _place(asset["href"]),
        **_checksum(item_id, key, asset),
        "assets": {k: _extra_asset(item_id, k, a) for k, a in assets.items() if k != key},
    }
    found = sizes_and_halo(properties)
    fields |= {"sizes": read_sizes(item_id, found.get("sizes")), "halo": found.get("halo")}
    fields["unproved"] = is_unproved(properties)
    fields.setdefault("format", _format(item_id, asset))
    fields.setdefault("pretrained", None)
    # A typed object is made of these; a field that is missing altogether is named there.
    expected = f"{fields.get('name')}-{fields.get('version')}-{fields.get('variant')}"
    collection = document.get("collection")
    if item_id != expected or collection != fields.get("name"):
        raise InvalidItemError(
            f"item {item_id!r} of collection {collection!r} should be {expected!r} of {fields.get('name')!r}, "
            "by mlm:name, version and interop:variant"
        )
    return fields


def read_sizes(item_id: str, found: Any) -> dict[str, dict[str, Size]]:
    """Read the field ``interop:sizes`` of an item; nothing where it has none.

    Raises
    ------
    InvalidItemError
        If it makes no sense.
    """
    try:
        return {
            name: {axis: Size.from_json(size) for axis, size in axes.items()} for name, axes in (found or {}).items()
        }
    except (AttributeError, InvalidItemError) as error:
        raise InvalidItemError(f"item {item_id!r}: interop:sizes makes no sense: {error}") from error


def _moment(item_id: str, properties: Document, name: str) -> datetime:
    name = name if properties.get(name) is not None else "datetime"
    value = properties.get(name)
    if value is None:
        raise InvalidItemError(f"item {item_id!r}: datetime is needed, or start_datetime and end_datetime")
    if is_leap(value):
        raise InvalidItemError(f"item {item_id!r}: {name}: {value!r} is a leap second: write the second before it")
    try:
        return first_and_last(value)[name == "end_datetime"]
    except (AttributeError, OverflowError, TypeError, ValueError) as error:
        raise InvalidItemError(f"item {item_id!r}: {name}: {str(value)[:60]!r} is no time of RFC 3339") from error


def _wrong_number(item_id: str, found: int) -> InvalidItemError:
    return InvalidItemError(
        f"item {item_id!r} has {found} assets with the role {MODEL_ROLE!r}: exactly one is needed, "
        "other variants are items of their own"
    )


def _format(item_id: str, asset: Document) -> str:
    artifact_type = asset.get("mlm:artifact_type")
    if (found := FORMATS.of_artifact_type(artifact_type)) is not None:
        return found.name
    raise InvalidItemError(f"item {item_id!r}: no format is known for mlm:artifact_type {artifact_type!r}")


def _place(href: str) -> Path | str:
    path = local_path(href)
    return href if path is None else path


def _checksum(item_id: str, key: str, asset: Document) -> dict[str, Any]:
    checksum, size = asset.get("file:checksum"), asset.get("file:size")
    if not isinstance(checksum, str) or not isinstance(size, int):
        raise InvalidItemError(f"item {item_id!r}: asset {key!r} lacks file:checksum or file:size")
    return {"checksum": from_multihash(checksum), "size": size}


def _extra_asset(item_id: str, key: str, asset: Document) -> dict[str, Any]:
    href, known = asset["href"], "file:checksum" in asset or "file:size" in asset
    image = is_image(href, asset.get("type"), asset.get("roles") or ())
    elsewhere = image or local_path(href) is None
    return {
        "path": href if image else _place(href),
        "media_type": asset.get("type"),
        "roles": asset.get("roles") or (),
        "title": asset.get("title"),
        "description": asset.get("description"),
        "fields": {name: value for name, value in asset.items() if ":" in name and not name.startswith("file:")},
        **(_checksum(item_id, key, asset) if known or not elsewhere else {}),
    }


def _band_details(bands: Any) -> dict[str, dict[str, Any]]:
    """Give what is said of bands beside their names."""
    found = [band for band in bands if isinstance(band, dict)] if isinstance(bands, list) else []
    rest = {str(band.get("name")): {k: v for k, v in band.items() if k != "name"} for band in found}
    return {name: fields for name, fields in rest.items() if fields}


def _link(link: Document) -> dict[str, Any]:
    return {"rel": link["rel"], "href": link["href"], "media_type": link.get("type"), "title": link.get("title")}


def _is_kept(link: Document) -> bool:
    """Tell whether a link is its publisher's: none of a catalog, and not the one that is written for each licence."""
    spdx = link["rel"] == "license" and str(link["href"]).startswith(SPDX)
    return link["rel"] in KEPT_RELS and not spdx and PAGE_FIELD not in link


def _source(link: Document) -> dict[str, Any]:
    item_id, href, media_type = link.get(ITEM_ID_FIELD), link.get("href") or "", link.get("type")
    if item_id and media_type == "application/geo+json":
        media_type = None
    # Inside a catalog the id says it all; a path only leads a browser there.
    return {
        "item_id": item_id,
        "href": None if item_id and "://" not in href else href,
        "title": link.get("title"),
        "media_type": media_type or None,
    }
