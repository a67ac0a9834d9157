"""The files of items beside an SQLite file, each under its SHA-256: the same bytes are stored once.

Layout: ``<first two digits>/<digest>/<file name>``. A file is complete before it has its name, and never changes.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from modelstac.catalog.backends.storage import copy_verified, explained, make_folder, sync_folder


class ArtifactFolder:
    """A folder of files by digest.

    Parameters
    ----------
    root
        The folder; it is made when the first file comes.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, source: Path, *, sha256: str) -> str:
        """Copy a file durably, verified on the way, and return its path below the root.

        Raises
        ------
        IntegrityError
            If it is not the file with this SHA-256.
        StorageError
            If it cannot be read or written.
        """
        name = f"{sha256[:2]}/{sha256}/{source.name}"
        target = self.root / name
        temporary = target.with_name(f".{os.urandom(16).hex()}")
        with explained(f"copy {source} into {self.root}"):
            if target.is_file() and target.stat().st_size == source.stat().st_size:
                return name
            make_folder(target.parent, self.root)
            try:
                copy_verified(source, temporary, sha256=sha256)
                temporary.replace(target)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
            sync_folder(target.parent)
        return name

    def remove(self, digest: str) -> None:
        """Remove the file with a digest."""
        with explained(f"remove {digest} from {self.root}"):
            shutil.rmtree(self.root / digest[:2] / digest, ignore_errors=True)
