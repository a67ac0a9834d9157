"""From an asset to verified bytes.

The file is opened once and read once, and the very bytes that were checked are what the runtime gets: between check and
use there is no moment in which somebody could exchange the file.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pystac

from modelstac.catalog.credentials import shown
from modelstac.catalog.errors import IntegrityError, InvalidItemError, StorageError, UntrustedError
from modelstac.catalog.items.digests import check_size, from_multihash
from modelstac.catalog.messages import Report, ignore
from modelstac.registry.files.artifact import Artifact
from modelstac.registry.files.cache import Cache
from modelstac.registry.files.download import SCHEMES, Source
from modelstac.registry.files.stamps import read

__all__ = ["Artifact", "fetch", "local_path", "not_published", "place_of"]


def fetch(
    item: pystac.Item,
    key: str,
    *,
    max_bytes: int,
    checksum: str | None = None,
    cache: Cache | None = None,
    rehash: bool = False,
    report: Report = ignore,
) -> Artifact:
    """Read the file of an asset, fetched first where it is elsewhere, and check it against size and digest.

    A local file is read where it lies. One that was verified before and did not change since is not hashed again.

    Parameters
    ----------
    item, key
        The asset, with ``file:checksum`` (multihash of sha256) and, if possible, ``file:size``.
    max_bytes
        Largest file to read.
    checksum
        What is known of a file whose item states no SHA-256 of it (see ``registry/files/lock.py``).
    cache
        Where files from elsewhere are kept; by default the user's.
    rehash
        Hash the file even if it was verified before.
    report
        Gets the progress of a download.

    Raises
    ------
    NotFoundError
        If the file is not there.
    StorageError
        If it cannot be read, or not be kept.
    DownloadError
        If it cannot be fetched.
    UntrustedError
        If the asset has no checksum, is no plain file, or is too large.
    IntegrityError
        If its bytes are not the published ones; names the file and both digests.
    """
    cache = cache or Cache()
    source = _source(item, key, checksum)
    path = _place(source.href, source.what)
    if path is None:
        if source.size is not None and source.size > max_bytes:
            raise UntrustedError(f"{source.what} has {source.size} bytes, more than the limit {max_bytes}")
        path = cache.provide(source, report=report)
        stamp = cache.stamp(source.sha256)
    else:
        stamp = cache.local_stamp(path)
    keep = max_bytes if source.size is None else min(max_bytes, source.size)
    found = read(path, stamp, keep=keep, item_id=item.id, rehash=rehash)
    if found.sha256 != source.sha256:
        raise not_published(item, path, found.sha256, source.sha256, cached=path == cache.path(source.sha256))
    length = path.stat().st_size if found.data is None else len(found.data)
    check_size(item, key, path, length)
    if found.data is None:
        raise UntrustedError(f"{path} of item {item.id!r} is larger than the limit {max_bytes}")
    return Artifact(item.id, path, found.data, found.sha256, found.stamp)


def not_published(item: pystac.Item, path: Path, found: str, published: str, *, cached: bool = False) -> IntegrityError:
    """Say that a file has another digest than the published one."""
    return IntegrityError(
        f"{path} of item {item.id!r} is not the published file: sha256 is {found}, published was {published}; "
        f"{'run: modelstac cache verify' if cached else 'fetch it again from its publisher'}"
    )


def _source(item: pystac.Item, key: str, checksum: str | None) -> Source:
    """Return where the file of an asset is, and what it must be."""
    fields = item.assets[key].extra_fields
    href = item.assets[key].get_absolute_href() or item.assets[key].href
    what = f"asset {key!r} of item {item.id!r}"
    checksum, size = checksum or fields.get("file:checksum"), fields.get("file:size")
    if checksum is None:
        raise UntrustedError(f"{what} has no file:checksum, so {shown(href)} cannot be verified: publish it with one")
    if not isinstance(checksum, str):
        raise InvalidItemError(f"{what} has the file:checksum {checksum!r}: no text")
    return Source(href, from_multihash(checksum), size if isinstance(size, int) else None, what)


def place_of(item: pystac.Item, key: str) -> Path | str:
    """Return where the file of an asset lies: a path of this machine, or a URL."""
    href = item.assets[key].get_absolute_href() or item.assets[key].href
    return _place(href, f"asset {key!r} of item {item.id!r}") or href


def local_path(item: pystac.Item, key: str) -> Path:
    """Return the file of an asset.

    Raises
    ------
    StorageError
        If the asset lies on another machine.
    """
    href = item.assets[key].get_absolute_href() or item.assets[key].href
    what = f"asset {key!r} of item {item.id!r}"
    path = _place(href, what)
    if path is None:
        raise StorageError(f"{what} lies at {shown(href)}, and a file of this machine is needed: copy it here")
    return path


def _place(href: str, what: str) -> Path | None:
    """Return the file that an href names, None when it is elsewhere."""
    url = urlsplit(href)
    if url.scheme == "file" and url.netloc in {"", "localhost"}:
        return Path(unquote(url.path))
    if len(url.scheme) <= 1:  # one letter is a Windows drive
        return Path(href)
    if url.scheme not in SCHEMES:
        raise StorageError(
            f"{what} lies at {shown(href)}, which cannot be reached from here: copy item and file into a folder"
        )
    return None
