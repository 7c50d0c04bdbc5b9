"""`/ws`: getting in, subscribing, being told, and being shown out."""

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from gateway.realtime import connection_limits
from gateway.realtime.close_codes import CloseCode
from gateway.realtime.frames import Opcode, close_frame
from gateway.realtime.update import Update
from gateway.settings import Settings
from storage import reads
from storage.lifecycle import Status
from tests.gateway.server.client_frames import client_frame
from tests.gateway.server.raw import peer
from tests.people import People, Person, parsing_only
from tests.running import SECONDS, RunningGateway, eventually, receive, running_gateway, send
from tests.session_cookies import cookie


async def closed(websocket: ClientConnection) -> int:
    """The code with which the server closes; what comes before it is passed over."""
    async with asyncio.timeout(SECONDS):
        with contextlib.suppress(ConnectionClosed):
            while True:
                await websocket.recv()
    assert websocket.close_code is not None
    return websocket.close_code


@contextlib.asynccontextmanager
async def limited(settings: Settings, users_table: str, **limits: Any) -> AsyncIterator[tuple[RunningGateway, Person]]:
    """A gateway with other limits, and a user of it."""
    async with running_gateway(settings.model_copy(update=limits)) as gateway:
        yield gateway, await People(gateway.state.database, users_table).person()


# -- getting in -------------------------------------------------------------------------------------------------------


async def test_welcome_by_header(gateway: RunningGateway, ada: Person) -> None:
    async with gateway.websocket(gateway.token(ada.id)) as websocket:
        welcome = await receive(websocket)
        assert set(welcome) == {"type", "connectionId", "pingIntervalMs", "expiresAt"}
        assert (welcome["type"], welcome["pingIntervalMs"]) == ("welcome", 20_000)
        assert str(uuid.UUID(welcome["connectionId"])) == welcome["connectionId"]


async def test_welcome_by_cookie(gateway: RunningGateway, ada: Person) -> None:
    url = gateway.url.replace("http", "ws") + "/ws"
    headers = {"Cookie": cookie(gateway.token(ada.id))}
    async with connect(url, additional_headers=headers, origin=gateway.url, proxy=None) as websocket:  # type: ignore[arg-type]
        assert (await receive(websocket))["type"] == "welcome"


async def test_welcome_by_first_frame(gateway: RunningGateway, ada: Person) -> None:
    async with gateway.websocket() as websocket:
        await send(websocket, type="auth", token=gateway.token(ada.id))
        answers = [await receive(websocket), await receive(websocket)]
        assert [answer["type"] for answer in answers] == ["authenticated", "welcome"]


async def test_a_cookie_without_an_origin_needs_a_token(gateway: RunningGateway, ada: Person) -> None:
    url = gateway.url.replace("http", "ws") + "/ws"
    async with connect(url, additional_headers={"Cookie": cookie(gateway.token(ada.id))}, proxy=None) as websocket:
        await send(websocket, type="auth", token=gateway.token(ada.id))
        assert (await receive(websocket))["type"] == "authenticated"


async def test_a_stale_cookie_does_not_shut_out_a_good_token(gateway: RunningGateway, ada: Person) -> None:
    """A browser sends it whether the page wants that or not."""
    url = gateway.url.replace("http", "ws") + "/ws"
    headers = {"Cookie": cookie(gateway.token(ada.id, lifetime=-100))}
    async with connect(url, additional_headers=headers, origin=gateway.url, proxy=None) as websocket:  # type: ignore[arg-type]
        await send(websocket, type="auth", token=gateway.token(ada.id))
        assert [(await receive(websocket))["type"] for _ in range(2)] == ["authenticated", "welcome"]
    async with connect(url, additional_headers=headers, origin=gateway.url, proxy=None) as websocket:  # type: ignore[arg-type]
        assert await closed(websocket) == CloseCode.UNAUTHORIZED


@parsing_only
@pytest.mark.parametrize("origin", ["https://evil.example", "null"])
@pytest.mark.parametrize("credential", ["header", "cookie", "none"])
async def test_a_foreign_origin_is_shown_out(
    gateway: RunningGateway, ada: Person, origin: str, credential: str
) -> None:
    token = gateway.token(ada.id)
    headers = {"header": {"Authorization": f"Bearer {token}"}, "cookie": {"Cookie": cookie(token)}, "none": {}}
    url = gateway.url.replace("http", "ws") + "/ws"
    async with connect(url, additional_headers=headers[credential], origin=origin, proxy=None) as websocket:  # type: ignore[arg-type]
        assert await closed(websocket) == CloseCode.FOREIGN_ORIGIN


async def test_a_bad_token_is_shown_out(gateway: RunningGateway, ada: Person) -> None:
    async with gateway.websocket("x.y.z") as websocket:
        assert await closed(websocket) == CloseCode.UNAUTHORIZED
    async with gateway.websocket() as websocket:
        await send(websocket, type="auth", token=gateway.token(ada.id, lifetime=-100))
        assert await closed(websocket) == CloseCode.UNAUTHORIZED
    async with gateway.websocket() as websocket:
        await send(websocket, type="subscribe", scope="mine")
        assert await closed(websocket) == CloseCode.UNAUTHORIZED


async def test_who_says_nothing_is_shown_out(settings: Settings, users_table: str) -> None:
    async with limited(settings, users_table, ws_auth_seconds=0.2) as (gateway, _), gateway.websocket() as websocket:
        assert await closed(websocket) == CloseCode.AUTH_TIMEOUT


# -- watching ---------------------------------------------------------------------------------------------------------


async def test_a_snapshot_and_then_updates(gateway: RunningGateway, ada: Person) -> None:
    request_id = await gateway.submitted(ada.id)
    await gateway.until(ada.id, request_id, "processing")
    async with gateway.watching(ada.id) as websocket:
        await send(websocket, type="subscribe", ref="a", requestIds=[request_id])
        snapshot = await receive(websocket)
        assert snapshot == {
            "type": "subscribed",
            "ref": "a",
            "requests": [await gateway.body(ada.id, request_id)],
            "missing": [],
        }
        await gateway.callback({"requestId": request_id, "status": "processing", "progress": 50})
        update = await receive(websocket)
        assert update == {"type": "update", "request": await gateway.body(ada.id, request_id)}
        await gateway.callback({"requestId": request_id, "status": "completed", "Key": "b/a.png", "Id": "1"})
        last = (await receive(websocket))["request"]
        assert (last["status"], last["version"]) == ("completed", update["request"]["version"] + 1)


async def test_a_subscription_anew_follows_a_database_that_was_set_back(gateway: RunningGateway, ada: Person) -> None:
    """Its snapshot, and then each update, whatever was sent of the request before."""
    request_id = await gateway.submitted(ada.id)
    await gateway.until(ada.id, request_id, "processing")
    async with gateway.watching(ada.id) as websocket:
        await send(websocket, type="subscribe", requestIds=[request_id])
        await receive(websocket)
        for progress in (10, 20, 30):
            await gateway.callback({"requestId": request_id, "status": "processing", "progress": progress})
            seen = (await receive(websocket))["request"]["version"]
        assert seen > 4
        await gateway.state.database.all(
            "UPDATE ai_image_requests SET version = 2, progress = 1 WHERE id = :id", id=request_id
        )
        await send(websocket, type="subscribe", requestIds=[request_id])
        assert [body["version"] for body in (await receive(websocket))["requests"]] == [2]
        for progress in (50, 60):
            await gateway.callback({"requestId": request_id, "status": "processing", "progress": progress})
        assert [(await receive(websocket))["request"]["version"] for _ in range(2)] == [3, 4]


async def test_what_is_not_yours_is_missing(gateway: RunningGateway, ada: Person, eve: Person) -> None:
    request_id, own = await gateway.submitted(ada.id), await gateway.submitted(eve.id)
    unknown = str(uuid.uuid4())
    async with gateway.watching(eve.id) as websocket:
        await send(websocket, type="subscribe", ref=1, requestIds=[request_id, unknown, "nonsense", own, own.upper()])
        snapshot = await receive(websocket)
        assert snapshot["missing"] == [request_id, unknown, "nonsense"]
        assert [body["requestId"] for body in snapshot["requests"]] == [own]
        await gateway.callback({"requestId": request_id, "status": "processing", "progress": 9})
        await gateway.until(eve.id, own, "processing")
        await gateway.callback({"requestId": own, "status": "processing", "progress": 77})
        while (message := await receive(websocket))["request"]["progress"] != 77:
            assert message["request"]["requestId"] == own
        assert message["request"]["requestId"] == own


async def test_the_scope_mine(gateway: RunningGateway, ada: Person, eve: Person) -> None:
    old, older = await gateway.submitted(ada.id), await gateway.submitted(ada.id)
    await gateway.callback({"requestId": older, "status": "failed", "error": "x"})
    await gateway.submitted(eve.id)
    await gateway.until(ada.id, old, "processing")
    async with gateway.watching(ada.id) as websocket:
        await send(websocket, type="subscribe", ref="m", scope="mine")
        snapshot = await receive(websocket)
        assert [body["requestId"] for body in snapshot["requests"]] == [old, older], "unfinished first"
        new = await gateway.submitted(ada.id)
        update = await receive(websocket)
        assert update["request"]["requestId"] == new


async def test_the_scope_all_is_for_admins(gateway: RunningGateway, ada: Person, eve: Person) -> None:
    async with gateway.watching(eve.id) as websocket:
        await send(websocket, type="subscribe", ref="a", scope="all")
        refusal = await receive(websocket)
        assert (refusal["type"], refusal["ref"], refusal["code"]) == ("error", "a", "forbidden")
    async with gateway.watching(eve.id, admin=True) as websocket:
        await send(websocket, type="subscribe", ref="a", scope="all")
        assert (await receive(websocket))["requests"] == []
        request_id = await gateway.submitted(ada.id)
        assert (await receive(websocket))["request"]["requestId"] == request_id
        await send(websocket, type="unsubscribe", ref="b", scope="all")
        while (await receive(websocket))["type"] != "unsubscribed":
            pass
        assert "all" not in gateway.state.hub._topics


async def test_unsubscribing_ends_the_updates(gateway: RunningGateway, ada: Person) -> None:
    first, second = await gateway.submitted(ada.id), await gateway.submitted(ada.id)
    for request_id in (first, second):
        await gateway.until(ada.id, request_id, "processing")
    async with gateway.watching(ada.id) as websocket:
        await send(websocket, type="subscribe", ref=1, requestIds=[first, second])
        await receive(websocket)
        await send(websocket, type="unsubscribe", ref=2, requestIds=[first])
        assert await receive(websocket) == {"type": "unsubscribed", "ref": 2}
        for request_id in (first, second):
            await gateway.callback({"requestId": request_id, "status": "processing", "progress": 60})
        assert (await receive(websocket))["request"]["requestId"] == second


async def test_ping(gateway: RunningGateway, ada: Person) -> None:
    async with gateway.watching(ada.id) as websocket:
        await send(websocket, type="ping", ref="p")
        assert await receive(websocket) == {"type": "pong", "ref": "p"}


async def test_nothing_is_left_behind(gateway: RunningGateway, ada: Person) -> None:
    async with gateway.watching(ada.id) as websocket:
        await send(websocket, type="subscribe", scope="mine")
        await receive(websocket)
        assert gateway.state.hub.subscribers == 1

    async def empty() -> bool:
        return gateway.state.hub.subscribers == 0 and not gateway.state.hub._topics

    await eventually(empty)


# -- tokens -----------------------------------------------------------------------------------------------------------


async def test_a_token_can_be_refreshed_by_the_same_user_only(
    gateway: RunningGateway, ada: Person, eve: Person
) -> None:
    async with gateway.watching(ada.id) as websocket:
        await send(websocket, type="auth", token=gateway.token(ada.id, lifetime=7200))
        assert (await receive(websocket))["type"] == "authenticated"
        await send(websocket, type="auth", token=gateway.token(eve.id))
        assert await closed(websocket) == CloseCode.UNAUTHORIZED


async def test_the_same_token_again_is_no_reason_to_warn_again(gateway: RunningGateway, ada: Person) -> None:
    """A client that answers every warning with what it has would otherwise be warned for ever."""
    token = gateway.token(ada.id, lifetime=50)
    async with gateway.websocket(token) as websocket:
        assert [(await receive(websocket))["type"] for _ in range(2)] == ["welcome", "expiring"]
        for _ in range(3):
            await send(websocket, type="auth", token=token)
            assert (await receive(websocket))["type"] == "authenticated"
        await send(websocket, type="ping", ref=1)
        assert (await receive(websocket))["type"] == "pong"
        await send(websocket, type="auth", token=gateway.token(ada.id, lifetime=55))
        assert [(await receive(websocket))["type"] for _ in range(2)] == ["authenticated", "expiring"]


async def test_a_token_that_ends_ends_the_connection(gateway: RunningGateway, ada: Person) -> None:
    async with gateway.watching(ada.id, lifetime=4) as websocket:
        assert (await receive(websocket))["type"] == "expiring"
        assert await closed(websocket) == CloseCode.UNAUTHORIZED


async def test_a_refresh_in_time_keeps_the_connection(gateway: RunningGateway, ada: Person) -> None:
    async with gateway.watching(ada.id, lifetime=3) as websocket:
        assert (await receive(websocket))["type"] == "expiring"
        await send(websocket, type="auth", token=gateway.token(ada.id))
        assert (await receive(websocket))["type"] == "authenticated"
        await asyncio.sleep(3.5)  # past the first token's end; nothing else tells that it has passed
        await send(websocket, type="ping", ref=1)
        assert (await receive(websocket))["type"] == "pong"


# -- hostile frames ---------------------------------------------------------------------------------------------------


@parsing_only
@pytest.mark.parametrize(
    "frame", [b"\x00binary", "not json", "[]", "7", '"x"', "{}", '{"type":7}', "", "[" * 9000, "[" * 16_000]
)
async def test_bad_frames_end_the_connection(gateway: RunningGateway, ada: Person, frame: str | bytes) -> None:
    async with gateway.watching(ada.id) as websocket:
        await websocket.send(frame)
        assert await closed(websocket) == CloseCode.BAD_FRAME


BAD_COMMANDS: list[tuple[dict[str, Any], str]] = [
    ({"type": "dance", "ref": "x"}, "unknown_type"),
    ({"type": "subscribe", "ref": "x"}, "invalid_command"),
    ({"type": "subscribe", "ref": "x", "requestIds": []}, "invalid_command"),
    ({"type": "subscribe", "ref": "x", "requestIds": ["a"] * 101}, "invalid_command"),
    ({"type": "subscribe", "ref": "x", "requestIds": [1]}, "invalid_command"),
    ({"type": "subscribe", "ref": "x", "requestIds": "a"}, "invalid_command"),
    ({"type": "subscribe", "ref": "x", "scope": "yours"}, "invalid_command"),
    ({"type": "subscribe", "ref": "x", "scope": "mine", "requestIds": ["a"]}, "invalid_command"),
    ({"type": "unsubscribe", "ref": "x"}, "invalid_command"),
    ({"type": "auth", "ref": "x"}, "invalid_command"),
]


@parsing_only
@pytest.mark.parametrize(("command", "code"), BAD_COMMANDS)
async def test_bad_commands_are_refused_and_the_connection_stays(
    gateway: RunningGateway, ada: Person, command: dict[str, Any], code: str
) -> None:
    async with gateway.watching(ada.id) as websocket:
        await websocket.send(json.dumps(command))
        refusal = await receive(websocket)
        assert (refusal["type"], refusal["ref"], refusal["code"]) == ("error", "x", code)
        assert refusal["error"].endswith(".")
        await send(websocket, type="ping", ref=1)
        assert (await receive(websocket))["type"] == "pong"


async def test_a_frame_has_a_bound(gateway: RunningGateway, ada: Person) -> None:
    def ping(size: int) -> str:
        return json.dumps({"type": "ping", "x": ""}).replace('""', '"' + "x" * (size - 25) + '"')

    assert len(ping(16 * 1024)) == 16 * 1024
    async with gateway.watching(ada.id) as websocket:
        await websocket.send(ping(16 * 1024))
        assert (await receive(websocket))["type"] == "pong"
        await websocket.send(ping(16 * 1024 + 1))
        assert await closed(websocket) == CloseCode.TOO_BIG


async def test_connections_of_a_user_are_bounded(settings: Settings, users_table: str) -> None:
    async with limited(settings, users_table, ws_connections_per_user=2) as (gateway, ada):
        eve = await People(gateway.state.database, users_table).person()
        async with (
            gateway.watching(ada.id),
            gateway.watching(ada.id),
            gateway.watching(eve.id),
            gateway.websocket(gateway.token(ada.id)) as third,
        ):
            assert await closed(third) == CloseCode.TOO_MANY
        async with gateway.watching(ada.id):
            pass


@pytest.mark.parametrize(
    ("limit", "code"),
    [("ws_connections_per_address", CloseCode.TOO_MANY), ("ws_connections", CloseCode.OVERLOADED)],
)
async def test_connections_of_an_address_and_in_total_are_bounded(
    settings: Settings, users_table: str, limit: str, code: CloseCode
) -> None:
    """They count before anyone has said who they are."""
    async with limited(settings, users_table, **{limit: 2}) as (gateway, ada):
        async with gateway.watching(ada.id), gateway.websocket(), gateway.websocket() as third:
            assert await closed(third) == code

        async def free() -> bool:
            return not gateway.state.limits.open

        await eventually(free)
        async with gateway.watching(ada.id):
            pass


async def test_the_refused_who_do_not_leave_are_few(
    settings: Settings, users_table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They count nowhere else, and each holds a socket for as long as it may answer."""
    monkeypatch.setattr(connection_limits, "MAX_REFUSED", 2)
    upgrade = (
        b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    told = close_frame(CloseCode.TOO_MANY, CloseCode.TOO_MANY.reason)
    async with (
        limited(settings, users_table, ws_connections_per_address=1) as (gateway, ada),
        contextlib.AsyncExitStack() as open_,
    ):
        await open_.enter_async_context(gateway.watching(ada.id))
        refused = [await open_.enter_async_context(peer(gateway.url)) for _ in range(3)]
        for one in refused[:2]:
            await one.say(upgrade)
            assert (await one.hear_until(told)).startswith(b"HTTP/1.1 101 ")
        await refused[2].say(upgrade)
        assert await refused[2].hear() == b""
        await refused[0].say(client_frame(Opcode.CLOSE, CloseCode.TOO_MANY.to_bytes(2)))
        await refused[0].hear()
        again = await open_.enter_async_context(peer(gateway.url))
        await again.say(upgrade)
        await again.hear_until(told)


async def test_the_size_of_a_frame_is_a_setting(settings: Settings, users_table: str) -> None:
    async with limited(settings, users_table, ws_frame_bytes=1024) as (gateway, ada), gateway.watching(ada.id) as ws:
        await ws.send(json.dumps({"type": "ping", "x": "y" * 900}))
        assert (await receive(ws))["type"] == "pong"
        await ws.send(json.dumps({"type": "ping", "x": "y" * 1100}))
        assert await closed(ws) == CloseCode.TOO_BIG


async def test_subscriptions_of_a_connection_are_bounded(settings: Settings, users_table: str) -> None:
    async with limited(settings, users_table, ws_subscriptions=2) as (gateway, ada), gateway.watching(ada.id) as ws:
        ids = [await gateway.submitted(ada.id) for _ in range(3)]
        await send(ws, type="subscribe", requestIds=ids[:2])
        assert len((await receive(ws))["requests"]) == 2
        await send(ws, type="subscribe", requestIds=ids[:1])
        while (await receive(ws))["type"] != "subscribed":
            pass
        await send(ws, type="subscribe", requestIds=ids[2:])
        assert await closed(ws) == CloseCode.TOO_MANY


async def test_frames_a_second_are_bounded(settings: Settings, users_table: str) -> None:
    async with limited(settings, users_table, ws_frames_per_second=5) as (gateway, ada), gateway.watching(ada.id) as ws:
        for number in range(5):
            await send(ws, type="ping", ref=number)
        for number in range(5):
            assert (await receive(ws))["ref"] == number
        for number in range(7):
            await send(ws, type="ping", ref=number)
        assert await closed(ws) == CloseCode.TOO_MANY


async def test_a_repeated_subscription_that_fails_takes_nothing_away(
    gateway: RunningGateway, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    from storage.errors import DatabaseUnavailable

    async def unavailable(*arguments: object) -> list[object]:
        raise DatabaseUnavailable("away")

    async with gateway.watching(ada.id) as websocket:
        await send(websocket, type="subscribe", scope="mine")
        assert (await receive(websocket))["type"] == "subscribed"
        monkeypatch.setattr(reads, "recent_of_users", unavailable)
        await send(websocket, type="subscribe", ref=2, scope="mine")
        refusal = await receive(websocket)
        assert (refusal["ref"], refusal["code"]) == (2, "unavailable")
        request_id = await gateway.submitted(ada.id)
        assert (await receive(websocket))["request"]["requestId"] == request_id


async def test_a_token_that_ends_ends_the_updates_too(gateway: RunningGateway, ada: Person) -> None:
    """There is always one more update to send, as in a busy scope; it closes all the same."""
    updates = 0

    async def never_cease() -> None:
        nonlocal updates
        while True:
            updates += 1
            gateway.state.hub.deliver(Update("a", ada.id, updates, Status.PROCESSING, msgspec.Raw(b"{}")))
            await asyncio.sleep(0.001)

    flood = asyncio.create_task(never_cease())
    try:
        async with gateway.watching(ada.id, lifetime=3) as websocket:  # long enough to subscribe on a busy machine
            await send(websocket, type="subscribe", scope="mine")
            assert await closed(websocket) == CloseCode.UNAUTHORIZED
    finally:
        flood.cancel()
    assert updates > 10
