"""``modelstac gc``: the artifacts that no item names, and the uploads that broke off."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import islice

from modelstac.catalog.server.files.artifacts import ArtifactStore, Stored
from modelstac.catalog.server.serve import open_store
from modelstac.catalog.server.settings import ServerSettings

# While one of these is decided on, nobody publishes.
_AT_A_TIME = 200


async def collect(settings: ServerSettings, *, older_than: timedelta, dry_run: bool = False) -> list[Stored]:
    """Remove the artifacts that no item names and the uploads that broke off, and return them.

    Whether an artifact is named is decided where nobody can publish an item that names it, which finds it missing then.

    Parameters
    ----------
    older_than
        What is younger stays: artifacts are uploaded before the item that names them is stored.
    """
    store = open_store(settings)  # where there is none, nothing names what would be removed
    artifacts = ArtifactStore(settings.artifact_place, limit=settings.max_artifact)
    found = artifacts.old(older_than)
    gone = [stored for stored in found if stored.digest is None]
    by_digest: dict[str, list[Stored]] = {}
    for stored in found:
        if stored.digest is not None:
            by_digest.setdefault(stored.digest, []).append(stored)
    if not dry_run:
        gone = [stored for stored in gone if artifacts.remove(stored)]

    def remove(digest: str) -> None:
        gone.extend(stored for stored in by_digest[digest] if dry_run or artifacts.remove(stored))

    await store.open()
    try:
        digests = iter(sorted(by_digest))
        for some in _batches(digests):
            await store.for_unnamed(some, remove)
    finally:
        await store.close()
    if not dry_run:
        artifacts.remove_empty()
    return gone


def _batches(digests: Iterator[str]) -> Iterator[list[str]]:
    while some := list(islice(digests, _AT_A_TIME)):
        yield some
