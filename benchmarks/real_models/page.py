"""The page of what came of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from benchmarks.real_models.packages import PINNED
from benchmarks.real_models.running import Result

_FOLDERS = re.compile(r"/(?:[\w.-]+/)+")  # of the machine that ran it
PAGE = Path(__file__).resolve().parents[2] / "docs" / "results" / "real-models.md"
_HEAD = """# Real trained models

Files that public packages ship, published with the options of `modelstac publish` alone, or with one line of Python
that builds the architecture of weights; then loaded from their catalog, run, and compared with what their packages
compute on the same numbers. Written by `python -m benchmarks real_models`, which downloads the packages
({packages}) and is no part of the tests.

**{good} of {all} files** are what their packages compute.

| model | file | what was said beside name, axes, licence | published as | largest difference (of largest value) |
| --- | --- | --- | --- | --- |
"""


def write(results: Sequence[Result]) -> None:
    """Write the page."""
    good = sum(not result.error for result in results)
    lines = [_HEAD.format(packages=", ".join(f"`{name}`" for name in PINNED), good=good, all=len(results))]
    lines += [f"{_row(result)}\n" for result in results]
    PAGE.write_text("".join(lines), encoding="utf-8")


def _row(result: Result) -> str:
    entry = result.entry
    said = [f"`trust={word}`" for word in entry.trust if word == "pickle"]
    said += [f"`{entry.line}`"] if entry.line else []
    made = f"{result.format} {f'({result.precision})' if result.precision else ''}".strip()
    told = _FOLDERS.sub("", result.error) or f"{result.apart:.1e} ({result.largest:.3g})"
    cells = (entry.name, f"`{Path(entry.path).name}`", ", ".join(said) or "nothing", made, told.replace("|", "/"))
    return f"| {' | '.join(cells)} |"
