"""Alerts, counts and processes: what operators should know, kept where every process sees the same."""

from dataclasses import dataclass
from datetime import datetime

from storage.database.base import Database, Transaction
from storage.database.turns import urgent
from storage.queries import alerting, reading
from storage.times import instant, instant_or_none

NOTIFYING_SECONDS = 60.0
"""How long one process may take to notify of an alert before another one does."""

KEEP_COUNTS_SECONDS = 35 * 24 * 3600.0
PROCESS_SECONDS = 45.0
"""A process that was not seen for so long is gone."""
FORGET_SECONDS = 600.0
"""After how long a process that did not sign off is forgotten: one killed at every start must not fill a table."""
ROOM = 64 * 1024
"""What must be free, in bytes: a submission's row, its event, and a page for each of their indexes."""


@dataclass(frozen=True, slots=True)
class Alert:
    """Something wrong, from when it was first raised until it is resolved."""

    name: str
    summary: str
    count: int
    """How often it was seen."""
    since: datetime
    ended_at: datetime | None
    notified: bool = False
    """Whether its beginning has been notified."""


async def raise_alert(database: Database, name: str, summary: str, *, resolve_seconds: float, count: int = 1) -> None:
    """Raise the alert `name`, or keep it up. It is resolved when nobody raises it for `resolve_seconds`."""
    await database.all(alerting.RAISE_ALERT, name=name, summary=summary, count=count, resolve=resolve_seconds)


async def resolve_alerts(database: Database) -> None:
    """Resolve the alerts that nobody has raised for as long as they say."""
    await database.all(alerting.RESOLVE_ALERTS)


async def claim_notifications(database: Database) -> list[Alert]:
    """Claim, for `NOTIFYING_SECONDS`, the beginnings and resolutions that have not been notified yet."""
    rows = await database.all(alerting.CLAIM_NOTIFICATIONS, seconds=NOTIFYING_SECONDS)
    return [
        Alert(
            row["name"],
            row["summary"],
            row["count"],
            instant(row["since"]),
            instant_or_none(row["ended_at"]),
            notified=row["notified_at"] is not None,
        )
        for row in rows
    ]


async def record_notification(database: Database, alert: Alert) -> None:
    """Record that the alert's beginning was notified, or its resolution if its beginning had been before."""
    await database.all(alerting.RECORD_NOTIFICATION, name=alert.name, ended=int(alert.notified))


async def recent_alerts(database: Database, window_seconds: float, limit: int) -> list[Alert]:
    """What is wrong now, and what ended in the last `window_seconds`; the newest first."""
    rows = await database.all(alerting.ALERTS, minus_window=-window_seconds, limit=limit)
    return [
        Alert(row["name"], row["summary"], row["count"], instant(row["since"]), instant_or_none(row["ended_at"]))
        for row in rows
    ]


async def add_incidents(database: Database, incidents: dict[str, tuple[str, int]], *, resolve_seconds: float) -> None:
    """Add single failures to this hour's counts, of all processes together, and raise the alert of each kind.

    Args:
        database: where they are kept.
        incidents: what it means and how often it came, by the alert's name.
        resolve_seconds: how long after the last one the alert is resolved.

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
            await tx.all(alerting.RAISE_ALERT, name=name, summary=summary, count=count, resolve=resolve_seconds)
        await tx.all(alerting.FORGET_COUNTS, minus_window=-KEEP_COUNTS_SECONDS)

    await database.transaction(work)


async def counts(database: Database, window_seconds: float) -> dict[str, int]:
    """What was counted in the last `window_seconds`, to the hour."""
    rows = await database.all(alerting.COUNTS, minus_window=-window_seconds)
    return {row["name"]: int(row["count"]) for row in rows}


@urgent
async def process_seen(database: Database, name: str, *, connections: int, bus_healthy: bool) -> None:
    """The process `name` lives. Urgent: a balancer that took away a busy process would make the others busier."""
    await database.all(alerting.PROCESS_SEEN, name=name, connections=connections, bus_healthy=bus_healthy)


@urgent
async def process_writes(database: Database, name: str, *, connections: int, bus_healthy: bool) -> None:
    """The process `name` lives, and the database takes what a submission writes.

    What `process_seen` writes has its place already: a full disk may go on taking it while everything else fails.

    Raises:
        DatabaseUnavailable: it does not.
    """
    room = f"{name}:room"

    async def work(tx: Transaction) -> None:
        await tx.all(alerting.TAKE_ROOM, name=room, summary="x" * ROOM)
        await tx.all(alerting.GIVE_ROOM, name=room)  # nobody ever sees it
        await tx.all(alerting.PROCESS_SEEN, name=name, connections=connections, bus_healthy=bus_healthy)

    await database.transaction(work)


async def process_gone(database: Database, name: str) -> None:
    """The process `name` ends; what has not been seen for long is forgotten too."""
    await database.all(alerting.PROCESS_GONE, name=name, minus_window=-FORGET_SECONDS)


async def process_names(database: Database) -> list[str]:
    """The processes that have not signed off, whether or not they live."""
    return [str(row["name"]) for row in await database.all(alerting.PROCESS_NAMES)]


async def processes(database: Database) -> tuple[int, int]:
    """How many processes live, and how many connections they hold together."""
    row = await database.one(alerting.PROCESSES, minus_window=-PROCESS_SECONDS)
    assert row is not None, "an aggregate returns a row"  # noqa: S101
    return row["processes"], int(row["connections"])
