"""Small descriptions of models, whose artifacts are a few bytes: the catalog never looks inside."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from tests.catalog import azurite
from tests.catalog.seaweedfs import storage

from modelstac.catalog.items.description import ModelDescription
from modelstac.catalog.testing import example_fields

Describe = Callable[..., ModelDescription]
KEY, SECRET = "key", "a secret of the tests"


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


@contextmanager
def moto() -> Iterator[str]:
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


@pytest.fixture(scope="session", params=["moto", "seaweedfs", "azurite"])
def object_store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Run an object store: moto's S3, which imitates, that of docker-compose.yml, which keeps, and Azure's emulator."""
    with contextlib.ExitStack() as stack:
        match request.param:
            case "moto":
                address = stack.enter_context(moto())
            case "seaweedfs":
                address = stack.enter_context(storage(tmp_path_factory.mktemp("s3"), key=KEY, secret=SECRET))
            case _:
                address = stack.enter_context(azurite.azurite())
        yield request.param, address


@pytest.fixture
def bucket(object_store: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the URL of a new place in a bucket; the environment leads there."""
    kind, address = object_store
    variables = {
        "AZURE_STORAGE_USE_EMULATOR": "true",
        "AZURITE_BLOB_STORAGE_URL": address,
        "AZURE_STORAGE_ACCOUNT_NAME": azurite.ACCOUNT,
        "AZURE_ALLOW_HTTP": "true",
    }
    if kind != "azurite":
        variables = {
            "AWS_ENDPOINT_URL": address,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
        }
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    place = f"models/{uuid.uuid4().hex[:12]}"
    if kind == "azurite":
        azurite.make_container(address, "models")
        return f"az://{place}"
    with contextlib.closing(boto3.client("s3", endpoint_url=address)) as client:
        if not client.list_buckets()["Buckets"]:
            client.create_bucket(Bucket="models")
    return f"s3://{place}"
