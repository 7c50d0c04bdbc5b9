"""Alerts: each told once when it begins and once when it ends, over all processes, against a local receiver."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from gateway.operations import alerts as watch
from gateway.operations.alerts import AlertWatch
from gateway.operations.incidents import Incident
from gateway.server import bind
from gateway.settings import Settings
from storage import alerts
from storage.errors import DatabaseUnavailable
from tests.conftest import Person
from tests.running import RunningGateway, eventually, running_gateway, serving
from tests.scripted_n8n import WRONG_SECRET, ScriptedN8n


class Receiver:
    """What a chat's webhook would show."""

    def __init__(self) -> None:
        self.url = ""
        self.messages: list[dict[str, Any]] = []
        self.status = 200

    async def receive(self, request: Request) -> Response:
        if self.status == 200:
            self.messages.append(await request.json())
        return PlainTextResponse("ok", self.status)

    def told(self) -> list[tuple[str, str]]:
        return [(message["alert"], message["status"]) for message in self.messages]

    async def until(self, *expected: tuple[str, str]) -> None:
        try:
            await eventually(lambda: asyncio.sleep(0, sorted(self.told()) == sorted(expected)))
        except TimeoutError:
            raise AssertionError(f"told {self.told()}") from None


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    listener = bind("127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{listener.getsockname()[1]}/hook"
    app = Starlette(routes=[Route("/hook", made.receive, methods=["POST"])])
    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=1)
    async with serving(app, config, listener):
        yield made


@pytest.fixture
def settings(settings: Settings, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(watch, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(watch, "CONDITION_QUIET_SECONDS", 2.0)
    monkeypatch.setattr(watch, "INCIDENT_QUIET_SECONDS", 2.0)
    monkeypatch.setattr(watch, "AWAY_SECONDS", 0.2)
    monkeypatch.setattr(alerts, "TELLING_SECONDS", 0.3)
    return settings.model_copy(update={"alert_webhook_url": SecretStr(receiver.url)})


async def make_stuck(gateway: RunningGateway, person: Person) -> str:
    request_id = await gateway.submitted(person.id)
    await gateway.until(person.id, request_id, "processing")
    await gateway.gateway.database.all("UPDATE ai_image_requests SET dispatch_sending_at = AFTER(:s)", s=-301.0)
    return request_id


async def test_a_stuck_request_is_told_once_and_once_when_it_is_over(
    gateway: RunningGateway, ada: Person, receiver: Receiver
) -> None:
    request_id = await make_stuck(gateway, ada)
    await receiver.until(("stuck_requests", "firing"))
    first = receiver.messages[0]
    assert first["text"].startswith("🚨 1 request(s) have been in processing for more than 5 minutes.")
    (shown,) = await alerts.recent_alerts(gateway.gateway.database, 60, 10)
    assert (shown.name, shown.ended_at) == ("stuck_requests", None)
    metrics = (await gateway.http.get("/metrics")).text
    assert 'gateway_alert{name="stuck_requests"} 1.0' in metrics
    assert 'gateway_queue{state="stuck"} 1.0' in metrics
    await gateway.callback({"requestId": request_id, "status": "completed", "Key": "b/a.png", "Id": "1"})
    await receiver.until(("stuck_requests", "firing"), ("stuck_requests", "resolved"))
    assert receiver.messages[1]["text"].startswith("✅ Resolved")
    assert receiver.messages[1]["endedAt"]
    (shown,) = await alerts.recent_alerts(gateway.gateway.database, 60, 10)
    assert shown.ended_at is not None


async def test_it_may_come_again(gateway: RunningGateway, ada: Person, receiver: Receiver) -> None:
    for _ in range(2):
        request_id = await make_stuck(gateway, ada)
        await eventually(lambda: asyncio.sleep(0, receiver.told().count(("stuck_requests", "firing")) > 0))
        await gateway.callback({"requestId": request_id, "status": "completed", "Key": "b/a.png", "Id": "1"})
        await receiver.until(("stuck_requests", "firing"), ("stuck_requests", "resolved"))
        receiver.messages.clear()


async def test_callback_failures_are_counted_and_told_together(
    gateway: RunningGateway, ada: Person, receiver: Receiver
) -> None:
    request_id = await gateway.submitted(ada.id)
    done = {"requestId": request_id, "status": "completed", "Key": "b/a.png", "Id": "1"}
    assert (await gateway.callback(done)).status_code == 200
    for _ in range(30):
        assert (await gateway.callback({}, secret="wrong")).status_code == 401
    unknown = {"requestId": "99999999-9999-4999-8999-999999999999", "status": "failed"}
    assert (await gateway.callback(unknown)).status_code == 404
    assert (await gateway.callback({**done, "Id": "2"})).status_code == 409
    assert (await gateway.callback({**done, "status": "done"})).status_code == 400
    firing = [(str(incident), "firing") for incident in Incident if incident is not Incident.DISPATCH_FAILED]
    resolved = [(name, "resolved") for name, _ in firing]
    await receiver.until(*firing, *resolved)
    counted = await alerts.counts(gateway.gateway.database, 3600)
    assert counted == {
        Incident.WRONG_SECRET: 30,
        Incident.UNKNOWN_REQUEST: 1,
        Incident.CONTRADICTION: 1,
        Incident.REFUSED_NEWS: 1,
    }
    assert "wrong" not in str(receiver.messages).replace("a wrong secret", "").replace("callback_wrong_secret", "")


async def test_dispatch_failures(gateway: RunningGateway, ada: Person, receiver: Receiver, n8n: ScriptedN8n) -> None:
    n8n.answers(WRONG_SECRET)
    await gateway.submitted(ada.id)
    await receiver.until(("dispatch_failed", "firing"), ("dispatch_failed", "resolved"))


async def test_many_processes_tell_it_once(
    settings: Settings, receiver: Receiver, gateway: RunningGateway, ada: Person
) -> None:
    """Six watches, as six processes would have them."""
    others = [AlertWatch(gateway.gateway) for _ in range(5)]
    running = [asyncio.create_task(other.run()) for other in others]
    request_id = await make_stuck(gateway, ada)
    await receiver.until(("stuck_requests", "firing"))
    await asyncio.gather(*(other.look() for other in others))
    await gateway.callback({"requestId": request_id, "status": "completed", "Key": "b/a.png", "Id": "1"})
    await receiver.until(("stuck_requests", "firing"), ("stuck_requests", "resolved"))
    await asyncio.gather(*(other.look() for other in others))
    assert len(receiver.messages) == 2
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    for other in others:
        await other.stop()


async def test_a_receiver_that_is_away_hears_of_it_later(
    gateway: RunningGateway, ada: Person, receiver: Receiver
) -> None:
    receiver.status = 500
    request_id = await make_stuck(gateway, ada)

    async def active() -> bool:
        return bool(await alerts.recent_alerts(gateway.gateway.database, 60, 10))

    await eventually(active)
    await gateway.callback({"requestId": request_id, "status": "completed", "Key": "b/a.png", "Id": "1"})

    async def over() -> bool:
        found = await alerts.recent_alerts(gateway.gateway.database, 60, 10)
        return bool(found) and found[0].ended_at is not None

    await eventually(over)
    assert receiver.messages == []
    assert (await gateway.http.get("/healthz")).status_code == 200
    receiver.status = 200
    await receiver.until(("stuck_requests", "firing"), ("stuck_requests", "resolved"))


async def test_a_database_that_is_away(
    gateway: RunningGateway, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It cannot keep an alert about itself: the bus's server decides who tells."""

    async def away(*_: Any, **__: Any) -> None:
        raise DatabaseUnavailable("away")

    other = AlertWatch(gateway.gateway)
    with monkeypatch.context() as patch:
        patch.setattr(alerts, "process_seen", away)
        await other.look()
        await receiver.until(("database_away", "firing"))
        await asyncio.sleep(watch.AWAY_SECONDS)  # until the second watch, too, counts it as away
        await other.look()
        assert 'gateway_alert{name="database_away"} 1.0' in (await gateway.http.get("/metrics")).text
    await other.look()
    await receiver.until(("database_away", "firing"), ("database_away", "resolved"))
    await other.stop()


async def test_processes_and_connections_are_summed(gateway: RunningGateway, ada: Person) -> None:
    database = gateway.gateway.database
    await alerts.process_seen(database, "another", connections=7, bus_healthy=True)
    async with gateway.watching(ada.id):

        async def summed() -> bool:
            return await alerts.processes(database) == (2, 8)

        await eventually(summed)
    await alerts.process_gone(database, "another")


async def test_without_a_receiver_the_log_is_told(
    settings: Settings, users_table: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with running_gateway(settings.model_copy(update={"alert_webhook_url": None})) as gateway:
        await gateway.callback({}, secret="wrong")
        await eventually(lambda: asyncio.sleep(0, "alert_began" in caplog.text))
        await eventually(lambda: asyncio.sleep(0, "alert_ended" in caplog.text))


@pytest.mark.parametrize("backend", ["postgres"])
async def test_a_bus_that_is_away(settings: Settings, receiver: Receiver, backend: str) -> None:
    from tests.servers import Valkey

    with Valkey() as valkey:
        settings = settings.model_copy(update={"redis_url": SecretStr(valkey.url)})
        async with running_gateway(settings):
            await asyncio.to_thread(valkey.kill)
            await receiver.until(("bus_away", "firing"))
            await asyncio.to_thread(valkey.start)
            await receiver.until(("bus_away", "firing"), ("bus_away", "resolved"))
