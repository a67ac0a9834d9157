"""Export to ONNX: our graph against the stock tools', in time, size and latency, as they grow with frames and grid.

Every stock export runs in a process of its own under a time limit. One that fails or takes longer is a cell that says
so, and larger sizes are then not tried. What was written runs in ONNX Runtime in turns with ours, so that a busy
machine slows all alike: latencies are medians, ratios medians of the ratios turn by turn.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from benchmarks.stock_export import TOOLS
from modelstac.exporters.converters import convlstm_onnx
from modelstac.exporters.converters.onnx_graph import operators
from modelstac.report import Table
from modelstac.training.spec import ConvLSTMSpec
from modelstac.training.weights import initial_weights

LIMIT = float(os.environ.get("BENCHMARK_EXPORT_LIMIT", "60"))
"""Seconds that one stock export may take, building the model included."""
TURNS = 7
THREADS = int(os.environ.get("OMP_NUM_THREADS", "2"))
OURS, UNROLLED = "modelstac", "modelstac-unrolled"
TITLES = {OURS: "modelstac export", UNROLLED: "modelstac export --unroll"} | TOOLS
CHANNELS_LAST = ("batch", "time", "height", "width", "variables")

NETWORK = ConvLSTMSpec(filters=(16, 16, 16, 16), kernels=(7, 5, 3, 1), cell_activation="linear")
"""Four layers as the reference has them, with fewer filters, so that the stock tools come to an end."""
FRAMES, GRIDS = (6, 18, 36), (32, 64, 128)
SIZES = tuple(dict.fromkeys([*((frames, GRIDS[0]) for frames in FRAMES), *((FRAMES[0], grid) for grid in GRIDS)]))


@dataclass
class Result:
    """What became of an export: its seconds, or why there is none; then nodes, bytes and latencies in seconds."""

    seconds: float | None = None
    failure: str = ""
    nodes: int = 0
    size: int = 0
    latencies: tuple[float, ...] = ()


def ours(spec: ConvLSTMSpec, folder: Path, name: str) -> Result:
    """Write our graph, checked as in an export job, several times."""
    weights, path = initial_weights(spec, seed=0), folder / f"{name}.onnx"
    frames = spec.frames if name == UNROLLED else None
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        model = convlstm_onnx.build(spec, weights, dim_order=CHANNELS_LAST, unroll=frames)
        convlstm_onnx.check(model)
        path.write_bytes(model.SerializeToString())
        seconds.append(time.perf_counter() - began)
    return Result(statistics.median(seconds))


def stock(tool: str, folder: Path) -> Result:
    """Let a stock tool export what the folder holds."""
    command = [sys.executable, "-m", "benchmarks.stock_export", tool, str(folder)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LIMIT, check=False)
    except subprocess.TimeoutExpired:
        return Result(failure=f"> {LIMIT:.0f} s")
    if done.returncode:
        said = re.findall(r"^[\w.]+(?:Error|Exception)\b.*", done.stderr, re.M)
        return Result(failure=f"failed: {(said or ['no message'])[-1][:80]}")
    return Result(float(done.stdout.splitlines()[-1]))


def inspect(result: Result, path: Path) -> None:
    """Count nodes (with those of bodies and functions) and bytes."""
    model = onnx.load(path)
    result.nodes = operators(model.graph).total() + sum(len(function.node) for function in model.functions)
    result.size = path.stat().st_size


def latencies(paths: dict[str, Path], spec: ConvLSTMSpec) -> dict[str, list[float]]:
    """Run every graph in turns and give its seconds turn by turn; all must agree."""
    x = np.random.default_rng(0).random((1, spec.frames, spec.height, spec.width, 1), np.float32)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = THREADS, 3
    sessions = {
        name: onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
        for name, path in paths.items()
    }
    inputs = {name: np.ascontiguousarray(_as_wanted(x, name)) for name in sessions}
    expected = None
    times: dict[str, list[float]] = {name: [] for name in sessions}
    for turn in range(TURNS + 1):
        for name, session in sessions.items():
            began = time.perf_counter()
            (found,) = session.run(None, {session.get_inputs()[0].name: inputs[name]})
            if turn:  # the first warms up
                times[name].append(time.perf_counter() - began)
                continue
            plain = found.reshape(x.shape)  # with one variable, the layouts hold the same numbers in the same order
            expected = plain if expected is None else expected
            np.testing.assert_allclose(plain, expected, rtol=0, atol=1e-5, err_msg=name)
    return times


def _as_wanted(x: NDArray[np.float32], name: str) -> NDArray[np.float32]:
    return np.moveaxis(x, -1, 2) if name.startswith("torch") else x


def measure(spec: ConvLSTMSpec, hopeless: dict[str, str]) -> dict[str, Result]:
    """Export and run one size; ``hopeless`` names tools that failed at a smaller one, with the reason."""
    with tempfile.TemporaryDirectory(prefix="modelstac-") as name:
        folder = Path(name)
        (folder / "spec.json").write_text(json.dumps(spec.to_dict()))
        np.savez(folder / "weights.npz", **initial_weights(spec, seed=0))
        results = {name: ours(spec, folder, name) for name in (OURS, UNROLLED)}
        for tool in TOOLS:
            results[tool] = Result(failure=hopeless[tool]) if tool in hopeless else stock(tool, folder)
        paths = {tool: folder / f"{tool}.onnx" for tool, result in results.items() if result.seconds is not None}
        for tool, path in paths.items():
            inspect(results[tool], path)
        for tool, times in latencies(paths, spec).items():
            results[tool].latencies = tuple(times)
    return results


def cells(results: dict[str, Result]) -> Iterator[tuple[str, ...]]:
    """Give a row for each tool."""
    base = results[OURS]
    for tool, result in results.items():
        title = TITLES[tool]
        if result.seconds is None or base.seconds is None:
            yield (title, result.failure, "–", "–", "–", "–", "–")
            continue
        ratio = statistics.median(b / a for a, b in zip(base.latencies, result.latencies, strict=True))
        yield (
            title,
            f"{result.seconds:.2f} s",
            f"{result.seconds / base.seconds:.0f}",
            str(result.nodes),
            f"{result.size / 1000:.0f}",
            f"{1000 * statistics.median(result.latencies):.1f} ms",
            f"{ratio:.2f}",
        )


HEADS = ("tool", "export", "ratio", "nodes", "kB", "latency", "ratio")


def main() -> None:
    growth: dict[str, dict[str, Result]] = {}
    hopeless: dict[str, str] = {}
    for frames, grid in SIZES:
        spec = dataclasses.replace(NETWORK, frames=frames, height=grid, width=grid)
        title = f"{frames} frames, {grid} x {grid}"
        results = growth[title] = measure(spec, hopeless)
        if grid == GRIDS[0]:
            hopeless |= {
                tool: f"not tried: {r.failure}" for tool, r in results.items() if r.failure and tool not in hopeless
            }
        caption = f"four layers of 16 filters; one forward pass, batch 1, {THREADS} threads; median of {TURNS} turns"
        print(f"\nExport to ONNX, {title}\n{caption}\n")
        print(Table(title, caption, HEADS, list(cells(results))).to_text(), flush=True)
        if frames == FRAMES[-1]:
            # What fails for many frames may do for few: the grid is tried with few.
            hopeless = {tool: why for tool, why in hopeless.items() if growth[first_title()][tool].failure}
    print("\nHow export time and latency grow, as multiples of the first size\n")
    print(Table("growth", "", ("tool", *growth), list(_growth(growth))).to_text(), flush=True)


def first_title() -> str:
    return f"{FRAMES[0]} frames, {GRIDS[0]} x {GRIDS[0]}"


def _growth(growth: dict[str, dict[str, Result]]) -> Iterator[tuple[str, ...]]:
    first = growth[first_title()]
    for tool, start in first.items():
        row = [TITLES[tool]]
        for results in growth.values():
            result = results[tool]
            if result.seconds is None or start.seconds is None:
                row.append(result.failure[:24])
                continue
            slower = statistics.median(result.latencies) / statistics.median(start.latencies)
            row.append(f"{result.seconds / start.seconds:.1f} / {slower:.1f}")
        yield tuple(row)


if __name__ == "__main__":
    main()
