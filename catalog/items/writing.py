"""From a description to a STAC item."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelstac.catalog.errors import IntegrityError, InvalidItemError, StorageError
from modelstac.catalog.items.description import MODEL_ASSET, ModelDescription
from modelstac.catalog.items.digests import multihash, sha256
from modelstac.catalog.items.links import ITEM_ID_FIELD, SPDX
from modelstac.catalog.items.mlm import (
    DATACUBE_SCHEMA_URI,
    FILE_SCHEMA_URI,
    MLM_SCHEMA_URI,
    MODEL_ROLE,
    RASTER_SCHEMA_URI,
    SCIENTIFIC_SCHEMA_URI,
    VERSION_SCHEMA_URI,
)
from modelstac.catalog.items.provenance import ExtraAsset, Source
from modelstac.catalog.items.sizes import sizes_to_json
from modelstac.catalog.items.versions import version_key

if TYPE_CHECKING:
    import pystac

_OF_THE_MACHINE = (
    *("memory_size", "batch_size_suggestion", "accelerator"),
    *("accelerator_constrained", "accelerator_summary", "accelerator_count"),
)
_SPDX = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*")


def write_item(description: ModelDescription) -> pystac.Item:
    """Write the item of a description; local files are hashed and named by absolute paths.

    Raises
    ------
    StorageError
        If a local file cannot be read.
    IntegrityError
        If a local file is not the one whose checksum is known.
    """
    import pystac

    extensions = [MLM_SCHEMA_URI, FILE_SCHEMA_URI, VERSION_SCHEMA_URI]
    if description.cube_dimensions:
        extensions.append(DATACUBE_SCHEMA_URI)
    if any(name.startswith("sci:") for name in description.common):
        extensions.append(SCIENTIFIC_SCHEMA_URI)
    if _bands(description):
        extensions.append(RASTER_SCHEMA_URI)
    item = pystac.Item(
        id=description.id,
        geometry=description.geometry,
        bbox=list(description.bbox),
        datetime=None,
        start_datetime=description.start,
        end_datetime=description.end,
        properties=_properties(description),
        stac_extensions=extensions,
    )
    # STAC wants a link beside the collection's name; the store that publishes the item replaces it.
    item.collection_id = description.name
    item.add_link(pystac.Link("collection", "../collection.json", "application/json"))
    item.add_asset(MODEL_ASSET, _model_asset(description))
    for key, extra in description.assets.items():
        fields = extra.fields | _extra_file_fields(extra)
        asset = pystac.Asset(
            href=_href(extra.path),
            title=extra.title,
            description=extra.description,
            media_type=extra.media_type,
            roles=list(extra.roles) or None,
            extra_fields=fields,
        )
        item.add_asset(key, asset)
    for kept in description.links:
        item.add_link(pystac.Link(kept.rel, kept.href, kept.media_type, title=kept.title))
    if _SPDX.fullmatch(description.license) and description.license != "other":
        href = f"{SPDX}{description.license}.html"
        item.add_link(pystac.Link("license", href, "text/html", title=f"Licence: {description.license}"))
    for source in description.sources:
        item.add_link(_source_link(source))
    return item


def _properties(description: ModelDescription) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "title": description.title,
        "description": description.description,
        "license": description.license,
        "version": description.version,
    }
    properties |= description.common
    if description.keywords:
        properties["keywords"] = list(description.keywords)
    if description.providers:
        properties["providers"] = [provider.to_json() for provider in description.providers]
    properties |= _mlm_properties(description)
    if description.cube_dimensions:
        properties["cube:dimensions"] = description.cube_dimensions
    if description.cube_variables:
        properties["cube:variables"] = description.cube_variables
    return properties | _interop_properties(description)


def _mlm_properties(description: ModelDescription) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "mlm:name": description.name,
        "mlm:architecture": description.architecture,
        "mlm:tasks": list(description.tasks),
        "mlm:framework": description.framework,
        "mlm:framework_version": description.framework_version,
        "mlm:total_parameters": description.parameters,
        "mlm:pretrained": description.pretrained,
        # MLM wants an explicit null from a model that was trained from scratch.
        "mlm:pretrained_source": description.pretrained_source,
        "mlm:input": [model_input.to_json() for model_input in description.inputs],
        "mlm:output": [model_output.to_json() for model_output in description.outputs],
    }
    if description.pretrained is not False and description.pretrained_source is None:
        del properties["mlm:pretrained_source"]
    if description.pretrained is None:
        del properties["mlm:pretrained"]
    if description.hyperparameters:
        properties["mlm:hyperparameters"] = description.hyperparameters
    for name in _OF_THE_MACHINE:
        if (value := getattr(description, name)) is not None:
            properties[f"mlm:{name}"] = value
    return properties


def _interop_properties(description: ModelDescription) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "interop:variant": description.variant,
        "interop:format": description.format,
        "interop:framework_version_key": version_key(description.framework_version),
    }
    if description.backend is not None and description.backend_version is not None:
        properties["interop:backend"] = description.backend
        properties["interop:backend_version"] = description.backend_version
        properties["interop:backend_version_key"] = version_key(description.backend_version)
    if description.model_title is not None:
        properties["interop:model_title"] = description.model_title
    if description.sizes:
        properties["interop:sizes"] = sizes_to_json(description.sizes)
    if description.route:
        properties["interop:route"] = [step.to_json() for step in description.route]
    if description.parity is not None:
        properties["interop:parity"] = description.parity.to_json()
    if description.timing is not None:
        properties["interop:timing"] = description.timing.to_json()
    names = ("halo", "batch_difference", "precision", "scores", "main_metric", "job", "region", "code", "origin")
    plain = {name: getattr(description, name) for name in names}
    plain |= {"closed": description.closed or None, "months": list(description.months) or None}
    plain |= {"unproved": description.unproved or None}
    return properties | {f"interop:{name}": value for name, value in plain.items() if value is not None}


def _model_asset(description: ModelDescription) -> pystac.Asset:
    import pystac

    file_format = description.file_format
    roles = [MODEL_ROLE, "data"]
    fields: dict[str, Any] = {"mlm:artifact_type": file_format.artifact_type}
    if description.entrypoint is not None:
        # The schema allows an entry point on assets with the role "code" only.
        roles.append("code")
        fields["mlm:entrypoint"] = description.entrypoint
    if bands := _bands(description):
        fields["raster:bands"] = bands
    return pystac.Asset(
        href=_href(description.artifact),
        title=f"{file_format.framework} model ({file_format.suffix})",
        media_type=file_format.media_type,
        roles=roles,
        extra_fields=fields | file_fields(description.artifact, description.checksum, description.size),
    )


def _bands(description: ModelDescription) -> list[dict[str, Any]]:
    """Describe every band that the model names: MLM wants it on the asset, and STAC 1.1 allows it nowhere else."""
    names = (b if isinstance(b, str) else b.name for a in (*description.inputs, *description.outputs) for b in a.bands)
    return [{"name": name} | description.band_details.get(name, {}) for name in dict.fromkeys(names)]


def _href(path: Path | str) -> str:
    return str(path.absolute()) if isinstance(path, Path) else path


def file_fields(path: Path | str, checksum: str | None, size: int | None) -> dict[str, Any]:
    """Return the file extension's fields of an asset; a local file is hashed."""
    if isinstance(path, Path):
        found = sha256(path)
        if checksum is not None and found != checksum:
            raise IntegrityError(
                f"{path} has SHA-256 {found}, its item says {checksum}: describe the changed file anew"
            )
        try:
            return {"file:checksum": multihash(found), "file:size": path.stat().st_size}
        except OSError as error:
            raise StorageError.doing(f"read {path}", error) from error
    if checksum is None or size is None:
        raise InvalidItemError(f"{path} is not a local file: its checksum and size must be given")
    return {"file:checksum": multihash(checksum), "file:size": size}


def _extra_file_fields(extra: ExtraAsset) -> dict[str, Any]:
    if isinstance(extra.path, str) and extra.checksum is None:  # elsewhere, and its publisher does not say
        return {} if extra.size is None else {"file:size": extra.size}
    return file_fields(extra.path, extra.checksum, extra.size)


def _source_link(source: Source) -> pystac.Link:
    import pystac

    # A source in the same catalog has no place yet; the store that publishes the item replaces the bare file name.
    href = source.href or f"{source.item_id}.json"
    media_type = source.media_type or ("application/geo+json" if source.item_id else None)
    fields: dict[str, Any] | None = {ITEM_ID_FIELD: source.item_id} if source.item_id else None
    return pystac.Link("derived_from", href, media_type, title=source.title, extra_fields=fields)
