"""The object storage of docker-compose.yml, run bare: SeaweedFS, started as the file starts it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
import yaml
from tests.catalog.server.postgres import free_port

ROOT = Path(__file__).resolve().parents[2]
STARTED_WITHIN = 60.0


def service() -> dict[str, Any]:
    """Return what the file says of it."""
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["storage"]
    return found


@contextmanager
def storage(folder: Path, *, key: str, secret: str) -> Iterator[str]:
    """Start it with its data in a folder and return its address; stop it afterwards."""
    found = service()
    (program,) = found["entrypoint"]
    arguments = [argument.replace("/data", str(folder)) for argument in found["command"]]
    port = _ports()
    # A container has all ports to itself; of an option that is given twice the last counts.
    arguments += [f"-{name}.port={_ports()}" for name in ("master", "volume", "filer")] + [f"-s3.port={port}"]
    folder.mkdir(exist_ok=True)
    log = folder.with_suffix(".log")
    with log.open("wb") as out:
        process = subprocess.Popen(
            [Path(sys.executable).with_name(program), *arguments],
            stdout=out,
            stderr=out,
            env=os.environ | {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret},
        )
    try:
        _, *check = found["healthcheck"]["test"]
        assert check[:-1] == ["wget", "--quiet", "--spider"]
        _wait(process, check[-1].replace(":7070", f":{port}"), log)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def _wait(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    end = time.monotonic() + STARTED_WITHIN
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text(errors="replace")[-2000:]
        try:
            if requests.get(address, timeout=5).ok:
                return
        except requests.ConnectionError:
            time.sleep(0.1)
    raise AssertionError(f"it did not start: {log.read_text(errors='replace')[-2000:]}")


def _ports() -> int:
    """Return a free port; another one, 10,000 above, is for its own protocol."""
    while (port := free_port()) > 55_000:
        pass
    return port
