"""Times as text, and as either database returns them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from storage.times import EARLIEST, LATEST, UNREADABLE, instant, instant_or_none, place, rfc3339

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


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        ("1769860800", NOON),
        ("1769860800000", NOON),
        (1769860800000, NOON),
        (1769860800.0, NOON),
        ("1769860800000.5", NOON + timedelta(microseconds=500)),
        ("1769860800000000", NOON),
        ("1712010912345", datetime(2024, 4, 1, 22, 35, 12, 345_000, tzinfo=UTC)),  # no date in 1712
        (1e30, UNREADABLE),
        (10**400, UNREADABLE),
        (float("nan"), UNREADABLE),
        ("-1", UNREADABLE),
        ("31.01.2026 12:00", UNREADABLE),
        ("", UNREADABLE),
        (b"2026", UNREADABLE),
        ("0001-01-01T00:00:00+14:00", EARLIEST),
        ("9999-12-31T23:59:59-14:00", LATEST),
        (datetime.max, LATEST),  # noqa: DTZ901 - a column without a time zone
        (datetime.min, EARLIEST),  # noqa: DTZ901 - likewise
    ],
)
def test_what_another_tool_wrote_is_a_time_too(value: object, moment: datetime) -> None:
    assert instant(value) == moment
    assert rfc3339(instant(value)).endswith("Z")


def test_a_place_is_the_text_where_that_is_no_rfc_3339() -> None:
    assert place("2026-01-31T12:00:00.000Z") == NOON
    for text in ("31.01.2026 12:00", "1769860800000", "2026-01-31 12:00:00"):
        assert place(text) == text
    assert place("x" * 1000) == UNREADABLE
    assert place(NOON) == NOON
