"""Real servers for tests: a process of ``modelstac serve`` over an SQLite file, and one over pgstac."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from tests.catalog.server import postgres
from tests.needs import left_out

ROOT = Path(__file__).resolve().parents[3]
STARTED_WITHIN = 60.0


def run(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run ``modelstac`` as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "modelstac", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=environment(**variables),
    )


def environment(**variables: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MODELSTAC_")}
    return kept | {"PYTHONPATH": str(ROOT / "src")} | variables


@dataclass
class Server:
    """A running server and a key to it."""

    href: str
    key: str
    process: subprocess.Popen[bytes]
    log: Path
    seeded: bool = False

    def request(self, method: str, path: str, *, key: bool = False, **options: Any) -> requests.Response:
        headers = options.pop("headers", {}) | ({"Authorization": f"Bearer {self.key}"} if key else {})
        return requests.request(method, f"{self.href}/{path}", headers=headers, timeout=30, **options)

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.request("GET", path, **options)

    def clear(self) -> None:
        """Remove all that was published."""
        self.seeded = False
        for collection in self.get("collections?limit=1000").json()["collections"]:
            answer = self.request("DELETE", f"collections/{collection['id']}", key=True)
            assert answer.status_code == 204, answer.text

    def lines(self) -> list[dict[str, Any]]:
        """Read the log, but for a line that is being written."""
        return [json.loads(line) for line in self.log.read_text().splitlines(keepends=True) if line.endswith("\n")]


def until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait for what comes after an answer, such as its line in the log."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.05)


@contextmanager
def serving(folder: Path, *arguments: str, **variables: str) -> Iterator[Server]:
    """Start a server on a free port and end it as ``docker stop`` does."""
    keys, log = folder / "keys.json", folder / "log.jsonl"
    made = run("keys", "--keys", keys, "add", "tests", "--json")
    assert made.returncode == 0, made.stderr
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "modelstac", "serve", "--port", "0", "--keys", str(keys), *arguments],
            stderr=out,
            env=environment(**variables),
        )
    try:
        yield Server(_address(process, log), json.loads(made.stdout)["key"], process, log)
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0, log.read_text()[-2000:]


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    end = time.monotonic() + STARTED_WITHIN
    while time.monotonic() < end:
        for line in log.read_text().splitlines(keepends=True):
            message = json.loads(line).get("message", "") if line.endswith("}\n") else ""
            if message.startswith("listening on "):
                href = message.removeprefix("listening on ")
                # It listens before it answers: the connection waits.
                if requests.get(f"{href}/healthz", timeout=STARTED_WITHIN).ok:
                    return str(href)
        assert process.poll() is None, log.read_text()[-2000:]
        time.sleep(0.05)
    raise AssertionError(f"the server did not start: {log.read_text()[-2000:]}")


def own_environment(folder: Path, package: str) -> Path:
    """Return the interpreter of an environment that uv makes for a package that ours cannot hold beside the others."""
    uv, python = Path(sys.executable).with_name("uv"), folder / "venv" / "bin" / "python"
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder / "venv"], check=True)
    install = [uv, "pip", "install", "--quiet", "--python", python, package]
    done = subprocess.run(install, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        left_out(f"{package} from a package index", done.stderr.strip().splitlines()[-1])
    return python


@pytest.fixture(scope="session")
def cluster() -> Iterator[postgres.Cluster]:
    """Give a PostgreSQL with a migrated template database."""
    if needed := postgres.missing():
        left_out("PostgreSQL 15 with PostGIS", needed)
    # Not below pytest's own folder, which nobody but its user may enter: PostgreSQL runs as another one.
    with tempfile.TemporaryDirectory(prefix="modelstac-postgres-") as name:
        found = postgres.Cluster(Path(name))
        found.start()
        try:
            found.execute(f"CREATE DATABASE {postgres.TEMPLATE}")
            done = run("database", "migrate", "--wait", "10", MODELSTAC_DATABASE=found.url(postgres.TEMPLATE))
            assert done.returncode == 0, done.stderr
            yield found
        finally:
            found.stop("immediate")


@pytest.fixture(scope="session")
def embedded_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("embedded")
    with serving(folder, "--catalog", str(folder / "models.sqlite")) as server:
        yield server


@pytest.fixture(scope="session")
def pgstac_server(tmp_path_factory: pytest.TempPathFactory, cluster: postgres.Cluster) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("pgstac")
    with (
        cluster.database() as url,
        serving(folder, "--artifacts", str(folder / "files"), MODELSTAC_DATABASE=url) as server,
    ):
        yield server


@pytest.fixture(params=["embedded", "pgstac"])
def running(request: pytest.FixtureRequest) -> Server:
    """Give a server with whatever the test before left in it, once over each backend."""
    found: Server = request.getfixturevalue(f"{request.param}_server")
    return found


@pytest.fixture
def server(running: Server) -> Server:
    """Give an empty server."""
    running.clear()
    return running
