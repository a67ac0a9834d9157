"""A small picture of a parity report: how far conversion and source are apart at each lead time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from modelstac.training.scoring.plots import COLOURS, MARKS, new_figure, png_of

if TYPE_CHECKING:
    from modelstac.exporters.proof.report import ParityReport

LEAST = 1e-9
"""What is less apart is drawn here: the axis is logarithmic."""


def draw_parity(report: ParityReport) -> bytes:
    """Draw the largest absolute difference by lead time, a line for each case, and the tolerance, as PNG.

    Of several outputs it is that of the one farthest from what is allowed. Outputs without a dimension ``time`` have
    one point for each case.
    """
    figure = new_figure(6.0, 3.0)
    figure.set_layout_engine("none")  # it takes longer than all else
    axis = figure.add_axes((0.1, 0.15, 0.57, 0.75))
    for number, case in enumerate(report.cases):
        mark = MARKS[(number + number // len(COLOURS)) % len(MARKS)]  # no two cases have both in common
        style: dict[str, Any] = {"color": COLOURS[number % len(COLOURS)], "marker": mark}
        values = case.by_lead_time or (case.max_absolute,)
        first = 1 if case.by_lead_time else 1 + number
        drawn = [max(value, LEAST) if math.isfinite(value) else math.nan for value in values]
        label = case.case if case.judged else f"{case.case} (not judged)"
        axis.plot(range(first, first + len(drawn)), drawn, markersize=3, linewidth=1, label=label, **style)
    axis.axhline(report.tolerance.absolute, color="black", linestyle="--", linewidth=1, label="tolerance")
    axis.set_yscale("log")
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:.0e}")  # powers are typeset, for longer than all is drawn
    axis.minorticks_off()
    over_time = any(case.by_lead_time for case in report.cases)
    axis.set_xlabel("lead time (steps)" if over_time else "case", fontsize=8)
    axis.locator_params(axis="x", integer=True)
    axis.set_title("Largest absolute difference from the source", fontsize=9)
    axis.tick_params(which="both", labelsize=7)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=6, loc="center left", bbox_to_anchor=(1.01, 0.5))
    return png_of(figure)
