"""Many processes publishing at once, killed at random, the database restarted under them: nothing acknowledged is lost.

The suite has small versions; the full ones, 8 processes with 500 items each on every kind of catalog, take minutes:
``pytest -m slow tests/catalog/server/test_many_writers.py``.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.catalog.conftest import Describe
from tests.catalog.server import postgres
from tests.catalog.server.conftest import run, serving
from tests.catalog.test_durability import check, start

from modelstac.catalog import ModelDescription, open_catalog
from modelstac.catalog.backends.embedded import EmbeddedCatalog
from modelstac.catalog.items.validation import validate

SMALL, FULL = (4, 40), (8, 500)


def wanted(describe: Describe, size: tuple[int, int]) -> list[list[ModelDescription]]:
    """Return what each process publishes: half into a model that all share, half into models of its own."""
    writers, count = size
    return [
        [
            describe(name="shared", variant=f"w{writer}-{number // 50}", version=f"1.{number}.0")
            if number % 2
            else describe(name=f"model-{writer}-{number // 100}", version=f"1.{number}.0")
            for number in range(count)
        ]
        for writer in range(writers)
    ]


def publish(
    href: str,
    each: list[list[ModelDescription]],
    folder: Path,
    kills: int = 0,
    restart: Callable[[], None] | None = None,
) -> set[str]:
    """Publish by a process each, kill some at random and start them again; return the ids that were acknowledged."""
    chance = random.Random(0)
    running = [start(href, items, listed_in=folder) for items in each]
    acknowledged: set[str] = set()
    total = len(each) * len(each[0])
    while any(process.poll() is None for process in running):
        time.sleep(chance.uniform(1.0, 1.0 + total / 400))
        number = chance.randrange(len(running))
        if kills and running[number].poll() is None:
            running[number].kill()
            answers, _ = running[number].communicate()
            acknowledged |= set(answers.split())
            running[number] = start(href, each[number], listed_in=folder)
            kills -= 1
        if restart is not None:
            restart()
            restart = None
    for process in running:
        answers, errors = process.communicate()
        assert process.returncode == 0, errors
        acknowledged |= set(answers.split())
    return acknowledged


@pytest.mark.parametrize(
    ("size", "kills"),
    [
        pytest.param(SMALL, 2, id="small"),
        pytest.param(FULL, 0, id="full", marks=pytest.mark.slow),
        pytest.param(FULL, 16, id="full, killed", marks=pytest.mark.slow),
    ],
)
def test_into_one_file(describe: Describe, tmp_path: Path, size: tuple[int, int], kills: int) -> None:
    each = wanted(describe, size)
    file = tmp_path / "models.sqlite"
    acknowledged = publish(str(file), each, tmp_path, kills)
    catalog = EmbeddedCatalog(file)
    with catalog.database.read() as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    for stored in (*catalog.items(), *catalog.collections()):
        validate(stored)
    assert set(catalog.ids()) == acknowledged == {d.id for items in each for d in items}


@pytest.mark.slow
@pytest.mark.parametrize("kills", [0, 16])
def test_into_one_folder(describe: Describe, tmp_path: Path, kills: int) -> None:
    each = wanted(describe, FULL)
    folder = tmp_path / "catalog"
    acknowledged = publish(str(folder), each, tmp_path, kills)
    assert check(folder) == acknowledged == {d.id for items in each for d in items}


@pytest.mark.parametrize(
    ("size", "kills"),
    [
        pytest.param((3, 6), 1, id="small"),
        pytest.param(FULL, 0, id="full", marks=pytest.mark.slow),
        pytest.param(FULL, 16, id="full, killed", marks=pytest.mark.slow),
    ],
)
def test_into_one_bucket(describe: Describe, tmp_path: Path, bucket: str, size: tuple[int, int], kills: int) -> None:
    each = wanted(describe, size)
    acknowledged = publish(f"{bucket}/models", each, tmp_path, kills)
    catalog = open_catalog(f"{bucket}/models")
    for stored in (*catalog.items(), *catalog.collections()):
        validate(stored)
    assert set(catalog.ids()) == acknowledged == {d.id for items in each for d in items}


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(((4, 20), 1, "fast"), id="small"),
        pytest.param((FULL, 0, "fast"), id="full", marks=pytest.mark.slow),
        pytest.param((FULL, 16, "immediate"), id="full, killed", marks=pytest.mark.slow),
    ],
)
def test_into_pgstac_that_is_restarted(
    describe: Describe,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    cluster: postgres.Cluster,
    case: tuple[tuple[int, int], int, str],
) -> None:
    size, kills, mode = case

    def restart() -> None:
        end = time.monotonic() + 120
        while '"status": 201' not in server.log.read_text():
            assert time.monotonic() < end, f"nothing was published: {server.log.read_text()[-2000:]}"
            time.sleep(0.05)
        cluster.stop(mode)
        time.sleep(1)
        cluster.start()

    each = wanted(describe, size)
    with cluster.database() as url:
        # The tests' clusters acknowledge before they write; what is acknowledged here survives a crash.
        cluster.execute(f"ALTER DATABASE {url.rpartition('/')[2]} SET synchronous_commit = on")
        with serving(tmp_path, "--artifacts", str(tmp_path / "files"), MODELSTAC_DATABASE=url) as server:
            monkeypatch.setenv("MODELSTAC_KEY", server.key)
            acknowledged = publish(server.href, each, tmp_path, kills, restart)
            assert not [line for line in server.lines() if line.get("status") == 500 or line["level"] == "error"]
            catalog = open_catalog(server.href)
            for stored in (*catalog.items(), *catalog.collections()):
                validate(stored)
            assert set(catalog.ids()) == acknowledged == {d.id for items in each for d in items}


def test_a_database_that_is_down_is_said_to_be(tmp_path: Path, cluster: postgres.Cluster) -> None:
    with (
        cluster.database() as url,
        serving(tmp_path, "--artifacts", str(tmp_path / "files"), MODELSTAC_DATABASE=url) as server,
    ):
        cluster.stop()
        try:
            answer = server.get("collections")
        finally:
            cluster.start()
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1"), answer.text
        assert answer.json()["code"] == "UnavailableError"
        assert "127.0.0.1" not in answer.text
        assert server.get("collections").status_code == 200


def test_a_server_over_a_database_without_pgstac_does_not_start(tmp_path: Path, cluster: postgres.Cluster) -> None:
    with cluster.database(template="template0") as url:
        done = run("serve", "--port", "0", "--artifacts", tmp_path / "files", MODELSTAC_DATABASE=url)
    assert done.returncode not in (0, None)
    assert "holds no pgstac: check that PostgreSQL runs and that 'modelstac database migrate' was done" in done.stderr
