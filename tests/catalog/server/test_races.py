"""Uploads, gc and publishing at once, by several servers: a file is whole or not there, and nothing is lost."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import socket
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from pydantic import SecretStr
from tests.catalog.server.conftest import Server, serving
from tests.catalog.server.postgres import Cluster

from modelstac.catalog.backends.api.catalog import ApiCatalog
from modelstac.catalog.errors import ModelStacError
from modelstac.catalog.server.files.artifacts import ArtifactStore
from modelstac.catalog.server.gc import collect
from modelstac.catalog.server.settings import ServerSettings
from modelstac.catalog.testing import Examples

DAY = 86_400


def path_of(data: bytes, name: str = "model.bin") -> str:
    digest = hashlib.sha256(data).hexdigest()
    return f"artifacts/{digest[:2]}/{digest}/{name}"


def broken_off(server: Server, path: str, data: bytes, share: float) -> None:
    """Send a part of a file and end the connection."""
    address = urlsplit(server.href)
    with socket.create_connection((address.hostname, address.port)) as connection:
        head = (
            f"PUT /{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.key}\r\nContent-Length: {len(data)}\r\n"
        )
        connection.sendall(f"{head}\r\n".encode() + data[: int(len(data) * share)])
        time.sleep(0.02)


@pytest.fixture(scope="module", params=["embedded", "pgstac"])
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[list[Server], ServerSettings]]:
    """Give two servers over one catalog and one folder of artifacts, and the settings by which gc finds them."""
    folder = tmp_path_factory.mktemp("pair")
    files, second = str(folder / "files"), folder / "second"
    second.mkdir()
    if request.param == "embedded":
        settings = ServerSettings(catalog=folder / "models.sqlite", artifacts=files)
        with (
            serving(folder, "--catalog", str(settings.catalog), "--artifacts", files) as one,
            serving(second, "--catalog", str(settings.catalog), "--artifacts", files) as other,
        ):
            yield [one, other], settings
        return
    cluster: Cluster = request.getfixturevalue("cluster")
    with (
        cluster.database() as url,
        serving(folder, "--artifacts", files, MODELSTAC_DATABASE=url) as one,
        serving(second, "--artifacts", files, MODELSTAC_DATABASE=url) as other,
    ):
        yield [one, other], ServerSettings(database=SecretStr(url), artifacts=files)


def test_one_file_sent_by_several_at_once(pair: tuple[list[Server], ServerSettings]) -> None:
    servers, settings = pair
    chance = random.Random(1)
    for _ in range(6):
        data = chance.randbytes(1_500_000)
        path = path_of(data)
        seen: list[tuple[int, int]] = []
        done = threading.Event()

        def watch(path: str = path, seen: list[Any] = seen, done: threading.Event = done) -> None:
            while not done.is_set():
                found = servers[1].get(path)
                seen.append((found.status_code, len(found.content)))

        with ThreadPoolExecutor(6) as threads:
            watching = threads.submit(watch)
            for server in servers:
                threads.submit(broken_off, server, path, data, chance.random())
            honest = [threads.submit(server.request, "PUT", path, key=True, data=data) for server in servers]
            assert {answer.result().status_code for answer in honest} <= {200, 201}
            done.set()
            watching.result()
        assert {size for status, size in seen if status == 200} <= {len(data)}
        assert all(server.get(path).content == data for server in servers)
        names = list((Path(str(settings.artifacts)) / path.removeprefix("artifacts/")).parent.iterdir())
        assert [name.name for name in names] == ["model.bin"]


def test_half_a_file_of_an_older_server_is_replaced(pair: tuple[list[Server], ServerSettings]) -> None:
    (server, _), settings = pair
    data = b"whole and right"
    place = Path(str(settings.artifacts)) / path_of(data).removeprefix("artifacts/")
    place.parent.mkdir(parents=True)
    place.write_bytes(data[:5])
    assert server.request("PUT", path_of(data), key=True, data=data).status_code == 201
    assert server.get(path_of(data)).content == data


def test_what_is_said_to_be_here_stays_until_it_is_named(
    pair: tuple[list[Server], ServerSettings], tmp_path: Path
) -> None:
    (server, other), settings = pair
    server.clear()
    examples = Examples(tmp_path / "made")
    catalog = ApiCatalog(server.href, key=server.key)
    item = catalog.publish(examples.item())
    catalog.delete(item.id)
    path = urlsplit(item.assets["model"].href).path.lstrip("/")
    place = Path(str(settings.artifacts)) / path.removeprefix("artifacts/")
    data = place.read_bytes()
    long_ago = time.time() - 10 * DAY
    for method in ("PUT", "HEAD"):
        os.utime(place, (long_ago, long_ago))
        body = data if method == "PUT" else None
        assert other.request(method, path, key=True, data=body).status_code == 200
        asyncio.run(collect(settings, older_than=timedelta(days=1)))
        assert place.is_file(), method
    # Who asks without a key keeps nothing alive.
    os.utime(place, (long_ago, long_ago))
    assert other.request("HEAD", path).status_code == 200
    asyncio.run(collect(settings, older_than=timedelta(days=1)))
    assert not place.exists()
    assert not place.parent.parent.exists()
    document = item.to_dict(transform_hrefs=False)
    answer = server.request("POST", "collections/convlstm-knmi/items", key=True, json=document)
    assert (answer.status_code, answer.json()["code"]) == (400, "MissingFileError")
    assert catalog.publish(examples.item()).id == item.id
    assert place.read_bytes() == data


def test_gc_beside_publishing_takes_nothing_that_is_named(
    pair: tuple[list[Server], ServerSettings], tmp_path: Path
) -> None:
    servers, settings = pair
    servers[0].clear()
    examples = Examples(tmp_path / "made")
    end, refused = time.monotonic() + 3, []

    def publish(number: int) -> None:
        catalog = ApiCatalog(servers[number % 2].href, key=servers[number % 2].key)
        for minor in range(1000):
            item = examples.item(name=f"model-{number}", version=f"1.{minor}.0")
            try:
                catalog.publish(item)
            except ModelStacError as error:
                refused.append(str(error))  # said, and so not lost: gc was quicker three times
            else:
                if minor % 2:
                    catalog.delete(item.id)
            if time.monotonic() > end:
                return

    with ThreadPoolExecutor(3) as threads:
        running = [threads.submit(publish, number) for number in range(3)]
        while not all(one.done() for one in running):
            asyncio.run(collect(settings, older_than=timedelta(0)))
        for one in running:
            one.result()
    faults = [line for server in servers for line in server.lines() if line["level"] == "error"]
    assert all("send it first" in why for why in refused), (refused, faults)
    ApiCatalog(servers[0].href, key=servers[0].key).publish(examples.item(name="last"))
    found = servers[0].get("search?limit=1000").json()["features"]
    assert "last-1.0.0-torch" in {item["id"] for item in found}
    hrefs = {asset["href"] for item in found for asset in item["assets"].values()}
    assert {requests.get(href, timeout=30).status_code for href in hrefs} == {200}


def test_gc_takes_what_broke_off_and_no_upload_that_is_running(pair: tuple[list[Server], ServerSettings]) -> None:
    (server, _), settings = pair
    files, data = Path(str(settings.artifacts)), random.Random(3).randbytes(300_000)
    broken_off(server, path_of(data), data, 0.5)
    end = time.monotonic() + 20
    while server.request("HEAD", path_of(data)).headers["Upload-Offset"] == "0":
        assert time.monotonic() < end
    [part] = (files / ".uploads").iterdir()
    os.utime(part, (time.time() - 90 * DAY,) * 2)
    other = b"another file"

    async def slowly() -> Any:
        yield other[:5]
        # As old as it may be: somebody writes it.
        for path in (files / ".uploads").iterdir():
            os.utime(path, (time.time() - 90 * DAY,) * 2)
        await asyncio.to_thread(asyncio.run, collect(settings, older_than=timedelta(days=1)))
        yield other[5:]

    store = ArtifactStore(str(files), limit=1 << 20)
    where = path_of(other).removeprefix("artifacts/")
    assert asyncio.run(store.write(where, slowly(), start=0, total=len(other)))
    assert (files / where).read_bytes() == other
    assert list((files / ".uploads").iterdir()) == []


def test_a_file_is_durable_before_it_is_said_to_be_here(tmp_path: Path) -> None:
    events: list[tuple[str, str]] = []
    watching = True

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if watching and event in {"os.link", "open"} and arguments:
            events.append((event, str(arguments[1] if event == "os.link" else arguments[0])))

    sys.addaudithook(hook)
    root = tmp_path / "files"
    store = ArtifactStore(str(root), limit=1 << 20)
    where = path_of(b"some bytes").removeprefix("artifacts/")

    async def body() -> Any:
        yield b"some bytes"

    assert asyncio.run(store.write(where, body(), start=0, total=None))
    watching = False
    linked = events.index(("os.link", str(root / where)))
    synced = [path for event, path in events if event == "open"]
    # The names of the folders before, that of the file after it got it.
    folder = (root / where).parent
    assert {str(folder.parent), str(root), str(tmp_path)} <= set(synced)
    assert ("open", str(folder)) in events[linked:]
