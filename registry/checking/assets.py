"""Rules of assets: role and artifact type of the model, entry points, checksums."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pystac

from modelstac.catalog.items.digests import multihash, sha256
from modelstac.catalog.items.links import is_image, local_path
from modelstac.catalog.items.mlm import FILE_SCHEMA_URI, MODEL_ROLE
from modelstac.registry.checking.fault import FILE, MLM, Document, Fault, assets, declare, shown
from modelstac.registry.choosing.model_assets import UNSAFE_TYPES, by_file, written


def model(document: Document) -> Iterator[Fault]:
    """One asset has the role ``mlm:model``, and it alone an artifact type."""
    marked = [key for key, asset in assets(document) if MODEL_ROLE in _roles(asset)]
    typed = [key for key, asset in assets(document) if asset.get("mlm:artifact_type")]
    guessed = [key for key, asset in assets(document) if by_file(_asset(asset)) is not None]
    if not marked:
        chosen = typed or guessed
        text = f"has no asset with the role {MODEL_ROLE}, so there is nothing to load"
        if len(chosen) == 1:
            yield Fault("model-role", f"assets.{chosen[0]}.roles", text, MLM, MODEL_ROLE)
            asset = document["assets"][chosen[0]]
            asset["roles"] = [MODEL_ROLE, *_roles(asset)]
        else:
            yield Fault("model-role", "assets", text, MLM)
    for key, asset in assets(document):
        if MODEL_ROLE in _roles(asset):
            yield from _artifact_type(asset, f"assets.{key}.mlm:artifact_type")
        elif "mlm:artifact_type" in asset:
            text = f"is {shown(asset['mlm:artifact_type'])}, and the asset is no model by its role"
            yield Fault("artifact-type", f"assets.{key}.mlm:artifact_type", text, MLM, "left out")
            del asset["mlm:artifact_type"]


def _artifact_type(asset: dict[str, Any], place: str) -> Iterator[Fault]:
    found = asset.get("mlm:artifact_type")
    if isinstance(found, str) and found:
        made = written(found)
        if made is not None and made != found:
            yield Fault("artifact-type", place, f"is {shown(found)}, another spelling of {made}", MLM, made)
            asset["mlm:artifact_type"] = made
        elif made is None and found not in UNSAFE_TYPES:
            yield Fault("artifact-type", place, f"is {shown(found)}, which nothing here knows how to load", MLM)
        return
    made = by_file(_asset(asset))
    yield Fault("artifact-type", place, "is missing, so that nobody knows how to load the file", MLM, made)
    if made is not None:
        asset["mlm:artifact_type"] = made


def entrypoints(document: Document) -> Iterator[Fault]:
    """An asset that names an entry point has the role ``code``."""
    for key, asset in assets(document):
        if asset.get("mlm:entrypoint") is not None and "code" not in _roles(asset):
            text = "has an entry point, and not the role 'code'"
            yield Fault("entrypoint", f"assets.{key}.roles", text, MLM, "code")
            asset["roles"] = [*_roles(asset), "code"]


def checksums(document: Document, folder: Path | None) -> Iterator[Fault]:
    """The file of a model has a checksum, and it is that of the file.

    Parameters
    ----------
    document
        The item.
    folder
        Where it lies on this machine; None for one from elsewhere.
    """
    for key, asset in assets(document):
        if MODEL_ROLE not in _roles(asset):
            continue
        href, stated = str(asset.get("href")), asset.get("file:checksum")
        path = None if folder is None or is_image(href, asset.get("type"), _roles(asset)) else local_path(href)
        path = path if path is None or folder is None else folder / path
        place = f"assets.{key}.file:checksum"
        if path is not None and path.is_file():
            made = multihash(sha256(path))
            if stated == made:
                continue
            text = "is missing, so that nobody can tell whether a copy is whole"
            if stated is not None:
                text = f"is {shown(stated)}, and not that of the file"
            yield Fault("checksum", place, text, FILE, made)
            asset |= {"file:checksum": made, "file:size": path.stat().st_size}
            declare(document, FILE_SCHEMA_URI)
        elif stated is None:
            text = f"is missing, so that nobody can tell whether a copy is whole; {href} is not at hand here"
            yield Fault("checksum", place, text, FILE)


def _roles(asset: dict[str, Any]) -> list[str]:
    found = asset.get("roles")
    return [str(role) for role in found] if isinstance(found, list) else [found] if isinstance(found, str) else []


def _asset(asset: dict[str, Any]) -> pystac.Asset:
    return pystac.Asset(href=str(asset.get("href", "")), media_type=asset.get("type"))
