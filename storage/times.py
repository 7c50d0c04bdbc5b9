"""Times as text (RFC 3339) and as either database returns them."""

from datetime import UTC, datetime


def rfc3339(moment: datetime) -> str:
    """`moment` as RFC 3339 text in UTC with milliseconds (``2026-01-31T12:00:00.000Z``)."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def instant(value: datetime | str) -> datetime:
    """A time as either database returns it, as an aware datetime."""
    return datetime.fromisoformat(value) if isinstance(value, str) else value


def instant_or_none(value: datetime | str | None) -> datetime | None:
    """`instant`, where the column may be null."""
    return None if value is None else instant(value)
