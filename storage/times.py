"""Times as text (RFC 3339) and as either database returns them."""

import re
from datetime import UTC, datetime, timedelta

EARLIEST = datetime(1, 1, 2, tzinfo=UTC)
"""Stands for every time before it; a day from the end of Python's calendar, so that any zone can show it."""

LATEST = datetime(9999, 12, 31, tzinfo=UTC)
"""Stands for every time after it, likewise."""

AFTER_ALL = datetime.max.replace(tzinfo=UTC)
"""As a parameter: later than every time that a row can have, on either database."""

UNREADABLE = datetime(1970, 1, 1, tzinfo=UTC)
"""Stands for what cannot be read as a time."""

LONGEST_PLACE = 64
"""Most characters of a text that is no time and yet has its place among them: cursors are bounded."""

_EPOCH_NUMBER = re.compile(r"-?[0-9]{9,20}(\.[0-9]{0,20})?")  # a shorter one is a date: 20260131

_SECONDS_BELOW = 1e11
"""A greater number counts milliseconds, microseconds or nanoseconds: as seconds it would be after the year 5138."""


def rfc3339(moment: datetime) -> str:
    """`moment` as RFC 3339 text in UTC with milliseconds (``2026-01-31T12:00:00.000Z``)."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat(timespec="milliseconds")[:-6] + "Z"


def parse(text: str) -> datetime:
    """The time in ISO 8601 that `text` is, as an aware datetime; without a zone it is UTC.

    Raises:
        ValueError: it is none.
    """
    return _aware(datetime.fromisoformat(text))


def instant(value: object) -> datetime:
    """A time as either database returns it, as an aware datetime. Never raises, as one row must not be everyone's loss.

    Other tools write these columns too: SQLite's ``CURRENT_TIMESTAMP``, which is UTC and does not say so; seconds or
    milliseconds since 1970; dates that Python's calendar does not hold (`EARLIEST`, `LATEST`), or none at all
    (`UNREADABLE`).
    """
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value  # PostgreSQL's, which its connection has bounded
    try:
        return min(max(_read(value), EARLIEST), LATEST)
    except (ValueError, OverflowError):
        return UNREADABLE


def instant_or_none(value: object) -> datetime | None:
    """`instant`, where the column may be null."""
    return None if value is None else instant(value)


def place(value: object) -> datetime | str:
    """Where a row of this time stands in the order of times, as a parameter of queries: SQLite orders the text."""
    moment = instant(value)
    as_written = isinstance(value, str) and len(value) <= LONGEST_PLACE and rfc3339(moment) != value
    return str(value) if as_written else moment


def _read(value: object) -> datetime:
    if isinstance(value, datetime):
        return _aware(value)
    if isinstance(value, str) and not _EPOCH_NUMBER.fullmatch(value):
        return parse(value)
    if not isinstance(value, str | int | float):
        raise ValueError("no time")
    seconds = float(value)
    for _ in range(3):
        seconds = seconds if abs(seconds) < _SECONDS_BELOW else seconds / 1000
    return UNREADABLE + timedelta(seconds=seconds)


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
