"""Times as the API writes them, and the periods of subscriptions."""

from __future__ import annotations

import calendar
from datetime import datetime, timedelta, timezone

# What the API says of an instance that never expires.
NEVER = "2099-12-31T15:59Z"


def minutes(moment: float) -> str:
    return _datetime(moment).strftime("%Y-%m-%dT%H:%MZ")


def seconds(moment: float) -> str:
    return _datetime(moment).strftime("%Y-%m-%dT%H:%M:%SZ")


def whole_minutes(moment: float) -> str:
    """With seconds, which are always 00."""
    return _datetime(moment).strftime("%Y-%m-%dT%H:%M:00Z")


def parse(text: str) -> float:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc).timestamp()


def add_period(moment: float, count: int, unit: str) -> float:
    """A subscription's end: weeks, months or years later at the same time of day."""
    begin = _datetime(moment)
    if unit == "Week":
        return (begin + timedelta(weeks=count)).timestamp()
    months = begin.month - 1 + count * (12 if unit == "Year" else 1)
    year, month = begin.year + months // 12, months % 12 + 1
    day = min(begin.day, calendar.monthrange(year, month)[1])
    return begin.replace(year=year, month=month, day=day).timestamp()


def next_day_of_month(moment: float, day: int) -> float:
    """The next time that it is this day of the month, at the same time of day."""
    begin = _datetime(moment)
    if begin.day < day:
        return begin.replace(day=day).timestamp()
    return _datetime(add_period(begin.replace(day=1).timestamp(), 1, "Month")).replace(day=day).timestamp()


def _datetime(moment: float) -> datetime:
    return datetime.fromtimestamp(moment, timezone.utc)
