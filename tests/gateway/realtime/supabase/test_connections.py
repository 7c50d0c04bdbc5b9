"""The connection under the channels: upgrades, limits, floods, restarts."""

import asyncio
import json
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from gateway.realtime.close_codes import CloseCode
from gateway.realtime.supabase import session as session_module
from gateway.realtime.supabase.session import MAX_CHANNELS
from gateway.settings import Settings
from tests.channels import PATH, ChannelClient, binding, channel_client
from tests.gateway.realtime.supabase.speaking import closed, complete, once, started
from tests.people import People, Person
from tests.running import RunningGateway, eventually, running_gateway


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
            assert gateway.state.limits.open == 1

        async def free() -> bool:
            return gateway.state.limits.open == 0

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


async def join_all(client: ChannelClient, token: str) -> None:
    """Join as many channels as a connection may have, one right after the other, as clients do once they are open."""
    config = {"config": {"postgres_changes": [binding()]}, "access_token": token}
    for number in range(MAX_CHANNELS):
        await client.push(f"realtime:{number}", "phx_join", config)
    live: set[str] = set()
    while len(live) < MAX_CHANNELS:
        message = await client.receive()
        assert message.event == "postgres_changes" or message.payload["status"] == "ok"
        if message.event == "system":
            live.add(message.topic)


@once
async def test_all_channels_of_a_client_may_join_and_renew_their_token_at_once(
    gateway: RunningGateway, ada: Person
) -> None:
    """Before: closed for the frames beyond a second's worth, at every reconnection anew."""
    for _ in range(2):
        async with channel_client(gateway.url) as client:
            await join_all(client, gateway.token(ada.id))
            fresh = gateway.token(ada.id)
            for number in range(MAX_CHANNELS):
                await client.push(f"realtime:{number}", "access_token", {"access_token": fresh})
            request_id = await started(gateway, ada)
            told: set[str] = set()
            while len(told) < MAX_CHANNELS:
                message = await client.receive()
                assert message.event == "postgres_changes"
                if message.payload["data"]["record"]["id"] == request_id:
                    told.add(message.topic)


@once
async def test_a_flood_is_closed(settings: Settings) -> None:
    slow = settings.model_copy(update={"ws_frames_per_second": 1})  # what is counted here is the burst
    async with running_gateway(slow) as gateway, channel_client(gateway.url) as client:
        for _ in range(3 * MAX_CHANNELS - 1):
            await client.push("phoenix", "heartbeat", {})
            await client.receive()
        assert await client.silent()
        for _ in range(100):
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
        return gateway.state.hub.subscribers == 0 and gateway.state.limits.open == 0

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
