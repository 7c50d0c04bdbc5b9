"""Alerts: notified once when they begin and once when they are resolved, over all processes."""

import asyncio

from storage import alerts
from storage.database.base import Database


async def raised(database: Database, seconds: float = 60.0) -> None:
    await alerts.raise_alert(database, "stuck", "Stuck.", resolve_seconds=seconds)


async def notified(database: Database) -> list[tuple[bool, bool]]:
    """Claim and record everything; of each alert whether it had been notified, and whether it is resolved."""
    claimed = await alerts.claim_notifications(database)
    for alert in claimed:
        await alerts.record_notification(database, alert)
    return [(alert.notified, alert.ended_at is not None) for alert in claimed]


async def test_a_beginning_is_claimed_once(database: Database) -> None:
    await raised(database)
    claims = await asyncio.gather(*(alerts.claim_notifications(database) for _ in range(4)))
    assert [alert.name for claimed in claims for alert in claimed] == ["stuck"]


async def test_a_beginning_and_a_resolution(database: Database) -> None:
    await raised(database)
    assert await notified(database) == [(False, False)]
    assert await notified(database) == []
    await raised(database, -1.0)
    await alerts.resolve_alerts(database)
    assert await notified(database) == [(True, True)]
    assert await notified(database) == []


async def test_what_begins_anew_while_its_resolution_is_notified_is_notified_again(database: Database) -> None:
    await raised(database, -1.0)
    await notified(database)
    await alerts.resolve_alerts(database)
    (resolved,) = await alerts.claim_notifications(database)
    await raised(database)
    await alerts.record_notification(database, resolved)
    assert await notified(database) == [(False, False)]


async def test_incidents_are_counted_and_raised_together(database: Database) -> None:
    for _ in range(2):
        await alerts.add_incidents(database, {"a": ("A.", 2), "b": ("B.", 1)}, resolve_seconds=60)
    assert await alerts.counts(database, 7200) == {"a": 4, "b": 2}
    found = await alerts.recent_alerts(database, 0.0, 10)
    assert {(alert.name, alert.summary, alert.count) for alert in found} == {("a", "A.", 4), ("b", "B.", 2)}
    assert [alert.ended_at for alert in found] == [None, None]


async def test_processes_come_and_go(database: Database) -> None:
    for name, connections in (("one", 3), ("two", 4)):
        await alerts.process_seen(database, name, connections=connections, bus_healthy=True)
    assert await alerts.processes(database) == (2, 7)
    await alerts.process_gone(database, "one")
    assert await alerts.processes(database) == (1, 4)
