"""The load: writers and readers as processes of their own, some of which are ended, and gc in the midst of it."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.soak.journal import CONTENTS, read
from benchmarks.soak.places import Place, settings_of

_BYTES = 200_000
_ENDS_WITHIN = 120.0


@dataclass(frozen=True)
class Load:
    """How much is done, how long, and whether things are ended in the midst of it."""

    seconds: float
    servers: int
    writers: int
    readers: int
    kill: bool
    seed: int = 0


def run(place: Place, load: Load) -> dict[str, int]:
    """Put a catalog under load, and return what was done, by what it is called."""
    chance = random.Random(load.seed)
    made = place.folder / "made"
    for number in range(CONTENTS):
        folder = made / f"content-{number}"
        folder.mkdir(parents=True)
        (folder / "model.bin").write_bytes(random.Random(number).randbytes(_BYTES))
    (made / "metrics.json").write_text('{"rmse": 0.9}\n')
    (place.folder / "journals").mkdir()
    settings = place.folder / "settings.json"
    settings.write_text(json.dumps(settings_of(place)))
    started = [_started("writer", settings, number, load.seed) for number in range(load.writers)]
    started.append(_started("reader", settings, load.readers, load.seed))
    try:
        counts, failed = _go_on(place, load, chance, started, settings)
        (place.folder / "stop").touch()
        for process in started:
            process.wait(_ENDS_WITHIN)
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"a writer or reader does not end: {error}") from error
    finally:
        for process in started:
            process.kill()
            process.wait()
    ended = [process.returncode for process in started if process.returncode]
    if ended or (failed and not load.kill):
        raise RuntimeError(f"a writer or reader ended with {ended}, gc said {failed}")
    return {what: number for what, number in (counts | _counted(place.folder / "journals")).items() if number}


def _go_on(
    place: Place, load: Load, chance: random.Random, started: list[subprocess.Popen[bytes]], settings: Path
) -> tuple[dict[str, int], list[str]]:
    """Collect garbage and end things, until the time is over; return what was done, and which runs of gc failed."""
    counts = {"kills of servers": 0, "kills of writers": 0, "restarts of the database": 0, "runs of gc": 0}
    end, begun = time.monotonic() + load.seconds, time.monotonic()
    failed: list[str] = []
    while time.monotonic() < end:
        time.sleep(min(chance.uniform(1, 4), max(0.0, end - time.monotonic())))
        if place.kind != "folder" and chance.random() < 0.4:
            said = place.collect(chance.choice(["0", "0.0005", "0.002"]))
            failed += [said] if said.startswith("gc failed") else []
            counts["runs of gc"] += 1
        if not load.kill:
            continue
        if place.kind != "folder" and chance.random() < 0.5:
            place.kill(chance.randrange(load.servers))
            counts["kills of servers"] += 1
        if chance.random() < 0.5:
            number = chance.randrange(load.writers)
            started[number].kill()
            started[number].wait()
            started[number] = _started("writer", settings, number, load.seed)
            counts["kills of writers"] += 1
        every = max(20.0, load.seconds / 3)
        if time.monotonic() > begun + every * (counts["restarts of the database"] + 1) and place.restart_database():
            counts["restarts of the database"] += 1
    return counts, failed


def _started(what: str, settings: Path, number: int, seed: int) -> subprocess.Popen[bytes]:
    arguments = [sys.executable, "-m", f"benchmarks.soak.{what}", str(settings), str(number), str(seed)]
    return subprocess.Popen(arguments)


def _counted(journals: Path) -> dict[str, int]:
    lines = [line for path in sorted(journals.iterdir()) for line in read(path)]
    counts = {"acknowledged": 0, "refused": 0, "failed": 0, "walks": 0}
    for line in lines:
        counts["acknowledged"] += bool(line.get("done"))
        counts["refused"] += "refused" in line
        counts["failed"] += "failed" in line
        counts["walks"] += line["op"] == "walk" and "ids" in line
    return counts
