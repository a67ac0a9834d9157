"""What items say of artifacts of this server: that they are there, with this size and this SHA-256."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from modelstac.catalog.errors import InvalidItemError, MissingFileError
from modelstac.catalog.items.digests import multihash
from modelstac.catalog.items.documents import Document
from modelstac.catalog.server.files.artifacts import ArtifactStore, artifact_path

ARTIFACTS = "artifacts/"


def named(item: Document, below: str = ARTIFACTS) -> dict[str, str]:
    """Return the paths of the artifacts of this server that an item names, by asset key.

    Parameters
    ----------
    below
        What their hrefs begin with.

    Raises
    ------
    InvalidItemError
        If one is no address of an artifact.
    """
    paths = {}
    for key, asset in item["assets"].items():
        if asset["href"].startswith(below):
            parts = asset["href"].removeprefix(below).split("/")
            if len(parts) != 3 or parts[0] != parts[1][:2]:
                raise InvalidItemError(f"assets.{key}.href: expected {ARTIFACTS}<two digits>/<SHA-256>/<file name>")
            paths[key] = artifact_path(parts[1], parts[2])
    return paths


def check_digests(item: Document) -> None:
    """Refuse an item whose artifacts have another SHA-256 than their addresses, which is theirs."""
    for key, path in named(item).items():
        digest = path.split("/")[1]
        if (said := item["assets"][key].get("file:checksum")) is not None and said != multihash(digest):
            raise InvalidItemError(f"assets.{key}.file:checksum: {str(said)[:80]!r} is not that of its href, {digest}")


def check_there(items: Iterable[Document], artifacts: ArtifactStore, below: str = ARTIFACTS) -> None:
    """Refuse items whose artifacts are not here, or have another size; called where ``gc`` cannot come between.

    Raises
    ------
    MissingFileError
        If one was never uploaded, or was removed since.
    InvalidItemError
        If one has another size.
    """
    sizes: dict[str, int] = {}
    for item in items:
        for key, path in named(item, below).items():
            if path not in sizes:
                found = artifacts.find(path)
                if found is None:
                    raise MissingFileError(
                        f"item {item['id']!r}: assets.{key}: {ARTIFACTS}{path} is not here: send it first, by PUT"
                    )
                sizes[path] = found.size
            said = item["assets"][key].get("file:size")
            if said is not None and said != sizes[path]:
                found_size = f"{str(said)[:30]}, and the file has {sizes[path]} bytes"
                raise InvalidItemError(f"item {item['id']!r}: assets.{key}.file:size is {found_size}")


def with_new_assets(changed: Document, stored: Document) -> Document:
    """Return an item with those of its assets alone that are not as they were: the others may lie anywhere."""
    before = stored["assets"]
    return changed | {"assets": {key: asset for key, asset in changed["assets"].items() if before.get(key) != asset}}


def unnamed(digests: Sequence[str], assets: Iterable[Sequence[str | None]]) -> list[str]:
    """Return those digests that no asset has, given its checksum and its href: one may lack a checksum."""
    known = set()
    for checksum, href in assets:
        known.add(checksum)
        known.update((href or "").split("/")[-2:-1])
    return [digest for digest in digests if not {digest, multihash(digest)} & known]
