"""Times as text, and as either database returns them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from storage.times import instant, instant_or_none, rfc3339

NOON = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (NOON, "2026-01-31T12:00:00.000Z"),
        (NOON.replace(microsecond=123_999), "2026-01-31T12:00:00.123Z"),
        (NOON.astimezone(timezone(timedelta(hours=-8))), "2026-01-31T12:00:00.000Z"),
    ],
)
def test_text_is_rfc_3339_in_utc_with_milliseconds(moment: datetime, text: str) -> None:
    assert rfc3339(moment) == text
    assert rfc3339(instant(text)) == text


@pytest.mark.parametrize(
    "value",
    [
        NOON,
        "2026-01-31T12:00:00.000Z",
        "2026-01-31T13:00:00+01:00",
        "2026-01-31 12:00:00",  # SQLite's CURRENT_TIMESTAMP
        datetime(2026, 1, 31, 12),  # noqa: DTZ001 - a column without a time zone
    ],
)
def test_whatever_a_database_returns_is_one_instant(value: datetime | str) -> None:
    assert instant(value) == NOON
    assert instant(value).utcoffset() is not None


def test_a_time_may_be_missing() -> None:
    assert instant_or_none(None) is None
    assert instant_or_none("2026-01-31 12:00:00") == NOON
