"""A process that is asked to stop: unready first, everyone shown elsewhere at their own moment, nothing lost."""

import asyncio
import json
import re
import signal
import time

import httpx
import psutil
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from gateway.realtime.close_codes import CloseCode
from tests.people import Person
from tests.processes.conftest import Serve, bearer
from tests.running import eventually, receive
from tests.scripted_n8n import ScriptedN8n

pytestmark = pytest.mark.slow

BODY = {"Product": "Shoes", "Your Brand": "Nike"}


async def test_everyone_is_shown_out_at_their_own_moment(serve: Serve, ada: Person, n8n: ScriptedN8n) -> None:
    process = await asyncio.to_thread(lambda: serve(DRAIN_SECONDS="3"))
    sockets = [
        await connect(process.url.replace("http", "ws") + "/ws", additional_headers=bearer(ada), proxy=None)
        for _ in range(20)
    ]
    async with httpx.AsyncClient(base_url=process.url, verify=False, timeout=20) as http:
        answer = await http.post("/api/ai-generate", json=BODY, headers=bearer(ada))
        request_id = answer.json()["requestId"]
        received = await n8n.until_received(request_id)
        await n8n.call_back(received, status="processing", progress=10)
        url = f"/api/ai-status/{request_id}"
        version = (await http.get(url, headers=bearer(ada))).json()["version"]
        poll = asyncio.create_task(http.get(f"{url}?wait=60&version={version}", headers=bearer(ada)))
        stream = asyncio.create_task(http.get(f"{url}/events", headers=bearer(ada)))
        for websocket in sockets:
            assert (await receive(websocket))["type"] == "welcome"

        async def all_there() -> bool:
            return f"gateway_watchers {len(sockets) + 2:.1f}" in (await http.get("/metrics")).text

        await eventually(all_there)
        began = time.monotonic()
        process.process.send_signal(signal.SIGTERM)

        async def unready() -> bool:
            return (await http.get("/readyz")).status_code == 503

        await eventually(unready)
        assert (await http.get(url, headers=bearer(ada))).status_code == 200, "still serving while it drains"
        moments = []
        for websocket in sockets:
            message = await receive(websocket)
            assert message["type"] == "drain"
            moments.append(message["reconnectInMs"])
        assert all(0 <= moment <= 3000 for moment in moments)
        assert max(moments) - min(moments) > 1000, "spread over the window"
        assert len(set(moments)) > 15
        assert (await poll).json()["version"] == version
        text = (await stream).text
        *events, end = [block for block in text.split("\n\n") if block != ":"]
        assert all("\ndata: " in event for event in events), "a block without data is an empty event to strict clients"
        assert re.fullmatch(r"retry: \d+\n", end), "the stream ends cleanly and says when to come back"
        for websocket, moment in zip(sockets, moments, strict=True):
            with pytest.raises(ConnectionClosed):
                await websocket.recv()
            assert websocket.close_code == CloseCode.RESTART
            assert time.monotonic() - began >= moment / 1000
    assert await asyncio.to_thread(process.wait) in (0, -signal.SIGTERM)
    assert time.monotonic() - began < 3 + 8


async def test_who_comes_while_it_drains_is_shown_out_too(serve: Serve, ada: Person) -> None:
    process = await asyncio.to_thread(lambda: serve(DRAIN_SECONDS="2"))
    url = process.url.replace("http", "ws") + "/ws"
    async with connect(url, additional_headers=bearer(ada), proxy=None) as first:
        assert (await receive(first))["type"] == "welcome"
        process.process.send_signal(signal.SIGTERM)
        assert (await receive(first))["type"] == "drain"
        async with connect(url, additional_headers=bearer(ada), proxy=None) as second:
            assert (await receive(second))["type"] == "welcome"
            assert (await receive(second))["type"] == "drain"
            await second.send(json.dumps({"type": "ping", "ref": 1}))
            assert (await receive(second))["type"] == "pong"


async def test_what_is_on_its_way_to_n8n_is_not_cut(serve: Serve, ada: Person, n8n: ScriptedN8n) -> None:
    from starlette.responses import JSONResponse, Response

    from tests.scripted_n8n import Received

    go_on = asyncio.Event()

    async def script(received: Received) -> Response:
        await go_on.wait()
        return JSONResponse({"Key": "b/a.png", "Id": "1"})

    n8n.script = script
    process = await asyncio.to_thread(serve)
    async with httpx.AsyncClient(base_url=process.url, verify=False) as http:
        answer = await http.post("/api/ai-generate", json=BODY, headers=bearer(ada))
        request_id = answer.json()["requestId"]
        await n8n.until_received(request_id)
        process.process.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.3)  # the stopping has begun; the answer comes only now
        go_on.set()
    assert await asyncio.to_thread(process.wait) in (0, -signal.SIGTERM)
    again = await asyncio.to_thread(serve)
    async with httpx.AsyncClient(base_url=again.url, verify=False) as http:
        body = (await http.get(f"/api/ai-status/{request_id}", headers=bearer(ada))).json()
    assert body["status"] == "completed"
    assert n8n.times(request_id) == 1


@pytest.mark.parametrize("backend", ["postgres"], indirect=True)
async def test_processes_that_were_replaced_drain_and_count_like_the_first(serve: Serve, ada: Person) -> None:
    """SIGHUP replaces every server process, one after the other."""
    process = await asyncio.to_thread(lambda: serve("--workers", "2", DRAIN_SECONDS="1"))
    url = process.url.replace("http", "ws") + "/ws"

    async def connected() -> ClientConnection:
        websocket = await connect(url, additional_headers=bearer(ada), proxy=None)
        assert (await receive(websocket))["type"] == "welcome"
        return websocket

    async def told_to_leave(websocket: ClientConnection) -> None:
        async with asyncio.timeout(60):  # its process goes once another one serves
            assert json.loads(await websocket.recv())["type"] == "drain"
        await websocket.wait_closed()
        assert websocket.close_code == CloseCode.RESTART

    async with httpx.AsyncClient(base_url=process.url, verify=False, timeout=20) as http:
        first = [await connected() for _ in range(6)]
        supervisor = psutil.Process(process.process.pid)
        before = {child.pid for child in supervisor.children()}
        process.process.send_signal(signal.SIGHUP)
        for websocket in first:
            await told_to_leave(websocket)

        async def both_are_replaced() -> bool:
            now = {child.pid for child in supervisor.children()}
            return len(now - before) == 2 and len(now) == len(before)

        await eventually(both_are_replaced, 60)

        async def nobody_is_counted() -> bool:
            lines = (await http.get("/metrics")).text.splitlines()
            return {"gateway_watchers 0.0", "gateway_draining 0.0"} <= set(lines)

        await eventually(nobody_is_counted, 30)
    second = [await connected() for _ in range(6)]
    process.process.send_signal(signal.SIGTERM)
    for websocket in second:
        await told_to_leave(websocket)


@pytest.mark.parametrize("backend", ["postgres"], indirect=True)
async def test_sigterm_ends_a_replacement_and_starts_nobody(serve: Serve, ada: Person) -> None:
    process = await asyncio.to_thread(lambda: serve("--workers", "2", DRAIN_SECONDS="5"))
    url = process.url.replace("http", "ws") + "/ws"
    sockets = [await connect(url, additional_headers=bearer(ada), proxy=None) for _ in range(12)]
    for websocket in sockets:
        assert (await receive(websocket))["type"] == "welcome"
    process.process.send_signal(signal.SIGHUP)
    told = [asyncio.create_task(receive(websocket)) for websocket in sockets]
    await asyncio.wait(told, return_when=asyncio.FIRST_COMPLETED)  # the first of the old ones leaves
    process.process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(process.wait) in (0, -signal.SIGTERM)
    assert {(await one)["type"] for one in told} == {"drain"}
    assert "worker_not_replaced" not in process.output(), "one was begun for an old one that was to stop anyway"


@pytest.mark.parametrize("backend", ["postgres"], indirect=True)
async def test_several_workers_drain_like_one(serve: Serve, ada: Person) -> None:
    process = await asyncio.to_thread(lambda: serve("--workers", "2", DRAIN_SECONDS="2"))
    url = process.url.replace("http", "ws") + "/ws"
    sockets = [await connect(url, additional_headers=bearer(ada), proxy=None) for _ in range(12)]
    for websocket in sockets:
        assert (await receive(websocket))["type"] == "welcome"
    process.process.send_signal(signal.SIGTERM)
    moments = []
    for websocket in sockets:
        message = await receive(websocket)
        assert message["type"] == "drain"
        moments.append(message["reconnectInMs"])
    assert len(set(moments)) > 6
    for websocket in sockets:
        with pytest.raises(ConnectionClosed):
            await websocket.recv()
        assert websocket.close_code == CloseCode.RESTART
    assert await asyncio.to_thread(process.wait) == 0
