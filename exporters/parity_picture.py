"""A small picture of a parity report: how far conversion and source are apart at each lead time."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any

from modelstac.catalog.errors import MissingPackageError

try:
    from matplotlib.figure import Figure
except ModuleNotFoundError as error:
    if error.name != "matplotlib":
        raise
    raise MissingPackageError.extra("matplotlib", "data", "drawing a parity report") from error

if TYPE_CHECKING:
    from modelstac.exporters.parity import ParityReport

LEAST = 1e-9
"""What is less apart is drawn here: the axis is logarithmic."""
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
_MARKS = "os^DvPX"


def draw_parity(report: ParityReport) -> bytes:
    """Draw the largest absolute difference by lead time, a line for each case, and the tolerance, as PNG.

    Outputs without a dimension ``time`` have one point for each case.
    """
    figure = Figure(figsize=(4.8, 3.0), dpi=100)
    axis = figure.add_axes((0.15, 0.15, 0.82, 0.75))
    for number, case in enumerate(report.cases):
        style: dict[str, Any] = {"color": _COLOURS[number % len(_COLOURS)], "marker": _MARKS[number % len(_MARKS)]}
        values = case.by_lead_time or (case.max_absolute,)
        first = 1 if case.by_lead_time else 1 + number
        drawn = [max(value, LEAST) if math.isfinite(value) else math.nan for value in values]
        label = case.case if case.judged else f"{case.case} (not judged)"
        axis.plot(range(first, first + len(drawn)), drawn, markersize=3, linewidth=1, label=label, **style)
    axis.axhline(report.tolerance.absolute, color="black", linestyle="--", linewidth=1, label="tolerance")
    axis.set_yscale("log")
    over_time = any(case.by_lead_time for case in report.cases)
    axis.set_xlabel("lead time (steps)" if over_time else "case", fontsize=8)
    axis.set_title("Largest absolute difference from the source", fontsize=9)
    axis.tick_params(labelsize=7)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=6, loc="center right")
    png = io.BytesIO()
    figure.savefig(png, format="png", metadata={"Software": None})  # no version of matplotlib in the bytes
    return png.getvalue()
