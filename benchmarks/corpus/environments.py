"""Environments of packages that do not go beside this project's: made by uv below the cache when first needed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def python_of(name: str | None, cache: Path) -> Path:
    """Give the interpreter of an environment, by the name of its file of requirements; None is this one."""
    if name is None:
        return Path(sys.executable)
    folder, wanted = cache / "environments" / name, HERE / f"{name}.txt"
    stamp = folder / "made-of"
    if not stamp.exists() or stamp.read_text() != wanted.read_text():
        _uv("venv", "--quiet", "--clear", "--python", "3.11", str(folder))
        _uv("pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), "-r", str(wanted))
        stamp.write_text(wanted.read_text())
    return folder / "bin" / "python"


def _uv(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "uv", *words], check=True)
