"""What tests need that pip does not bring: without it they are left out and counted, in CI they fail."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from typing import NoReturn

import pytest


def left_out(what: str, brings: str) -> NoReturn:
    """Leave the test out for want of something, and say the one command that brings it; in CI the test fails."""
    message = f"needs {what}: {brings}"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


def table(reasons: Iterable[str]) -> list[str]:
    """Return the lines of a table of why tests were skipped, the most frequent first: tests, what, what brings it."""
    rows = [("tests", "left out for want of", "what brings it")]
    for reason, count in Counter(reasons).most_common():
        what, _, brings = reason.removeprefix("Skipped: ").removeprefix("needs ").partition(": ")
        rows.append((str(count), what, brings))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        f"{count:>{widths[0]}}  {what:<{widths[1]}}  {brings}".rstrip()
        for count, what, brings in (rows[0], tuple("-" * width for width in widths), *rows[1:])
    ]
