"""``modelstac.lock``: the SHA-256 of files whose items state none, pinned when they were first fetched.

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
from dataclasses import dataclass
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
from modelstac.catalog.items.digests import sha256
from modelstac.catalog.messages import Advanced, Finished, Note, Report, Started, ignore
from modelstac.registry.files.cache import Cache
from modelstac.registry.files.download import Source, download

NAME, VARIABLE = "modelstac.lock", "MODELSTAC_LOCK"


@dataclass(frozen=True)
class Pin:
    """One file: of which item and asset, its SHA-256, bytes, and the day on which it was pinned."""

    item: str
    asset: str
    sha256: str
    size: int
    pinned: str


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
        files = {place: vars(pins[place]) for place in sorted(pins)}
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

    Raises
    ------
    StorageError
        If the lock file cannot be read or written.
    NotFoundError, DownloadError, UntrustedError
        If the file cannot be had, or is too large.
    """
    lock, cache = lock or Lock(), cache or Cache()
    place, what = lock.place(href), f"asset {key!r} of item {item_id!r}"
    if (known := lock.pins().get(place)) is not None:
        return known.sha256
    made = _pin(href, item_id, key, max_bytes=max_bytes, cache=cache, report=report)
    found = lock.add(place, made)
    if found.sha256 == made.sha256:
        report(Note(f"{what} has no checksum: pinned to sha256 {made.sha256[:12]}… in {lock.path}"))
    return found.sha256


def update(
    href: str | Path,
    *,
    item_id: str,
    key: str,
    max_bytes: int,
    lock: Lock | None = None,
    cache: Cache | None = None,
    report: Report = ignore,
) -> tuple[Pin | None, Pin]:
    """Fetch a file whose item states no checksum, and pin it as it is now; return what was pinned, and what is.

    The parameters and errors are those of :func:`pinned`.
    """
    lock, cache = lock or Lock(), cache or Cache()
    place = lock.place(href)
    before = lock.pins().get(place)
    made = _pin(href, item_id, key, max_bytes=max_bytes, cache=cache, report=report)
    if before is not None and (before.sha256, before.size) == (made.sha256, made.size):
        return before, before
    return before, lock.add(place, made, anew=True)


def _pin(href: str | Path, item_id: str, key: str, *, max_bytes: int, cache: Cache, report: Report) -> Pin:
    what = f"asset {key!r} of item {item_id!r}"
    if isinstance(href, Path):
        if not href.is_file():
            raise NotFoundError(f"no file {href}, {what}: fetch it again from its publisher")
        digest, size = sha256(href), href.stat().st_size
    else:
        digest, size = _learn(href, what, max_bytes, cache, report)
    return Pin(item_id, key, digest, size, datetime.now(UTC).date().isoformat())


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
