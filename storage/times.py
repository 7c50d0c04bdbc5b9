"""Times as text (RFC 3339) and as either database returns them."""

from datetime import UTC, datetime


def rfc3339(moment: datetime) -> str:
    """`moment` as RFC 3339 text in UTC with milliseconds (``2026-01-31T12:00:00.000Z``)."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def instant(value: datetime | str) -> datetime:
    """A time as either database returns it, as an aware datetime. Other tools write SQLite's ``CURRENT_TIMESTAMP``,
    which is UTC and does not say so."""
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def instant_or_none(value: datetime | str | None) -> datetime | None:
    """`instant`, where the column may be null."""
    return None if value is None else instant(value)
