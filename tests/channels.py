"""A client of the channel protocol, in both serializers, that shows frames as they are on the wire."""

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from websockets.asyncio.client import ClientConnection, connect

API_KEY = "sb_publishable_of-the-tests"
PATH = "/realtime/v1/websocket"
SECONDS = 15.0


class Message(NamedTuple):
    """What the server has sent."""

    topic: str
    event: str
    payload: dict[str, Any]
    ref: str | None
    join_ref: str | None


def binding(event: str = "UPDATE", condition: str | None = None, **other: str) -> dict[str, Any]:
    """A `postgres_changes` binding as clients send it."""
    made = {"event": event, "schema": "public", "table": "ai_image_requests", **other}
    return made if condition is None else {**made, "filter": condition}


class ChannelClient:
    """One connection."""

    def __init__(self, websocket: ClientConnection, vsn: str) -> None:
        self.websocket = websocket
        self._vsn = vsn
        self._refs = itertools.count(1)
        self._join_refs: dict[str, str] = {}

    async def push(self, topic: str, event: str, payload: Any, join_ref: str | None = None) -> str:
        """Send a push and return its mark."""
        ref = str(next(self._refs))
        if event == "phx_join":
            self._join_refs[topic] = ref
        join_ref = join_ref or self._join_refs.get(topic)
        frame: Any = [join_ref, ref, topic, event, payload]
        if self._vsn == "1.0.0":
            frame = {"topic": topic, "event": event, "payload": payload, "ref": ref, "join_ref": join_ref}
        await self.websocket.send(json.dumps(frame))
        return ref

    async def receive(self, seconds: float | None = SECONDS) -> Message:
        """The next message, within so many seconds or whenever it comes; its form is checked."""
        async with asyncio.timeout(seconds):
            frame = json.loads(await self.websocket.recv())
        if self._vsn == "2.0.0":
            join_ref, ref, topic, event, payload = frame
        else:
            assert list(frame) in (["topic", "event", "payload", "ref"], ["topic", "event", "ref", "payload"])
            topic, event, payload, ref = (frame[name] for name in ("topic", "event", "payload", "ref"))
            join_ref = None
        assert isinstance(payload, dict), "clients stumble over a payload that is null"
        return Message(topic, event, payload, ref, join_ref)

    async def join(self, topic: str, bindings: list[dict[str, Any]], token: str | None = None) -> Message:
        """Join as supabase-js does, and return the answer."""
        config = {
            "broadcast": {"ack": False, "self": False},
            "presence": {"key": "", "enabled": False},
            "postgres_changes": bindings,
            "private": False,
        }
        payload: dict[str, Any] = {"config": config} | ({} if token is None else {"access_token": token})
        ref = await self.push(f"realtime:{topic}", "phx_join", payload)
        reply = await self.receive()
        assert (reply.topic, reply.event, reply.ref) == (f"realtime:{topic}", "phx_reply", ref)
        return reply

    async def joined(self, topic: str, bindings: list[dict[str, Any]], token: str | None = None) -> list[int]:
        """Join, see that the feed is live, and return the ids of the bindings."""
        reply = await self.join(topic, bindings, token)
        assert reply.payload["status"] == "ok", reply
        answered = reply.payload["response"]["postgres_changes"]
        system = await self.receive()
        assert (system.event, system.payload["message"]) == ("system", "Subscribed to PostgreSQL")
        return [bound["id"] for bound in answered]

    async def change(self) -> dict[str, Any]:
        """The next message, which must be a change."""
        message = await self.receive()
        assert message.event == "postgres_changes", message
        return message.payload

    async def silent(self) -> bool:
        """Whether nothing comes before the answer to a heartbeat, which is sent now."""
        ref = await self.push("phoenix", "heartbeat", {})
        message = await self.receive()
        return (message.topic, message.ref) == ("phoenix", ref)


@contextlib.asynccontextmanager
async def channel_client(
    url: str, vsn: str = "2.0.0", api_key: str = API_KEY, **options: Any
) -> AsyncIterator[ChannelClient]:
    """A connection to the gateway at `url`."""
    address = f"{url.replace('http', 'ws', 1)}{PATH}?apikey={api_key}&vsn={vsn}&log_level=info"
    async with connect(address, proxy=None, **options) as websocket:
        yield ChannelClient(websocket, vsn)
