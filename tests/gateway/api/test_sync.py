"""The rollback path: clients that wait for the picture, on top of the asynchronous path."""

import asyncio
import random
from typing import Any

import httpx
import pytest

from gateway.settings import Settings
from tests.people import People, Person
from tests.running import RunningGateway, eventually, running_gateway
from tests.scripted_n8n import ScriptedN8n

BODY = {"Product": "Shoes", "Your Brand": "Nike"}
PATHS = ("/api/ai-generate-sync", "/api/ai-generate")


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Everything goes the synchronous way."""
    return settings.model_copy(update={"ai_generation_mode": "sync"})


def generating(gateway: RunningGateway, person: Person, path: str = PATHS[0], **headers: str) -> Any:
    return asyncio.create_task(
        gateway.http.post(path, json=BODY, headers={**gateway.bearer(person.id), **headers}, timeout=30)
    )


async def first_received(n8n: ScriptedN8n) -> Any:
    await eventually(lambda: asyncio.sleep(0, bool(n8n.received)))
    return n8n.received[0]


@pytest.mark.parametrize("path", PATHS)
async def test_it_answers_with_the_picture(gateway: RunningGateway, ada: Person, n8n: ScriptedN8n, path: str) -> None:
    answering = generating(gateway, ada, path)
    received = await first_received(n8n)
    await n8n.call_back(received, status="processing", progress=40)
    assert not answering.done()
    await n8n.call_back(received, status="completed", Key="b/a.png", Id="1")
    answer = await answering
    assert answer.status_code == 200
    assert answer.json() == await gateway.body(ada.id, received.request_id)
    assert answer.json()["publicUrl"].endswith("/storage/v1/object/public/b/a.png")
    assert answer.headers["RateLimit"].startswith('"hour";r=9')


async def test_it_answers_with_the_failure(gateway: RunningGateway, ada: Person, n8n: ScriptedN8n) -> None:
    answering = generating(gateway, ada)
    received = await first_received(n8n)
    await n8n.call_back(received, status="failed", error="out of credits")
    answer = await answering
    assert answer.status_code == 500
    body = await gateway.body(ada.id, received.request_id)
    assert answer.json() == {"error": "out of credits", "code": "generation_failed", "request": body}


async def test_a_workflow_that_answers_with_the_picture_itself(
    gateway: RunningGateway, ada: Person, n8n: ScriptedN8n
) -> None:
    from starlette.responses import JSONResponse

    n8n.answers(JSONResponse({"Key": "b/a.png", "Id": "1"}))
    answer = await generating(gateway, ada)
    assert (answer.status_code, answer.json()["status"]) == (200, "completed")


async def test_a_timeout_answers_202_and_the_work_goes_on(
    settings: Settings, n8n: ScriptedN8n, users_table: str
) -> None:
    settings = settings.model_copy(update={"ai_sync_timeout_seconds": 0.3})
    async with running_gateway(settings) as gateway:
        ada = await People(gateway.state.database, users_table).person()
        answer = await generating(gateway, ada)
        received = await first_received(n8n)
        assert answer.status_code == 202
        assert answer.json()["requestId"] == received.request_id
        assert answer.headers["Location"] == f"/api/ai-status/{received.request_id}"
        await n8n.call_back(received, status="completed", Key="b/a.png", Id="1")
        assert (await gateway.body(ada.id, received.request_id))["status"] == "completed"


async def test_a_client_that_leaves_early_loses_nothing_and_holds_nothing(
    gateway: RunningGateway, ada: Person, n8n: ScriptedN8n
) -> None:
    answering = generating(gateway, ada, **{"Idempotency-Key": "once"})
    received = await first_received(n8n)
    await eventually(lambda: asyncio.sleep(0, gateway.state.hub.subscribers == 1))
    answering.cancel()
    await eventually(lambda: asyncio.sleep(0, gateway.state.hub.subscribers == 0))
    await n8n.call_back(received, status="completed", Key="b/a.png", Id="1")
    again = await generating(gateway, ada, **{"Idempotency-Key": "once"})
    assert (again.status_code, again.json()["requestId"]) == (200, received.request_id)
    assert n8n.times(received.request_id) == 1


async def test_refusals_come_before_anything_is_written(settings: Settings, users_table: str) -> None:
    settings = settings.model_copy(update={"ws_connections_per_user": 1, "n8n_webhook_url": "http://127.0.0.1:1/"})
    async with running_gateway(settings, worker=False) as gateway:
        ada = await People(gateway.state.database, users_table).person()
        waiting = generating(gateway, ada)
        await eventually(lambda: asyncio.sleep(0, gateway.state.hub.subscribers == 1))
        refused = await generating(gateway, ada)
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_connections")
        waiting.cancel()
        nothing = await gateway.http.post(PATHS[0], json={}, headers=gateway.bearer(ada.id))
        assert (nothing.status_code, nothing.json()["error"]) == (400, "Product and Brand are required")
        rows = await gateway.state.database.all("SELECT id FROM ai_image_requests")
        assert len(rows) == 1


async def test_a_process_that_stops_lets_its_waiters_go_with_202(
    settings: Settings, n8n: ScriptedN8n, users_table: str
) -> None:
    settings = settings.model_copy(update={"drain_seconds": 0.5})
    async with running_gateway(settings) as gateway:
        ada = await People(gateway.state.database, users_table).person()
        answering = generating(gateway, ada)
        received = await first_received(n8n)
        await gateway.until(ada.id, received.request_id, "processing")
        gateway.state.drain.begin()
        answer = await answering
        assert (answer.status_code, answer.json()["requestId"]) == (202, received.request_id)


async def test_the_flag_may_be_turned_while_requests_are_in_flight(
    settings: Settings, n8n: ScriptedN8n, users_table: str
) -> None:
    """async → sync → async, one process after another on the same database."""
    ways = [settings.model_copy(update={"ai_generation_mode": mode}) for mode in ("async", "sync", "async")]
    async with running_gateway(ways[0]) as gateway:
        ada = await People(gateway.state.database, users_table).person()
        begun_async = await gateway.submitted(ada.id)
        await gateway.until(ada.id, begun_async, "processing")
    async with running_gateway(ways[1].model_copy(update={"drain_seconds": 0.2})) as gateway:
        await call_back(gateway, n8n, begun_async, status="completed", Key="b/1.png", Id="1")
        assert (await gateway.body(ada.id, begun_async))["status"] == "completed"
        answering = generating(gateway, ada, PATHS[1])
        await eventually(lambda: asyncio.sleep(0, len(n8n.received) == 2))
        begun_sync = n8n.received[1].request_id
        await gateway.until(ada.id, begun_sync, "processing")
        gateway.state.drain.begin()
        assert (await answering).status_code == 202
    async with running_gateway(ways[2]) as gateway:
        await call_back(gateway, n8n, begun_sync, status="failed", error="late")
        assert (await gateway.body(ada.id, begun_sync))["status"] == "failed"
        assert (await gateway.submit(ada.id)).status_code == 202
    assert [n8n.times(request_id) for request_id in (begun_async, begun_sync)] == [1, 1]


async def call_back(gateway: RunningGateway, n8n: ScriptedN8n, request_id: str, **news: object) -> None:
    answer = await gateway.callback({"requestId": request_id, **news})
    assert answer.status_code == httpx.codes.OK, answer.text


async def test_a_stopping_process_does_not_wait_anew_at_every_report(
    gateway: RunningGateway, ada: Person, n8n: ScriptedN8n, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its moment is an hour away, and would be again after the report: longer than the client waits."""
    answering = generating(gateway, ada)
    received = await first_received(n8n)
    await gateway.until(ada.id, received.request_id, "processing")
    monkeypatch.setattr(random, "uniform", lambda low, high: high)
    gateway.state.hub.drain(3600)
    await n8n.call_back(received, status="processing", progress=40)
    answer = await answering
    assert (answer.status_code, answer.json()["progress"]) == (202, 40)
