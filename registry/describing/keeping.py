"""What an item of somebody else's says beside its inputs and outputs, as an item of ours says it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import pystac

from modelstac.catalog.credentials import bare
from modelstac.catalog.errors import InvalidItemError
from modelstac.catalog.items.description import MODEL_ASSET, ExtraAsset, KeptLink, Source
from modelstac.catalog.items.digests import from_multihash
from modelstac.catalog.items.links import COMMON, KEPT_RELS, PAGE_FIELD, asset_href, local_file
from modelstac.catalog.items.mlm import CLASSES_FIELD, MODEL_ROLE, Accelerator, ModelOutput
from modelstac.catalog.items.provenance import Provider

_KINDS: Mapping[str, type | tuple[type, ...]] = {
    "mlm:accelerator_constrained": bool,
    "mlm:accelerator_summary": str,
    "mlm:accelerator_count": int,
    "mlm:memory_size": int,
    "mlm:batch_size_suggestion": int,
    "mlm:pretrained": bool,
    "mlm:pretrained_source": str,
}


def kept(item: pystac.Item, key: str, remarks: list[str]) -> dict[str, Any]:
    """Return the fields of a description that another publisher's item gives; what makes no sense is remarked.

    Parameters
    ----------
    item, key
        The item, and which of its assets is the model that is described.
    remarks
        Gets half a line for each thing that is left out.
    """
    found: dict[str, Any] = {"pretrained": None}
    for name, kind in _KINDS.items():
        value = item.properties.get(name)
        if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
            found[name.removeprefix("mlm:")] = value
        elif value is not None:
            remarks.append(f"its {name} is {str(value)[:40]!r} and was left out")
    accelerator = item.properties.get("mlm:accelerator")
    if accelerator in get_args(Accelerator):
        found["accelerator"] = accelerator
    elif accelerator is not None:
        remarks.append(f"its mlm:accelerator is {str(accelerator)[:40]!r} and was left out")
    found["providers"] = tuple(_providers(item, remarks))
    found["common"] = {name: item.properties[name] for name in COMMON if name in item.properties}
    found["links"] = tuple(
        KeptLink(rel=str(link.rel), href=bare(href), media_type=link.media_type, title=link.title)
        for link in item.links
        if link.rel in KEPT_RELS
        and PAGE_FIELD not in link.extra_fields
        and "://" in (href := str(link.get_href(transform_href=False)))
    )
    found["assets"] = dict(_assets(item, key, remarks))
    return found


def classes(output: ModelOutput) -> ModelOutput:
    """Return an output whose classes are as the extension that MLM refers to has them: each with a description.

    Version 2 of it asks for a name instead.
    """
    stated = (output.model_extra or {}).get(CLASSES_FIELD)
    if not isinstance(stated, list):
        return output
    made = [
        {"description": str(entry.get("name") or entry.get("title") or entry.get("value"))} | entry
        for entry in stated
        if isinstance(entry, dict)
    ]
    return output.model_copy(update={CLASSES_FIELD: made})


def sources(item: pystac.Item) -> list[Source]:
    """Return what the item says that it is derived from."""
    return [
        Source(href=bare(href), title=link.title, media_type=link.media_type)
        for link in item.get_links("derived_from")
        if "://" in (href := str(link.get_href(transform_href=False)))
    ]


def _providers(item: pystac.Item, remarks: list[str]) -> list[Provider]:
    found = []
    stated = item.properties.get("providers")
    for entry in stated if isinstance(stated, list) else ():
        try:
            fields = {name: entry[name] for name in ("name", "roles", "url", "description") if name in entry}
            found.append(Provider(**fields))
        except (InvalidItemError, TypeError):
            remarks.append(f"its provider {str(entry)[:40]!r} makes no sense and was left out")
    return found


def _assets(item: pystac.Item, key: str, remarks: list[str]) -> list[tuple[str, ExtraAsset]]:
    """Keep code, containers, pictures and the like; files of this machine only where they lie beside the model's."""
    beside = local_file(item.assets[key])
    found: list[tuple[str, ExtraAsset]] = []
    for name, asset in item.assets.items():
        if name == key or MODEL_ROLE in (asset.roles or ()):
            continue
        path = local_file(asset)
        if path is not None and not _is_beside(path, beside):
            remarks.append(f"its asset {name!r} is no file beside the model's and was left out")
            continue
        known = {} if path is not None else _file_fields(asset)
        extra = ExtraAsset(
            path=bare(asset_href(asset)) if path is None else path,
            media_type=asset.media_type,
            roles=tuple(asset.roles or ()),
            title=asset.title,
            description=asset.description,
            fields={k: v for k, v in asset.extra_fields.items() if ":" in k and not k.startswith("file:")},
            **known,
        )
        found.append((f"{name}-beside" if name == MODEL_ASSET else name, extra))
    return found


def _is_beside(path: Path, model: Path | None) -> bool:
    return model is not None and path.is_file() and path.resolve().is_relative_to(model.resolve().parent)


def _file_fields(asset: pystac.Asset) -> dict[str, Any]:
    checksum, size = asset.extra_fields.get("file:checksum"), asset.extra_fields.get("file:size")
    try:
        known = from_multihash(checksum) if isinstance(checksum, str) else None
    except InvalidItemError:
        known = None
    return {"checksum": known if isinstance(size, int) else None, "size": size if isinstance(size, int) else None}
