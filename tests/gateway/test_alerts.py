"""Alerts: each told once when it begins and once when it ends, over all processes, against a local receiver."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import SecretStr

from gateway.alerting import monitor as watch
from gateway.alerting.monitor import AlertMonitor
from gateway.settings import Settings
from gateway.tasks import stop_all
from gateway.telemetry.incidents import Incident
from storage import alerts
from storage.errors import DatabaseUnavailable
from tests.alert_receiver import AlertReceiver, alert_receiver
from tests.conftest import Person
from tests.running import SECONDS, RunningGateway, eventually, running_gateway
from tests.scripted_n8n import WRONG_SECRET, ScriptedN8n

LOOPS = (AlertMonitor.keep_looking, AlertMonitor.keep_telling)


@pytest.fixture
async def receiver() -> AsyncIterator[AlertReceiver]:
    async with alert_receiver() as made:
        yield made


@pytest.fixture
def settings(settings: Settings, receiver: AlertReceiver, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The process's own watch rests; each test looks and tells itself, and depends on nobody's pace."""
    for loop in LOOPS:
        monkeypatch.setattr(AlertMonitor, loop.__name__, lambda _: asyncio.sleep(0))
    return settings.model_copy(update={"alert_webhook_url": SecretStr(receiver.url)})


@pytest.fixture
async def alert_watch(gateway: RunningGateway) -> AsyncIterator[AlertMonitor]:
    made = AlertMonitor(gateway.state)
    yield made
    await made.stop()


async def make_stuck(gateway: RunningGateway, person: Person) -> str:
    request_id = await gateway.submitted(person.id)
    await gateway.until(person.id, request_id, "processing")
    await gateway.state.database.all("UPDATE ai_image_requests SET dispatch_sending_at = AFTER(:s)", s=-301.0)
    return request_id


async def complete(gateway: RunningGateway, request_id: str) -> None:
    done = {"requestId": request_id, "status": "completed", "Key": "b/a.png", "Id": "1"}
    assert (await gateway.callback(done)).status_code == 200


async def pass_quiet_time(gateway: RunningGateway) -> None:
    """Time passes in which nobody raised an alert."""
    await gateway.state.database.all("UPDATE ai_gateway_alerts SET quiet_at = AFTER(:s)", s=-1.0)


async def look_and_tell(*watches: AlertMonitor) -> None:
    """All at once, as the processes would."""
    await asyncio.gather(*(each.look() for each in watches))
    await asyncio.gather(*(each.tell() for each in watches))


async def shown(gateway: RunningGateway) -> str:
    return (await gateway.http.get("/metrics")).text


async def test_a_stuck_request_is_told_once_and_once_when_it_is_over(
    gateway: RunningGateway, ada: Person, receiver: AlertReceiver, alert_watch: AlertMonitor
) -> None:
    request_id = await make_stuck(gateway, ada)
    for _ in range(2):
        await look_and_tell(alert_watch)
        assert receiver.told() == [("stuck_requests", "firing")]
    assert receiver.messages[0]["text"].startswith("🚨 1 request(s) have been in processing for more than 5 minutes.")
    (alert,) = await alerts.recent_alerts(gateway.state.database, 60, 10)
    assert (alert.name, alert.ended_at) == ("stuck_requests", None)
    metrics = await shown(gateway)
    assert 'gateway_alert{name="stuck_requests"} 1.0' in metrics
    assert 'gateway_queue{state="stuck"} 1.0' in metrics
    await complete(gateway, request_id)
    await look_and_tell(alert_watch)
    assert len(receiver.messages) == 1, "it may be back in a moment"
    await pass_quiet_time(gateway)
    for _ in range(2):
        await look_and_tell(alert_watch)
        assert receiver.told() == [("stuck_requests", "firing"), ("stuck_requests", "resolved")]
    assert receiver.messages[1]["text"].startswith("✅ Resolved")
    assert receiver.messages[1]["endedAt"]
    assert 'gateway_alert{name="stuck_requests"} 0.0' in await shown(gateway)
    (alert,) = await alerts.recent_alerts(gateway.state.database, 60, 10)
    assert alert.ended_at is not None


async def test_it_may_come_again(
    gateway: RunningGateway, ada: Person, receiver: AlertReceiver, alert_watch: AlertMonitor
) -> None:
    for _ in range(2):
        request_id = await make_stuck(gateway, ada)
        await look_and_tell(alert_watch)
        await complete(gateway, request_id)
        await pass_quiet_time(gateway)
        await look_and_tell(alert_watch)
        assert receiver.told() == [("stuck_requests", "firing"), ("stuck_requests", "resolved")]
        receiver.messages.clear()


async def test_callback_failures_are_counted_and_told_together(
    gateway: RunningGateway, ada: Person, receiver: AlertReceiver, alert_watch: AlertMonitor
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
    await look_and_tell(alert_watch)
    expected = sorted(str(incident) for incident in Incident if incident is not Incident.DISPATCH_FAILED)
    assert receiver.told() == [(name, "firing") for name in expected]
    await pass_quiet_time(gateway)
    await look_and_tell(alert_watch)
    assert receiver.told() == sorted((name, status) for name in expected for status in ("firing", "resolved"))
    counted = await alerts.counts(gateway.state.database, 3600)
    assert counted == {
        Incident.WRONG_SECRET: 30,
        Incident.UNKNOWN_REQUEST: 1,
        Incident.CONTRADICTION: 1,
        Incident.REFUSED_REPORT: 1,
    }
    assert "wrong" not in str(receiver.messages).replace("a wrong secret", "").replace("callback_wrong_secret", "")


async def test_dispatch_failures(
    gateway: RunningGateway, ada: Person, receiver: AlertReceiver, alert_watch: AlertMonitor, n8n: ScriptedN8n
) -> None:
    n8n.answers(WRONG_SECRET)
    await gateway.until(ada.id, await gateway.submitted(ada.id), "failed")
    await look_and_tell(alert_watch)
    assert receiver.told() == [("dispatch_failed", "firing")]


async def test_many_processes_tell_it_once(
    receiver: AlertReceiver, gateway: RunningGateway, ada: Person, alert_watch: AlertMonitor
) -> None:
    """Six watches, as six processes would have them, all at the same moment."""
    watches = [alert_watch, *(AlertMonitor(gateway.state) for _ in range(5))]
    request_id = await make_stuck(gateway, ada)
    for _ in range(3):
        await look_and_tell(*watches)
    assert receiver.told() == [("stuck_requests", "firing")]
    await complete(gateway, request_id)
    await pass_quiet_time(gateway)
    for _ in range(3):
        await look_and_tell(*watches)
    assert receiver.told() == [("stuck_requests", "firing"), ("stuck_requests", "resolved")]
    for other in watches[1:]:
        await other.stop()


async def test_a_receiver_that_is_away_hears_of_it_later(
    gateway: RunningGateway, ada: Person, receiver: AlertReceiver, alert_watch: AlertMonitor
) -> None:
    async def another_process_may_try() -> None:
        await gateway.state.database.all("UPDATE ai_gateway_alerts SET telling_until = AFTER(:s)", s=-1.0)

    receiver.status = 500
    request_id = await make_stuck(gateway, ada)
    await look_and_tell(alert_watch)
    await complete(gateway, request_id)
    await pass_quiet_time(gateway)
    await another_process_may_try()
    await look_and_tell(alert_watch)
    assert receiver.messages == []
    (alert,) = await alerts.recent_alerts(gateway.state.database, 60, 10)
    assert alert.ended_at is not None
    receiver.status = 200
    await look_and_tell(alert_watch)
    assert receiver.messages == [], "its next try is not due yet"
    await another_process_may_try()
    await look_and_tell(alert_watch)
    await look_and_tell(alert_watch)
    assert [message["status"] for message in receiver.messages] == ["firing", "resolved"]


async def test_a_receiver_that_is_slow_keeps_nothing_waiting(
    gateway: RunningGateway, ada: Person, receiver: AlertReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process's own loops, this time: while the webhook does not answer, the numbers go on."""
    for loop in LOOPS:
        monkeypatch.setattr(AlertMonitor, loop.__name__, loop)
    monkeypatch.setattr(watch, "LOOK_SECONDS", 0.05)
    receiver.answers.clear()
    slow = AlertMonitor(gateway.state)
    looping = [asyncio.create_task(loop(slow)) for loop in LOOPS]
    request_id = await make_stuck(gateway, ada)

    async def stuck(number: str) -> bool:
        return f'gateway_queue{{state="stuck"}} {number}' in await shown(gateway)

    await eventually(lambda: stuck("1.0"))
    await complete(gateway, request_id)
    await eventually(lambda: stuck("0.0"))
    assert receiver.messages == []
    receiver.answers.set()
    await eventually(lambda: asyncio.sleep(0, receiver.told() == [("stuck_requests", "firing")]))
    await stop_all(*looping)
    await slow.stop()


async def test_a_database_that_is_away(
    gateway: RunningGateway, receiver: AlertReceiver, alert_watch: AlertMonitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It cannot keep an alert about itself: the bus's server decides who tells."""

    async def away(*_: Any, **__: Any) -> None:
        raise DatabaseUnavailable("away")

    other = AlertMonitor(gateway.state)
    receiver.status = 500
    with monkeypatch.context() as patch:
        for name in ("process_seen", "claim_notifications"):
            patch.setattr(alerts, name, away)
        await look_and_tell(alert_watch, other)
        assert 'gateway_alert{name="database_away"} 1.0' not in await shown(gateway), "a restart is no trouble"
        patch.setattr(watch, "AWAY_SECONDS", 0.0)
        alert_watch._show({"stuck_requests"})
        alert_watch._show(set())
        await look_and_tell(alert_watch, other)
        assert 'gateway_alert{name="database_away"} 1.0' in await shown(gateway)
        assert 'gateway_alert{name="stuck_requests"} 0.0' in await shown(gateway), "what is over stays over"
        assert receiver.messages == []
        receiver.status = 200
        for _ in range(2):
            await look_and_tell(alert_watch, other)
            assert receiver.told() == [("database_away", "firing")]
    for _ in range(2):
        await look_and_tell(alert_watch, other)
        assert receiver.told() == [("database_away", "firing"), ("database_away", "resolved")]
    assert 'gateway_alert{name="database_away"} 0.0' in await shown(gateway)
    await other.stop()


async def test_trouble_that_is_back_while_its_end_is_told(
    gateway: RunningGateway, ada: Person, receiver: AlertReceiver, alert_watch: AlertMonitor
) -> None:
    await complete(gateway, await make_stuck(gateway, ada))
    await make_stuck(gateway, ada)
    await look_and_tell(alert_watch)
    await gateway.state.database.all("UPDATE ai_image_requests SET dispatch_sending_at = NOW()")
    await pass_quiet_time(gateway)
    await alert_watch.look()
    receiver.answers.clear()
    telling = asyncio.create_task(alert_watch.tell())
    await eventually(lambda: asyncio.sleep(0, receiver.asked == 2))
    await gateway.state.database.all("UPDATE ai_image_requests SET dispatch_sending_at = AFTER(:s)", s=-301.0)
    await alert_watch.look()
    receiver.answers.set()
    await telling
    await look_and_tell(alert_watch)
    assert [message["status"] for message in receiver.messages] == ["firing", "resolved", "firing"]


async def test_a_receiver_that_drips_is_given_up(
    gateway: RunningGateway, alert_watch: AlertMonitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            writer.write(b"HTTP/1.1 200 OK\r\n")
            while not reader.at_eof():
                writer.write(b"X: y\r\n")
                await writer.drain()
                await asyncio.sleep(0.02)
        writer.close()

    monkeypatch.setattr(watch, "TELL_SECONDS", 0.5)
    async with await asyncio.start_server(drip, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        alert_watch._gateway.settings = alert_watch._gateway.settings.model_copy(
            update={"alert_webhook_url": SecretStr(url)}
        )
        assert (await gateway.callback({}, secret="wrong")).status_code == 401
        async with asyncio.timeout(SECONDS):
            await look_and_tell(alert_watch)


async def test_the_successor_tells_the_end_of_an_outage(gateway: RunningGateway, receiver: AlertReceiver) -> None:
    """Whoever told the beginning has been restarted meanwhile."""
    assert await gateway.state.bus.claim_once(watch.DATABASE_AWAY)
    successor = AlertMonitor(gateway.state)
    for _ in range(2):
        await look_and_tell(successor)
        assert receiver.told() == [("database_away", "resolved")]
    assert await gateway.state.bus.claim_once(watch.DATABASE_AWAY), "the next outage is told"
    assert await gateway.state.bus.give_back(watch.DATABASE_AWAY, certain=True)
    await successor.stop()


async def test_processes_and_connections_are_summed(
    gateway: RunningGateway, ada: Person, alert_watch: AlertMonitor
) -> None:
    database = gateway.state.database
    await alerts.process_seen(database, "another", connections=7, bus_healthy=True)
    async with gateway.watching(ada.id):
        await alert_watch.look()
        assert await alerts.processes(database) == (2, 8)
    await alerts.process_gone(database, "another")


async def test_what_went_wrong_last_is_written_down_at_the_end(
    gateway: RunningGateway, alert_watch: AlertMonitor
) -> None:
    assert (await gateway.callback({}, secret="wrong")).status_code == 401
    await alert_watch.stop()
    assert await alerts.counts(gateway.state.database, 3600) == {Incident.WRONG_SECRET: 1}


async def test_without_a_receiver_the_log_is_told(
    settings: Settings, users_table: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for loop in LOOPS:
        monkeypatch.setattr(AlertMonitor, loop.__name__, loop)
    monkeypatch.setattr(watch, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(watch, "INCIDENT_QUIET_SECONDS", 0.5)
    async with running_gateway(settings.model_copy(update={"alert_webhook_url": None})) as gateway:
        await gateway.callback({}, secret="wrong")
        await eventually(lambda: asyncio.sleep(0, "alert_began" in caplog.text))
        await eventually(lambda: asyncio.sleep(0, "alert_ended" in caplog.text))


@pytest.mark.parametrize("backend", ["postgres"])
async def test_a_bus_that_is_away(
    settings: Settings, receiver: AlertReceiver, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.servers import Valkey

    monkeypatch.setattr(watch, "AWAY_SECONDS", 0.0)
    with Valkey() as valkey:
        settings = settings.model_copy(update={"redis_url": SecretStr(valkey.url)})
        async with running_gateway(settings) as gateway:
            alert_watch = AlertMonitor(gateway.state)
            await asyncio.to_thread(valkey.kill)
            await eventually(lambda: asyncio.sleep(0, not gateway.state.bus.healthy))
            await look_and_tell(alert_watch)
            assert receiver.told() == [("bus_away", "firing")]
            await asyncio.to_thread(valkey.start)
            await eventually(lambda: asyncio.sleep(0, gateway.state.bus.healthy))
            await pass_quiet_time(gateway)
            await look_and_tell(alert_watch)
            assert receiver.told() == [("bus_away", "firing"), ("bus_away", "resolved")]
            await alert_watch.stop()
