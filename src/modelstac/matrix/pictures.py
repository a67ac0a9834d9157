"""Pictures of the matrix: how far apart, how fast, how large."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from modelstac.matrix.results import Cell, format_of, size_of
from modelstac.report import Picture
from modelstac.training.scoring.plots import COLOURS, new_figure

LEAST, MOST = 1e-9, 1e-2
"""Differences beyond these are drawn as these."""


def pictures(found: Sequence[Cell]) -> dict[str, Picture]:
    """Draw what was found, by name of the picture.

    Raises
    ------
    MissingPackageError
        If matplotlib is not installed.
    """
    if not any(cell.runs for cell in found):
        return {}
    return {"difference": _differences(found), "speed": _speeds(found), "size": _sizes(found)}


def _differences(found: Sequence[Cell]) -> Picture:
    """Draw a field of colours: items down, environments across; grey where a model does not run."""
    items = list(dict.fromkeys(cell.item for cell in found))
    environments = list(dict.fromkeys(cell.environment for cell in found))
    values = np.full((len(items), len(environments)), np.nan)
    for cell in found:
        if cell.runs:
            apart = min(max(cell.found["difference"], LEAST), MOST)
            values[items.index(cell.item), environments.index(cell.environment)] = np.log10(apart)
    figure = new_figure(3.5 + 0.4 * len(environments), 1.8 + 0.22 * len(items))
    axis = figure.add_subplot()
    axis.set_facecolor("0.88")
    shown = axis.imshow(values, aspect="auto", cmap="viridis", vmin=np.log10(LEAST), vmax=np.log10(MOST))
    axis.set_xticks(range(len(environments)), environments, rotation=60, ha="right", fontsize=7)
    axis.set_yticks(range(len(items)), _short(items), fontsize=7)
    bar = figure.colorbar(shown, ax=axis)
    bar.set_label("largest difference from the writer (power of ten)", fontsize=7)
    bar.ax.tick_params(labelsize=7)
    return Picture(_png(figure), "Largest difference by item and environment; grey: does not run there.")


def _speeds(found: Sequence[Cell]) -> Picture:
    """Draw the time of a prediction, a row for each environment and format, fastest first."""
    from matplotlib.ticker import LogLocator, NullLocator

    times: dict[tuple[str, str], list[float]] = {}
    for cell in found:
        if cell.runs:
            times.setdefault((cell.environment, format_of(cell.model)), []).append(1000 * cell.found["predict_seconds"])
    ordered = sorted(times, key=lambda key: float(np.median(times[key])))
    forms = list(dict.fromkeys(form for _, form in sorted(ordered, key=lambda key: key[1])))
    figure = new_figure(6.5, 1.2 + 0.2 * len(ordered))
    axis = figure.add_subplot()
    for row, key in enumerate(ordered):
        style: dict[str, Any] = {"color": COLOURS[forms.index(key[1]) % len(COLOURS)]}
        axis.barh(row, float(np.median(times[key])), height=0.7, **style)
        axis.plot(times[key], [row] * len(times[key]), "k.", markersize=3)
    axis.set_yticks(range(len(ordered)), [f"{form} in {name}" for name, form in ordered], fontsize=7)
    axis.invert_yaxis()
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter("{x:g}")
    axis.set_xlabel("ms for one prediction: median over the items (bar) and each item (points)", fontsize=7)
    axis.tick_params(labelsize=7)
    return Picture(_png(figure), "Time of one prediction by environment and format.")


def _sizes(found: Sequence[Cell]) -> Picture:
    models = {cell.item: cell.model for cell in found if cell.model is not None}
    sizes = {item: (size_of(model) or 0) / 1000 for item, model in models.items()}
    ordered = sorted(sizes, key=lambda item: sizes[item])
    figure = new_figure(6.5, 1.2 + 0.2 * len(ordered))
    axis = figure.add_subplot()
    axis.barh(range(len(ordered)), [sizes[item] for item in ordered], height=0.7, color=COLOURS[0])
    axis.set_yticks(range(len(ordered)), _short(ordered), fontsize=7)
    axis.invert_yaxis()
    axis.set_xlabel("kB", fontsize=7)
    axis.tick_params(labelsize=7)
    return Picture(_png(figure), "Size of the model file by item.")


def _short(items: Sequence[str]) -> list[str]:
    """Leave out what all begin with, up to a dash."""
    parts = [item.split("-") for item in items]
    common = 0
    while len(items) > 1 and len({tuple(part[: common + 1]) for part in parts}) == 1:
        common += 1
    return ["-".join(part[common:]) for part in parts]


def _png(figure: Any) -> bytes:
    png = io.BytesIO()
    figure.savefig(png, format="png", metadata={"Software": None})  # no version of matplotlib in the bytes
    return png.getvalue()
