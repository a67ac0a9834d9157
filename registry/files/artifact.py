"""What a runtime gets: the verified bytes of a model file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from modelstac.catalog.errors import StorageError
from modelstac.registry.files.stamps import Stamp


@dataclass(frozen=True)
class Artifact:
    """The verified bytes of one model file.

    Parameters
    ----------
    item_id
        Item that the file belongs to.
    path
        Where it was read; for messages only, never to be opened again.
    data
        The content.
    sha256
        Its digest, hexadecimal, equal to the published one.
    stamp
        What is known of the file from earlier loads; None if nothing.
    beside
        Verified bytes of the files that belong to it, by the names that it calls them.
    """

    item_id: str
    path: Path
    data: bytes = field(repr=False)
    sha256: str
    stamp: Stamp | None = field(default=None, repr=False)
    beside: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    @property
    def lengths(self) -> dict[str, int]:
        """Bytes of the files that belong to it, by name."""
        return {name: len(data) for name, data in self.beside.items()}

    @contextmanager
    def private_file(self, suffix: str) -> Iterator[Path]:
        """Give the bytes as a file in a folder that only this user can reach, for a framework that wants a path."""
        with tempfile.TemporaryDirectory(prefix="modelstac-") as folder:  # mode 0700
            path = Path(folder) / f"model{suffix}"
            try:
                path.write_bytes(self.data)
            except OSError as error:
                raise StorageError.doing(
                    f"copy {self.path.name} to {folder}", error, advice="free space there or set TMPDIR to another disk"
                ) from error
            yield path
