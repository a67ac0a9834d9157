"""``modelstac.lock``: the SHA-256 of files whose items state none, pinned when they were first fetched.

Where an item states a checksum of another algorithm, a file is held against that before it is pinned.

The file is JSON, sorted, one entry a file, made to be committed by a team. It is the one that ``MODELSTAC_LOCK`` names,
else the nearest ``modelstac.lock`` in the working directory and the folders above it, else a new one in the working
directory. An entry is named by where the file lies, without the query of a signed URL, which changes each time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from modelstac.catalog.backends.storage import explained
from modelstac.catalog.credentials import shown
from modelstac.catalog.errors import (
    IntegrityError,
    InvalidItemError,
    NotFoundError,
    StorageError,
    UntrustedError,
)
from modelstac.catalog.items.digests import digest_of, other_digest, sha256
from modelstac.catalog.messages import Advanced, Finished, Note, Report, Started, ignore
from modelstac.registry.files.cache import Cache
from modelstac.registry.files.download import Source, download

NAME, VARIABLE = "modelstac.lock", "MODELSTAC_LOCK"


@dataclass(frozen=True)
class Pin:
    """One file: of which item and asset, SHA-256, bytes, the day on which it was pinned, what it was held against."""

    item: str
    asset: str
    sha256: str
    size: int
    pinned: str
    checksum: str | None = None

    def to_json(self) -> dict[str, str | int]:
        """Return what is written of it."""
        return {key: value for key, value in vars(self).items() if value is not None}


class Lock:
    """A lock file.

    Parameters
    ----------
    path
        The file; by default the one that applies here (see the module).
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or _default_path()

    def pins(self) -> dict[str, Pin]:
        """Return what is pinned, by place.

        Raises
        ------
        InvalidItemError
            If the file is no lock file.
        """
        try:
            content = json.loads(self.path.read_bytes())
            return {place: Pin(**entry) for place, entry in content["files"].items()}
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise StorageError.doing(f"read {self.path}", error, advice="check who may read it") from error
        except (RecursionError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InvalidItemError(f"{self.path} is no lock file of modelstac: restore it, or remove it") from error

    def place(self, href: str | Path) -> str:
        """Return the name of an entry: a URL without query, or a path as seen from the lock file."""
        if isinstance(href, str):
            return shown(href)
        path, folder = href.absolute(), self.path.absolute().parent
        return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.as_posix()

    def add(self, place: str, pin: Pin, *, anew: bool = False) -> Pin:
        """Pin a file, unless it is pinned already and not to be pinned anew; return what is pinned then."""
        import filelock  # not at the top: few loads need it

        mutex = Cache().root / "locks" / hashlib.sha256(os.fsencode(self.path.absolute())).hexdigest()
        with explained(f"write {self.path} ({VARIABLE} names another place)"):
            mutex.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with filelock.FileLock(mutex):
                pins = self.pins()
                if place in pins and not anew:
                    return pins[place]
                self._write(pins | {place: pin})
                return pin

    def _write(self, pins: dict[str, Pin]) -> None:
        files = {place: pins[place].to_json() for place in sorted(pins)}
        temporary = self.path.with_name(f".{uuid.uuid4().hex}")
        try:
            temporary.write_text(json.dumps({"version": 1, "files": files}, indent=2, ensure_ascii=False) + "\n")
            temporary.replace(self.path)
        finally:
            temporary.unlink(missing_ok=True)


def pinned(
    href: str | Path,
    *,
    item_id: str,
    key: str,
    max_bytes: int,
    checksum: str | None = None,
    lock: Lock | None = None,
    cache: Cache | None = None,
    report: Report = ignore,
) -> str:
    """Return the SHA-256 that a file must have whose item states none; the first time it is fetched to learn it.

    Parameters
    ----------
    href
        URL, or path of a local file.
    item_id, key
        Item and asset.
    max_bytes
        Largest file to fetch.
    checksum
        Multihash of another algorithm than SHA-256 that the item states.

    Raises
    ------
    StorageError
        If the lock file cannot be read or written.
    NotFoundError, DownloadError, UntrustedError
        If the file cannot be had, or is too large.
    IntegrityError
        If it has not the checksum that the item states.
    """
    lock, cache = lock or Lock(), cache or Cache()
    place, what = lock.place(href), f"asset {key!r} of item {item_id!r}"
    known = lock.pins().get(place)
    if known is not None and known.checksum == checksum:
        return known.sha256
    made = _pin(href, item_id, key, checksum, max_bytes=max_bytes, cache=cache, report=report)
    found = lock.add(place, made, anew=known is not None and known.sha256 == made.sha256)
    if found == made:
        has = "no checksum" if checksum is None else "no SHA-256, and the checksum that it says"
        report(Note(f"{what} has {has}: pinned to sha256 {made.sha256[:12]}… in {lock.path}"))
    return found.sha256


def update(
    href: str | Path,
    *,
    item_id: str,
    key: str,
    max_bytes: int,
    checksum: str | None = None,
    lock: Lock | None = None,
    cache: Cache | None = None,
    report: Report = ignore,
) -> tuple[Pin | None, Pin]:
    """Fetch a file whose item states no SHA-256, and pin it as it is now; return what was pinned, and what is.

    The parameters and errors are those of :func:`pinned`.
    """
    lock, cache = lock or Lock(), cache or Cache()
    place = lock.place(href)
    before = lock.pins().get(place)
    made = _pin(href, item_id, key, checksum, max_bytes=max_bytes, cache=cache, report=report)
    if before is not None and replace(before, pinned=made.pinned) == made:
        return before, before
    return before, lock.add(place, made, anew=True)


def _pin(
    href: str | Path, item_id: str, key: str, checksum: str | None, *, max_bytes: int, cache: Cache, report: Report
) -> Pin:
    what = f"asset {key!r} of item {item_id!r}"
    if isinstance(href, Path):
        if not href.is_file():
            raise NotFoundError(f"no file {href}, {what}: fetch it again from its publisher")
        digest, size = sha256(href), href.stat().st_size
    else:
        digest, size = _learn(href, what, max_bytes, cache, report)
    path = href if isinstance(href, Path) else cache.path(digest)
    if (stated := other_digest(checksum)) is not None:
        name, published = stated
        if (found := digest_of(path, name)) != published:
            raise IntegrityError(
                f"{shown(str(href))} of item {item_id!r} is not the published file: {name} is {found}, published was "
                f"{published}; fetch it again from its publisher"
            )
    return Pin(item_id, key, digest, size, datetime.now(UTC).date().isoformat(), checksum)


def changed(error: IntegrityError, href: str | Path, lock: Lock | None = None) -> IntegrityError:
    """Say of a file that is not the one pinned what to do."""
    lock = lock or Lock()
    place = lock.place(href)
    return IntegrityError(
        f"{place} changed since it was pinned in {lock.path}: {error}; if the new file is meant, accept it by "
        "modelstac lock update ITEM, and commit that file"
    )


def _learn(href: str, what: str, max_bytes: int, cache: Cache, report: Report) -> tuple[str, int]:
    """Fetch a file whose digest nobody knows into the cache, and return digest and size."""
    source = Source(href, "", None, what)
    folder = cache.root / "incoming"
    temporary = folder / uuid.uuid4().hex
    digest, size, task = hashlib.sha256(), 0, f"fetch {what}"
    report(Started(task))
    with explained(f"keep {source} in the cache {cache.root}"), contextlib.ExitStack() as cleaning:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        cleaning.callback(temporary.unlink, missing_ok=True)
        with temporary.open("wb") as file:
            for chunk in download(source, start=0):
                size += len(chunk)
                if size > max_bytes:
                    raise UntrustedError(f"{source} has more than the limit of {max_bytes} bytes")
                digest.update(chunk)
                file.write(chunk)
                report(Advanced(task, len(chunk)))
            file.flush()
            os.fsync(file.fileno())
        path = cache.path(digest.hexdigest())
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary.replace(path)
    report(Finished(task))
    return digest.hexdigest(), size


def _default_path() -> Path:
    if named := os.environ.get(VARIABLE):
        return Path(named)
    here = Path.cwd()
    return next((folder / NAME for folder in (here, *here.parents) if (folder / NAME).is_file()), here / NAME)
