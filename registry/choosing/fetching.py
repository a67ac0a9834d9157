"""The bytes of the model file that was chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelstac.catalog.errors import IntegrityError
from modelstac.catalog.items.digests import multihash
from modelstac.registry.choosing.model_assets import ModelAsset, is_foreign

if TYPE_CHECKING:
    import pystac

    from modelstac.catalog.messages import Report
    from modelstac.registry.files.artifact import Artifact
    from modelstac.registry.trust.policy import TrustPolicy


def fetched(item: pystac.Item, asset: ModelAsset, policy: TrustPolicy, *, rehash: bool, report: Report) -> Artifact:
    """Fetch a file; one without checksum must be the file that was fetched the first time."""
    from modelstac.registry.files.fetch import fetch, place_of

    if not is_foreign(item) or item.assets[asset.key].extra_fields.get("file:checksum") is not None:
        return fetch(item, asset.key, max_bytes=policy.max_bytes, rehash=rehash, report=report)
    from modelstac.registry.files.lock import changed, pinned

    href = place_of(item, asset.key)
    digest = pinned(href, item_id=item.id, key=asset.key, max_bytes=policy.max_bytes, report=report)
    try:
        return fetch(
            item, asset.key, max_bytes=policy.max_bytes, checksum=multihash(digest), rehash=rehash, report=report
        )
    except IntegrityError as error:
        raise changed(error, href) from error
