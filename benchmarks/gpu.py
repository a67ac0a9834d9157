"""Training, forecasting and mapping on a GPU, in at most eight minutes: ``python -m benchmarks gpu [--dry-run]``.

A training step is that of the ``reference`` preset, batch 1, layers in bfloat16, and an epoch 123 of them; frames are
random numbers already on the device, so reading files is no part of it. ``--dry-run`` runs all of it in small on the
CPU, compiling nothing, and prints the page instead of writing it: whether everything runs, and no speed that means
anything, so that its page says so and has no limits. What the time does not reach is left out and named.
"""

from __future__ import annotations

import argparse
import dataclasses
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch.nn import functional

from modelstac.training.architectures import convlstm_torch
from modelstac.training.scenes.network import INPUT, Network, to_onnx
from modelstac.training.spec import PRESETS, ConvLSTMSpec

RESULTS = Path(__file__).resolve().parents[1] / "docs" / "results" / "gpu.md"
SEQUENCES, EPOCH_LIMIT = 123, 20.0
BANDS, CLASSES = 10, 7
Row = tuple[str, str, str]


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How much is run: repetitions, the network, the side of a tile, tiles at a time, and what torch.compile uses."""

    turns: int
    spec: ConvLSTMSpec
    tile: int
    tiles: int
    compiler: str

    @property
    def summary(self) -> str:
        """What is run, in words."""
        spec = self.spec
        return (
            f"ConvLSTM of {spec.layers} layers ({', '.join(map(str, spec.filters))} filters), {spec.frames} frames of"
            f" {spec.height} x {spec.width}; {self.tiles} tiles of {self.tile} x {self.tile} for the U-Net; median of"
            f" {self.turns} runs"
        )


REAL = Sizes(10, PRESETS["reference"], 512, 8, "inductor")
DRY = Sizes(2, dataclasses.replace(PRESETS["tiny"], height=16, width=16, frames=3), 32, 2, "eager")


def seconds(run: Callable[[], object], device: torch.device, turns: int) -> float:
    """Return the median seconds of a run, waited for; the first three warm up and are not counted."""

    def waited() -> float:
        began = time.perf_counter()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - began

    return statistics.median([waited() for _ in range(turns + 3)][3:])


def training(sizes: Sizes, device: torch.device) -> Iterator[Row]:
    """Time a step in float32 and in bfloat16."""
    shape = (1, sizes.spec.frames, 1, sizes.spec.height, sizes.spec.width)
    x, y = (torch.rand(shape, device=device) for _ in range(2))
    for name, enabled in (("float32", False), ("bfloat16", True)):
        net = convlstm_torch.build(sizes.spec).to(device).train()
        optimizer = torch.optim.Adadelta(net.parameters(), lr=1e-3)

        def step(net: torch.nn.Module = net, optimizer: torch.optim.Optimizer = optimizer, on: bool = enabled) -> None:
            optimizer.zero_grad()
            with torch.autocast(device.type, torch.bfloat16, enabled=on):
                forecast = net(x)
            functional.binary_cross_entropy(forecast.float(), y).backward()
            optimizer.step()

        epoch = seconds(step, device, sizes.turns) * SEQUENCES
        limit = f"{EPOCH_LIMIT:g} s" if enabled else ""
        yield f"epoch of {SEQUENCES} sequences, {name}", f"{epoch:.1f} s", limit


def forecasting(sizes: Sizes, device: torch.device) -> Iterator[Row]:
    """Time a forecast of the network as it is, and compiled."""
    x = torch.rand((1, sizes.spec.frames, 1, sizes.spec.height, sizes.spec.width), device=device)
    net = convlstm_torch.build(sizes.spec).to(device).eval()
    with torch.inference_mode():
        eager = seconds(lambda: net(x), device, sizes.turns)
        yield "ConvLSTM forecast, eager", f"{eager * 1e3:.1f} ms", ""
        compiled = torch.compile(net, backend=sizes.compiler)
        fast = seconds(lambda: compiled(x), device, sizes.turns)
    yield (
        f"ConvLSTM forecast, torch.compile ({sizes.compiler})",
        f"{fast * 1e3:.1f} ms ({eager / fast:.2f} times as fast)",
        "",
    )


def mapping(sizes: Sizes, device: torch.device) -> Iterator[Row]:
    """Measure how many megapixels a second the U-Net of the scenes takes."""
    net = Network(BANDS, CLASSES).eval()
    x = torch.rand((sizes.tiles, BANDS, sizes.tile, sizes.tile))
    pixels = sizes.tiles * sizes.tile**2 / 1e6
    yield "U-Net, ONNX Runtime", _onnx(net, x, device, sizes.turns, pixels), ""
    net, x = net.to(device), x.to(device)
    with torch.inference_mode():
        yield "U-Net, PyTorch", f"{pixels / seconds(lambda: net(x), device, sizes.turns):.1f} Mpx/s", ""
        compiled = torch.compile(net, backend=sizes.compiler)
        name = f"U-Net, torch.compile ({sizes.compiler})"
        yield name, f"{pixels / seconds(lambda: compiled(x), device, sizes.turns):.1f} Mpx/s", ""


def _onnx(net: Network, x: torch.Tensor, device: torch.device, turns: int, pixels: float) -> str:
    import onnxruntime

    wanted = "CUDAExecutionProvider" if device.type == "cuda" else "CPUExecutionProvider"
    if wanted not in onnxruntime.get_available_providers():
        return f"left out: this build of ONNX Runtime has no {wanted}"
    session = onnxruntime.InferenceSession(to_onnx(net, BANDS, CLASSES).SerializeToString(), providers=[wanted])
    given = {INPUT: x.numpy()}
    # From host memory and back, as a scene comes and goes.
    return f"{pixels / seconds(lambda: session.run(None, given), torch.device('cpu'), turns):.1f} Mpx/s"


def measured(sizes: Sizes, device: torch.device, end: float) -> Iterator[Row]:
    """Yield the rows; after the end, what is left out."""
    for part in (training, forecasting, mapping):
        if time.monotonic() > end:
            yield part.__name__, "left out: the time was over", ""
        else:
            yield from part(sizes, device)


def page(rows: list[Row], device: torch.device, sizes: Sizes) -> str:
    """Return the page of results; that of a dry run says that it is none."""
    if device.type == "cuda":
        heading = f"# Measured on {torch.cuda.get_device_name(device)}\n\nWritten by `python -m benchmarks gpu`"
    else:
        heading = (
            f"# Dry run on the CPU ({platform.machine()}): everything runs, and no speed here means anything\n\n"
            "Printed by `python -m benchmarks gpu --dry-run`"
        )
        rows = [(what, found, "") for what, found, _ in rows]
    said = f"{heading}, PyTorch {torch.__version__}. {sizes.summary}. Frames are random and on the device before.\n\n"
    lines = [("what", "measured", "limit"), ("---", "---:", "---:"), *rows]
    return said + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main(arguments: list[str]) -> None:
    """Measure, and write the page or print it."""
    said = str(__doc__).replace("``", "")
    parser = argparse.ArgumentParser(prog="python -m benchmarks gpu", description=said)
    parser.add_argument("--dry-run", action="store_true", help="small, on the CPU, and print the page")
    parser.add_argument("--minutes", type=float, default=8.0, help="begin no part after so many (default 8)")
    parser.add_argument(
        "--output", type=Path, default=RESULTS, help="the page (default docs/results/gpu.md); a dry run writes none"
    )
    given = parser.parse_args(arguments)
    if not given.dry_run and not torch.cuda.is_available():
        parser.error("no GPU is here: --dry-run runs it in small on the CPU")
    if not given.dry_run and not given.output.parent.is_dir():
        parser.error(f"there is no folder {given.output.parent} for the page: make it, or name another --output")
    device, sizes = (torch.device("cpu"), DRY) if given.dry_run else (torch.device("cuda"), REAL)
    end = time.monotonic() + given.minutes * 60
    rows: list[Row] = []
    for what, found, limit in measured(sizes, device, end):
        rows.append((what, found, limit))
        limited = f"  (limit {limit})" if limit and not given.dry_run else ""
        print(f"{what}: {found}{limited}", file=sys.stderr, flush=True)
        if not given.dry_run:  # part by part: what is measured is kept, whatever comes next
            given.output.write_text(page(rows, device, sizes), encoding="utf-8")
    if given.dry_run:
        print(page(rows, device, sizes))


if __name__ == "__main__":
    main(sys.argv[1:])
