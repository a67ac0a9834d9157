"""Run the corpus: ``python -m benchmarks.corpus``."""

from __future__ import annotations

import argparse
import fnmatch
import os
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.corpus.families import entries
from benchmarks.corpus.page import failures, write
from benchmarks.corpus.running import OURS, Results, Run, cells


def main(arguments: Sequence[str] | None = None) -> None:
    """Build, convert, judge, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.corpus", description=__doc__)
    parser.add_argument("--only", default="*", help="names that match, such as 'keras: *U-Net*'")
    parser.add_argument("--route", default="*", help="routes that match, such as 'keras → onnx' or '*onnx'")
    parser.add_argument("--shard", default="1/1", help="every so manieth, such as 1/10")
    parser.add_argument("--who", choices=("ours", "peers", "both"), default="both")
    parser.add_argument("--jobs", type=int, default=2, help="cells at a time")
    parser.add_argument("--timeout", type=float, default=300, help="seconds for a cell")
    parser.add_argument("--accept", action="append", default=[], help="an earlier state of the code, named on the page")
    parser.add_argument("--page", action="store_true", help="write the page of what any state of the code gave")
    parser.add_argument("--list", action="store_true", help="name the architectures")
    home = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "modelstac-corpus"
    parser.add_argument("--cache", type=Path, default=home, help="folder of models, results and environments")
    parser.add_argument("--out", type=Path, default=Path("docs/results/corpus.md"), help="the page")
    parser.add_argument("--failures", type=Path, help="a file of all that is not right, a line each")
    parser.add_argument("--publish", type=Path, metavar="CATALOG", help="publish them there, and convert nothing")
    given = parser.parse_args(arguments)
    number, of = map(int, given.shard.split("/"))
    known = entries()
    chosen = {key: one for key, one in known.items() if fnmatch.fnmatch(key.lower(), given.only.lower())}
    chosen = dict([*chosen.items()][number - 1 :: of])
    if given.list:
        print(*chosen, sep="\n")
        return
    run = Run(
        given.cache.resolve(), Results(given.cache.resolve() / "results.jsonl"), given.timeout, tuple(given.accept)
    )
    if given.page:
        given.out.write_text(write(replace(run, of_any_state=True), known), encoding="utf-8")
        return
    for key, reason in run.build(chosen).items():
        print(f"not built: {key}: {reason}", flush=True)
    if given.publish:
        run.publish([*chosen], given.publish.absolute(), report=print)
        return
    wanted = [
        cell
        for cell in cells(chosen, ours=given.who != "peers", peers=given.who != "ours")
        if fnmatch.fnmatch(cell.route, given.route)
    ]
    wanted.sort(key=lambda cell: (cell.who != OURS, cell.who if cell.who != OURS else "", cell.kind))
    groups = [[*dict.fromkeys(cell.key for cell in wanted)][n :: given.jobs] for n in range(given.jobs)]

    def heard(line: str) -> None:
        print(line, flush=True)
        if given.failures:
            given.failures.write_text(failures(run, known))

    threads = [
        threading.Thread(
            target=run.measure,
            args=([cell for cell in wanted if cell.key in {*group}],),
            kwargs={"report": heard},
        )
        for group in groups
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if (given.only, given.route, given.shard) == ("*", "*", "1/1"):
        given.out.write_text(write(run, known), encoding="utf-8")


if __name__ == "__main__":
    main()
