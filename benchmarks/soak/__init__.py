"""A standing soak: everything at once on every kind of catalog, and a judge that uses none of our readers.

``python -m benchmarks soak --minutes 10 --servers 2 --writers 6 --readers 6 --kill`` publishes, points aliases,
deprecates, deletes, copies, walks pages and filters, collects garbage, and ends servers, writers and the database in
the midst of it. What was acknowledged is written down by whoever got the answer; at the end the files and tables
themselves are held against it.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from pathlib import Path

from benchmarks.soak.judging import judge
from benchmarks.soak.places import PLACES
from benchmarks.soak.running import Load, run

__all__ = ["Load", "main", "soak"]


def soak(kind: str, load: Load, folder: Path) -> list[str]:
    """Put one kind of catalog under load in a folder, print the figures, and return what is wrong with it."""
    with PLACES[kind](folder, load.servers) as place:
        counts = run(place, load)
        place.stop()
        place.collect("0")
        wrong, judged = judge(place)
    if not (counts.get("acknowledged") and counts.get("walks")):
        wrong.append(f"too little was done to tell: {counts}")
    figures = ", ".join(f"{number} {what}" for what, number in (counts | judged).items())
    print(f"{kind}: {figures}; {len(wrong) or 'nothing'} wrong", flush=True)
    for line in wrong[:20]:
        print(f"  {line}", flush=True)
    return wrong


def main(arguments: list[str] | None = None) -> None:
    """Run the soak on the kinds of catalog that are named, one after the other."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="for each kind of catalog")
    parser.add_argument("--servers", type=int, default=2)
    parser.add_argument("--writers", type=int, default=6)
    parser.add_argument("--readers", type=int, default=6)
    parser.add_argument("--kill", action="store_true", help="end servers, writers and the database now and then")
    parser.add_argument("--on", nargs="*", default=list(PLACES), choices=list(PLACES))
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that whoever ends this ends its processes, too
    load = Load(given.minutes * 60, given.servers, given.writers, given.readers, given.kill, given.seed)
    wrong = []
    for kind in given.on:
        with tempfile.TemporaryDirectory(prefix=f"modelstac-soak-{kind}-") as name:
            wrong += soak(kind, load, Path(name))
    sys.exit(1 if wrong else 0)
