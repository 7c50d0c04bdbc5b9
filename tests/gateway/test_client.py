"""The Python client: it goes on through everything that passes, and stops at what does not."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from gateway import client as client_module
from gateway.client import GatewayClient, GatewayError, GenerationFailed
from gateway.realtime.close_codes import CloseCode
from gateway.server.listener import bind
from gateway.settings import Settings
from tests.conftest import People, Person
from tests.running import RunningGateway, eventually, running_gateway, serving
from tests.scripted_n8n import ERROR_IN_WORKFLOW, Received, ScriptedN8n

BODY = {"requestId": "r", "status": "processing", "version": 1, "errorCode": None, "errorMessage": None}
DONE = BODY | {"status": "completed", "version": 5}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "LONGEST_PAUSE", 0.05)


async def watched(statuses: list[Response], sockets: list[Callable[[WebSocket], object]]) -> list[int]:
    """The versions that a client sees of a gateway that answers so, one after another."""

    async def status(request: Request) -> Response:
        return statuses.pop(0) if len(statuses) > 1 else statuses[0]

    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        behave = sockets.pop(0) if len(sockets) > 1 else sockets[0]
        result = behave(websocket)
        if result is not None:
            await result  # type: ignore[misc]

    app = Starlette(routes=[Route("/api/ai-status/{id}", status), WebSocketRoute("/ws", socket)])
    listener = bind("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with (
        serving(app, uvicorn.Config(app, ws="websockets-sansio", log_config=None), listener),
        GatewayClient(url, "token") as client,
    ):
        return [body["version"] async for body in client.watch("r")]


async def unavailable(websocket: WebSocket) -> None:
    await websocket.send_text(json.dumps({"type": "welcome"}))
    await websocket.receive_text()
    await websocket.send_text(json.dumps({"type": "error", "code": "unavailable", "error": "Later."}))
    await websocket.receive()


def closing(code: int) -> Callable[[WebSocket], object]:
    return lambda websocket: websocket.close(code)


async def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # where nobody listens
    assert await watched([JSONResponse(DONE)], [closing(CloseCode.RESTART)]) == [5]


async def test_it_goes_on_through_what_passes() -> None:
    statuses: list[Response] = [
        PlainTextResponse("", 502),
        JSONResponse({"error": "x", "code": "unavailable"}, 503),
        JSONResponse(BODY),
        JSONResponse({"error": "x", "code": "too_many_connections"}, 429),
        JSONResponse(BODY | {"version": 3}),
        JSONResponse(BODY | {"version": 2}),
        JSONResponse(DONE),
    ]
    sockets = [unavailable, closing(CloseCode.RESTART), closing(CloseCode.OVERLOADED), closing(CloseCode.TOO_MANY)]
    assert await watched(statuses, [*sockets]) == [1, 3, 2, 5], "the last word counts: the database was set back"


@pytest.mark.parametrize("code", [CloseCode.BAD_FRAME, CloseCode.UNAUTHORIZED, CloseCode.FOREIGN_ORIGIN])
async def test_it_stops_at_what_does_not_pass(code: CloseCode) -> None:
    with pytest.raises(GatewayError) as refused:
        await watched([JSONResponse(DONE)], [closing(code)])
    assert refused.value.code == code.name.lower()


async def test_a_drain_is_honoured_without_a_pause() -> None:
    """It reads on until its moment, and is then elsewhere at once."""
    opened: list[float] = []
    loop = asyncio.get_running_loop()

    async def draining(websocket: WebSocket) -> None:
        opened.append(loop.time())
        await websocket.send_text(json.dumps({"type": "welcome"}))
        await websocket.receive_text()
        await websocket.send_text(json.dumps({"type": "drain", "reconnectInMs": 300}))
        await websocket.send_text(json.dumps({"type": "update", "request": BODY}))
        await websocket.receive()

    async def finishing(websocket: WebSocket) -> None:
        opened.append(loop.time())
        await websocket.send_text(json.dumps({"type": "welcome"}))
        await websocket.receive_text()
        await websocket.send_text(json.dumps({"type": "subscribed", "requests": [DONE], "missing": []}))

    assert await watched([JSONResponse({}, 500)], [draining, finishing]) == [1, 5]
    assert opened[1] - opened[0] > 0.25


async def test_a_token_is_refreshed_before_it_ends(gateway: RunningGateway, ada: Person, n8n: ScriptedN8n) -> None:
    lifetimes = [600, 600, 2, 600]
    asked: list[int] = []

    async def fresh() -> str:
        asked.append(lifetimes[min(len(asked), 3)])
        return gateway.token(ada.id, lifetime=asked[-1])

    async with GatewayClient(gateway.url, fresh) as client:
        request_id = await client.submit("Shoes", "Nike")
        received = await n8n.until_received(request_id)
        await gateway.until(ada.id, request_id, "processing")
        asked.append(0)
        async for body in client.watch(request_id):
            if body["status"] == "processing":
                task = asyncio.create_task(_complete_after(n8n, received, asked))
        await task
    assert len(asked) == 4, "one connection, and one refresh on it"


def _length_of(asked: list[int], least: int) -> Callable[[], Awaitable[bool]]:
    async def reached() -> bool:
        return len(asked) >= least

    return reached


async def _complete_after(n8n: ScriptedN8n, received: Received, asked: list[int]) -> None:
    await eventually(_length_of(asked, 4))
    await n8n.call_back(received, status="completed", Key="b/a.png", Id="1")


async def test_an_unknown_request_is_told(gateway: RunningGateway, ada: Person) -> None:
    async with GatewayClient(gateway.url, gateway.token(ada.id)) as client:
        with pytest.raises(GatewayError, match="Request not found"):
            async for _ in client.watch("3fa85f64-5717-4562-b3fc-2c963f66afa6"):
                pass


async def test_a_whole_life(gateway: RunningGateway, ada: Person, n8n: ScriptedN8n) -> None:
    async def fresh() -> str:
        return gateway.token(ada.id)

    async with GatewayClient(gateway.url, fresh) as client:
        request_id = await client.submit("Shoes", "Nike")
        received = await n8n.until_received(request_id)
        seen = []
        async for body in client.watch(request_id):
            seen.append((body["version"], body["status"]))
            if body["status"] == "processing":
                await n8n.call_back(received, status="completed", Key="b/a.png", Id="1")
        assert seen[-1][1] == "completed"
        assert seen == sorted(set(seen))


async def test_a_lost_answer_makes_no_second_request(
    gateway: RunningGateway, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with GatewayClient(gateway.url, gateway.token(ada.id)) as client:
        request, lost = client._http.request, [True]

        async def ask_and_lose(*arguments: object, **options: object) -> httpx.Response:
            answer = await request(*arguments, **options)  # type: ignore[arg-type]
            if lost.pop() if lost else False:
                raise httpx.ReadError("lost")
            return answer

        monkeypatch.setattr(client._http, "request", ask_and_lose)
        await client.submit("Shoes", "Nike")
    assert len(await gateway.state.database.all("SELECT id FROM ai_image_requests")) == 1


@pytest.mark.parametrize("end", ["completed", "failed"])
async def test_it_copes_with_the_synchronous_mode(
    settings: Settings, n8n: ScriptedN8n, users_table: str, end: str
) -> None:
    settings = settings.model_copy(update={"ai_generation_mode": "sync"})
    if end == "completed":
        n8n.answers(JSONResponse({"Key": "b/a.png", "Id": "1"}))
    else:
        n8n.answers(ERROR_IN_WORKFLOW)
    async with running_gateway(settings) as gateway:
        ada = await People(gateway.state.database, users_table).person()
        async with GatewayClient(gateway.url, gateway.token(ada.id)) as client:
            request_id = await client.submit("Shoes", "Nike")
            assert [body["status"] async for body in client.watch(request_id)] == [end]
        assert n8n.times(request_id) == 1


async def test_a_picture_in_one_call(gateway: RunningGateway, ada: Person, n8n: ScriptedN8n) -> None:
    async with GatewayClient(gateway.url, gateway.token(ada.id)) as client:
        n8n.answers(JSONResponse({"Key": "b/a.png", "Id": "1"}))
        body = await client.generate("Shoes", "Nike")
        assert (body["status"], body["storageKey"]) == ("completed", "b/a.png")
        assert await client.status(body["requestId"]) == body
        n8n.answers(ERROR_IN_WORKFLOW)
        with pytest.raises(GenerationFailed) as failed:
            await client.generate("Hats", "Nike")
        assert failed.value.body["product"] == "Hats"
        assert failed.value.code == failed.value.body["errorCode"]


async def test_requests_in_pages(gateway: RunningGateway, ada: Person, n8n: ScriptedN8n) -> None:
    n8n.answers(JSONResponse({"Key": "b/a.png", "Id": "1"}))
    async with GatewayClient(gateway.url, gateway.token(ada.id)) as client:
        ids = [(await client.generate(f"Shoe {number}", "Nike"))["requestId"] for number in range(3)]
        first = await client.list(limit=2)
        rest = await client.list(limit=2, cursor=first["nextCursor"])
        assert [body["requestId"] for body in first["requests"] + rest["requests"]] == ids[::-1]
        assert rest["nextCursor"] is None
        assert (await client.list(status="failed"))["requests"] == []
        with pytest.raises(GatewayError, match="limit"):
            await client.list(limit=1000)


@contextlib.asynccontextmanager
async def canceling(answers: list[Response]) -> AsyncIterator[tuple[GatewayClient, list[str]]]:
    """A client of a gateway that answers a cancellation so, one after another, and the paths that it asked."""
    asked: list[str] = []

    async def cancel(request: Request) -> Response:
        asked.append(f"{request.method} {request.scope['raw_path'].decode()} {request.headers['authorization']}")
        return answers.pop(0)

    app = Starlette(routes=[Route("/api/ai-requests/{id}/cancel", cancel, methods=["POST"])])
    listener = bind("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with serving(app, uvicorn.Config(app, log_config=None), listener), GatewayClient(url, "token") as client:
        yield client, asked


async def test_a_cancellation_is_repeated_until_it_is_answered() -> None:
    canceled = BODY | {"status": "failed", "errorCode": "canceled"}
    lost = JSONResponse({"error": "x", "code": "unavailable"}, 503)
    async with canceling([lost, JSONResponse(canceled)]) as (client, asked):
        assert await client.cancel("r") == canceled
    assert asked == ["POST /api/ai-requests/r/cancel Bearer token"] * 2


async def test_a_cancellation_that_comes_too_late_is_told() -> None:
    late = JSONResponse({"error": "The request has completed.", "code": "already_final"}, 409)
    async with canceling([late]) as (client, asked):
        with pytest.raises(GatewayError, match="has completed") as refused:
            await client.cancel("a b?c")
    assert (refused.value.status, refused.value.code) == (409, "already_final")
    assert asked == ["POST /api/ai-requests/a%20b%3Fc/cancel Bearer token"]


@contextlib.asynccontextmanager
async def picture_answers(answers: list[Response]) -> AsyncIterator[Callable[[], Awaitable[bytes]]]:
    """A download from a server that answers so, one after another."""

    async def picture(_: Request) -> Response:
        return answers.pop(0)

    app = Starlette(routes=[Route("/picture.png", picture)])
    listener = bind("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with serving(app, uvicorn.Config(app, log_config=None), listener), GatewayClient(url, "token") as client:
        yield lambda: client.download(f"{url}/picture.png")


async def test_a_picture_is_fetched_through_a_restart() -> None:
    async with picture_answers([PlainTextResponse("", 503), PlainTextResponse("", 502), Response(b"png")]) as download:
        assert await download() == b"png"


async def test_a_picture_that_is_gone_is_told_at_once() -> None:
    async with picture_answers([PlainTextResponse("", 404)]) as download:
        with pytest.raises(httpx.HTTPStatusError, match="404"):
            await download()


async def test_a_picture_whose_server_stays_away_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "DOWNLOAD_SECONDS", -1.0)
    async with picture_answers([PlainTextResponse("", 503)]) as download:
        with pytest.raises(httpx.HTTPStatusError, match="503"):
            await download()
