"""The three parts of alerting as one process has them, run once at a time instead of in their loops."""

import asyncio
from dataclasses import dataclass

from gateway.alerting.claims import Claims, InProcessClaims, RedisClaims
from gateway.alerting.database_outage import DatabaseOutage
from gateway.alerting.heartbeat import Heartbeat
from gateway.alerting.monitor import AlertMonitor
from gateway.alerting.notifier import Notifier
from tests.conftest import Person
from tests.running import RunningGateway


@dataclass
class Alerting:
    """One process's heartbeat, monitor and notifier."""

    heartbeat: Heartbeat
    monitor: AlertMonitor
    notifier: Notifier

    @classmethod
    def of(cls, gateway: RunningGateway, claims: Claims | None = None) -> "Alerting":
        """Those of another process beside `gateway`, on the same database and bus."""
        state, settings = gateway.state, gateway.state.settings
        outage = DatabaseOutage(claims or claims_of(gateway))
        url = settings.alert_webhook_url
        return cls(
            Heartbeat(state.process, state.database, state.bus, state.hub, state.limits, state.drain, state.incidents),
            AlertMonitor(state.database, state.bus, outage, settings.ai_stuck_after_seconds),
            Notifier(state.database, outage, None if url is None else url.get_secret_value()),
        )

    async def observe(self) -> None:
        """Beat and evaluate."""
        await self.heartbeat.beat()
        await self.monitor.evaluate()


def claims_of(gateway: RunningGateway) -> Claims:
    """Claims as the gateway's settings want them."""
    url = gateway.state.settings.redis_url
    return InProcessClaims() if url is None else RedisClaims(url.get_secret_value())


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
