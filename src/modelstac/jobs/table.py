"""What became of jobs, as a table that a terminal can show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from modelstac.jobs.run import Outcome

WIDTH = 80
_FIGURES = (("rmse_mm_h", "RMSE {:.3f}"), ("csi_1_mm_h", "CSI 1 {:.2f}"), ("difference", "{:.0e} apart"))
_GAP = "  "


def as_text(outcomes: Sequence[Outcome], *, width: int = WIDTH) -> str:
    """Lay out a line for each job, the reasons of failures below them, and a line that sums up."""
    heads = ("job", "state", "tries", "time", "result")
    cells = [(one.job.name, one.state, str(one.attempts or "–"), _time(one), _figures(one)) for one in outcomes]
    rest = [max(len(row[i]) for row in (heads, *cells)) for i in range(1, len(heads))]
    room = width - sum(rest) - len(_GAP) * len(rest)
    first = max([len(heads[0]), *(len(row[0]) for row in cells if len(row[0]) <= room)])
    lines = [_line(heads, first, rest), _GAP.join("-" * size for size in (first, *rest))]
    for name, *row in cells:
        long = len(name) > first  # it has a line of its own: whole names tell jobs apart
        lines += [name, _line(("", *row), first, rest)] if long else [_line((name, *row), first, rest)]
    for one in outcomes:
        if one.state == "failed":
            lines += ["", f"{one.job.name}: {one.reason}"] + ([f"  its log is {one.log}"] if one.log else [])
    counts = Counter[str](one.state for one in outcomes)
    named = (("done", "done"), ("there", "there before"), ("failed", "failed"), ("skipped", "skipped"))
    return "\n".join([*lines, "", ", ".join(f"{counts[state]} {text}" for state, text in named if counts[state])])


def _line(row: Sequence[str], first: int, rest: Sequence[int]) -> str:
    name, state, tries, took, result = row
    return _GAP.join(
        [name.ljust(first), state.ljust(rest[0]), tries.rjust(rest[1]), took.rjust(rest[2]), result]
    ).rstrip()


def _time(outcome: Outcome) -> str:
    if not outcome.seconds:
        return "–"
    minutes, seconds = divmod(round(outcome.seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02}:{seconds:02}"
    return f"{minutes}:{seconds:02}" if minutes else f"{outcome.seconds:.1f} s"


def _figures(outcome: Outcome) -> str:
    result = outcome.result or {}
    found = {**(result.get("scores") or {}), **result}
    shown = [text.format(found[name]) for name, text in _FIGURES if isinstance(found.get(name), int | float)]
    return ", ".join(shown)
