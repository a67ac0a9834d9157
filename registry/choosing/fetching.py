"""The bytes of the model file that was chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelstac.catalog.errors import IntegrityError
from modelstac.catalog.items.digests import multihash
from modelstac.catalog.items.formats import FORMATS
from modelstac.registry.choosing.model_assets import ModelAsset, file_name, is_foreign

if TYPE_CHECKING:
    import pystac

    from modelstac.catalog.messages import Report
    from modelstac.registry.files.artifact import Artifact
    from modelstac.registry.trust.policy import TrustPolicy


def fetched(item: pystac.Item, asset: ModelAsset, policy: TrustPolicy, *, rehash: bool, report: Report) -> Artifact:
    """Fetch a file, with those that belong to it; one without checksum must be the one of the first time."""
    from dataclasses import replace

    found = _one(item, asset.key, policy, rehash=rehash, report=report)
    if asset.artifact_type != FORMATS["onnx"].artifact_type:
        return found
    from modelstac.registry.inspecting.onnx import external_files

    if not (names := external_files(found.data)):
        return found
    keys = {file_name(other.href): key for key, other in item.assets.items() if key != asset.key}
    beside = {name: _one(item, keys[name], policy, rehash=rehash, report=report).data for name in names if name in keys}
    return replace(found, beside=beside)  # what is not listed is refused where the graph is looked into


def _one(item: pystac.Item, key: str, policy: TrustPolicy, *, rehash: bool, report: Report) -> Artifact:
    from modelstac.registry.files.fetch import fetch, place_of

    if not is_foreign(item) or item.assets[key].extra_fields.get("file:checksum") is not None:
        return fetch(item, key, max_bytes=policy.max_bytes, rehash=rehash, report=report)
    from modelstac.registry.files.lock import changed, pinned

    href = place_of(item, key)
    digest = pinned(href, item_id=item.id, key=key, max_bytes=policy.max_bytes, report=report)
    try:
        return fetch(item, key, max_bytes=policy.max_bytes, checksum=multihash(digest), rehash=rehash, report=report)
    except IntegrityError as error:
        raise changed(error, href) from error
