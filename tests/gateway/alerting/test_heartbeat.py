"""The heartbeat: what a process writes of itself, and keeps while the database is away."""

import asyncio
import os
import socket
import sys
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter

from gateway.alerting.heartbeat import Heartbeat
from gateway.tasks import stop_all
from gateway.telemetry import tally
from gateway.telemetry.incidents import Incident
from gateway.telemetry.tally import Tally
from storage import alerts
from storage.errors import DatabaseUnavailable
from tests.alerting import Alerting, alerting_beside, run_loops
from tests.people import Person
from tests.running import RunningGateway, eventually

run_heartbeat = Heartbeat.run
"""The loop itself; the fixtures let it rest."""


async def counts(gateway: RunningGateway) -> dict[str, int]:
    return await alerts.counts(gateway.state.database, 3600)


async def test_processes_and_connections_are_summed(gateway: RunningGateway, ada: Person, process: Alerting) -> None:
    database = gateway.state.database
    await alerts.process_seen(database, "another", connections=7, bus_healthy=True)
    async with gateway.watching(ada.id):
        await process.heartbeat.beat()
        assert await alerts.processes(database) == (2, 8)
    await alerts.process_gone(database, "another")


async def test_processes_that_were_killed_are_forgotten_at_the_next_start(
    gateway: RunningGateway, process: Alerting
) -> None:
    """They have signed off nowhere, and each restart would leave one more."""
    database = gateway.state.database
    await alerts.process_seen(database, "killed", connections=7, bus_healthy=True)
    await database.all("UPDATE ai_gateway_processes SET last_seen_at = AFTER(:s) WHERE name = 'killed'", s=-700.0)
    beating = asyncio.create_task(run_heartbeat(process.heartbeat))

    async def forgotten() -> bool:
        return not await database.all("SELECT name FROM ai_gateway_processes WHERE name = 'killed'")

    await eventually(forgotten)
    await stop_all(beating)


async def test_what_went_wrong_last_is_written_at_the_end(gateway: RunningGateway, process: Alerting) -> None:
    assert (await gateway.callback({}, secret="wrong")).status_code == 401
    await process.heartbeat.stop()
    assert await counts(gateway) == {Incident.WRONG_SECRET: 1}
    assert await alerts.processes(gateway.state.database) == (0, 0)


async def test_incidents_outlive_an_outage_of_the_database(
    gateway: RunningGateway, process: Alerting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are kept, together with those that come meanwhile, and written once."""

    async def away(*_: Any, **__: Any) -> None:
        raise DatabaseUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(alerts, "add_incidents", away)
        for _ in range(2):
            gateway.state.incidents.count(Incident.WRONG_SECRET)
            with pytest.raises(DatabaseUnavailable):
                await process.heartbeat.beat()
    for _ in range(2):
        await process.heartbeat.beat()
        assert await counts(gateway) == {Incident.WRONG_SECRET: 2}


async def test_a_heartbeat_that_fails_is_not_the_last(
    gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The loop itself, this time."""

    async def away(*_: Any, **__: Any) -> None:
        raise DatabaseUnavailable("away")

    run_loops(monkeypatch)
    async with alerting_beside(gateway) as process:
        with monkeypatch.context() as patch:
            patch.setattr(alerts, "process_seen", away)
            task = asyncio.create_task(process.heartbeat.run())
            await eventually(lambda: asyncio.sleep(0, "heartbeat_failed" in caplog.text))
        gateway.state.incidents.count(Incident.WRONG_SECRET)
        await eventually(lambda: counts(gateway))
        await stop_all(task)


async def test_deliveries_are_in_the_metrics_of_all_processes_at_the_next_heartbeat(
    process: Alerting, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter = Counter("deliveries", "…", registry=CollectorRegistry())
    monkeypatch.setattr(tally, "_TALLIES", [])
    Tally(counter).n += 3
    await process.heartbeat.beat()
    (family,) = counter.collect()
    assert family.samples[0].value == 3


async def test_a_process_that_takes_a_killed_ones_place_is_not_counted_as_two(
    gateway: RunningGateway, process: Alerting
) -> None:
    database, host = gateway.state.database, socket.gethostname()
    killed = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    await killed.wait()
    living = [f"{host}:{os.getppid()}:aaaaaaaa", "elsewhere:1:bbbbbbbb", "named-otherwise"]
    # Its place may be taken under its own number too: in a container everybody is the first.
    for name in (*living, f"{host}:{killed.pid}:cccccccc", f"{host}:{os.getpid()}:dddddddd"):
        await alerts.process_seen(database, name, connections=1, bus_healthy=True)
    beating = asyncio.create_task(run_heartbeat(process.heartbeat))

    async def counted() -> bool:
        return sorted(await alerts.process_names(database)) == sorted([*living, gateway.state.process])

    await eventually(counted)
    await stop_all(beating)
