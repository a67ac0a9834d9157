"""Whole processes and an installation: processor seconds of starting, searching and publishing, and megabytes.

Processor time and not the clock, since the machine may be busy. Commands take turns, beside a bare import of two
packages that a command line of this kind has: ``python -c "import click, pydantic"``. The limits are seconds of a
machine where that takes a tenth of one, so that they are compared as multiples of it. All have their modules compiled,
as an installation has, whatever this process was told of bytecode. What an item costs that is written already,
validated and stored, is what publishing without running comes near to; a proof imports its framework besides.
"""

from __future__ import annotations

import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.embedded import item
from benchmarks.predicting import write_graph
from modelstac.catalog.backends.embedded import EmbeddedCatalog
from modelstac.catalog.testing import Examples

TURNS, ITEMS = 9, 12
FLOOR, BARE = "a bare import of click and pydantic", 0.10
INSTALLED_MB = 190
LIMITS = {"--help": 0.10, "search": 0.15, "publish a small .onnx": 1.5, "publish a small .keras": 6.0}
LIMITS |= {"publish it unproved, .onnx": 0.4, "publish it unproved, .keras": 1.0}
READY = "a ready item into the catalog"
FRAMEWORK = "a bare import of Keras on TensorFlow"
READ = """
import sys, json, pystac, click
from modelstac.catalog.backends.embedded import EmbeddedCatalog
found = json.load(open(sys.argv[1]))
name = sys.argv[sys.argv.index("--name") + 1]
found["id"], found["collection"] = f"{name}-1.0.0-onnx", name
found["properties"]["mlm:name"] = name
EmbeddedCatalog(sys.argv[2]).publish(pystac.Item.from_dict(found))
"""
IMPORTED, BESIDE, RATIO = "import modelstac", "import pystac, pydantic", 1.2
LAYERS = """
import sys, keras
first = keras.Input((64, 64, 3))
last = keras.layers.Conv2D(2, 1)(keras.layers.Conv2D(8, 3, padding="same", activation="relu")(first))
keras.Model(first, last).save(sys.argv[1])
"""
ROOT = Path(__file__).resolve().parents[1]
DIMS = ",".join(("batch", "channel", "height", "width"))
SAID = (
    *("--task", "regression", "--architecture", "MLP", "--license", "MIT", "--bbox", "0,0,1,1"),
    *("--datetime", "2020-01-01/2020-12-31", "--from-scratch", "--version", "1.0.0"),
)


def processor(arguments: list[str], bytecode: Path) -> float:
    """Return the processor seconds of a process of Python and what it starts, which keeps its bytecode in a folder."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(bytecode)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def commands(folder: Path) -> dict[str, list[str]]:
    """Return what is run, by its name; a publish gets the number of its turn in addition."""
    examples = Examples(folder / "made")
    EmbeddedCatalog(folder / "few.sqlite", create=True).publish_many([item(examples, n) for n in range(ITEMS)])
    graph = folder / "small.onnx"
    write_graph(graph, ("x",), ("y",))
    said = ["--input-dims", DIMS, "--output-dims", DIMS, "--range", "0,1", *SAID]
    ours = ["-m", "modelstac"]
    catalog = str(folder / "new.sqlite")
    onnx = [*ours, "publish", str(graph), "--catalog", catalog, *said]
    layers = folder / "small.keras"
    subprocess.run([sys.executable, "-c", LAYERS, str(layers)], capture_output=True, check=True)
    last = ",".join(("batch", "height", "width", "channel"))
    keras = [*ours, "publish", str(layers), "--catalog", catalog, "--input-dims", last, "--output-dims", last, *SAID]
    made = subprocess.run(
        [sys.executable, *onnx, "--name", "ready", "--unproved", "--json"], capture_output=True, check=True
    )
    (folder / "ready.json").write_bytes(made.stdout)
    return {
        FLOOR: ["-c", "import click, pydantic"],
        "--help": [*ours, "--help"],
        "search": [*ours, "search", "--catalog", str(folder / "few.sqlite")],
        "publish a small .onnx": onnx,
        "publish it unproved, .onnx": [*onnx, "--unproved"],
        "publish a small .keras": keras,
        "publish it unproved, .keras": [*keras, "--unproved"],
        FRAMEWORK: ["-c", "import tensorflow, keras"],
        READY: ["-c", READ, str(folder / "ready.json"), catalog],
        IMPORTED: ["-c", IMPORTED],
        BESIDE: ["-c", BESIDE],
    }


def measure(found: dict[str, list[str]], turns: int, bytecode: Path) -> dict[str, float]:
    """Return the median processor seconds of each command; the first turn warms up, and compiles."""
    times: dict[str, list[float]] = {name: [] for name in found}
    for turn in range(turns + 1):
        for name, arguments in list(found.items())[:: 1 if turn % 2 else -1]:
            named = ("--name", f"{_name(name)}-{turn}") if _publishes(name) else ()
            times[name].append(processor([*arguments, *named], bytecode))
    return {name: statistics.median(some[1:]) for name, some in times.items()}


def _publishes(name: str) -> bool:
    return name == READY or "publish" in name


def _name(text: str) -> str:
    """Make a name of a model of the name of a row."""
    return "-".join(text.replace(".", "").replace(",", "").split())


def installed(folder: Path) -> float | None:
    """Return the megabytes of an environment that loads ONNX items from a server; None where none can be made."""
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if uv is None:
        return None
    python = folder / "colleague" / "bin" / "python"
    install = ("pip", "install", "--compile-bytecode", "--python", str(python), "-c", str(ROOT / "constraints.txt"))
    beside = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    for arguments in (("venv", str(python.parents[1])), (*install, f"{ROOT}[onnx]")):
        if subprocess.run([uv, *arguments, "--quiet"], env=beside, capture_output=True, check=False).returncode:
            return None
    files = [path.lstat() for path in python.parents[1].rglob("*") if not path.is_symlink()]
    return sum(one.st_blocks for one in files) * 512 / 2**20


def main(turns: int = TURNS) -> None:
    """Measure and print, each row beside its limit."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        times = measure(commands(folder), turns, folder / "bytecode")
        size = installed(folder)
    print(f"Whole processes, median processor seconds of {turns} turns; load of the machine {os.getloadavg()[0]:.1f}")
    print(f"{'':42}{'s':>8}{'of the bare':>14}{'limit':>8}")
    for what, seconds in times.items():
        limit = LIMITS[what] / BARE if what in LIMITS else None
        ratio = seconds / times[FLOOR]
        verdict = "" if limit is None else f"{limit:8.1f}  {'met' if ratio <= limit else 'MISSED'}"
        print(f"{what:42}{seconds:8.3f}{ratio:14.2f}{verdict}")
    ratio = times[IMPORTED] / times[BESIDE]
    print(f"{IMPORTED} to {BESIDE}: {ratio:.2f}, limit {RATIO}  {'met' if ratio <= RATIO else 'MISSED'}")
    if size is None:
        print("an installation that loads ONNX items is left out: uv or a package index is missing")
    else:
        verdict = "met" if size <= INSTALLED_MB else "MISSED"
        print(f"an installation that loads ONNX items: {size:.0f} MB, limit {INSTALLED_MB}  {verdict}")


if __name__ == "__main__":
    main()
