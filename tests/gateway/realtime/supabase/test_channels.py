"""Heartbeats, leaving, joining again, and channels beside each other, over the real server."""

from tests.channels import Message, binding, channel_client
from tests.gateway.realtime.supabase.speaking import complete, once, progress, started
from tests.people import Person
from tests.running import RunningGateway


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
