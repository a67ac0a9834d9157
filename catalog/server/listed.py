"""Rows with names in a JSON file, which several servers and commands read and change at once."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from modelstac.catalog.backends.storage import Folder
from modelstac.catalog.errors import CatalogError, InvalidItemError, ItemExistsError, NotFoundError, StorageError


class Named(Protocol):
    """What a row is."""

    @property
    def name(self) -> str:
        """What it is called, and no other in its file."""


_LONGEST = 200
Row = TypeVar("Row", bound=Named)


class Listed(Generic[Row]):
    """The rows of a file.

    Parameters
    ----------
    path
        A JSON file; without it there are none.
    what
        What a row is, for messages: ``key``.
    read, shown
        From what the file holds to a row, and back.
    private
        Whether only its owner may read the file.
    """

    def __init__(
        self,
        path: Path,
        what: str,
        read: Callable[[Mapping[str, Any]], Row],
        shown: Callable[[Row], Mapping[str, Any]],
        *,
        private: bool = False,
    ) -> None:
        self.path = path.absolute()
        self._what, self._read, self._shown, self._private = what, read, shown, private
        self._read_at: tuple[int, int] | None = None
        self._known: list[Row] = []

    def all(self) -> list[Row]:
        """Return the rows as the file has them now; it is read again only after it changed.

        Raises
        ------
        StorageError
            If it cannot be read.
        CatalogError
            If it is damaged.
        """
        try:
            status = self.path.stat()
            stamp = (status.st_mtime_ns, status.st_ino)
            if stamp != self._read_at:
                self._known = [self._read(fields) for fields in json.loads(self.path.read_bytes())]
                self._read_at = stamp
        except FileNotFoundError:
            self._known, self._read_at = [], None
        except OSError as error:
            raise StorageError.doing(f"read {self.path}", error, advice="check who may read it") from error
        except (RecursionError, ValueError, TypeError, KeyError) as error:
            raise CatalogError(f"{self.path} is no file of {self._what}s: remove it and add them anew") from error
        return self._known

    def add(self, row: Row) -> None:
        """Add a row.

        Raises
        ------
        InvalidItemError
            If its name is none that one could be told by.
        ItemExistsError
            If its name is taken.
        """
        if not 0 < len(row.name.strip()) <= len(row.name) <= _LONGEST or not row.name.isprintable():
            raise InvalidItemError(f"{self._what} {row.name[:60]!r}: a name of 1 to {_LONGEST} characters is needed")
        folder = Folder(self.path.parent)
        with folder.lock():
            known = self.all()
            if any(other.name == row.name for other in known):
                raise ItemExistsError(
                    f"there is a {self._what} {row.name!r} in {self.path}: remove it first, or take another name"
                )
            self._write(folder, [*known, row])

    def remove(self, name: str) -> None:
        """Take a row out.

        Raises
        ------
        NotFoundError
            If there is none of this name.
        """
        folder = Folder(self.path.parent)
        with folder.lock():
            known = self.all()
            kept = [row for row in known if row.name != name]
            if len(kept) == len(known):
                raise NotFoundError.unknown(self._what, name, [row.name for row in known], where=str(self.path))
            self._write(folder, kept)

    def _write(self, folder: Folder, rows: Sequence[Row]) -> None:
        text = json.dumps([self._shown(row) for row in rows], indent=2)
        folder.write(self.path.name, text.encode(), private=self._private)
