"""A server whose database is not there: before it starts, in the midst of use, and for good."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
import requests
from tests.catalog.server import postgres
from tests.catalog.server.conftest import Server, environment, run, serving

from modelstac.catalog.backends.api.catalog import ApiCatalog
from modelstac.catalog.testing import Examples


def test_a_server_waits_for_a_database_that_is_starting(tmp_path: Path, cluster: postgres.Cluster) -> None:
    log = tmp_path / "log.jsonl"
    with cluster.database() as url:
        cluster.stop()
        try:
            with log.open("wb") as out:
                process = subprocess.Popen(
                    [sys.executable, "-m", "modelstac", "serve", "--port", "0", "--artifacts", str(tmp_path / "files")],
                    stderr=out,
                    env=environment(MODELSTAC_DATABASE=url, MODELSTAC_DATABASE_WAIT="60"),
                )
            said = until(log, process, "the database does not answer")
        finally:
            cluster.start()
        try:
            assert json.loads(said)["level"] == "warning"
            assert "waiting up to 60 s" in said
            href = json.loads(until(log, process, "listening on "))["message"].removeprefix("listening on ")
            assert requests.get(f"{href}/collections", timeout=30).status_code == 200
        finally:
            process.terminate()
            assert process.wait(20) == 0
    assert "Traceback" not in log.read_text()


def until(log: Path, process: subprocess.Popen[bytes], message: str) -> str:
    """Return the line of a log that has these words, once it is there."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        for line in log.read_text().splitlines(keepends=True):
            if message in line and line.endswith("\n"):
                return line
        assert process.poll() is None, log.read_text()
        time.sleep(0.05)
    raise AssertionError(f"{message!r} was not said: {log.read_text()}")


@pytest.mark.parametrize("command", ["serve", "gc"])
def test_a_database_that_does_not_come_is_said_in_one_line(tmp_path: Path, command: str) -> None:
    url = f"postgresql://nobody:secret@127.0.0.1:{postgres.free_port()}/models"
    port = ("--port", "0") if command == "serve" else ()
    begun = time.monotonic()
    done = run(command, *port, "--artifacts", tmp_path / "files", MODELSTAC_DATABASE=url, MODELSTAC_DATABASE_WAIT="1.5")
    assert time.monotonic() - begun > 1.5
    *before, last = done.stderr.splitlines()
    assert done.returncode == 2
    assert len(before) == 1
    assert "waiting up to 1.5 s" in before[0]
    assert last.startswith("error: the database does not answer, for 1.5 s (")
    assert last.endswith("check that PostgreSQL runs and that 'modelstac database migrate' was done")
    assert "secret" not in done.stderr


@pytest.mark.parametrize(
    ("database", "reason"),
    [
        ("not_there", 'database "not_there" does not exist'),
        ("postgres?sslmode=some", "`sslmode` parameter must be one of: "),
    ],
)
def test_a_database_that_is_another_one_is_not_waited_for(
    tmp_path: Path, cluster: postgres.Cluster, database: str, reason: str
) -> None:
    variables = {"MODELSTAC_DATABASE": cluster.url(database), "MODELSTAC_DATABASE_WAIT": "1000"}
    done = run("serve", "--port", "0", "--artifacts", tmp_path / "files", **variables)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert done.stderr.startswith(f"error: the database refuses ({reason}")
    assert done.stderr.endswith("): check MODELSTAC_DATABASE\n")


def test_a_restart_in_the_midst_of_use(tmp_path: Path, cluster: postgres.Cluster) -> None:
    with (
        cluster.database() as url,
        serving(tmp_path, "--artifacts", str(tmp_path / "files"), MODELSTAC_DATABASE=url) as server,
    ):
        item = ApiCatalog(server.href, key=server.key).publish(Examples(tmp_path / "made").item())
        place = f"collections/{item.collection_id}/items/{item.id}"
        over, seen, odd = threading.Event(), Counter[int](), list[str]()

        def use(number: int) -> None:
            while not over.is_set():
                answer = ask(server, place, number)
                seen[answer.status_code] += 1
                fine = answer.status_code == 200
                if answer.status_code == 503:
                    fine = answer.headers["Retry-After"] == "1" and answer.json()["code"] == "UnavailableError"
                if not fine:
                    odd.append(f"{number}: {answer.status_code} {answer.text[:300]}")

        threads = [threading.Thread(target=use, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        try:
            for mode in ("fast", "immediate"):
                time.sleep(0.5)
                cluster.stop(mode)
                time.sleep(0.5)
                cluster.start()
            time.sleep(0.5)
        finally:
            over.set()
            for thread in threads:
                thread.join()
        assert not odd, odd[:5]
        assert seen[200], seen
        assert seen[503], seen
        assert {ask(server, place, number).status_code for number in range(6)} == {200}
        assert not [line for line in server.lines() if line["level"] == "error"]


def test_a_database_that_hangs_keeps_no_request(tmp_path: Path, cluster: postgres.Cluster) -> None:
    variables = {"MODELSTAC_SEARCH_SECONDS": "0.5"}
    with (
        cluster.database() as url,
        serving(tmp_path, "--artifacts", str(tmp_path / "files"), MODELSTAC_DATABASE=url, **variables) as server,
    ):
        assert server.get("collections").status_code == 200
        postmaster = int((cluster.data / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        processes = [postmaster, *map(int, children)]
        for process in processes:
            os.kill(process, signal.SIGSTOP)
        try:
            answer = server.get("collections")
        finally:
            for process in processes:
                os.kill(process, signal.SIGCONT)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1"), answer.text
        assert answer.elapsed.total_seconds() < 20
        assert server.get("collections").status_code == 200


def ask(server: Server, place: str, number: int) -> requests.Response:
    """Ask for one of six kinds of thing."""
    if number == 0:
        change = {"properties": {"deprecated": time.monotonic_ns() % 2 == 0}}
        prefer = {"Prefer": "return=representation"}
        return server.request("PATCH", place, key=True, json=change, headers=prefer)
    if number == 1:
        return server.request("POST", "search", json={"limit": 1})
    return server.get(["", "", "collections", place, "healthz", "aggregate?aggregations=total_count"][number])
