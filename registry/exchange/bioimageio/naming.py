"""What names a package: asked of everything that is published, before anything of packages is loaded."""

from __future__ import annotations

import zipfile
from pathlib import Path

NAMES = ("rdf.yaml", "bioimageio.yaml", "model.yaml")
_OTHER_ARCHIVES = (".savedmodel.zip", ".openvino.zip")


def is_package(text: str, folder: Path) -> bool:
    """Tell whether a text names a package: its YAML, its folder, its archive, or an address on the web."""
    if text.startswith(("http://", "https://")):
        return True
    path = folder / text
    if path.name in NAMES[:2] or path.name.endswith(".rdf.yaml"):
        return True
    if path.is_dir():
        return any((path / name).is_file() for name in NAMES[:2])
    if path.suffix != ".zip" or path.name.endswith(_OTHER_ARCHIVES) or not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name in archive.namelist() for name in NAMES)
