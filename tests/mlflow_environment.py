"""Make ``.mlflow``: MLflow's own server and package in an environment of its own, over that of the tests.

MLflow 3.17 wants an importlib_metadata and a pyarrow that are older than those the tests run with. So what it needs
itself lies in its own environment, pinned as far as it agrees with ``constraints.txt``, and the frameworks are taken
from the other by a ``.pth`` file.

    python tests/mlflow_environment.py [FOLDER]
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("mlflow==3.17.2", "skops==0.16.0")
OWN = ("importlib_metadata", "pyarrow")  # where MLflow disagrees


def make(folder: Path) -> Path:
    """Make the environment unless it is whole, and return its Python; of several processes one makes it."""
    import filelock

    lock = ROOT / ".cache" / "mlflow.lock"
    lock.parent.mkdir(exist_ok=True)
    with filelock.FileLock(lock):
        return _made(folder)


def _made(folder: Path) -> Path:
    python, ready = folder / "bin" / "python", folder / "ready"
    if ready.is_file() and ready.read_text() == _made_of():
        return python
    from uv import find_uv_bin

    uv = find_uv_bin()
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder], check=True)
    constraints = folder / "constraints.txt"
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    kept = [line for line in lines if re.split(r"[=\[; ]", line)[0].replace("-", "_").lower() not in OWN]
    constraints.write_text("\n".join(kept) + "\n")
    what = ["--quiet", "--python", python, "--constraint", constraints, *PACKAGES]
    subprocess.run([uv, "pip", "install", *what], check=True)
    site = next(folder.glob("lib/python*/site-packages"))
    (site / "frameworks.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    ready.write_text(_made_of())
    return python


def _made_of() -> str:
    return "\n".join((*PACKAGES, sysconfig.get_path("purelib"), (ROOT / "constraints.txt").read_text()))


if __name__ == "__main__":
    print(make(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / ".mlflow"))
