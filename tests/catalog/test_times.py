"""A day, a week, a month or a year is all of it, wherever a time is written."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from modelstac.catalog.errors import InvalidItemError
from modelstac.catalog.items.description import ModelDescription
from modelstac.catalog.items.reading import read_item
from modelstac.catalog.items.writing import write_item
from modelstac.catalog.search.facts import moments
from modelstac.catalog.testing import Examples
from modelstac.catalog.times import first_and_last


@pytest.fixture
def examples(tmp_path: Path) -> Examples:
    return Examples(tmp_path / "made")


LAST: dict[str, Any] = {"hour": 23, "minute": 59, "second": 59, "microsecond": 999_999}


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2020-12-31", (2020, 12, 31), (2020, 12, 31)),
        ("20200605", (2020, 6, 5), (2020, 6, 5)),
        ("2020-W23", (2020, 6, 1), (2020, 6, 7)),
        ("2020W23", (2020, 6, 1), (2020, 6, 7)),
        ("2020-W23-5", (2020, 6, 5), (2020, 6, 5)),
        ("2020-157", (2020, 6, 5), (2020, 6, 5)),
        ("2020-02", (2020, 2, 1), (2020, 2, 29)),
        ("2020", (2020, 1, 1), (2020, 12, 31)),
        ("9999-12", (9999, 12, 1), (9999, 12, 31)),
    ],
)
def test_what_is_no_moment_is_all_of_it(text: str, first: tuple[int, ...], last: tuple[int, ...]) -> None:
    begin, end = datetime(*first, tzinfo=UTC), datetime(*last, tzinfo=UTC).replace(**LAST)
    assert first_and_last(text) == (begin, end)
    assert first_and_last(text.lower()) == (begin, end)


def test_a_moment_is_itself() -> None:
    moment = datetime(2020, 6, 5, 12, tzinfo=UTC)
    texts = ("2020-06-05T12:00:00Z", "2020-06-05t14:00:00+02:00", "2020-06-05 12:00")
    for value in (*texts, moment, datetime(2020, 6, 5, 12)):
        assert first_and_last(value) == (moment, moment)


@pytest.mark.parametrize(
    ("text", "hours"), [("2020-06-05Z", 0), ("2020-06-05+02:00", -2), ("20200605-05:00", 5), ("2020-157+14:00", -14)]
)
def test_a_day_with_a_zone_is_one_there(text: str, hours: int) -> None:
    begin = datetime(2020, 6, 5, tzinfo=UTC) + timedelta(hours=hours)
    assert first_and_last(text) == (begin, begin + timedelta(days=1) - timedelta(microseconds=1))


def test_a_leap_second_ends_its_minute() -> None:
    moment = datetime(2016, 12, 31, **LAST, tzinfo=UTC)
    for text in ("2016-12-31T23:59:60Z", "2016-12-31t23:59:60.5z", "2016-12-31 23:59:60"):
        assert first_and_last(text) == (moment, moment)


@pytest.mark.parametrize(
    "text", ["0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-05:00", "0001-01-01+05:00", "9999-12-31-05:00"]
)
def test_years_that_no_calendar_here_has_are_refused(text: str, examples: Examples) -> None:
    with pytest.raises(ValueError, match="not in the years 1 to 9999 of UTC"):
        first_and_last(text)
    with pytest.raises(InvalidItemError, match="not in the years 1 to 9999 of UTC") as caught:
        examples.item(start=text, end=text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["2020-06-05+0200", "2020-06+02:00", "2020-06-05-02"])
def test_a_sign_begins_no_time(text: str) -> None:
    with pytest.raises(ValueError, match="is no time"):
        first_and_last(text)


@pytest.mark.parametrize("text", ["", "2020-13", "2020-02-30", "2021-366", "202006", "2020-W60", "yesterday", "٢٠٢٠"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        first_and_last(text)


def test_a_description_ends_with_its_last_day(examples: Examples) -> None:
    for end in ("2020-12-31", "2020-12", "2020", date(2020, 12, 31)):
        item = examples.item(start="2020-W01", end=end)
        assert item.properties["start_datetime"] == "2019-12-30T00:00:00Z"
        assert item.properties["end_datetime"] == "2020-12-31T23:59:59.999999Z"


def test_an_item_of_others_ends_with_its_last_day(examples: Examples) -> None:
    item = examples.item()
    item.properties |= {"start_datetime": "2020-01-01", "end_datetime": "2020-12-31"}
    found: ModelDescription = read_item(item)
    assert found.end == datetime(2020, 12, 31, tzinfo=UTC).replace(**LAST)
    assert moments(item.to_dict(transform_hrefs=False)) == (found.start, found.end)
    assert write_item(found).properties["end_datetime"] == "2020-12-31T23:59:59.999999Z"
