"""Durations of ISO 8601, in which a month is a month: as long as the calendar says."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

_NUMBER = r"\d+(?:[.,]\d+)?"
_DATE = "".join(
    rf"(?:(?P<{name}>{_NUMBER}){letter})?" for name, letter in zip(("y", "mo", "w", "d"), "YMWD", strict=True)
)
_TIME = "".join(rf"(?:(?P<{name}>{_NUMBER}){letter})?" for name, letter in zip(("h", "mi", "s"), "HMS", strict=True))
_DURATION = re.compile(rf"P(?=[\dT]){_DATE}(?:T(?=\d){_TIME})?")
_SECONDS = {"w": 604_800, "d": 86_400, "h": 3600, "mi": 60, "s": 1}


@dataclass(frozen=True)
class Duration:
    """A duration: whole months, whose length the calendar says, and a time that is always as long.

    Parameters
    ----------
    months
        A year is twelve.
    rest
        What comes after them.
    text
        As it was written.
    """

    months: int
    rest: pd.Timedelta
    text: str

    def __str__(self) -> str:
        return str(self.rest) if not self.months else self.text

    def after(self, time: np.datetime64, count: int) -> NDArray[np.datetime64]:
        """Return the ``count`` times that follow ``time``, each so much later than the one before.

        The month after the 31st of January ends on the last day of February, and the one after that on the 31st.
        """
        if not self.months:
            return np.asarray(time + self.rest.to_timedelta64() * np.arange(1, count + 1))
        start = pd.Timestamp(time)
        later = [start + pd.DateOffset(months=self.months * n) + n * self.rest for n in range(1, count + 1)]
        return np.array(later, dtype="datetime64[ns]")

    def between(self, before: pd.DatetimeIndex, after: pd.DatetimeIndex) -> NDArray[np.bool_]:
        """Tell for each pair of times whether they are so far apart; ends of months are a month apart."""
        if not self.months:
            return np.asarray(after - before == self.rest)
        expected = before + pd.DateOffset(months=self.months) + self.rest
        found = np.asarray(after == expected)
        if not self.rest:
            same = (expected.to_period("M") == after.to_period("M")) & (
                expected - expected.normalize() == after - after.normalize()
            )
            found |= np.asarray(before.is_month_end & after.is_month_end & same)
        return found


def read_duration(text: str) -> Duration:
    """Read a duration such as ``PT5M``, ``P1M`` (a month) or ``P0.5D``.

    Raises
    ------
    ValueError
        If it is none, nothing long, or a part of a month, whose length nobody knows.
    """
    if not text.startswith("P"):
        found = Duration(0, pd.Timedelta(text), text)
    else:
        match = _DURATION.fullmatch(text)
        if match is None:
            raise ValueError(text)
        parts = {name: float(part.replace(",", ".")) for name, part in match.groupdict().items() if part}
        months = 12 * parts.pop("y", 0.0) + parts.pop("mo", 0.0)
        if months != int(months):
            raise ValueError(text)
        seconds = sum(_SECONDS[name] * part for name, part in parts.items())
        found = Duration(int(months), pd.Timedelta(round(seconds * 1e9), unit="ns"), text)
    if not found.months and not found.rest > pd.Timedelta(0):
        raise ValueError(text)
    return found
