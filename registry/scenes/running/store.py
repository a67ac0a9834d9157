"""Finished parts of a run, on disk: pixels of each layer in a file, and a journal of what of them is there.

A run that is killed at any moment leaves a folder from which the same run goes on: a line of the journal is written
once the pixels that it speaks of are on disk, and a line that was cut off does not count. What the run depends on (the
scene, the model, the options) stands in the folder; another run begins anew.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from modelstac.catalog.errors import ConflictError, DataError, ModelStacError, StorageError

if TYPE_CHECKING:
    from modelstac.registry.scenes.rasters import Layer, Window

    Values = np.ndarray[Any, Any]

FORMAT = 1
STATED, JOURNAL, NOTES, LOCK, PIXELS = "run.json", "journal", "notes", "lock", ".pixels"
ADVICE = "check that its folder may be written, or name another output"
SYNC = 1.0
"""Seconds between writes to the disk itself: as much work is lost if the machine, not the process, goes down."""


class Store:
    """The folder of a run.

    Parameters
    ----------
    folder
        Where; it is made.
    about
        What the run depends on, as JSON types.

    Attributes
    ----------
    resumed
        What the folder says of the run that was broken off; None where there was none of this kind.
    changed
        Which part of what the folder was made for is another now; None where there is no such folder.
    done
        Numbers of parts that are there.
    notes
        What was said of parts, also before the run was broken off.
    """

    def __init__(self, folder: Path, about: Mapping[str, Any]) -> None:
        self.folder, self.about = folder, json.loads(json.dumps(about))
        self.resumed: dict[str, Any] | None = None
        self.changed: str | None = None
        self.done: set[int] = set()
        self.notes: list[str] = []
        self._files: list[int] = []
        self._journal = -1
        self._pending: list[str] = []
        self._synced = 0.0
        self._guard = threading.Lock()
        with _on_disk(folder):
            folder.mkdir(parents=True, exist_ok=True)
        self._alone = _lock(folder)
        try:
            self._look()
        except BaseException:
            self._alone.release()
            raise

    def _look(self) -> None:
        """Read what is there, if it is of the same run."""
        try:
            found = json.loads((self.folder / STATED).read_text("utf-8"))
            before = found["about"]
        except (OSError, ValueError, KeyError, TypeError):
            return
        different = [key for key in {**before, **self.about} if before.get(key) != self.about.get(key)]
        if found.get("format") != FORMAT:
            different = ["version of modelstac"]
        if different:
            self.changed = sorted(different)[0]
            return
        self.resumed = found.get("plan")

    def open(self, layers: Sequence[Layer], plan: Mapping[str, Any]) -> None:
        """Make room for layers, or take them up where they were left.

        Parameters
        ----------
        layers
            What is made.
        plan
            How, as JSON types; it is what ``resumed`` gives next time.
        """
        plan = json.loads(json.dumps(plan))
        with _on_disk(self.folder):
            if self.resumed != plan or not self._whole(layers):
                self.resumed = None
                _cleared(self.folder)
                stated = {"format": FORMAT, "about": self.about, "plan": plan}
                _write(self.folder / STATED, json.dumps(stated, indent=1))
            self._files = [self._room(number, layer) for number, layer in enumerate(layers)]
            self._layers = list(layers)
            self._journal = os.open(self.folder / JOURNAL, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            text = (self.folder / JOURNAL).read_text("ascii", errors="replace")
            whole = text[: text.rfind("\n") + 1]
            if whole != text:  # a line that was cut off
                os.ftruncate(self._journal, len(whole))
            self.done = {int(line) for line in whole.split("\n") if line.isdigit()}
            kept = self.folder / NOTES
            self.notes = kept.read_text("utf-8").splitlines() if kept.exists() else []
            self._synced = time.monotonic()

    def note(self, text: str) -> None:
        """Keep a line of what a person should know of the parts, before they are finished."""
        if text in self.notes:
            return
        self.notes.append(text)
        with _on_disk(self.folder), (self.folder / NOTES).open("a", encoding="utf-8") as file:
            file.write(f"{' '.join(text.split())}\n")
            file.flush()
            os.fsync(file.fileno())

    def _whole(self, layers: Sequence[Layer]) -> bool:
        """Tell whether the pixels are as many as they were: a file that was cut off would be read as zeros."""
        paths = [self.folder / f"{number}{PIXELS}" for number in range(len(layers))]
        return all(
            path.is_file() and path.stat().st_size == _size(layer) for path, layer in zip(paths, layers, strict=True)
        )

    def _room(self, number: int, layer: Layer) -> int:
        size = _size(layer)
        file = os.open(self.folder / f"{number}{PIXELS}", os.O_RDWR | os.O_CREAT, 0o644)
        os.ftruncate(file, size)  # holes take no room until they are written
        return file

    def write(self, number: int, window: Window, values: Values) -> None:
        """Write pixels (band, row, column) of the layer of this number."""
        layer = self._layers[number]
        height, width = layer.grid.shape
        values = np.ascontiguousarray(values, layer.dtype)
        rows, columns = window
        item, file = values.itemsize, self._files[number]
        with _on_disk(self.folder):
            for band in range(len(values)):
                first = (band * height + rows.start) * width
                if columns.stop - columns.start == width:
                    _put(file, values[band], first * item)
                    continue
                for row, line in enumerate(values[band]):
                    _put(file, line, (first + row * width + columns.start) * item)

    def finish(self, part: int) -> None:
        """Say that all pixels of a part were written."""
        with self._guard:
            self.done.add(part)
            self._pending.append(f"{part}\n")
            if time.monotonic() - self._synced >= SYNC:
                self._sync()

    def _sync(self) -> None:
        with _on_disk(self.folder):
            for file in self._files:
                os.fdatasync(file) if hasattr(os, "fdatasync") else os.fsync(file)
            if self._pending:
                os.write(self._journal, "".join(self._pending).encode())
                os.fsync(self._journal)
        self._pending = []
        self._synced = time.monotonic()

    def read(self, number: int, window: Window) -> Values:
        """Read pixels (band, row, column) of the layer of this number; from any number of threads."""
        layer = self._layers[number]
        height, width = layer.grid.shape
        rows, columns = (_bounded(part, length) for part, length in zip(window, (height, width), strict=True))
        made = np.empty((len(layer.bands), rows.stop - rows.start, columns.stop - columns.start), layer.dtype)
        with _on_disk(self.folder):
            for band in range(len(made)):
                first = (band * height + rows.start) * width
                if made.shape[2] == width:
                    _get(self._files[number], made[band], first * made.itemsize)
                    continue
                for row, line in enumerate(made[band]):
                    _get(self._files[number], line, (first + row * width + columns.start) * made.itemsize)
        return made

    def close(self) -> None:
        """Leave it as it is, for another time."""
        if self._journal >= 0:
            with contextlib.suppress(StorageError):
                self._sync()
        self._released()

    def _released(self) -> None:
        if self._journal >= 0:
            for file in (*self._files, self._journal):
                os.close(file)
            self._files, self._journal = [], -1
        self._alone.release()

    def remove(self) -> None:
        """Close it and leave nothing behind."""
        self._released()  # what is not on the disk itself never has to be
        with contextlib.suppress(OSError):
            _cleared(self.folder)
            (self.folder / LOCK).unlink(missing_ok=True)
            self.folder.rmdir()


def _size(layer: Layer) -> int:
    """Return how many bytes the pixels of a layer are."""
    height, width = layer.grid.shape
    return int(len(layer.bands) * height * width * np.dtype(layer.dtype).itemsize)


def _bounded(part: slice, length: int) -> slice:
    begin, end, _ = part.indices(length)
    return slice(begin, max(begin, end))


def _put(file: int, values: Values, offset: int) -> None:
    data = memoryview(values.data).cast("B")
    while data:
        written = os.pwrite(file, data, offset)
        data, offset = data[written:], offset + written


def _get(file: int, values: Values, offset: int) -> None:
    data = memoryview(values.data).cast("B")
    while data:
        count = os.preadv(file, [data], offset)
        if not count:
            raise DataError("the kept pixels of this run are cut off: remove its .part folder and run it again")
        data, offset = data[count:], offset + count


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f"{path.name}.new")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _cleared(folder: Path) -> None:
    """Remove what a run keeps, and nothing else that somebody may have put there."""
    for path in [
        folder / STATED,
        folder / f"{STATED}.new",
        folder / JOURNAL,
        folder / NOTES,
        *folder.glob(f"*{PIXELS}"),
    ]:
        path.unlink(missing_ok=True)


def _lock(folder: Path) -> Any:
    import filelock

    lock = filelock.FileLock(folder / LOCK)
    with _on_disk(folder):
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout as error:
            raise ConflictError(f"another process works in {folder}: wait for it, or name another output") from error
    return lock


@contextlib.contextmanager
def _on_disk(folder: Path) -> Iterator[None]:
    try:
        yield
    except ModelStacError:  # some of ours are OSErrors too
        raise
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        advice = "what is done is kept: make room and run the same again" if full else ADVICE
        raise StorageError.doing(f"keep finished tiles in {folder}", error, advice=advice) from error


class Stored:
    """A finished layer of a store, as a writer reads it."""

    def __init__(self, store: Store, number: int, layer: Layer) -> None:
        self._store, self._number, self.layer = store, number, layer

    def read(self, window: Window) -> Values:
        """Give the pixels of a window: band, row, column."""
        return self._store.read(self._number, window)
