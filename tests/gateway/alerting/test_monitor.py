"""The monitor: what is wrong is an alert, over all processes, until it is over."""

import asyncio
from typing import Any

import pytest
from pydantic import SecretStr

from gateway.alerting import database_outage, monitor
from gateway.alerting.claims import InProcessClaims
from gateway.alerting.database_outage import DATABASE_AWAY
from gateway.settings import Settings
from gateway.telemetry.incidents import Incident
from storage import alerts
from storage.errors import DatabaseUnavailable
from tests.alert_receiver import AlertReceiver
from tests.alerting import (
    Alerting,
    alerting_beside,
    complete,
    exposed,
    make_stuck,
    observe_and_notify,
    pass_resolve_time,
)
from tests.people import Person
from tests.running import RunningGateway, eventually, running_gateway
from tests.scripted_n8n import WRONG_SECRET, ScriptedN8n
from tests.servers import Valkey


async def test_a_stuck_request_is_notified_once_and_once_when_it_is_resolved(
    gateway: RunningGateway, ada: Person, receiver: AlertReceiver, process: Alerting
) -> None:
    request_id = await make_stuck(gateway, ada)
    for _ in range(2):
        await observe_and_notify(process)
        assert receiver.notified() == [("stuck_requests", "firing")]
    assert receiver.messages[0]["text"].startswith("🚨 1 request has been in processing for more than 5 minutes.")
    (alert,) = await alerts.recent_alerts(gateway.state.database, 60, 10)
    assert (alert.name, alert.ended_at) == ("stuck_requests", None)
    metrics = await exposed(gateway)
    assert 'gateway_alert{name="stuck_requests"} 1.0' in metrics
    assert 'gateway_queue{state="stuck"} 1.0' in metrics
    await complete(gateway, request_id)
    await observe_and_notify(process)
    assert len(receiver.messages) == 1, "it may be back in a moment"
    await pass_resolve_time(gateway)
    for _ in range(2):
        await observe_and_notify(process)
        assert receiver.notified() == [("stuck_requests", "firing"), ("stuck_requests", "resolved")]
    assert receiver.messages[1]["text"].startswith("✅ Resolved")
    assert receiver.messages[1]["endedAt"]
    assert 'gateway_alert{name="stuck_requests"} 0.0' in await exposed(gateway)
    (alert,) = await alerts.recent_alerts(gateway.state.database, 60, 10)
    assert alert.ended_at is not None


async def test_it_may_come_again(
    gateway: RunningGateway, ada: Person, receiver: AlertReceiver, process: Alerting
) -> None:
    for _ in range(2):
        request_id = await make_stuck(gateway, ada)
        await observe_and_notify(process)
        await complete(gateway, request_id)
        await pass_resolve_time(gateway)
        await observe_and_notify(process)
        assert receiver.notified() == [("stuck_requests", "firing"), ("stuck_requests", "resolved")]
        receiver.messages.clear()


async def test_callback_failures_are_counted_and_notified_together(
    gateway: RunningGateway, ada: Person, receiver: AlertReceiver, process: Alerting
) -> None:
    request_id = await gateway.submitted(ada.id)
    done = {"requestId": request_id, "status": "completed", "Key": "b/a.png", "Id": "1"}
    assert (await gateway.callback(done)).status_code == 200
    for _ in range(30):
        assert (await gateway.callback({}, secret="wrong")).status_code == 401
    unknown = {"requestId": "99999999-9999-4999-8999-999999999999", "status": "failed"}
    assert (await gateway.callback(unknown)).status_code == 404
    assert (await gateway.callback({**done, "Id": "2"})).status_code == 409
    assert (await gateway.callback({"requestId": request_id, "status": "done"})).status_code == 400
    await observe_and_notify(process)
    expected = sorted(str(incident) for incident in Incident if incident is not Incident.DISPATCH_FAILED)
    assert receiver.notified() == [(name, "firing") for name in expected]
    await pass_resolve_time(gateway)
    await observe_and_notify(process)
    assert receiver.notified() == sorted((name, status) for name in expected for status in ("firing", "resolved"))
    counted = await alerts.counts(gateway.state.database, 3600)
    assert counted == {
        Incident.WRONG_SECRET: 30,
        Incident.UNKNOWN_REQUEST: 1,
        Incident.CONTRADICTION: 1,
        Incident.REFUSED_REPORT: 1,
    }
    assert "wrong" not in str(receiver.messages).replace("a wrong secret", "").replace("callback_wrong_secret", "")


async def test_dispatch_failures(
    gateway: RunningGateway, ada: Person, receiver: AlertReceiver, process: Alerting, n8n: ScriptedN8n
) -> None:
    n8n.answers(WRONG_SECRET)
    await gateway.until(ada.id, await gateway.submitted(ada.id), "failed")
    await observe_and_notify(process)
    assert receiver.notified() == [("dispatch_failed", "firing")]


async def test_a_database_that_is_away(
    gateway: RunningGateway, receiver: AlertReceiver, process: Alerting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It cannot keep an alert about itself: claims beside it decide who notifies."""

    async def away(*_: Any, **__: Any) -> None:
        raise DatabaseUnavailable("away")

    async def evaluate_and_notify() -> None:
        await asyncio.gather(*(each.monitor.evaluate() for each in (process, other)))
        await asyncio.gather(*(each.notifier.notify() for each in (process, other)))

    async with alerting_beside(gateway) as other:
        if isinstance(process.claims, InProcessClaims):
            other.monitor._outage._claims = process.claims
        receiver.status = 500
        with monkeypatch.context() as patch:
            for name in ("resolve_alerts", "claim_notifications"):
                patch.setattr(alerts, name, away)
            await evaluate_and_notify()
            assert 'gateway_alert{name="database_away"} 1.0' not in await exposed(gateway), "a restart is no trouble"
            patch.setattr(database_outage, "AWAY_SECONDS", 0.0)
            process.monitor._expose({"stuck_requests"})
            process.monitor._expose(set())
            await evaluate_and_notify()
            assert 'gateway_alert{name="database_away"} 1.0' in await exposed(gateway)
            assert 'gateway_alert{name="stuck_requests"} 0.0' in await exposed(gateway), "what is over stays over"
            assert receiver.messages == []
            receiver.status = 200
            for _ in range(2):
                await evaluate_and_notify()
                assert receiver.notified() == [("database_away", "firing")]
        for _ in range(2):
            await evaluate_and_notify()
            assert receiver.notified() == [("database_away", "firing"), ("database_away", "resolved")]
    assert 'gateway_alert{name="database_away"} 0.0' in await exposed(gateway)


async def test_the_successor_notifies_the_end_of_an_outage(receiver: AlertReceiver, process: Alerting) -> None:
    """Whoever notified the beginning has been restarted meanwhile."""
    assert await process.claims.claim(DATABASE_AWAY)
    for _ in range(2):
        await observe_and_notify(process)
        assert receiver.notified() == [("database_away", "resolved")]
    assert await process.claims.claim(DATABASE_AWAY), "the next outage is notified"
    assert await process.claims.release(DATABASE_AWAY, certain=True)


@pytest.mark.parametrize("backend", ["postgres"])
async def test_a_bus_that_is_away(
    settings: Settings, receiver: AlertReceiver, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitor, "BUS_AWAY_SECONDS", 0.0)
    with Valkey() as valkey:
        settings = settings.model_copy(update={"redis_url": SecretStr(valkey.url)})
        async with running_gateway(settings) as gateway, alerting_beside(gateway) as process:
            await asyncio.to_thread(valkey.kill)
            await eventually(lambda: asyncio.sleep(0, not gateway.state.bus.healthy))
            await observe_and_notify(process)
            assert receiver.notified() == [("bus_away", "firing")]
            await asyncio.to_thread(valkey.start)
            await eventually(lambda: asyncio.sleep(0, gateway.state.bus.healthy))
            await pass_resolve_time(gateway)
            await observe_and_notify(process)
            assert receiver.notified() == [("bus_away", "firing"), ("bus_away", "resolved")]
