"""The thesis's training, done again on a smaller grid: ``python -m benchmarks.thesis FRAMES``, or ``make thesis``.

All three variants by the thesis's settings (25 epochs, Adadelta, batch 1, seed 42, cross-entropy over every pixel, its
preprocessing), each in a process of its own, and one network for as many changes of its weights as the thesis made;
scored in the thesis's definition and in ours. Writes what it prints to ``docs/results/thesis.md``. What is trained
already in ``--out`` is not trained again.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import json
import os
import platform
import resource
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelstac.catalog.messages import Measured, Message
from modelstac.report import Table
from modelstac.training.data import THESIS, Preparation, Windows, make_windows, read_frames
from modelstac.training.fitting.checkpoints import Checkpoints
from modelstac.training.fitting.execution import AUTOMATIC
from modelstac.training.fitting.fit import LOSS_EPSILON, FitSpec
from modelstac.training.fitting.loop import validation_split
from modelstac.training.jobs.recipes import RECIPES, preset
from modelstac.training.scoring.metrics import persistence, score
from modelstac.training.scoring.plots import COLOURS, new_figure
from modelstac.training.scoring.thesis import thesis_rmse
from modelstac.training.variants.variant import find_variant

PUBLISHED = (0.1093, 0.1077)
"""Cross-entropy of training and validation that the thesis stores, after 25 epochs on 123 + 31 sequences."""
OURS = ("rmse", "csi_0.5", "csi_1")
PACKAGES = {"keras-tensorflow": ("keras", "tensorflow-cpu"), "keras-torch": ("keras", "torch"), "torch": ("torch",)}

Field = NDArray[np.float32]
Losses = list[tuple[float, float]]


@dataclass(frozen=True)
class Study:
    """Runs on one grid: by the title of each its variant and its preset."""

    title: str
    grid: tuple[int, int]
    filters: int
    epochs: int
    shown: tuple[int, ...]
    runs: Mapping[str, tuple[str, str]]

    @property
    def preparation(self) -> Preparation:
        """The thesis's, on this grid."""
        return dataclasses.replace(THESIS["thesis-accumulation"], resize_bytes=self.grid)

    @property
    def fit(self) -> FitSpec:
        """The thesis's; a tenth of the windows, the last, is for validation."""
        return dataclasses.replace(RECIPES["reference"][0], validation=0.1, epochs=self.epochs)

    def windows(self, data: Path) -> Windows:
        """Give all windows of 18 frames and the 18 that follow, as the thesis prepares them."""
        return make_windows(self.preparation.apply(read_frames(data)), 18, 18)

    def folder(self, out: Path, title: str) -> Path:
        """Where a run is kept."""
        return out / f"{self.grid[0]}x{self.grid[1]}-{'-'.join(self.runs[title])}"


QUARTER = Study(
    "The three variants, 25 epochs",
    (86, 79),
    16,
    25,
    (1, 5, 10, 15, 20, 25),
    {
        "Keras on TensorFlow": ("keras-tensorflow", "reference"),
        "Keras on PyTorch": ("keras-torch", "reference"),
        "native PyTorch, with its own cell": ("torch", "thesis-pytorch"),
    },
)
EIGHTH = Study(
    "As many changes of the weights as in the thesis",
    (43, 39),
    8,
    193,
    (25, 50, 100, 150, 193),
    {"native PyTorch, with the cell of Keras": ("torch", "reference")},
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, score, print and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.thesis", description=__doc__)
    parser.add_argument("data", type=Path, help="folder of the 92 KNMI frames of 26 August 2010")
    parser.add_argument("--out", type=Path, default=Path(".thesis"), help="what was trained")
    parser.add_argument("--results", type=Path, default=Path("docs/results"), help="where the page goes")
    parser.add_argument("--run", nargs=2, metavar=("STUDY", "TITLE"), help="train this one, in this process, no more")
    given = parser.parse_args(arguments)
    studies = (QUARTER, EIGHTH)
    if given.run:
        train(studies[int(given.run[0])], given.run[1], given.data, given.out)
        return
    for number, study in enumerate(studies):
        for title, (variant, _) in study.runs.items():
            if not (study.folder(given.out, title) / "forecast.npy").exists():
                again = [str(given.data), "--out", str(given.out), "--run", str(number), title]
                backend = find_variant(variant).backend or "torch"
                command = [sys.executable, "-m", "benchmarks.thesis", *again]
                subprocess.run(command, env=os.environ | {"KERAS_BACKEND": backend}, check=True)
    page(studies, given.data, given.out, given.results)


def train(study: Study, title: str, data: Path, out: Path) -> None:
    """Train a variant and keep its losses, its forecasts of the validation windows and what it took."""
    variant, name = study.runs[title]
    spec = dataclasses.replace(preset(name), filters=(study.filters,) * 4, height=study.grid[0], width=study.grid[1])
    windows, folder = study.windows(data), study.folder(out, title)
    folder.mkdir(parents=True, exist_ok=True)
    framework = find_variant(variant).framework()
    how: dict[str, Any] = {"checkpoints": Checkpoints(folder / "checkpoints"), "execution": AUTOMATIC, "report": tell}
    trained = framework.train(spec, windows, study.preparation, study.fit, **how)
    _, held_out = validation_split(windows, study.fit.validation)
    inputs = study.preparation.inputs_to_model(held_out.inputs(slice(None)))
    forecast = np.concatenate([trained.forecast(one[None]) for one in inputs])
    used = resource.getrusage(resource.RUSAGE_SELF)
    cost = {
        "processor": used.ru_utime + used.ru_stime,
        "parameters": spec.parameters,
        "packages": {package: version(package) for package in PACKAGES[variant]},
    }
    (folder / "losses.csv").write_text(trained.history.to_csv())
    (folder / "cost.json").write_text(json.dumps(cost))
    np.save(folder / "forecast.npy", forecast)


def tell(message: Message) -> None:
    """Say how an epoch ended."""
    if isinstance(message, Measured) and "validation_loss" in message.values:
        print(f"step {message.step}: {message.values['validation_loss']:.4f}", file=sys.stderr, flush=True)


def page(studies: Sequence[Study], data: Path, out: Path, results: Path) -> None:
    """Score everything, print it and write it."""
    results.mkdir(parents=True, exist_ok=True)
    draw_losses(studies, out, results / "thesis-losses.png")
    parts = [introduction(data)]
    for study in studies:
        parts += [f"## {study.title}\n", reduced(study, data)]
        parts += [
            f"### {table.title}\n\n{table.caption}\n\n{table.to_markdown()}\n" for table in tables(study, data, out)
        ]
    text = "\n".join([*parts, PICTURE])
    (results / "thesis.md").write_text(text)
    print(text)


def tables(study: Study, data: Path, out: Path) -> list[Table]:
    """Score the runs of one grid."""
    _, held_out = validation_split(study.windows(data), study.fit.validation)
    seen, observed = held_out.inputs(slice(None)), held_out.targets(slice(None))
    forecasts = {
        title: study.preparation.to_rate(np.load(study.folder(out, title) / "forecast.npy")) for title in study.runs
    }
    still = np.stack([persistence(window, held_out.frames_out) for window in seen])
    measured = measured_pixels(data, study.grid)
    baselines = {
        "persistence": still,
        "no rain where measured": np.where(measured, np.float32(0), still),
        "no rain anywhere": np.zeros_like(still),
    }
    found = [
        bce(study, out, study.preparation.to_model(observed)),
        scores(study, forecasts | baselines, observed, measured),
        apart(study, forecasts, measured),
        costs(study, out),
    ]
    return [table for table in found if table.rows]


def history(study: Study, out: Path, title: str) -> Losses:
    """Read the losses of training and validation, epoch by epoch."""
    with (study.folder(out, title) / "losses.csv").open() as file:
        return [(float(row["loss"]), float(row["validation_loss"])) for row in csv.DictReader(file)]


def measured_pixels(data: Path, grid: tuple[int, int]) -> NDArray[np.bool_]:
    """Tell for each pixel of the small grid whether nothing but measured pixels went into it, in every frame."""
    from PIL import Image

    rows, columns = grid
    missing = ~np.isfinite(read_frames(data)["rainfall_rate"].values).all(axis=0)
    picture = Image.fromarray(255 * missing.astype(np.uint8)).resize((columns, rows), Image.Resampling.BILINEAR)
    return np.asarray(picture) == 0


def bce(study: Study, out: Path, targets: Field) -> Table:
    """Give the cross-entropy at the end of some epochs, and what a perfect forecast would have."""
    blank = [""] * (len(study.shown) - 1)
    rows = []
    for title in study.runs:
        each = history(study, out, title)
        rows.append([title, *(f"{each[epoch - 1][0]:.4f} / {each[epoch - 1][1]:.4f}" for epoch in study.shown)])
    stored = " / ".join(f"{value:.4f}" for value in PUBLISHED)
    rows.append(["the thesis: 64 filters, 344 x 315, 3,075 changes", *blank, stored])
    sure = np.clip(targets, LOSS_EPSILON, 1 - LOSS_EPSILON).astype(np.float64)
    least = float(-(targets * np.log(sure) + (1 - targets) * np.log1p(-sure)).mean())
    rows.append(["a perfect forecast", *blank, f"– / {least:.4f}"])
    return Table("Cross-entropy", BCE, ("training / validation", *(f"epoch {n}" for n in study.shown)), rows)


def scores(study: Study, forecasts: Mapping[str, Field], observed: Field, measured: NDArray[np.bool_]) -> Table:
    """Score each forecast in the thesis's definition over all pixels and over measured ones, and in ours."""
    rows = []
    masked = np.where(measured, observed, np.nan)
    for title, forecast in forecasts.items():
        flat, flat_observed = (each[..., measured][:, :, None] for each in (forecast, observed))
        theirs = (
            thesis_rmse(forecast, observed, study.preparation),
            thesis_rmse(forecast, observed, study.preparation, script="pytorch"),
            thesis_rmse(flat, flat_observed, study.preparation),
        )
        ours = [score(one, each) for one, each in zip(forecast, masked, strict=True)]
        total = sum(ours[1:], ours[0]).summary()
        rows.append([title, *(f"{error:.4f}" for error in theirs), *(f"{total[name]:.3f}" for name in OURS)])
    heads = ("forecast", "RMSE pooled", "RMSE by batch", "pooled, measured only", "RMSE mm/h", "CSI 0.5", "CSI 1")
    return Table("Scores", SCORES, heads, rows)


def apart(study: Study, forecasts: Mapping[str, Field], measured: NDArray[np.bool_]) -> Table:
    """Say how far the forecasts of the variants are from each other."""
    titles = list(study.runs)
    rows = []
    for number, one in enumerate(titles):
        for other in titles[number + 1 :]:
            difference = study.preparation.to_model(forecasts[one]) - study.preparation.to_model(forecasts[other])
            inside = np.sqrt(np.square(difference[..., measured]).mean())
            rows.append([f"{one} / {other}", f"{np.abs(difference).max():.1e}", f"{inside:.1e}"])
    return Table("How far the variants are apart", APART, ("variants", "largest", "RMS, measured"), rows)


def costs(study: Study, out: Path) -> Table:
    """Say what was trained and what it took."""
    rows = []
    for title, (_, name) in study.runs.items():
        cost = json.loads((study.folder(out, title) / "cost.json").read_text())
        packages = ", ".join(f"{package} {number}" for package, number in cost["packages"].items())
        rows.append([title, name, f"{cost['parameters']:,}", packages, f"{cost['processor']:.0f}"])
    return Table("What was run", COSTS, ("variant", "preset", "parameters", "with", "processor s"), rows)


def draw_losses(studies: Sequence[Study], out: Path, path: Path) -> None:
    """Draw training (dashed) and validation (drawn through) of each run, and what the thesis stores."""
    figure = new_figure(11, 4.5)
    for axis, study in zip(figure.subplots(1, len(studies), sharey=True), studies, strict=True):
        for title, colour, mark in zip(study.runs, COLOURS, "os^", strict=False):
            each = history(study, out, title)
            epochs = range(1, len(each) + 1)
            axis.plot(epochs, [one for one, _ in each], "--", color=colour, label=f"{title}, training")
            line = [one for _, one in each]
            every = max(1, len(each) // 12)
            axis.plot(epochs, line, "-", color=colour, marker=mark, ms=4, markevery=every, label=f"{title}, validation")
        axis.axhline(PUBLISHED[1], color="#555555", lw=1, ls=":", label="the thesis, validation")
        axis.set_title(f"{study.grid[0]} x {study.grid[1]} pixels, {study.filters} filters", fontsize=10)
        axis.set_xlabel("epoch")
        axis.grid(alpha=0.3)
        axis.legend(fontsize=7)
    figure.axes[0].set_ylabel("binary cross-entropy, all pixels")
    figure.savefig(path, dpi=100, bbox_inches="tight")


def introduction(data: Path) -> str:
    """Say how it was done."""
    learnt, held_out = validation_split(QUARTER.windows(data), QUARTER.fit.validation)
    share = measured_pixels(data, QUARTER.grid).mean()
    where = f"{os.cpu_count()} cores, Python {platform.python_version()}"
    return INTRODUCTION.format(where=where, learnt=len(learnt), held_out=len(held_out), share=f"{share:.0%}")


def reduced(study: Study, data: Path) -> str:
    """Say by how much a study is smaller than the thesis."""
    learnt, _ = validation_split(study.windows(data), study.fit.validation)
    rows, columns = study.grid
    return (
        f"{rows} x {columns} pixels instead of 344 x 315, {study.filters} filters a layer instead of 64, {study.epochs}"
        f" epochs of {len(learnt)} windows: {study.epochs * len(learnt):,} changes of the weights instead of 3,075.\n"
    )


INTRODUCTION = """# The thesis's training, on a smaller grid

Written by `make thesis DATA=folder` (`benchmarks/thesis.py`) on {where}; nothing here is typed in but the
figures of the thesis. See [the thesis, claim by claim](../thesis.md).

**As in the thesis:** its ConvLSTM of four layers (kernels 7, 5, 3, 1; LeakyReLU, batch normalisation), the linear cell
in Keras and the one with tanh in PyTorch; 18 frames in and 18 out; counts as bytes, resized by Pillow, divided by 255,
and no mask; cross-entropy over every pixel; Adadelta (rate 0.001, rho 0.95, epsilon 1e-7), batch 1, seed 42, the last
10 % of the windows for validation.

**Reduced, for two cores:** grid and filters, as each part says. The data are 92 frames of one morning (26 August 2010,
KNMI) instead of 154 sequences: {learnt} windows to learn from and {held_out} that share no frame with them. The
product is KNMI's accumulations, not its reflectivity.

**Otherwise than in the thesis:** all variants start from the same weights and see the windows in the same order.
`keras-torch` is fitted as the native module of the same function, whose weights then move into it exactly: its run is
also native PyTorch with the cell of Keras. {share} of the pixels are measured in every frame.
"""
BCE = (
    "Mean over the windows of an epoch while the weights changed, as Keras prints it, and of the validation windows"
    " after it. Values between 0 and 1 are no yes or no, so that even a perfect forecast has a cross-entropy above 0."
)
SCORES = (
    "Of the validation windows. The first two columns are the thesis's, over all pixels, measured or not, of values"
    " from 0 to 1: pooled as in its Keras script, and cut to 0..1 and averaged over batches as in its PyTorch script."
    " The third is the first over measured pixels. The last three are ours: means over lead times, measured pixels."
)
APART = "Of the forecasts of the validation windows, as values from 0 to 1."
COSTS = "The whole process: reading, training, forecasting."
PICTURE = "## Picture\n\n![Cross-entropy by epoch](thesis-losses.png)\n"

if __name__ == "__main__":
    main()
