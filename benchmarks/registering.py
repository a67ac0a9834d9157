"""Registering a version and searching by tag in the embedded catalog against MLflow on sqlite, in turns in one run.

Ours publishes validated items with all their fields, which MLflow's versions are not; our tags are keywords, and any
property. MLflow runs in an environment that uv makes for it. Beside stands the least for a version that is safe from a
loss of power: one row of the size of an item, in a bare SQLite file, and the JSON of an item in such a row, validated.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pystac

from benchmarks.embedded import item
from benchmarks.registering_peers import Work, times
from modelstac.catalog import Query
from modelstac.catalog.backends.embedded import EmbeddedCatalog
from modelstac.catalog.items import documents
from modelstac.catalog.items.validation import validate_item
from modelstac.catalog.search.sql import rows
from modelstac.catalog.testing import Examples

VERSIONS, AT_A_TIME, GROUPS, ROW = 200, 20, 20, 3000
TARGET = 8.0
Times = list[tuple[float, float]]
# What of ours is compared with what of MLflow's.
COMPARED = {"register": "register", "search by keyword": "search", "search by property": "search"}
FLOORS = ("one bare row", "the same, validated")


@contextmanager
def ours(folder: Path) -> Iterator[Work]:
    """Give what our catalog does."""
    catalog = EmbeddedCatalog(folder / "models.sqlite", create=True)
    examples = Examples(folder / "made")
    items = [item(examples, number, 1) for number in range(VERSIONS)]
    for number, found in enumerate(items):
        found.properties["mlm:architecture"] = f"Group {number % GROUPS}"
        found.properties["keywords"] = [*found.properties["keywords"], f"group-{number % GROUPS}"]

    commit = bare(folder)

    def validated(made: pystac.Item) -> str:
        document = documents.located(made)
        validate_item(document)
        return rows.dumps(document)

    def search(query: Query) -> None:
        assert len(catalog.search(query)) == VERSIONS // GROUPS

    yield {
        "register": lambda number: catalog.publish(items[number]),
        "one bare row": lambda _: commit("x" * ROW),
        "the same, validated": lambda number: commit(validated(items[number])),
        "search by keyword": lambda turn: search(
            Query(filter=f"a_contains(keywords, ('group-{turn % GROUPS}'))", limit=100)
        ),
        "search by property": lambda turn: search(Query(architecture=f"Group {turn % GROUPS}", limit=100)),
    }


def bare(folder: Path) -> Callable[[str], None]:
    """Return what commits one row to a file, as durably as ours."""
    connection = sqlite3.connect(folder / "bare.sqlite", isolation_level=None)
    for statement in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", "CREATE TABLE rows (text)"):
        connection.execute(statement)

    def commit(text: str) -> None:
        connection.execute("INSERT INTO rows VALUES (?)", (text,))

    return commit


@contextmanager
def mlflow() -> Iterator[Callable[[str, int, int], Times]]:
    """Give what asks MLflow, in a process and environment of its own, to do something from one number to another."""
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if uv is None:
        raise OSError("uv is not installed")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    command = [uv, "run", "--quiet", "--no-project", "--python", version, "--with", "mlflow==3.17.0", "python"]
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(
            [*command, str(Path(__file__).with_name("registering_peers.py"))],
            env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise OSError("it does not start")

        def ask(what: str, start: int, stop: int) -> Times:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps([what, start, stop]) + "\n")
            process.stdin.flush()
            found: Times = json.loads(process.stdout.readline())
            return found

        yield ask
        process.stdin.close()


def main() -> None:
    """Measure and print."""
    found: dict[str, tuple[Times, Times]] = {what: ([], []) for what in COMPARED}
    least: dict[str, Times] = {floor: [] for floor in FLOORS}
    try:
        with tempfile.TemporaryDirectory() as folder, ours(Path(folder)) as work, mlflow() as theirs:
            for what, mine in found.items():
                for start in range(0, VERSIONS, AT_A_TIME):
                    mine[0].extend(times(work[what], start, start + AT_A_TIME))
                    mine[1].extend(theirs(COMPARED[what], start, start + AT_A_TIME))
                    for floor in FLOORS if what == "register" else ():
                        least[floor] += times(work[floor], start, start + AT_A_TIME)
    except OSError as error:
        print(f"MLflow is left out: {error}")
        return
    print(f"{VERSIONS} versions in turns, medians in ms (target: {TARGET:g} times faster than MLflow on sqlite)")
    print(f"{'':20}{'modelstac':>12}{'MLflow':>10}{'times':>8}{'processor':>22}")
    for what, (mine, other) in found.items():
        (own, own_busy), (its, its_busy) = map(medians, (mine, other))
        verdict = "met" if its >= TARGET * own else "MISSED"
        busy = f"{own_busy:.2f} against {its_busy:.2f}"
        print(f"{what:20}{own:12.2f}{its:10.2f}{its / own:8.1f}{busy:>22}  {verdict}", flush=True)
        for floor in FLOORS if what == "register" else ():
            lasted, busy_for = medians(least[floor])
            said = f"{busy_for:.2f}"
            print(f"  {floor:18}{lasted:12.2f}{'':10}{its / lasted:8.1f}{said:>22}  no version takes less on this disk")


def medians(found: Times) -> tuple[float, float]:
    """Return the medians in milliseconds."""
    elapsed, busy = zip(*found, strict=True)
    return statistics.median(elapsed) * 1e3, statistics.median(busy) * 1e3


if __name__ == "__main__":
    main()
