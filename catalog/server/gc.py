"""``modelstac gc``: the artifacts that no item names."""

from __future__ import annotations

from datetime import timedelta

from modelstac.catalog.server.serve import open_store
from modelstac.catalog.server.settings import ServerSettings
from modelstac.catalog.server.stores.artifacts import ArtifactStore, Stored

_SHA256 = "1220"


async def collect(settings: ServerSettings, *, older_than: timedelta, dry_run: bool = False) -> list[Stored]:
    """Remove the artifacts that no item names, and return them.

    Parameters
    ----------
    older_than
        What is younger stays: artifacts are uploaded before the item that names them is stored.
    """
    artifacts = ArtifactStore(settings.artifact_place, limit=settings.max_artifact)
    # Listed before the items are read: what is named in between is older than it looks, never younger.
    found = artifacts.old(older_than)
    store = open_store(settings)
    await store.open()
    try:
        named = {checksum.removeprefix(_SHA256) for checksum in await store.checksums()}
    finally:
        await store.close()
    unused = [stored for stored in found if stored.path.split("/")[1] not in named]
    if not dry_run:
        for stored in unused:
            artifacts.remove(stored)
    return unused
