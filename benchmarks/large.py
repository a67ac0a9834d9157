"""How much memory a large model takes to be published and loaded, in copies of its weights.

Each step runs in a process of its own, once with a small model, so that what is imported counts for nothing, and then
with the large one. Counted is the most memory that was resident above what was so before (Linux), over the bytes of the
weights: a model of Keras or PyTorch that is there, and nothing beside it, is one copy.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import modelstac

WIDTH = 2048
LAYER = 4 * WIDTH * (WIDTH + 1)
"""Bytes of one layer."""
SUFFIXES = {"keras": ".keras", "torch-export": ".pt2"}
STEPS = {
    "own": "the framework's own load",
    "file": "publish from its file",
    "object": "publish from the object, beside it",
    "load": "load by its item",
}
MOST = {"own": None, "file": 3.0, "object": 3.0, "load": 2.5}
"""Copies that each step may take."""
EXAMPLE = np.random.default_rng(0).uniform(0, 1, (2, WIDTH)).astype(np.float32)
SAID: dict[str, Any] = {
    "name": "large",
    "task": "regression",
    "architecture": "MLP",
    "license": "CC0-1.0",
    "bbox": (5, 50, 6, 51),
    "datetime": "2020",
    "input_dims": ("batch", "feature"),
    "output_dims": ("batch", "feature"),
    "code": False,
}


def build(form: str, layers: int) -> Any:
    """Build a stack of dense layers."""
    if form == "keras":
        import keras

        dense = [keras.layers.Dense(WIDTH, activation="relu", kernel_initializer="he_uniform") for _ in range(layers)]
        return keras.Sequential([keras.Input((WIDTH,)), *dense])
    import torch

    parts: list[Any] = [part for _ in range(layers) for part in (torch.nn.Linear(WIDTH, WIDTH), torch.nn.ReLU())]
    for linear in parts[::2]:
        torch.nn.init.kaiming_uniform_(linear.weight, nonlinearity="relu")
    return torch.nn.Sequential(*parts).eval()


def write(form: str, layers: int, folder: Path) -> None:
    """Write a model, and what it makes of the example."""
    model, path = build(form, layers), folder / f"model{SUFFIXES[form]}"
    if form == "keras":
        import keras

        model.save(path)
        made = keras.ops.convert_to_numpy(model(EXAMPLE))
    else:
        import torch

        given = torch.from_numpy(EXAMPLE)
        batch = {0: torch.export.Dim("batch")}
        torch.export.save(torch.export.export(model, (given,), dynamic_shapes=(batch,)), path)
        made = model(given).detach().numpy()
    np.save(folder / "made.npy", made)


def own(form: str, layers: int, folder: Path) -> Callable[[], Any]:  # noqa: ARG001 - every step has this shape
    path = folder / f"model{SUFFIXES[form]}"
    if form == "keras":
        import keras

        return lambda: keras.saving.load_model(path, compile=False)
    import torch

    return lambda: torch.export.load(path).module()


def file(form: str, layers: int, folder: Path) -> Callable[[], Any]:  # noqa: ARG001
    return lambda: modelstac.publish(
        folder / f"model{SUFFIXES[form]}", catalog=folder / "catalog", alias="file", example=EXAMPLE, **SAID
    )


def of_object(form: str, layers: int, folder: Path) -> Callable[[], Any]:
    model = build(form, layers)
    return lambda: modelstac.publish(model, catalog=folder / "catalog", version="2.0.0", example=EXAMPLE, **SAID)


def load(form: str, layers: int, folder: Path) -> Callable[[], Any]:  # noqa: ARG001
    def run() -> None:
        with modelstac.load("large@file", catalog=folder / "catalog") as model:
            found = model.predict(EXAMPLE)
        np.testing.assert_allclose(found, np.load(folder / "made.npy"), rtol=1e-4, atol=1e-4)

    return run


def memory(kind: str) -> int:
    """Give the resident memory of this process in bytes: what it is (``VmRSS``), or was at most (``VmHWM``).

    ``ru_maxrss`` may be that of the process which started it.
    """
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines[kind].split()[0]) * 1024


def measure(step: str, form: str, layers: int, small: Path, large: Path) -> dict[str, float]:
    """Run a step on a small model, and measure it on a large one."""
    run = {"own": own, "file": file, "object": of_object, "load": load}[step]
    run(form, 1, small)()
    begin = run(form, layers, large)
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here: proc(5)
    before, began = memory("VmRSS"), time.perf_counter()
    begin()
    return {"bytes": memory("VmHWM") - before, "seconds": time.perf_counter() - began}


def apart(*words: object) -> str:
    """Run a part of this module in a process of its own."""
    code = "import sys; from benchmarks import large; large.part(*sys.argv[1:])"
    environment = {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"} | os.environ
    command = [sys.executable, "-c", code, *map(str, words)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip()


def part(step: str, form: str, layers: str, *folders: str) -> None:
    """Do what :func:`apart` asks for."""
    if step == "write":
        write(form, int(layers), Path(folders[0]))
        return
    small, large = map(Path, folders)
    print(json.dumps(measure(step, form, int(layers), small, large)))


def main(arguments: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks large", description=__doc__)
    parser.add_argument("--megabytes", type=int, default=300, help="of the weights (default: %(default)s)")
    parser.add_argument("--formats", nargs="+", choices=SUFFIXES, default=list(SUFFIXES))
    said = parser.parse_args(arguments)
    layers = max(1, round(said.megabytes * 1e6 / LAYER))
    size = layers * LAYER
    print(f"Most memory of {size / 1e6:,.0f} MB of weights in {layers} layers, in copies of them\n")
    print(f"{'':16}{'':36}{'copies':>8}{'target':>8}{'seconds':>10}")
    for form in said.formats:
        with tempfile.TemporaryDirectory() as name:
            folders = [Path(name) / "small", Path(name) / "large"]
            for folder, many in zip(folders, (1, layers), strict=True):
                folder.mkdir()
                apart("write", form, many, folder)
            for step, title in STEPS.items():
                found = json.loads(apart(step, form, layers, *folders).splitlines()[-1])
                copies, most = found["bytes"] / size, MOST[step]
                target = "" if most is None else f"{most:.1f}"
                print(f"{form:16}{title:36}{copies:8.2f}{target:>8}{found['seconds']:10.1f}", flush=True)
