"""A whole ``modelstac export`` to ONNX, its proof included, against the tool's own call in a process of its own.

Both begin with a file and end with one, import what they need, and take turns. Then ONNX Runtime runs both files in
turns, in one thread, on images of 256 x 256 pixels where their sizes are open. The tool is the one that its framework's
users would call: ``model.export`` of Keras, ``torch.onnx.export`` of PyTorch.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from modelstac.catalog import open_catalog

NETWORKS = ("keras: TempCNN", "keras: Attention U-Net", "torch-export: ResNet-18 of ten bands", "torch-export: U-Net")
"""Names of the corpus."""
STOCK = {"keras": "Keras export, onnx", "torch-export": "torch.onnx.export"}
LIMITS = {"keras": 1.3, "torch-export": 1.1}
"""Time of ours, as a multiple of the tool's."""
LATENCY, NOISE = 1.0, 0.02
SIDE = 256
"""Rows and columns of the images that both files run, where these are open."""
TURNS, RUNS = 3, 60


def asked(program: str, request: dict[str, Any]) -> tuple[dict[str, Any], float, float]:
    """Ask one of the corpus's programs in a process of its own; give its answer, seconds and processor seconds."""
    return timed([sys.executable, "-m", f"benchmarks.corpus.{program}"], json.dumps(request))


def timed(command: list[str], given: str = "") -> tuple[dict[str, Any], float, float]:
    """Run a command that answers in JSON, with compiled modules, as an installation has and its first turn leaves."""
    environment = os.environ | {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, input=given, env=environment, capture_output=True, text=True, check=False)
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    found: dict[str, Any] = json.loads(done.stdout) if not done.returncode and done.stdout else {}
    if not found or "error" in found:
        sys.exit(f"{' '.join(command)} failed:\n{found.get('error') or done.stderr}")
    return found, seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def latencies(files: dict[str, Path], dims: list[str]) -> dict[str, float]:
    """Give the median seconds of a run of each file, in turns; rows and columns that are open have `SIDE`."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    calls = {}
    for name, path in files.items():
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        [given] = session.get_inputs()
        usual = {"batch": 1, "height": SIDE, "width": SIDE}
        shape = [size if isinstance(size, int) else usual[dim] for size, dim in zip(given.shape, dims, strict=True)]
        values = np.random.default_rng(0).random(shape, np.float32)
        calls[name] = (session, {given.name: values})
    if len({tuple(next(iter(feed.values())).shape) for _, feed in calls.values()}) > 1:
        sys.exit(f"the files take different sizes: {', '.join(map(str, files.values()))}")
    took: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(RUNS + 1):
        for name, (session, feed) in list(calls.items())[:: 1 if turn % 2 else -1]:
            began = time.perf_counter()
            session.run(None, feed)
            took[name].append(time.perf_counter() - began)
    return {name: statistics.median(some[1:]) for name, some in took.items()}


def row(key: str, folder: Path) -> list[str]:
    """Convert a network by both, in turns, and run what came out."""
    form, source = key.partition(":")[0], folder / "source"
    asked("building", {"key": key, "folder": str(source)})
    item = asked("ours", {"source": str(source), "target": None, "out": str(folder / "catalog")})[0]["item"]
    took: dict[str, list[tuple[float, float]]] = {"tool": [], "ours": []}
    files: dict[str, Path] = {}
    for turn in range(TURNS):
        request = {"tool": STOCK[form], "source": str(source), "out": str(folder / "tool")}
        found, *times = asked("peers", request)
        files["tool"] = Path(found["file"])
        took["tool"].append((times[0], times[1]))
        place = folder / f"catalog-{turn}"
        shutil.copytree(folder / "catalog", place)
        command = [sys.executable, "-m", "modelstac", "export", item, "--to", "onnx", "--catalog", str(place), "--json"]
        found, *times = timed(command)
        took["ours"].append((times[0], times[1]))
        made = open_catalog(place).get(f"{item.rpartition('-1.0.0-')[0]}-1.0.0-onnx-from-{form}")
        files["ours"] = Path(made.assets["model"].get_absolute_href() or "")
    wall, processor = (
        statistics.median(o[i] / t[i] for o, t in zip(took["ours"], took["tool"], strict=True)) for i in (0, 1)
    )
    told = json.loads((source / "spec.json").read_text())
    speeds = latencies(files, told["inputs"][0]["dims"])
    ratio = speeds["ours"] / speeds["tool"]
    seconds = [statistics.median(one[0] for one in took[who]) for who in ("ours", "tool")]
    return [
        key,
        *(f"{one:.1f}" for one in seconds),
        f"{wall:.2f} ({processor:.2f})",
        f"{LIMITS[form]} {'met' if min(wall, processor) <= LIMITS[form] else 'MISSED'}",
        f"{speeds['ours'] * 1e3:.2f}",
        f"{speeds['tool'] * 1e3:.2f}",
        f"{ratio:.2f}",
        f"{LATENCY} {'met' if ratio <= LATENCY + NOISE else 'MISSED'}",
    ]


HEADS = ("network", "export s", "tool s", "ratio (processor)", "limit", "ours ms", "tool's ms", "ratio", "limit")


def main() -> None:
    """Measure and print."""
    from modelstac.report import Table

    with tempfile.TemporaryDirectory() as name:
        rows = [row(key, Path(name) / str(number)) for number, key in enumerate(NETWORKS)]
    caption = f"Medians of {TURNS} turns; the processor's time beside the clock's, as others may compute."
    print(Table("Whole exports to ONNX", caption, HEADS, rows).to_text())
    sys.stdout.flush()


if __name__ == "__main__":
    main()
