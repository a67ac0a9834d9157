"""Small descriptions of models, whose artifacts are a few bytes: the catalog never looks inside."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import obstore
import pytest
from obstore.store import from_url

from modelstac.catalog.items import ModelDescription
from modelstac.catalog.testing import example_fields

Describe = Callable[..., ModelDescription]


@pytest.fixture
def describe(tmp_path: Path) -> Describe:
    """Return a function that describes a model; its keyword arguments replace fields."""
    folder = tmp_path / "made"
    folder.mkdir()
    artifact, metrics = folder / "model.bin", folder / "metrics.json"
    artifact.write_bytes(b"weights")
    metrics.write_text('{"rmse": 0.9}\n')

    def make(**changes: Any) -> ModelDescription:
        return ModelDescription(**(example_fields(artifact, metrics) | changes))

    return make


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """Run moto's S3 server in a process of its own, and return its address."""
    program = (
        "from moto.server import ThreadedMotoServer as S; s = S('127.0.0.1', 0); s.start(); "
        "print(s.get_host_and_port()[1], flush=True); input()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    port = next(line.strip() for line in process.stdout if line.strip().isdigit())
    yield f"http://127.0.0.1:{port}"
    process.kill()
    process.communicate()


@pytest.fixture
def bucket(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the URL of a new S3 bucket; the environment leads there."""
    name = f"models-{uuid.uuid4().hex[:12]}"
    variables = {
        "AWS_ENDPOINT_URL": s3_server,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
    }
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    # Making a bucket is a bare PUT to the server that runs here.
    obstore.put(from_url(s3_server, client_options={"allow_http": True}), name, b"")
    return f"s3://{name}"
