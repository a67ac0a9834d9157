"""The bytes of the model file that was chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelstac.catalog.credentials import shown
from modelstac.catalog.errors import DownloadError, IntegrityError, NotFoundError, StorageError
from modelstac.catalog.items.digests import multihash, other_digest
from modelstac.catalog.items.formats import FORMATS
from modelstac.catalog.items.links import copies, local_path
from modelstac.catalog.messages import Note
from modelstac.registry.choosing.model_assets import ModelAsset, file_name, is_foreign

if TYPE_CHECKING:
    import pystac

    from modelstac.catalog.messages import Report
    from modelstac.registry.files.artifact import Artifact
    from modelstac.registry.trust.policy import TrustPolicy


def fetched(item: pystac.Item, asset: ModelAsset, policy: TrustPolicy, *, rehash: bool, report: Report) -> Artifact:
    """Fetch a file, with those that belong to it; one without SHA-256 must be the one of the first time."""
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
    """Fetch one file, or the first copy of it that can be had where its item says that there are some."""
    try:
        return _from_its_place(item, key, policy, rehash=rehash, report=report)
    except (DownloadError, NotFoundError, StorageError):
        for href in copies(item.assets[key]):
            other = item.clone()
            other.assets[key].href = href
            if not _may_be_read(other, key):
                continue
            try:
                found = _from_its_place(other, key, policy, rehash=rehash, report=report)
            except (DownloadError, NotFoundError, StorageError):
                continue
            report(
                Note(f"asset {key!r} of item {item.id!r} cannot be had where it lies: its copy {shown(href)} is read")
            )
            return found
        raise


def _may_be_read(item: pystac.Item, key: str) -> bool:
    """Tell whether a copy has a place, and an item from elsewhere names no file of this machine as one."""
    place, of_item = item.assets[key].get_absolute_href(), item.get_self_href()
    return place is not None and (of_item is None or local_path(of_item) is not None or local_path(place) is None)


def _from_its_place(item: pystac.Item, key: str, policy: TrustPolicy, *, rehash: bool, report: Report) -> Artifact:
    from modelstac.registry.files.fetch import fetch, place_of

    checksum = item.assets[key].extra_fields.get("file:checksum")
    if not is_foreign(item) or (checksum is not None and other_digest(checksum) is None):
        return fetch(item, key, max_bytes=policy.max_bytes, rehash=rehash, report=report)
    from modelstac.registry.files.lock import changed, pinned

    href = place_of(item, key)
    digest = pinned(href, item_id=item.id, key=key, max_bytes=policy.max_bytes, checksum=checksum, report=report)
    try:
        return fetch(item, key, max_bytes=policy.max_bytes, checksum=multihash(digest), rehash=rehash, report=report)
    except IntegrityError as error:
        raise changed(error, href) from error
