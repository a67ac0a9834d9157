"""An SQLite catalog on a medium that is read-only is read, searched and not written."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from modelstac.catalog.backends.embedded import EmbeddedCatalog
from modelstac.catalog.testing import TORCH, Examples

SOURCES = Path(__file__).resolve().parents[2] / "src"
# Root may write anywhere, unless it is without that capability.
MORTAL = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")
READ = """
import sys
from modelstac.catalog import open_catalog
from modelstac.catalog.errors import StorageError
catalog = open_catalog(sys.argv[1])
print(len(list(catalog.items())), [item.id for item in catalog.search(text="radar", limit=1)], catalog.aliases("unet"))
try:
    catalog.deprecate(sys.argv[2])
except StorageError as error:
    print(error)
"""


def test_a_catalog_that_may_only_be_read(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "catalog"
        folder.mkdir()
        catalog = EmbeddedCatalog(folder / "models.sqlite", create=True)
        catalog.publish_many(Examples(tmp_path / "made").various())
        catalog.close()
        for path, mode in ((folder / "models.sqlite", 0o444), (folder, 0o555), (folder.parent, 0o755)):
            path.chmod(mode)
        done = subprocess.run(
            [*(MORTAL if os.getuid() == 0 else ()), sys.executable, "-c", READ, str(folder / "models.sqlite"), TORCH],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"PYTHONPATH": str(SOURCES)},
        )
        folder.chmod(0o755)
    found, said = done.stdout.splitlines()
    assert found == "9 ['convlstm-knmi-1.0.0-keras-tensorflow'] {}", done.stderr
    assert "readonly database; ask for write permission there" in said
