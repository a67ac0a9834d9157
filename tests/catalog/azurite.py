"""Azurite, Microsoft's own emulator of Azure's blob storage, which ``.ci/run`` installs from npm."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path

import requests
from tests.catalog.server.postgres import free_port
from tests.needs import left_out

INSTALLED = Path(__file__).resolve().parents[2] / ".azurite/node_modules/.bin"
ACCOUNT = "devstoreaccount1"
# The emulator's key, which its documentation publishes.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
VERSION = "2021-12-02"


@contextmanager
def azurite() -> Iterator[str]:
    """Run it and return its address."""
    program = shutil.which("azurite-blob", path=f"{INSTALLED}:{os.environ['PATH']}")
    if program is None:
        left_out("Azurite", "npm install --prefix .azurite azurite@3.35.0")
    port = free_port()
    options = ["--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--blobPort", str(port)]
    with subprocess.Popen([program, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        assert any("successfully listens" in line for line in process.stdout)
        yield f"http://127.0.0.1:{port}"
        process.kill()


def make_container(address: str, name: str) -> None:
    """Make what a bucket is elsewhere, unless it is there."""
    headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": VERSION}
    signed = "\n".join(["PUT", *[""] * 11, *(f"{key}:{value}" for key, value in headers.items())])
    signed += f"\n/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container"
    mac = hmac.digest(base64.b64decode(KEY), signed.encode(), hashlib.sha256)
    headers["Authorization"] = f"SharedKey {ACCOUNT}:{base64.b64encode(mac).decode()}"
    headers["Content-Length"] = "0"
    answer = requests.put(f"{address}/{ACCOUNT}/{name}?restype=container", headers=headers, timeout=30)
    assert answer.status_code in (201, 409), answer.text
