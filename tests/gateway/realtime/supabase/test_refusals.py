"""What is not offered is refused in Realtime's own form, so that clients do not come back for it."""

import json
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from gateway.realtime.close_codes import CloseCode
from tests.channels import binding, channel_client
from tests.gateway.realtime.supabase.speaking import UNKNOWN, closed, complete, once, started
from tests.people import Person
from tests.running import RunningGateway


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
async def test_a_binding_that_is_nested_too_deep_is_refused(
    gateway: RunningGateway, vsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Deeper, the frame is broken. Between the two, it could be decoded and not be encoded again."""
    answers: list[str] = []
    for depth in (2, *range(850, 1050, 2)):
        text = json.dumps({"config": {"postgres_changes": [binding() | {"x": "NESTED"}]}})
        payload = text.replace('"NESTED"', "[" * depth + "]" * depth)
        frame = f'["1","1","realtime:x","phx_join",{payload}]'
        if vsn != "2.0.0":
            frame = f'{{"topic":"realtime:x","event":"phx_join","payload":{payload},"ref":"1","join_ref":"1"}}'
        async with connect(
            f"{gateway.url}/realtime/v1/websocket?vsn={vsn}".replace("http", "ws"), proxy=None
        ) as socket:
            await socket.send(frame)
            try:
                answers.append("refused" if "InvalidJoinPayload" in str(await socket.recv()) else "granted")
            except ConnectionClosed as closed:
                answers.append(str(closed.rcvd.code if closed.rcvd else None))
    assert answers == sorted(answers, key=["granted", "refused", "4400"].index)
    assert {"granted", "refused", "4400"} == set(answers)
    assert "ws_failed" not in caplog.text


@once
@pytest.mark.parametrize("frame", ["", "x", "1", "[]", "[1,2,3,4,5,6]", "{}", '{"topic":1}', "[" * 5000, b"\x03"])
async def test_broken_frames_close_the_connection(gateway: RunningGateway, frame: str | bytes, vsn: str) -> None:
    async with channel_client(gateway.url, vsn) as client:
        await client.websocket.send(frame)
        assert await closed(client) == CloseCode.BAD_FRAME
