"""Times as people write them: a moment, or a day, week, month or year, which is all of it (ISO 8601)."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache

_YEAR = re.compile(r"\d{4}", re.ASCII)
_MONTH = re.compile(r"\d{4}-\d{2}", re.ASCII)
_WEEK = re.compile(r"\d{4}-?W\d{2}", re.ASCII)
_DAY_OF_YEAR = re.compile(r"\d{4}-?\d{3}", re.ASCII)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}|\d{8}|\d{4}-W\d{2}-\d|\d{4}W\d{3}", re.ASCII)
_ZONE = re.compile(r"Z|[+-]\d{2}:\d{2}", re.ASCII)
_LEAP = re.compile(r"(.*[T ]23:59):60(?:\.\d+)?(Z|[+-]\d{2}:?\d{2})?", re.ASCII)
_LEAST = timedelta(microseconds=1)
Moments = tuple[datetime, datetime]


def seconds_of(retry_after: str | None) -> float | None:
    """Return how long to wait, as a header ``Retry-After`` says it: in seconds, or by a date (RFC 9110, 10.2.3).

    None without the header, and where it is neither.
    """
    text = (retry_after or "").strip()
    if text.isdecimal() and text.isascii():
        return float(text)
    from email.utils import parsedate_to_datetime  # not at the top: what finds items needs no mail

    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def first_and_last(value: str | date) -> Moments:
    """Return the first and the last moment of a time; without a zone it is UTC.

    Parameters
    ----------
    value
        A moment such as ``2020-06-05T12:00:00Z``, which is both of its ends, or what has a beginning and an end: a day
        (``2020-06-05``, ``20200605``, ``2020-W23-5``, ``2020-157``; with a zone, ``2020-06-05+02:00``, it is one
        there), a week (``2020-W23``), a month (``2020-06``) or a year (``2020``). A ``date`` is a day, a ``datetime`` a
        moment. A leap second is the last moment of its minute.

    Raises
    ------
    ValueError
        If it is none of them, or not of the years 1 to 9999 of UTC.
    """
    if isinstance(value, datetime):
        moment = in_utc(value)
        return moment, moment
    if isinstance(value, date):
        return _days(value, 1)
    return _read(value.upper())


@lru_cache(maxsize=1024)  # the versions and variants of a model share theirs
def _read(text: str) -> Moments:
    for read in (_year, _month, _week, _day, _day_of_year):
        if (found := read(text)) is not None:
            return found
    if leap := _LEAP.fullmatch(text):
        text = f"{leap[1]}:59.999999{leap[2] or ''}"
    elif "T" not in text and " " not in text:  # Python would take any sign before a time
        day, zone = (text[:-1], "Z") if text.endswith("Z") else (text[:-6], text[-6:])
        found = _day(day) or _day_of_year(day)
        if found is None or not _ZONE.fullmatch(zone):
            raise ValueError(f"{text!r} is no time")
        ahead = datetime.fromisoformat(f"2000-01-01T00:00{zone}").utcoffset() or timedelta()
        try:
            return found[0] - ahead, found[1] - ahead
        except OverflowError as error:
            raise ValueError(f"{text!r} is not in the years 1 to 9999 of UTC") from error
    return first_and_last(datetime.fromisoformat(text))


def is_leap(value: object) -> bool:
    """Tell whether a text is a leap second, which the libraries of most catalogs do not read."""
    return isinstance(value, str) and _LEAP.fullmatch(value.upper()) is not None


def in_utc(moment: datetime) -> datetime:
    """Return a moment in UTC, in which one without a zone is taken to be.

    Raises
    ------
    ValueError
        If it is not of the years 1 to 9999 there.
    """
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{moment.isoformat()} is not in the years 1 to 9999 of UTC") from error


def _year(text: str) -> Moments | None:
    return _months(int(text), 1, 12) if _YEAR.fullmatch(text) else None


def _month(text: str) -> Moments | None:
    return _months(int(text[:4]), int(text[5:]), 1) if _MONTH.fullmatch(text) else None


def _week(text: str) -> Moments | None:
    return _days(date.fromisoformat(text), 7) if _WEEK.fullmatch(text) else None


def _day(text: str) -> Moments | None:
    return _days(date.fromisoformat(text), 1) if _DAY.fullmatch(text) else None


def _day_of_year(text: str) -> Moments | None:
    if not _DAY_OF_YEAR.fullmatch(text):
        return None
    year = int(text[:4])
    day = date(year, 1, 1) + timedelta(days=int(text[-3:]) - 1)
    if day.year != year:
        raise ValueError(f"{text!r}: that year has no such day")
    return _days(day, 1)


def _days(day: date, count: int) -> Moments:
    first = datetime.combine(day, time(), UTC)
    return first, first + (timedelta(days=count) - _LEAST)


def _months(year: int, month: int, count: int) -> Moments:
    first = datetime(year, month, 1, tzinfo=UTC)
    years, after = divmod(month - 1 + count, 12)
    if year + years > datetime.max.year:
        return first, datetime.max.replace(tzinfo=UTC)
    return first, datetime(year + years, after + 1, 1, tzinfo=UTC) - _LEAST
