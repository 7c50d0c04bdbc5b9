"""Alerts, counts and processes: what operators should know, kept where every process sees the same."""

from dataclasses import dataclass
from datetime import datetime

from storage.database.base import Database, Transaction
from storage.queries import alerting, reading
from storage.times import instant, instant_or_none

TELLING_SECONDS = 60.0
"""How long one process may tell an alert before another one does."""

KEEP_COUNTS_SECONDS = 35 * 24 * 3600.0
PROCESS_SECONDS = 45.0
"""A process that was not seen for so long is gone."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One trouble, from its first sight to its end."""

    name: str
    summary: str
    count: int
    """How often it was seen."""
    since: datetime
    ended_at: datetime | None
    told: bool = False
    """Whether its beginning has been told."""


async def raise_alert(database: Database, name: str, summary: str, *, quiet_seconds: float, count: int = 1) -> None:
    """The trouble `name` is there. It ends by itself when nobody raises it for `quiet_seconds`."""
    await database.all(alerting.RAISE_ALERT, name=name, summary=summary, count=count, quiet=quiet_seconds)


async def resolve_quiet_alerts(database: Database) -> None:
    """End the alerts that nobody has raised for their quiet time."""
    await database.all(alerting.RESOLVE_ALERTS)


async def claim_notifications(database: Database) -> list[Alert]:
    """Take, for `TELLING_SECONDS`, what has not been told yet: beginnings and ends."""
    rows = await database.all(alerting.CLAIM_NOTIFICATIONS, seconds=TELLING_SECONDS)
    return [
        Alert(
            row["name"],
            row["summary"],
            row["count"],
            instant(row["since"]),
            instant_or_none(row["ended_at"]),
            told=row["told_at"] is not None,
        )
        for row in rows
    ]


async def record_notification(database: Database, alert: Alert) -> None:
    """The alert's beginning has been told, or its end if its beginning had been told before."""
    await database.all(alerting.RECORD_NOTIFICATION, name=alert.name, ended=int(alert.told))


async def recent_alerts(database: Database, window_seconds: float, limit: int) -> list[Alert]:
    """What is wrong now, and what ended in the last `window_seconds`; the newest first."""
    rows = await database.all(alerting.ALERTS, minus_window=-window_seconds, limit=limit)
    return [
        Alert(row["name"], row["summary"], row["count"], instant(row["since"]), instant_or_none(row["ended_at"]))
        for row in rows
    ]


async def add_incidents(database: Database, incidents: dict[str, tuple[str, int]], *, quiet_seconds: float) -> None:
    """Add single failures to this hour's counts, of all processes together, and raise the alert of each kind.

    Args:
        database: where they are kept.
        incidents: what it means and how often it came, by the alert's name.
        quiet_seconds: how long after the last one the alert ends.

    Raises:
        DatabaseUnavailable: none of them was added.
    """

    async def work(tx: Transaction) -> None:
        row = await tx.one(reading.PING)
        assert row is not None, "the clock always answers"  # noqa: S101
        hour = instant(row["now"]).replace(minute=0, second=0, microsecond=0)
        for name in sorted(incidents):  # in one order everywhere: processes do not wait for each other in a ring
            summary, count = incidents[name]
            await tx.all(alerting.ADD_COUNT, hour=hour, name=name, count=count)
            await tx.all(alerting.RAISE_ALERT, name=name, summary=summary, count=count, quiet=quiet_seconds)
        await tx.all(alerting.FORGET_COUNTS, minus_window=-KEEP_COUNTS_SECONDS)

    await database.transaction(work)


async def counts(database: Database, window_seconds: float) -> dict[str, int]:
    """What was counted in the last `window_seconds`, to the hour."""
    rows = await database.all(alerting.COUNTS, minus_window=-window_seconds)
    return {row["name"]: int(row["count"]) for row in rows}


async def process_seen(database: Database, name: str, *, connections: int, bus_healthy: bool) -> None:
    """The process `name` lives."""
    await database.all(alerting.PROCESS_SEEN, name=name, connections=connections, bus_healthy=bus_healthy)


async def process_gone(database: Database, name: str) -> None:
    """The process `name` ends; what has not been seen for long is forgotten too."""
    await database.all(alerting.PROCESS_GONE, name=name, minus_window=-24 * 3600.0)


async def processes(database: Database) -> tuple[int, int]:
    """How many processes live, and how many connections they hold together."""
    row = await database.one(alerting.PROCESSES, minus_window=-PROCESS_SECONDS)
    assert row is not None, "an aggregate returns a row"  # noqa: S101
    return row["processes"], int(row["connections"])
