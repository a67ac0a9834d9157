"""Durations of ISO 8601 as items state them: a month is a month, and half a day is half a day."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from modelstac.registry.running.labels.durations import read_duration


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("P0.5D", pd.Timedelta(hours=12)),
        ("P0,5D", pd.Timedelta(hours=12)),
        ("PT5M", pd.Timedelta(minutes=5)),
        ("PT0.5H", pd.Timedelta(minutes=30)),
        ("P1DT12H", pd.Timedelta(hours=36)),
        ("P2W", pd.Timedelta(days=14)),
        ("PT90S", pd.Timedelta(seconds=90)),
        ("5min", pd.Timedelta(minutes=5)),  # no ISO 8601, and items have it
    ],
)
def test_a_duration_is_as_long_as_it_says(text: str, expected: pd.Timedelta) -> None:
    found = read_duration(text)
    assert (found.months, found.rest) == (0, expected)


@pytest.mark.parametrize(("text", "months"), [("P1M", 1), ("P1Y", 12), ("P1Y6M", 18), ("P0.5Y", 6)])
def test_months_are_months(text: str, months: int) -> None:
    assert read_duration(text).months == months


@pytest.mark.parametrize("text", ["P", "PT", "P1", "P0.5M", "PT5", "P1H", "P0D", "P-1D", "PT1M5", "often", "P1MT"])
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the caller says of which item it is
        read_duration(text)


def test_a_month_follows_the_calendar() -> None:
    month = read_duration("P1M")
    days = month.after(np.datetime64("2024-01-31T00:00", "ns"), 3)
    assert [str(day)[:10] for day in days] == ["2024-02-29", "2024-03-31", "2024-04-30"]
    ends = pd.DatetimeIndex(["2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30"])
    assert month.between(ends[:-1], ends[1:]).all()
    starts = pd.DatetimeIndex(["2024-01-01", "2024-02-01", "2024-03-01", "2024-03-31"])
    assert month.between(starts[:-1], starts[1:]).tolist() == [True, True, False]
