"""One suite of scenarios over every transport: whoever watches sees versions that only rise, and the newest one."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from gateway import app
from gateway.settings import Settings
from storage.request import Body as RequestBody
from tests.channels import binding, channel_client
from tests.gateway.server.raw import peer
from tests.people import People, Person
from tests.running import SECONDS, RunningGateway, eventually, receive, running_gateway, send

Body = dict[str, Any]
Bodies = AsyncIterator[Body]
Watch = Callable[..., contextlib.AbstractAsyncContextManager[Bodies]]


class Missing(Exception):
    """The transport says that there is no such request."""


@contextlib.asynccontextmanager
async def by_websocket(gateway: RunningGateway, user_id: str, request_id: str, seen: int = 0) -> AsyncIterator[Bodies]:
    async def bodies() -> Bodies:
        for body in snapshot["requests"]:
            if body["version"] != seen:
                yield body
        while True:
            message = await receive(websocket)
            if message["type"] == "update":
                yield message["request"]

    async with gateway.watching(user_id) as websocket:
        await send(websocket, type="subscribe", requestIds=[request_id])
        snapshot = await receive(websocket)
        if snapshot["missing"]:
            raise Missing
        yield bodies()


@contextlib.asynccontextmanager
async def by_events(gateway: RunningGateway, user_id: str, request_id: str, seen: int = 0) -> AsyncIterator[Bodies]:
    headers = gateway.bearer(user_id) | ({"Last-Event-ID": str(seen)} if seen else {})

    async def bodies() -> Bodies:
        event: dict[str, str] = {}
        async for line in answer.aiter_lines():
            if line.startswith(":"):
                continue
            if line:
                name, _, value = line.partition(": ")
                event[name] = value
            elif "data" in event:
                body = json.loads(event["data"])
                assert (event["event"], int(event["id"])) == ("update", body["version"])
                event = {}
                yield body

    async with gateway.http.stream("GET", f"/api/ai-status/{request_id}/events", headers=headers) as answer:
        if answer.status_code == 404:
            raise Missing
        assert answer.status_code in (200, 204)
        yield bodies()


@contextlib.asynccontextmanager
async def by_long_poll(gateway: RunningGateway, user_id: str, request_id: str, seen: int = 0) -> AsyncIterator[Bodies]:
    async def ask(version: int) -> Body:
        answer = await gateway.http.get(
            f"/api/ai-status/{request_id}?wait=5&version={version}", headers=gateway.bearer(user_id)
        )
        if answer.status_code == 404:
            raise Missing
        return dict(answer.json())

    async def bodies() -> Bodies:
        version = seen
        while True:
            body = await ask(version)
            if body["version"] != version:
                version = body["version"]
                yield body
            if body["status"] in ("completed", "failed"):
                return

    await ask(0)
    yield bodies()


@contextlib.asynccontextmanager
async def by_supabase(gateway: RunningGateway, user_id: str, request_id: str, seen: int = 0) -> AsyncIterator[Bodies]:
    async def bodies() -> Bodies:
        while True:
            record = (await client.change())["data"]["record"]
            body = {name: record[name] for name in RequestBody.__struct_encode_fields__}
            if body["version"] != seen:
                yield body

    async with channel_client(gateway.url) as client:
        reply = await client.join("x", [binding("*", f"id=eq.{request_id}")], gateway.token(user_id))
        if reply.payload["status"] == "error":
            raise Missing
        assert (await client.receive()).event == "system"
        yield bodies()


@pytest.fixture(params=[by_websocket, by_supabase, by_events, by_long_poll])
def watch(request: pytest.FixtureRequest) -> Watch:
    transport: Watch = request.param
    return transport


async def until_final(bodies: Bodies) -> list[Body]:
    seen = []
    async with asyncio.timeout(SECONDS):
        async for body in bodies:
            seen.append(body)
            if body["status"] in ("completed", "failed"):
                break
    return seen


async def started(gateway: RunningGateway, ada: Person) -> str:
    request_id = await gateway.submitted(ada.id)
    await gateway.until(ada.id, request_id, "processing")
    return request_id


async def complete(gateway: RunningGateway, request_id: str) -> None:
    answer = await gateway.callback({"requestId": request_id, "status": "completed", "Key": "b/a.png", "Id": "1"})
    assert answer.json() == {"success": True}


async def test_a_whole_life(gateway: RunningGateway, ada: Person, watch: Watch) -> None:
    request_id = await started(gateway, ada)
    async with watch(gateway, ada.id, request_id) as bodies:
        first = await anext(bodies)
        assert first == await gateway.body(ada.id, request_id)
        for progress in (10, 30, 60, 90):
            await gateway.callback({"requestId": request_id, "status": "processing", "progress": progress})
        await complete(gateway, request_id)
        seen = [first, *await until_final(bodies)]
    versions = [body["version"] for body in seen]
    assert versions == sorted(set(versions))
    assert seen[-1] == await gateway.body(ada.id, request_id)


async def test_who_comes_late_sees_the_end(gateway: RunningGateway, ada: Person, watch: Watch) -> None:
    request_id = await started(gateway, ada)
    await complete(gateway, request_id)
    async with watch(gateway, ada.id, request_id) as bodies:
        assert [body["status"] for body in await until_final(bodies)] == ["completed"]


async def test_who_comes_back_sees_only_what_is_newer(gateway: RunningGateway, ada: Person, watch: Watch) -> None:
    request_id = await started(gateway, ada)
    seen = (await gateway.body(ada.id, request_id))["version"]
    async with watch(gateway, ada.id, request_id, seen=seen) as bodies:
        await gateway.callback({"requestId": request_id, "status": "processing", "progress": 50})
        assert (await anext(bodies))["version"] == seen + 1


async def test_what_is_not_yours_is_not_there(gateway: RunningGateway, ada: Person, eve: Person, watch: Watch) -> None:
    request_id = await started(gateway, ada)
    for asked in (request_id, "3fa85f64-5717-4562-b3fc-2c963f66afa6", "nonsense"):
        with pytest.raises(Missing):
            async with watch(gateway, eve.id, asked):
                pass


async def test_a_lost_hint_is_read_from_the_database(settings: Settings, users_table: str, watch: Watch) -> None:
    """The bus loses everything; the reconcile brings it."""
    async with running_gateway(settings.model_copy(update={"reconcile_seconds": 0.2})) as gateway:
        ada = await People(gateway.state.database, users_table).person()
        request_id = await started(gateway, ada)
        gateway.state.bus.publish = lambda update: None  # type: ignore[method-assign]
        async with watch(gateway, ada.id, request_id) as bodies:
            await anext(bodies)
            await complete(gateway, request_id)
            assert (await until_final(bodies))[-1]["status"] == "completed"


async def test_what_another_tool_changes_in_the_database_is_seen(
    settings: Settings, users_table: str, watch: Watch
) -> None:
    """An SQL editor knows nothing of versions."""
    async with running_gateway(settings.model_copy(update={"reconcile_seconds": 0.2})) as gateway:
        ada = await People(gateway.state.database, users_table).person()
        request_id = await started(gateway, ada)
        async with watch(gateway, ada.id, request_id) as bodies:
            before = await anext(bodies)
            await gateway.state.database.all(
                "UPDATE ai_image_requests SET status = 'failed', error_message = 'by hand' WHERE id = :id",
                id=request_id,
            )
            after = (await until_final(bodies))[-1]
        assert (after["status"], after["errorMessage"]) == ("failed", "by hand")
        assert after["version"] == before["version"] + 1
        assert after["updatedAt"] > before["updatedAt"]


async def test_hints_that_come_twice_and_backwards_are_dropped(
    gateway: RunningGateway, ada: Person, watch: Watch
) -> None:
    from gateway.realtime.update import Update
    from storage import reads

    request_id = await started(gateway, ada)
    old = await reads.read(gateway.state.database, request_id)
    assert old is not None
    async with watch(gateway, ada.id, request_id) as bodies:
        seen = [await anext(bodies)]
        for progress in (20, 40):
            await gateway.callback({"requestId": request_id, "status": "processing", "progress": progress})
            for _ in range(3):
                gateway.state.hub.deliver(Update.of(old, gateway.state.urls))
        await complete(gateway, request_id)
        gateway.state.hub.deliver(Update.of(old, gateway.state.urls))
        seen += await until_final(bodies)
    versions = [body["version"] for body in seen]
    assert versions == sorted(set(versions))


async def set_back(gateway: RunningGateway, request_id: str) -> None:
    """What a restore does to a request that has gone on since the backup."""
    (row,) = await gateway.state.database.all(
        "UPDATE ai_image_requests SET version = 2, progress = NULL, status = 'processing' WHERE id = :id "
        "RETURNING version",
        id=request_id,
    )
    assert row["version"] == 2


async def test_a_database_that_was_set_back_is_followed(settings: Settings, users_table: str, watch: Watch) -> None:
    """Whoever watches goes on with what the database has, and sees the end."""
    async with running_gateway(settings.model_copy(update={"reconcile_seconds": 0.2})) as gateway:
        ada = await People(gateway.state.database, users_table).person()
        request_id = await started(gateway, ada)
        for progress in (10, 20, 30, 40):
            await gateway.callback({"requestId": request_id, "status": "processing", "progress": progress})
        async with watch(gateway, ada.id, request_id) as bodies:
            before = await anext(bodies)
            assert before["version"] > 3
            await set_back(gateway, request_id)
            await complete(gateway, request_id)
            after = await until_final(bodies)
        assert after[-1] == await gateway.body(ada.id, request_id)
        versions = [body["version"] for body in after]
        assert versions == sorted(set(versions)), "from there on they rise"
        assert versions[-1] == 3


async def test_who_is_ahead_of_the_database_is_shown_the_row(
    gateway: RunningGateway, ada: Person, watch: Watch
) -> None:
    """A client that comes back with a version that the database never had, or has no more."""
    request_id = await started(gateway, ada)
    async with watch(gateway, ada.id, request_id, seen=99) as bodies:
        async with asyncio.timeout(SECONDS):
            assert await anext(bodies) == await gateway.body(ada.id, request_id)
        await complete(gateway, request_id)
        assert [body["status"] for body in await until_final(bodies)] == ["completed"]


async def test_nothing_is_left_behind(gateway: RunningGateway, ada: Person, watch: Watch) -> None:
    request_id = await started(gateway, ada)
    async with watch(gateway, ada.id, request_id) as bodies:
        await anext(bodies)
        await complete(gateway, request_id)
        await until_final(bodies)

    async def empty() -> bool:
        return not gateway.state.hub.subscribers and not gateway.state.limits.open

    await eventually(empty)


# -- the limits that the HTTP transports share with the WebSocket -----------------------------------------------------


@pytest.mark.parametrize("limit", ["ws_connections_per_user", "ws_connections_per_address", "ws_connections"])
async def test_open_connections_are_bounded(settings: Settings, users_table: str, limit: str) -> None:
    async with running_gateway(settings.model_copy(update={limit: 2})) as gateway:
        ada = await People(gateway.state.database, users_table).person()
        request_id = await started(gateway, ada)
        url, headers = f"/api/ai-status/{request_id}", gateway.bearer(ada.id)
        expected = (503, "overloaded") if limit == "ws_connections" else (429, "too_many_connections")
        async with (
            by_events(gateway, ada.id, request_id) as first,
            by_events(gateway, ada.id, request_id) as second,
        ):
            await anext(first)
            await anext(second)
            for asked in (f"{url}/events", f"{url}?wait=1&version=9"):
                answer = await gateway.http.get(asked, headers=headers)
                assert (answer.status_code, answer.json()["code"]) == expected
                assert answer.headers["Retry-After"] == "5"
            assert (await gateway.http.get(url, headers=headers)).status_code == 200, "a plain poll holds nothing"

        async def free() -> bool:
            return not gateway.state.limits.open

        await eventually(free)
        assert (await gateway.http.get(f"{url}?wait=1&version=1", headers=headers)).status_code == 200


# -- Server-Sent Events alone -----------------------------------------------------------------------------------------


async def test_a_stream_says_what_proxies_and_clients_need(gateway: RunningGateway, ada: Person) -> None:
    request_id = await started(gateway, ada)
    url = f"/api/ai-status/{request_id}/events"
    async with gateway.http.stream("GET", url, headers=gateway.bearer(ada.id)) as answer:
        assert answer.headers["Content-Type"] == "text/event-stream"
        assert answer.headers["X-Accel-Buffering"] == "no"
        lines = answer.aiter_lines()
        assert await anext(lines) == "retry: 2000"
    assert (await gateway.http.get(url)).status_code == 401


async def test_a_finished_request_resumed_at_its_end_is_204(gateway: RunningGateway, ada: Person) -> None:
    request_id = await started(gateway, ada)
    await complete(gateway, request_id)
    version = (await gateway.body(ada.id, request_id))["version"]
    headers = {**gateway.bearer(ada.id), "Last-Event-ID": str(version)}
    answer = await gateway.http.get(f"/api/ai-status/{request_id}/events", headers=headers)
    assert (answer.status_code, answer.content) == (204, b"")
    for other in (str(version - 1), "x", ""):
        headers["Last-Event-ID"] = other
        answer = await gateway.http.get(f"/api/ai-status/{request_id}/events", headers=headers)
        assert f"id: {version}\n" in answer.text


async def test_a_silent_stream_has_heartbeats(
    settings: Settings, users_table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "HEARTBEAT_SECONDS", 0.5)
    async with running_gateway(settings) as gateway:
        ada = await People(gateway.state.database, users_table).person()
        request_id = await started(gateway, ada)
        url = f"/api/ai-status/{request_id}/events"
        beats = 0
        async with asyncio.timeout(SECONDS), gateway.http.stream("GET", url, headers=gateway.bearer(ada.id)) as answer:
            async for line in answer.aiter_lines():
                beats += line == ":"
                if beats == 3:
                    break


async def test_a_stream_is_the_last_answer_of_its_connection(gateway: RunningGateway, ada: Person) -> None:
    """What comes behind its request is not answered; nor does it change anything."""
    request_id = await started(gateway, ada)
    lines = (
        f"GET /api/ai-status/{request_id}/events HTTP/1.1",
        "Host: x",
        f"Authorization: Bearer {gateway.token(ada.id)}",
    )
    request = "\r\n".join([*lines, "", ""]).encode()
    async with peer(gateway.url) as client:
        await client.say(request + request)
        head = await client.hear_until(b"event: update")
        assert b"connection: close\r\n" in head
        await client.say(request)
        await complete(gateway, request_id)
        rest = await client.hear_until(b"0\r\n\r\n")
    assert b'"status":"completed"' in rest
    assert (head + rest).count(b"HTTP/1.1 ") == 1

    async def left() -> bool:
        return gateway.state.hub.subscribers == 0 and not gateway.state.limits.open

    assert await eventually(left)


async def test_a_stream_ends_with_its_token(gateway: RunningGateway, ada: Person) -> None:
    request_id = await started(gateway, ada)
    headers = {"Authorization": f"Bearer {gateway.token(ada.id, lifetime=3)}"}
    url = f"/api/ai-status/{request_id}/events"
    async with asyncio.timeout(SECONDS), gateway.http.stream("GET", url, headers=headers) as answer:
        text = (await answer.aread()).decode()
    assert "event: update" in text


async def test_a_head_request_opens_no_stream(gateway: RunningGateway, ada: Person) -> None:
    request_id = await started(gateway, ada)
    answer = await gateway.http.head(f"/api/ai-status/{request_id}/events", headers=gateway.bearer(ada.id))
    assert (answer.status_code, answer.content) == (200, b"")
    assert gateway.state.hub.subscribers == 0
