"""Which versions run which models: ``python -m benchmarks.versions FRAMES``, or ``make matrix DATA=FRAMES``.

Trains the tiny ConvLSTM, converts it to every format, lets the environments of ``docs/results/environments.toml`` save
it anew, and reads everything in all of them, by the commands that users run. Then it does so again, when there should
be nothing to do. Writes ``docs/results/matrix.md`` and its pictures.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from modelstac.exporters.routes import NODES

SOURCE = "convlstm-knmi-1.0.0-torch"
HEAD = "# Which versions run which models\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, convert, write, read, and write down what was found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.versions", description=__doc__)
    parser.add_argument("data", type=Path, help="folder of radar frames")
    parser.add_argument("--out", type=Path, default=Path(".matrix"), help="catalog and work of the runs")
    parser.add_argument("--results", type=Path, default=Path("docs/results"), help="where the page goes")
    given = parser.parse_args(arguments)
    given.out.mkdir(parents=True, exist_ok=True)
    catalog = given.out / "catalog"
    modelstac("train", given.data, "--preset", "tiny", "--variant", "torch", "--catalog", catalog)
    for target in NODES:
        if target != "torch":
            modelstac("export", SOURCE, "--to", target, "--catalog", catalog)
    words = ["matrix", "--catalog", catalog, "--data", given.data]
    words += ["--environments", given.results / "environments.toml"]
    words += ["--write", SOURCE, "--evidence", "--jobs", 2, "--work", given.out / "work", "--out", given.out / "page"]
    modelstac(*words)
    again = modelstac(*words)
    write(given.out, given.results, again)


def write(out: Path, results: Path, again: float) -> None:
    """Write down what was found, with what it took."""
    jobs = list(seconds(out / "work" / "jobs"))
    for picture in (out / "page").glob("*.png"):
        shutil.copy(picture, results)
    page = (out / "page" / "matrix.md").read_text(encoding="utf-8").removeprefix(HEAD)
    said = (
        f"Written by `make matrix DATA=folder` (`benchmarks/versions.py`) on {os.cpu_count()} cores, "
        f"{platform.system()} {platform.machine()}; nothing here is typed in. The environments are those of "
        f"[environments.toml](environments.toml). The {len(jobs)} jobs took {sum(jobs) / 60:.0f} minutes one after "
        "the other; two ran at a time, a thread each, beside whatever else the machine did. "
        f"Again, with nothing changed, the command took {again:.0f} s."
    )
    (results / "matrix.md").write_text(f"{HEAD}\n{said}\n{page}", encoding="utf-8")


def seconds(jobs: Path) -> Iterator[float]:
    """Give what each job took, also where the command was interrupted: from its specification to its result."""
    for spec in jobs.glob("*/job.json"):
        if (result := spec.with_name("result.json")).exists():
            yield result.stat().st_mtime - spec.stat().st_mtime


def modelstac(*words: object) -> float:
    """Run a command and give the seconds that it took."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "modelstac", *map(str, words)]
    alone = os.environ | {"OMP_NUM_THREADS": "1"}  # there are two at a time, on two cores
    done = subprocess.run(command, env=alone, check=False, stdout=subprocess.DEVNULL)
    if done.returncode:
        sys.exit(f"modelstac {' '.join(map(str, words))} failed")
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
