"""The three parts of alerting as one process has them, run once at a time instead of in their loops."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from gateway.alerting import heartbeat, monitor, notifier
from gateway.alerting.claims import Claims, InProcessClaims, RedisClaims
from gateway.alerting.database_outage import DatabaseOutage
from gateway.alerting.heartbeat import Heartbeat
from gateway.alerting.monitor import AlertMonitor
from gateway.alerting.notifier import Notifier
from tests.people import Person
from tests.running import RunningGateway


@dataclass
class Alerting:
    """One process's heartbeat, monitor and notifier, and the claims that they settle by."""

    claims: Claims
    heartbeat: Heartbeat
    monitor: AlertMonitor
    notifier: Notifier

    async def observe(self) -> None:
        """Beat and evaluate."""
        await self.heartbeat.beat()
        await self.monitor.evaluate()


@contextlib.asynccontextmanager
async def alerting_beside(gateway: RunningGateway) -> AsyncIterator[Alerting]:
    """The parts of another process beside `gateway`, on the same database and bus."""
    state, settings = gateway.state, gateway.state.settings
    redis_url, webhook_url = settings.redis_url, settings.alert_webhook_url
    claims: Claims = InProcessClaims() if redis_url is None else RedisClaims(redis_url.get_secret_value(), "tests:")
    outage = DatabaseOutage(claims)
    alerting = Alerting(
        claims,
        Heartbeat(
            state.process,
            state.database,
            state.bus,
            state.hub,
            state.limits,
            state.http_connections,
            state.drain,
            state.incidents,
        ),
        AlertMonitor(state.database, state.bus, outage, settings.ai_stuck_after_seconds),
        Notifier(state.database, outage, None if webhook_url is None else webhook_url.get_secret_value()),
    )
    yield alerting
    await alerting.heartbeat.stop()
    await claims.aclose()


async def observe_and_notify(*processes: Alerting) -> None:
    """All at once, as the processes would."""
    await asyncio.gather(*(process.observe() for process in processes))
    await asyncio.gather(*(process.notifier.notify() for process in processes))


async def make_stuck(gateway: RunningGateway, person: Person) -> str:
    """A request that has been in processing for too long; returns its id."""
    request_id = await gateway.submitted(person.id)
    await gateway.until(person.id, request_id, "processing")
    await gateway.state.database.all("UPDATE ai_image_requests SET dispatch_sending_at = AFTER(:s)", s=-301.0)
    return request_id


async def complete(gateway: RunningGateway, request_id: str) -> None:
    """Let n8n report the request's picture."""
    done = {"requestId": request_id, "status": "completed", "Key": "b/a.png", "Id": "1"}
    assert (await gateway.callback(done)).status_code == 200


async def pass_resolve_time(gateway: RunningGateway) -> None:
    """Let time pass in which nobody raised an alert."""
    await gateway.state.database.all("UPDATE ai_gateway_alerts SET resolves_at = AFTER(:s)", s=-1.0)


async def exposed(gateway: RunningGateway) -> str:
    """What `/metrics` shows."""
    return (await gateway.http.get("/metrics")).text


LOOPS = {part: part.run for part in (Heartbeat, AlertMonitor, Notifier)}


def run_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the parts' own loops run, without long pauses."""
    for part, run in LOOPS.items():
        monkeypatch.setattr(part, "run", run)
    for module in (heartbeat, monitor, notifier):
        monkeypatch.setattr(module, "INTERVAL_SECONDS", 0.05)
