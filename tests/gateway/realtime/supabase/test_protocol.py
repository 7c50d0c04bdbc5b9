"""Supabase Realtime's channels over the real server, in both serializers."""

import asyncio
import contextlib
import json
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from gateway.realtime.close_codes import CloseCode
from gateway.realtime.supabase import session as session_module
from gateway.realtime.supabase.rows import COLUMNS
from gateway.settings import Settings
from tests.channels import API_KEY, PATH, ChannelClient, Message, binding, channel_client
from tests.conftest import People, Person
from tests.gateway.test_auth import cookie
from tests.running import SECONDS, RunningGateway, eventually, running_gateway

VSNS = ("1.0.0", "2.0.0")
UNKNOWN = "3fa85f64-5717-4562-b3fc-2c963f66afa6"

once = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


@pytest.fixture(params=VSNS)
def vsn(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def started(gateway: RunningGateway, person: Person) -> str:
    request_id = await gateway.submitted(person.id)
    await gateway.until(person.id, request_id, "processing")
    return request_id


async def progress(gateway: RunningGateway, request_id: str, percent: int) -> None:
    answer = await gateway.callback({"requestId": request_id, "status": "processing", "progress": percent})
    assert answer.status_code == 200


async def complete(gateway: RunningGateway, request_id: str) -> None:
    answer = await gateway.callback({"requestId": request_id, "status": "completed", "Key": "b/a b.png", "Id": "1"})
    assert answer.json() == {"success": True}


async def closed(client: ChannelClient) -> int | None:
    async with asyncio.timeout(SECONDS):
        with contextlib.suppress(ConnectionClosed):
            while True:
                await client.websocket.recv()
    return client.websocket.close_code


# -- a request's life -------------------------------------------------------------------------------------------------


async def test_the_documents_channel(gateway: RunningGateway, ada: Person, vsn: str) -> None:
    request_id = await started(gateway, ada)
    async with channel_client(gateway.url, vsn) as client:
        asked = binding("UPDATE", f"id=eq.{request_id}")
        reply = await client.join(f"ai-request-{request_id}", [asked], gateway.token(ada.id))
        (bound,) = reply.payload["response"]["postgres_changes"]
        assert reply.payload == {"status": "ok", "response": {"postgres_changes": [{**asked, "id": bound["id"]}]}}
        assert list(bound) == [*asked, "id"]
        assert bound["id"] > 0
        system = await client.receive()
        assert (system.event, system.ref) == ("system", None)
        assert system.payload == {
            "message": "Subscribed to PostgreSQL",
            "status": "ok",
            "extension": "postgres_changes",
            "channel": f"ai-request-{request_id}",
        }
        if vsn == "2.0.0":
            assert reply.join_ref == system.join_ref == "1"
        first = await client.change()
        assert (first["ids"], first["data"]["type"]) == ([bound["id"]], "UPDATE")
        assert first["data"]["record"]["status"] == "processing"
        await progress(gateway, request_id, 40)
        assert (await client.change())["data"]["record"]["progress"] == 40
        await complete(gateway, request_id)
        message = await client.receive()
        assert (message.ref, message.join_ref) == (None, None)
        assert message.payload["data"]["record"]["status"] == "completed"


async def test_a_record_is_the_row_and_the_body(gateway: RunningGateway, ada: Person) -> None:
    request_id = await started(gateway, ada)
    await complete(gateway, request_id)
    body = await gateway.body(ada.id, request_id)
    async with channel_client(gateway.url) as client:
        await client.joined("x", [binding("*", f"id=eq.{request_id}")], gateway.token(ada.id))
        data = (await client.change())["data"]
    record = data["record"]
    assert {name: record[name] for name in body} == body
    assert record.keys() == body.keys() | {name for name, _ in COLUMNS}
    assert (record["id"], record["user_id"], record["organization_id"]) == (request_id, ada.id, ada.organizations[0])
    assert (record["storage_key"], record["storage_id"]) == ("b/a b.png", "1")
    assert isinstance(record["request_metadata"], dict)
    assert record["created_at"].endswith("+00:00")
    assert body["publicUrl"].endswith("/b/a%20b.png")
    assert data["columns"] == [{"name": name, "type": type_} for name, type_ in COLUMNS]
    assert (data["schema"], data["table"], data["errors"]) == ("public", "ai_image_requests", None)
    assert data["old_record"] == {"id": request_id}
    assert data["commit_timestamp"] == body["updatedAt"]


@pytest.mark.parametrize("backend", ["postgres"], indirect=True)
async def test_the_rows_columns_are_as_postgresql_writes_them(gateway: RunningGateway, ada: Person) -> None:
    request_id = await started(gateway, ada)
    await gateway.callback({"requestId": request_id, "status": "failed", "error": "x" * 50})
    names = [name for name, _ in COLUMNS if name != "cost"]  # which the Body has as text
    rows = await gateway.state.database.all(
        "SELECT to_jsonb(r) AS row FROM ai_image_requests r WHERE id = :id", id=request_id
    )
    row = json.loads(rows[0]["row"])
    async with channel_client(gateway.url) as client:
        await client.joined("x", [binding("*", f"id=eq.{request_id}")], gateway.token(ada.id))
        record = (await client.change())["data"]["record"]
    assert {name: record[name] for name in names} == {name: row[name] for name in names}


async def test_events_go_to_the_bindings_that_ask_for_them(gateway: RunningGateway, ada: Person, vsn: str) -> None:
    mine = f"user_id=eq.{ada.id}"
    async with channel_client(gateway.url, vsn) as client:
        asked = [
            binding("INSERT", mine),
            binding("UPDATE", mine),
            binding("*"),
            binding("INSERT", f"user_id=eq.{ada.id}"),
        ]
        inserts, updates, everything, again = await client.joined("all", asked, gateway.token(ada.id))
        assert len({inserts, updates, everything, again}) == 4
        request_id = await started(gateway, ada)
        first = await client.change()
        assert (first["ids"], first["data"]["type"]) == ([inserts, everything, again], "INSERT")
        assert first["data"]["record"]["id"] == request_id
        assert "old_record" not in first["data"]
        seen = [first["data"]["record"]["version"]]
        if seen[0] > 1:  # n8n's answer was quicker: who asks for updates alone must not miss it
            assert (await client.change())["ids"] == [updates]
        await complete(gateway, request_id)
        while True:
            change = await client.change()
            assert (change["ids"], change["data"]["type"]) == ([updates, everything], "UPDATE")
            seen.append(change["data"]["record"]["version"])
            if change["data"]["record"]["status"] == "completed":
                break
        assert seen == sorted(set(seen))


@once
async def test_a_binding_of_inserts_alone_is_told_of_nothing_else(gateway: RunningGateway, ada: Person) -> None:
    before = await started(gateway, ada)
    async with channel_client(gateway.url) as client:
        await client.joined("new", [binding("INSERT")], gateway.token(ada.id))
        await progress(gateway, before, 10)
        assert await client.silent(), "what was there before the join is not new"
        request_id = await started(gateway, ada)
        assert (await client.change())["data"]["record"]["id"] == request_id
        await complete(gateway, request_id)
        assert await client.silent()


@once
async def test_a_new_request_whose_first_version_was_lost_is_still_inserted(
    settings: Settings, users_table: str
) -> None:
    async with running_gateway(settings.model_copy(update={"reconcile_seconds": 0.2})) as gateway:
        ada = await People(gateway.state.database, users_table).person()
        async with channel_client(gateway.url) as client:
            ids = await client.joined("new", [binding("INSERT"), binding("UPDATE")], gateway.token(ada.id))
            gateway.state.bus.publish = lambda update: None  # type: ignore[method-assign]
            request_id = await started(gateway, ada)
            inserted, updated = await client.change(), None
            if inserted["data"]["record"]["version"] > 1:
                updated = await client.change()
                assert updated["data"]["record"] == inserted["data"]["record"]
            assert (inserted["ids"], inserted["data"]["type"]) == ([ids[0]], "INSERT")
            assert inserted["data"]["record"]["id"] == request_id


async def test_the_snapshot_of_a_users_rows(gateway: RunningGateway, ada: Person, eve: Person) -> None:
    finished, running, foreign = [await started(gateway, person) for person in (ada, ada, eve)]
    await complete(gateway, finished)
    for asked in (binding("*", f"user_id=eq.{ada.id}"), binding("UPDATE")):
        async with channel_client(gateway.url) as client:
            await client.joined("mine", [asked], gateway.token(ada.id))
            changes = [await client.change() for _ in range(2)]
            assert [change["data"]["record"]["id"] for change in changes] == [finished, running]
            assert {change["data"]["type"] for change in changes} == {"UPDATE"}
            await progress(gateway, foreign, 50)
            assert await client.silent()


# -- channels ---------------------------------------------------------------------------------------------------------


@once
async def test_heartbeats_are_answered(gateway: RunningGateway, vsn: str) -> None:
    async with channel_client(gateway.url, vsn) as client:
        ref = await client.push("phoenix", "heartbeat", {})
        assert await client.receive() == Message("phoenix", "phx_reply", {"status": "ok", "response": {}}, ref, None)


@once
async def test_leaving(gateway: RunningGateway, ada: Person, vsn: str) -> None:
    request_id = await started(gateway, ada)
    async with channel_client(gateway.url, vsn) as client:
        await client.joined("x", [binding("*", f"id=eq.{request_id}")], gateway.token(ada.id))
        await client.change()
        ref = await client.push("realtime:x", "phx_leave", {})
        reply, close = await client.receive(), await client.receive()
        assert (reply.event, reply.ref, reply.payload["status"]) == ("phx_reply", ref, "ok")
        assert (close.event, close.ref, close.payload) == ("phx_close", "1", {})
        await complete(gateway, request_id)
        assert await client.silent()
        assert gateway.state.hub.subscribers == 0


@once
async def test_strict_mode_joins_leaves_and_joins(gateway: RunningGateway, ada: Person, vsn: str) -> None:
    """React mounts twice in development: the first channel's leave must not end the second one."""
    request_id = await started(gateway, ada)
    payload = {
        "config": {"postgres_changes": [binding("UPDATE", f"id=eq.{request_id}")]},
        "access_token": gateway.token(ada.id),
    }
    async with channel_client(gateway.url, vsn) as client:
        first = await client.push("realtime:x", "phx_join", payload)
        left = await client.push("realtime:x", "phx_leave", {})
        second = await client.push("realtime:x", "phx_join", payload)
        late = await client.push("realtime:x", "phx_leave", {}, join_ref=first)
        expected = {("phx_reply", left), ("phx_close", first), ("phx_reply", second), ("phx_reply", late)}
        seen: list[tuple[str, str | None]] = []
        while ("system", None) not in seen:
            message = await client.receive()
            seen.append((message.event, message.ref))
        assert set(seen) - {("system", None)} == expected
        assert (await client.change())["data"]["record"]["id"] == request_id
        await progress(gateway, request_id, 50)
        assert (await client.change())["data"]["record"]["progress"] == 50
        assert gateway.state.hub.subscribers == 1


@once
async def test_a_second_join_of_a_topic_replaces_the_first(gateway: RunningGateway, ada: Person) -> None:
    mine, other = await started(gateway, ada), await started(gateway, ada)
    async with channel_client(gateway.url) as client:
        await client.joined("x", [binding("*", f"id=eq.{mine}")], gateway.token(ada.id))
        await client.change()
        await client.joined("x", [binding("*", f"id=eq.{other}")], gateway.token(ada.id))
        assert (await client.change())["data"]["record"]["id"] == other
        await progress(gateway, mine, 50)
        await progress(gateway, other, 60)
        assert (await client.change())["data"]["record"]["id"] == other


@once
async def test_channels_of_one_connection_are_apart(gateway: RunningGateway, ada: Person, eve: Person) -> None:
    """Also when they are of two users: a connection has none."""
    hers, eves = await started(gateway, ada), await started(gateway, eve)
    async with channel_client(gateway.url) as client:
        (first,) = await client.joined("a", [binding("*", f"id=eq.{hers}")], gateway.token(ada.id))
        await client.change()
        (second,) = await client.joined("b", [binding("*", f"id=eq.{eves}")], gateway.token(eve.id))
        await client.change()
        assert first != second
        await complete(gateway, eves)
        message = await client.receive()
        assert (message.topic, message.payload["ids"]) == ("realtime:b", [second])
        await complete(gateway, hers)
        assert (await client.receive()).topic == "realtime:a"


# -- refusals ---------------------------------------------------------------------------------------------------------


@once
@pytest.mark.parametrize(
    ("asked", "word"),
    [
        (binding("UPDATE", table="assets"), "UPDATE"),
        (binding("UPDATE", schema="auth"), "public.ai_image_requests"),
        (binding("UPDATE", schema="*"), "public.ai_image_requests"),
        (binding("DELETE"), "event"),
        (binding("UPDATE", "status=eq.pending"), "filter"),
        (binding("UPDATE", "id=eq.nonsense"), "filter"),
        (binding("UPDATE", f"id=neq.{UNKNOWN}"), "filter"),
        (binding("UPDATE", f"id=in.({UNKNOWN})"), "filter"),
        (binding("UPDATE", f"id=eq.{UNKNOWN}"), "no such request of yours"),
        (binding("UPDATE", f"user_id=eq.{UNKNOWN}"), "another user's"),
    ],
)
async def test_what_is_not_offered_is_refused_for_ever(
    gateway: RunningGateway, ada: Person, asked: dict[str, Any], word: str, vsn: str
) -> None:
    async with channel_client(gateway.url, vsn) as client:
        reply = await client.join("x", [binding("UPDATE"), asked], gateway.token(ada.id))
        assert reply.payload["status"] == "error"
        assert word in reply.payload["response"]["reason"] or word == asked["event"]
        close = await client.receive()
        assert (close.event, close.ref) == ("phx_close", reply.ref), "which clients do not come back from"
        assert await client.silent()
        assert gateway.state.hub.subscribers == 0


async def test_a_foreign_row_is_as_unknown_as_none(gateway: RunningGateway, ada: Person, eve: Person) -> None:
    request_id = await started(gateway, ada)
    async with channel_client(gateway.url) as client:
        reasons = []
        for asked in (request_id, UNKNOWN):
            reply = await client.join("x", [binding("*", f"id=eq.{asked}")], gateway.token(eve.id))
            reasons.append(reply.payload)
            assert (await client.receive()).event == "phx_close"
        assert reasons[0] == reasons[1]
        await complete(gateway, request_id)
        assert await client.silent()


@once
async def test_broadcasts_and_presence_are_refused(gateway: RunningGateway, ada: Person) -> None:
    async with channel_client(gateway.url) as client:
        configs: tuple[dict[str, Any], ...] = (
            {"postgres_changes": []},
            {},
            {"postgres_changes": [binding()], "presence": {"key": "", "enabled": True}},
        )
        for config in configs:
            await client.push("realtime:x", "phx_join", {"config": config, "access_token": gateway.token(ada.id)})
            reply = await client.receive()
            assert reply.payload["status"] == "error"
            assert "broadcasts" in reply.payload["response"]["reason"]
            assert (await client.receive()).event == "phx_close"
        await client.joined("x", [binding("INSERT")], gateway.token(ada.id))
        for event in ("broadcast", "presence"):
            ref = await client.push("realtime:x", event, {"type": event, "event": "track", "payload": {}})
            reply = await client.receive()
            assert (reply.ref, reply.payload["status"]) == (ref, "error")
        await client.push("realtime:nobody", "broadcast", {})
        assert (await client.receive()).payload["response"] == {"reason": "unmatched topic"}


@once
@pytest.mark.parametrize("payload", [{"config": 1}, [], None, {"config": {"postgres_changes": [1]}}])
async def test_a_join_that_is_none_is_refused(gateway: RunningGateway, payload: Any, vsn: str) -> None:
    async with channel_client(gateway.url, vsn) as client:
        await client.push("realtime:x", "phx_join", payload)
        assert (await client.receive()).payload["status"] == "error"
        assert (await client.receive()).event == "phx_close"
        assert await client.silent()


@once
@pytest.mark.parametrize("frame", ["", "x", "1", "[]", "[1,2,3,4,5,6]", "{}", '{"topic":1}', "[" * 5000, b"\x03"])
async def test_broken_frames_close_the_connection(gateway: RunningGateway, frame: str | bytes, vsn: str) -> None:
    async with channel_client(gateway.url, vsn) as client:
        await client.websocket.send(frame)
        assert await closed(client) == CloseCode.BAD_FRAME


# -- who is it --------------------------------------------------------------------------------------------------------


@once
@pytest.mark.parametrize("api_key_as_token", [False, True])
async def test_a_join_without_a_token_is_asked_to_come_again_twice(
    gateway: RunningGateway, ada: Person, api_key_as_token: bool
) -> None:
    token = API_KEY if api_key_as_token else None
    request_id = await started(gateway, ada)
    asked = [binding("*", f"id=eq.{request_id}")]
    async with channel_client(gateway.url) as client:
        for _ in range(2):
            reply = await client.join("x", asked, token)
            assert reply.payload["status"] == "ok"
            error = await client.receive()
            assert (error.event, error.ref) == ("phx_error", reply.ref)
        for _ in range(2):
            reply = await client.join("x", asked, token)
            assert reply.payload["status"] == "error"
            assert "sign in" in reply.payload["response"]["reason"]
        assert await client.silent()
        await client.joined("x", asked, gateway.token(ada.id))
        assert (await client.change())["data"]["record"]["id"] == request_id


@once
async def test_a_token_that_follows_the_join_opens_the_channel(gateway: RunningGateway, ada: Person, vsn: str) -> None:
    request_id = await started(gateway, ada)
    async with channel_client(gateway.url, vsn) as client:
        reply = await client.join("x", [binding("*", f"id=eq.{request_id}")])
        assert reply.payload["status"] == "ok"
        await client.push("realtime:x", "access_token", {"access_token": gateway.token(ada.id)})
        assert (await client.receive()).event == "system"
        assert (await client.change())["data"]["record"]["id"] == request_id
        await progress(gateway, request_id, 50)
        assert (await client.change())["data"]["record"]["progress"] == 50


async def test_the_session_cookie_stands_in_for_a_missing_token(gateway: RunningGateway, ada: Person) -> None:
    request_id = await started(gateway, ada)
    headers = {"Cookie": cookie(gateway.token(ada.id))}
    asked = [binding("*", f"id=eq.{request_id}")]
    async with channel_client(gateway.url, additional_headers=headers, origin=gateway.url) as client:
        await client.joined("x", asked)
        await client.change()
        bad = await client.join("y", asked, "nonsense")
        assert bad.payload["status"] == "error", "a bad token never falls back to the cookie"
        await client.push("realtime:x", "access_token", {"access_token": API_KEY})
        again = await client.join("z", asked)
        assert (again.payload["status"], (await client.receive()).event) == ("ok", "phx_error"), "signed out is out"


@once
@pytest.mark.parametrize("lifetime", [-100, None])
async def test_a_bad_token_may_be_asked_with_again(gateway: RunningGateway, ada: Person, lifetime: int | None) -> None:
    token = "x.y.z" if lifetime is None else gateway.token(ada.id, lifetime=lifetime)
    async with channel_client(gateway.url) as client:
        reply = await client.join("x", [binding()], token)
        assert reply.payload["status"] == "error"
        assert reply.payload["response"]["reason"].startswith("InvalidJWTToken:")
        assert await client.silent(), "no phx_close: the client asks again, ever more slowly, with a fresh token"


@once
async def test_older_clients_are_told_to_come_again(gateway: RunningGateway) -> None:
    """Some that retry a refused join by themselves would leave the channel for ever (2.45)."""
    async with channel_client(gateway.url, "1.0.0") as client:
        reply = await client.join("x", [binding()], "x.y.z")
        error = await client.receive()
        assert (reply.payload["status"], error.event, error.ref) == ("error", "phx_error", reply.ref)


@once
async def test_a_channel_ends_with_its_token_unless_a_fresh_one_comes(
    gateway: RunningGateway, ada: Person, vsn: str
) -> None:
    request_id = await started(gateway, ada)
    async with channel_client(gateway.url, vsn) as client:
        for topic in ("a", "b"):
            await client.joined(topic, [binding("*", f"id=eq.{request_id}")], gateway.token(ada.id, lifetime=2))
            await client.change()
        await client.push("realtime:a", "access_token", {"access_token": gateway.token(ada.id)})
        system, error = await client.receive(), await client.receive()
        assert {system.topic, error.topic} == {"realtime:b"}
        assert (system.event, system.payload["status"], system.payload["channel"]) == ("system", "error", "b")
        assert error.event == "phx_error"
        await progress(gateway, request_id, 50)
        assert (await client.receive()).topic == "realtime:a"
        assert await client.silent()


@once
async def test_signing_out_silences_the_channel_and_signing_in_opens_it(gateway: RunningGateway, ada: Person) -> None:
    request_id = await started(gateway, ada)
    async with channel_client(gateway.url) as client:
        await client.joined("x", [binding("*", f"id=eq.{request_id}")], gateway.token(ada.id))
        await client.change()
        await client.push("realtime:x", "access_token", {"access_token": API_KEY})
        assert await client.silent()
        assert gateway.state.hub.subscribers == 0
        await progress(gateway, request_id, 50)
        assert await client.silent()
        await client.push("realtime:x", "access_token", {"access_token": gateway.token(ada.id)})
        assert (await client.receive()).event == "system"
        assert (await client.change())["data"]["record"]["progress"] == 50


@once
async def test_another_users_token_ends_the_channel(gateway: RunningGateway, ada: Person, eve: Person) -> None:
    request_id = await started(gateway, ada)
    async with channel_client(gateway.url) as client:
        await client.joined("x", [binding("*", f"id=eq.{request_id}")], gateway.token(ada.id))
        await client.change()
        await client.push("realtime:x", "access_token", {"access_token": gateway.token(eve.id)})
        assert [(await client.receive()).event for _ in range(2)] == ["system", "phx_error"]
        await complete(gateway, request_id)
        assert await client.silent()


# -- the connection ---------------------------------------------------------------------------------------------------


async def refused(url: str, **options: Any) -> tuple[int, dict[str, Any]]:
    with pytest.raises(InvalidStatus) as caught:
        await connect(url.replace("http", "ws", 1), proxy=None, **options)
    response = caught.value.response
    return response.status_code, json.loads(response.body or b"")


@once
async def test_upgrades_are_refused_before_they_are_answered(settings: Settings) -> None:
    """An opened connection makes clients forget how often they have tried."""
    async with running_gateway(settings.model_copy(update={"ws_connections_per_address": 1})) as gateway:
        url = gateway.url + PATH
        status, body = await refused(f"{url}?vsn=3.0.0")
        assert (status, body["code"]) == (400, "unsupported_vsn")
        status, body = await refused(url, origin="https://evil.example")
        assert (status, body["code"]) == (403, "foreign_origin")
        status, body = await refused(url, additional_headers={"Authorization": "Basic x"})
        assert (status, body["code"]) == (401, "unauthorized")
        async with channel_client(gateway.url):
            status, body = await refused(url)
            assert (status, body["code"]) == (429, "too_many_connections")
            assert gateway.state.limits.held == 1

        async def free() -> bool:
            return gateway.state.limits.held == 0

        await eventually(free)
    full = running_gateway(settings.model_copy(update={"ws_connections": 1}))
    async with full as gateway, channel_client(gateway.url):
        status, body = await refused(gateway.url + PATH)
        assert (status, body["code"]) == (503, "overloaded")


@once
async def test_a_users_connections_are_bounded_whatever_they_carry(settings: Settings, users_table: str) -> None:
    async with running_gateway(settings.model_copy(update={"ws_connections_per_user": 1})) as gateway:
        ada = await People(gateway.state.database, users_table).person()
        token = gateway.token(ada.id)
        async with channel_client(gateway.url) as client, channel_client(gateway.url) as other:
            await client.joined("a", [binding()], token)
            await client.joined("b", [binding()], token)
            reply = await other.join("a", [binding()], token)
            assert reply.payload["response"]["reason"].startswith("ConnectionRateLimitReached")
            for topic in "ab":
                await client.push(f"realtime:{topic}", "phx_leave", {})
                for _ in range(2):
                    await client.receive()
            await other.joined("a", [binding()], token)


@once
async def test_channels_and_bindings_are_bounded(
    settings: Settings, users_table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "MAX_CHANNELS", 2)
    async with running_gateway(settings.model_copy(update={"ws_subscriptions": 5})) as gateway:
        ada = await People(gateway.state.database, users_table).person()
        async with channel_client(gateway.url) as client:
            await client.joined("a", [binding()] * 3, gateway.token(ada.id))
            reply = await client.join("b", [binding()] * 3, gateway.token(ada.id))
            assert reply.payload["response"]["reason"].startswith("ChannelRateLimitReached")
            await client.joined("b", [binding()] * 2, gateway.token(ada.id))
            reply = await client.join("c", [binding()], gateway.token(ada.id))
            assert reply.payload["response"]["reason"].startswith("ChannelRateLimitReached")


@once
async def test_a_flood_is_closed(gateway: RunningGateway) -> None:
    async with channel_client(gateway.url) as client:
        for _ in range(gateway.settings.ws_frames_per_second + 20):
            await client.push("phoenix", "heartbeat", {})
        assert await closed(client) == CloseCode.TOO_MANY


@once
async def test_each_connection_is_closed_at_its_own_moment_before_a_restart(
    gateway: RunningGateway, ada: Person
) -> None:
    async with channel_client(gateway.url) as first, channel_client(gateway.url) as second:
        for client in (first, second):
            for topic in "ab":
                await client.joined(topic, [binding()], gateway.token(ada.id))
        gateway.state.hub.drain(1.0)
        loop = asyncio.get_running_loop()
        moments = []
        for ended in asyncio.as_completed([asyncio.ensure_future(closed(client)) for client in (first, second)]):
            assert await ended == CloseCode.RESTART
            moments.append(loop.time())
        assert moments[0] != moments[1]

    async def nobody() -> bool:
        return gateway.state.hub.subscribers == 0 and gateway.state.limits.held == 0

    await eventually(nobody)


@once
async def test_who_comes_while_the_database_is_away_is_asked_to_come_again(
    gateway: RunningGateway, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gateway.realtime.request_reader import RequestReader
    from storage.errors import DatabaseUnavailable

    async def unavailable(self: RequestReader, user_id: str) -> list[Any]:
        raise DatabaseUnavailable("away")

    async with channel_client(gateway.url) as client:
        with monkeypatch.context() as away:
            away.setattr(RequestReader, "recent", unavailable)
            reply = await client.join("x", [binding()], gateway.token(ada.id))
        assert (reply.payload["status"], gateway.state.hub.subscribers) == ("error", 0)
        assert await client.silent()
        await client.joined("x", [binding()], gateway.token(ada.id))


@once
async def test_deliveries_are_counted_and_receipts_are_kept(gateway: RunningGateway, ada: Person) -> None:
    request_id = await started(gateway, ada)
    async with channel_client(gateway.url) as client:
        await client.joined("x", [binding("*", f"id=eq.{request_id}")], gateway.token(ada.id))
        await client.change()
        await complete(gateway, request_id)
        await client.change()
        assert [transport for transport, _ in gateway.state.hub.receipts._pending.values()] == ["supabase"]
        assert 'gateway_deliveries_total{transport="supabase"}' in (await gateway.http.get("/metrics")).text
