"""The notifier: each alert reaches a local receiver once when it begins and once when it is resolved."""

import asyncio
import contextlib

import pytest

from gateway.alerting import heartbeat, notifier
from gateway.settings import Settings
from gateway.tasks import stop_all
from storage import alerts
from tests.alert_receiver import AlertReceiver
from tests.alerting import (
    Alerting,
    alerting_beside,
    complete,
    exposed,
    make_stuck,
    observe_and_notify,
    pass_resolve_time,
    run_loops,
)
from tests.people import Person
from tests.running import SECONDS, RunningGateway, eventually, running_gateway


async def test_many_processes_notify_it_once(
    receiver: AlertReceiver, gateway: RunningGateway, ada: Person, process: Alerting
) -> None:
    """Six processes' parts, all at the same moment."""
    async with contextlib.AsyncExitStack() as stack:
        others = [await stack.enter_async_context(alerting_beside(gateway)) for _ in range(5)]
        request_id = await make_stuck(gateway, ada)
        for _ in range(3):
            await observe_and_notify(process, *others)
        assert receiver.notified() == [("stuck_requests", "firing")]
        await complete(gateway, request_id)
        await pass_resolve_time(gateway)
        for _ in range(3):
            await observe_and_notify(process, *others)
        assert receiver.notified() == [("stuck_requests", "firing"), ("stuck_requests", "resolved")]


async def test_a_receiver_that_is_away_hears_of_it_later(
    gateway: RunningGateway, ada: Person, receiver: AlertReceiver, process: Alerting
) -> None:
    async def another_process_may_try() -> None:
        await gateway.state.database.all("UPDATE ai_gateway_alerts SET notifying_until = AFTER(:s)", s=-1.0)

    receiver.status = 500
    request_id = await make_stuck(gateway, ada)
    await observe_and_notify(process)
    await complete(gateway, request_id)
    await pass_resolve_time(gateway)
    await another_process_may_try()
    await observe_and_notify(process)
    assert receiver.messages == []
    (alert,) = await alerts.recent_alerts(gateway.state.database, 60, 10)
    assert alert.ended_at is not None
    receiver.status = 200
    await observe_and_notify(process)
    assert receiver.messages == [], "its next try is not due yet"
    await another_process_may_try()
    await observe_and_notify(process)
    await observe_and_notify(process)
    assert [message["status"] for message in receiver.messages] == ["firing", "resolved"]


async def test_a_receiver_that_is_slow_keeps_nothing_waiting(
    gateway: RunningGateway,
    ada: Person,
    receiver: AlertReceiver,
    process: Alerting,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The process's own loops, this time: while the webhook does not answer, the numbers go on."""
    run_loops(monkeypatch)
    receiver.answers.clear()
    looping = [asyncio.create_task(part.run()) for part in (process.heartbeat, process.monitor, process.notifier)]
    request_id = await make_stuck(gateway, ada)

    async def stuck(number: str) -> bool:
        return f'gateway_queue{{state="stuck"}} {number}' in await exposed(gateway)

    await eventually(lambda: stuck("1.0"))
    await complete(gateway, request_id)
    await eventually(lambda: stuck("0.0"))
    assert receiver.messages == []
    receiver.answers.set()
    await eventually(lambda: asyncio.sleep(0, receiver.notified() == [("stuck_requests", "firing")]))
    await stop_all(*looping)


async def test_an_alert_that_fires_again_while_its_end_is_notified(
    gateway: RunningGateway, ada: Person, receiver: AlertReceiver, process: Alerting
) -> None:
    await complete(gateway, await make_stuck(gateway, ada))
    await make_stuck(gateway, ada)
    await observe_and_notify(process)
    await gateway.state.database.all("UPDATE ai_image_requests SET dispatch_sending_at = NOW()")
    await pass_resolve_time(gateway)
    await process.monitor.evaluate()
    receiver.answers.clear()
    notifying = asyncio.create_task(process.notifier.notify())
    await eventually(lambda: asyncio.sleep(0, receiver.asked == 2))
    await gateway.state.database.all("UPDATE ai_image_requests SET dispatch_sending_at = AFTER(:s)", s=-301.0)
    await process.monitor.evaluate()
    receiver.answers.set()
    await notifying
    await observe_and_notify(process)
    assert [message["status"] for message in receiver.messages] == ["firing", "resolved", "firing"]


async def test_a_receiver_that_drips_is_given_up(
    gateway: RunningGateway, process: Alerting, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            writer.write(b"HTTP/1.1 200 OK\r\n")
            while not reader.at_eof():
                writer.write(b"X: y\r\n")
                await writer.drain()
                await asyncio.sleep(0.02)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        left.set()

    monkeypatch.setattr(notifier, "WEBHOOK_SECONDS", 0.5)
    async with await asyncio.start_server(drip, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        process.notifier._webhook_url = url
        assert (await gateway.callback({}, secret="wrong")).status_code == 401
        async with asyncio.timeout(SECONDS):
            await observe_and_notify(process)
            await left.wait()


async def test_without_a_receiver_the_log_is_notified(
    settings: Settings, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_loops(monkeypatch)
    monkeypatch.setattr(heartbeat, "INCIDENT_RESOLVE_SECONDS", 0.5)
    async with running_gateway(settings.model_copy(update={"alert_webhook_url": None})) as gateway:
        await gateway.callback({}, secret="wrong")
        await eventually(lambda: asyncio.sleep(0, "alert_firing" in caplog.text))
        await eventually(lambda: asyncio.sleep(0, "alert_resolved" in caplog.text))
