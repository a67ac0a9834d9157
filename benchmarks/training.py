"""Training: our native PyTorch against the thesis's way, against Keras' own layers, and against a bare convolution.

The rate of a way is what its convolutions have to multiply and add, two operations each, by its time. They are those of
the thesis's way, all steps included: a forward pass has those of both kernels of each layer, a training step three
times as many, less the gradient of the frames, which nobody needs. It is compared with the rate of one bare ``conv2d``
(5 x 5, 32 to 128 channels, all frames in one call, in the memory format that is faster), which runs just before it.
The floor is the convolutions of each step, one call each, with the sigmoids and products of the cells, and nothing else
(no layer uses another's result); a training step is counted as three of these.
All ways take turns, and ratios are medians of the ratios turn by turn: by the clock, and by processor seconds, which
tell more on a machine that others use.

Memory is the largest that a process held while it took one step of the ``reference`` preset with its 18 frames, on the
grid of ``BENCHMARK_MEMORY_GRID`` (86x79, a sixteenth of its own; 344x315 takes 27 GB the thesis's way).
"""

from __future__ import annotations

import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import torch
from torch.nn import functional

from benchmarks.training_memory import WAYS, model_of
from modelstac.report import Table
from modelstac.training.spec import PRESETS, ConvLSTMSpec

THREADS = int(os.environ.get("OMP_NUM_THREADS", "2"))
TURNS = int(os.environ.get("BENCHMARK_TURNS", "7"))
GRID = os.environ.get("BENCHMARK_MEMORY_GRID", "86x79")
NETWORK = ConvLSTMSpec(filters=(32,) * 4, kernels=(7, 5, 3, 1), cell_activation="linear", height=48, width=48)
BACKENDS = {"tensorflow": "Keras layers on TensorFlow", "torch": "Keras layers on PyTorch"}
FLOOR = "floor"
TARGETS = {"forward": 0.92, "step": 0.85}

Seconds = tuple[float, float]
"""By the clock, and of the processor."""


def operations(spec: ConvLSTMSpec) -> dict[str, float]:
    """Count the floating-point operations of the convolutions of a forward pass and of a training step."""
    pixels = spec.frames * spec.height * spec.width
    sizes = list(zip(spec.channels, spec.filters, spec.kernels, strict=True))
    forward = sum(2 * k**2 * (c + f) * 4 * f * pixels for c, f, k in sizes)
    _, filters, kernel = sizes[0]
    return {"forward": forward, "step": 3 * forward - 2 * kernel**2 * 4 * filters * pixels}


def timed(run: Callable[[], object]) -> Seconds:
    began = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - began[0], time.process_time() - began[1]


def bare_convolution(spec: ConvLSTMSpec) -> tuple[Callable[[], Seconds], float]:
    """Give what times the bare convolution once, and the operations that it takes."""
    filters, kernel = spec.filters[1], spec.kernels[1]
    formats = (torch.contiguous_format, torch.channels_last)
    shapes = (spec.frames, filters, spec.height, spec.width), (4 * filters, filters, kernel, kernel)
    given = [[torch.rand(shape).contiguous(memory_format=one) for shape in shapes] for one in formats]

    def run(pair: list[torch.Tensor]) -> Seconds:
        with torch.inference_mode():
            return timed(lambda: functional.conv2d(*pair, padding=kernel // 2))

    fastest = min(given, key=lambda pair: min(run(pair)[1] for _ in range(3)))
    return lambda: run(fastest), 2 * kernel**2 * 4 * filters**2 * spec.frames * spec.height * spec.width


def floor(spec: ConvLSTMSpec) -> Callable[[str], Seconds]:
    """Give what runs the convolutions of each step and the products of its cells, and nothing else."""
    layers = []
    for channels, filters, kernel in zip(spec.channels, spec.filters, spec.kernels, strict=True):
        shapes = [(1, channels, spec.height, spec.width)] + [(1, filters, spec.height, spec.width)] * 2
        shapes += [(4 * filters, inside, kernel, kernel) for inside in (channels, filters)]
        layers.append([torch.rand(shape).contiguous(memory_format=torch.channels_last) for shape in shapes])

    def once() -> None:
        for x, h, c, of_input, of_state in layers:
            padding, filters = of_input.shape[-1] // 2, h.shape[1]
            for step in range(spec.frames):
                gates = functional.conv2d(x, of_input, padding=padding)
                if step:
                    gates = functional.conv2d(h, of_state, padding=padding)
                gates[:, : 3 * filters].sigmoid_()
                i, f, o, candidate = gates.chunk(4, dim=1)
                torch.mul(f, c, out=c).addcmul_(i, candidate)
                torch.mul(o, c, out=h)

    def run(kind: str) -> None:
        with torch.inference_mode():
            for _ in range(1 if kind == "forward" else 3):
                once()

    return lambda kind: timed(lambda: run(kind))


def native(way: str, spec: ConvLSTMSpec) -> Callable[[str], Seconds]:
    """Give what runs a forward pass or a step of a PyTorch module."""
    model = model_of(way, spec)
    optimizer = torch.optim.Adadelta(model.parameters(), lr=1e-3)
    x, y = torch.rand(2, 1, spec.frames, 1, spec.height, spec.width)

    def forward() -> None:
        with torch.inference_mode():
            model.eval()(x)

    def step() -> None:
        optimizer.zero_grad()
        functional.binary_cross_entropy(model.train()(x), y).backward()
        optimizer.step()

    return lambda kind: timed(forward if kind == "forward" else step)


def keras(backend: str, spec: ConvLSTMSpec, stack: ExitStack) -> Callable[[str], Seconds]:
    """Start a process with Keras and give what asks it to run one or the other."""
    environment = os.environ | {
        "KERAS_BACKEND": backend,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    process = stack.enter_context(
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.training_keras"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
    )
    assert process.stdin is not None
    assert process.stdout is not None
    stack.callback(process.stdin.close)
    source, sink = process.stdout, process.stdin

    def ask(line: str) -> str:
        sink.write(f"{line}\n")
        sink.flush()
        return source.readline()

    sink.write(json.dumps(spec.to_dict()) + "\n")

    def run(kind: str) -> Seconds:
        wall, processor = json.loads(ask(kind))
        return wall, processor

    return run


def speed(spec: ConvLSTMSpec = NETWORK, turns: int = TURNS) -> Table:
    """Measure forward passes and steps of all ways, in turns."""
    torch.set_num_threads(THREADS)
    needed = operations(spec)
    bare, bare_needed = bare_convolution(spec)
    rows = []
    with ExitStack() as stack:
        runs = {FLOOR: floor(spec)} | {way: native(way, spec) for way in WAYS}
        runs |= {title: keras(backend, spec, stack) for backend, title in BACKENDS.items()}
        for kind in needed:
            times: dict[str, list[tuple[Seconds, Seconds]]] = {way: [] for way in runs}
            for turn in range(turns + 1):
                for way, run in runs.items():
                    pair = bare(), run(kind)
                    if turn:  # the first warms up
                        times[way].append(pair)
            rows += [_row(f"{kind}, {way}", times[way], times["thesis"], needed[kind] / bare_needed) for way in runs]
    height, width = spec.height, spec.width
    rate = bare_needed / statistics.median(clock for pairs in times.values() for (clock, _), _ in pairs)
    caption = (
        f"4 layers, 32 filters, {spec.frames} frames, {height} x {width}, batch 1, {THREADS} threads: median of {turns}"
        f" turns; {needed['forward'] / 1e9:.1f} and {needed['step'] / 1e9:.1f} GFLOP; a bare convolution does"
        f" {rate / 1e9:.0f} GFLOP/s by the clock; load {os.getloadavg()[0]:.1f}"
    )
    heads = ("", "by the clock", "processor", "to the thesis's way", "of the bare rate", "by processor")
    return Table("Training: speed", caption, heads, rows)


def _row(
    title: str, times: list[tuple[Seconds, Seconds]], thesis: list[tuple[Seconds, Seconds]], needed: float
) -> tuple[str, ...]:
    clock, processor = (statistics.median(own[i] for _, own in times) for i in range(2))
    shares = [statistics.median(needed * bare[i] / own[i] for bare, own in times) for i in range(2)]
    to_thesis = statistics.median(own[1] / other[1] for (_, own), (_, other) in zip(times, thesis, strict=True))
    return (
        title,
        f"{clock * 1e3:.0f} ms",
        f"{processor * 1e3:.0f} ms",
        f"{to_thesis:.2f}",
        f"{shares[0]:.2f}",
        f"{shares[1]:.2f}",
    )


def memory(grid: str = GRID) -> Table:
    """Measure the peak of one training step in each of the ways."""
    height, width = map(int, grid.split("x"))
    spec = dataclasses.replace(PRESETS["reference"], height=height, width=width)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    found = {}
    with tempfile.TemporaryDirectory(prefix="modelstac-") as folder:
        file = Path(folder, "spec.json")
        file.write_text(json.dumps(spec.to_dict()))
        for way in WAYS:
            command = [sys.executable, "-m", "benchmarks.training_memory", way, str(file)]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
            found[way] = int(done.stdout)
    rows = [(way, f"{most} MiB", f"{most / found['thesis']:.0%}") for way, most in found.items()]
    caption = f"one step of the reference preset, {spec.frames} frames, {height} x {width}, batch 1"
    return Table("Training: memory", caption, ("", "peak", "of the thesis's way"), rows)


def agreement(spec: ConvLSTMSpec = NETWORK) -> float:
    """Give the largest difference between what the ways of PyTorch compute."""
    x = torch.rand(1, spec.frames, 1, spec.height, spec.width)
    with torch.inference_mode():
        first, *others = (model_of(way, spec).eval()(x) for way in WAYS)
    return max(float((first - other).abs().max()) for other in others)


def main() -> None:
    print(f"\nThe thesis's way and ours differ by {agreement():.1e} at most\n")
    for make in (speed, memory):
        table = make()
        print(f"\n{table.title}: {table.caption}\n\n{table.to_text()}", flush=True)
    print(
        f"\nTargets: of the bare rate {TARGETS}, or 0.95 of the floor's; memory: 60 % of the thesis's; by the default"
    )


if __name__ == "__main__":
    main()
