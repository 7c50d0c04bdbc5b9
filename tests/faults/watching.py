"""Clients of every transport, which come back whatever happens and write down all that they see.

They keep no version and drop nothing: what is judged is what the gateway sends, not what a good client makes of it.
"""

import asyncio
import contextlib
import json
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from tests.channels import binding, channel_client
from tests.faults.history import History, Seen
from tests.faults.stand import Stand, bearer

LONGEST_PAUSE = 0.5


class Client:
    """One client of one user on one transport.

    Args:
        watched: the requests to watch; none for a client that watches everything of its user.
    """

    def __init__(
        self, name: str, user: str, transport: str, stand: Stand, history: History, watched: list[str]
    ) -> None:
        self.name = name
        self._user = user
        self._transport = transport
        self._stand = stand
        self._history = history
        self._watched = watched
        self._connection = 0
        self._versions: dict[str, int] = {}
        self.reading = asyncio.Event()
        self.reading.set()
        history.watching[name] = set()

    def expect(self, request_ids: list[str]) -> None:
        """These must be seen to their ends."""
        self._history.watching[self.name] |= set(request_ids)

    async def run(self) -> None:
        """Connect, read, and come back, until cancelled."""
        once: dict[str, Callable[[str], Awaitable[None]]] = {
            "websocket": self._websocket,
            "supabase": self._supabase,
            "events": self._events,
            "long poll": self._long_poll,
        }
        while True:
            self._connection += 1
            with contextlib.suppress(OSError, WebSocketException, httpx.HTTPError, EOFError, TimeoutError):
                await once[self._transport](self._stand.any_url())
            await asyncio.sleep(random.uniform(0, LONGEST_PAUSE))

    def _saw(self, body: dict[str, Any]) -> None:
        seen = Seen(
            self.name,
            self._user,
            self._transport,
            self._connection,
            body["requestId"],
            body["version"],
            body["status"],
            time.monotonic(),
        )
        self._versions[seen.request_id] = max(seen.version, self._versions.get(seen.request_id, 0))
        self._history.seen.append(seen)

    async def _websocket(self, url: str) -> None:
        async with connect(
            url.replace("http", "ws") + "/ws",
            additional_headers=bearer(self._user),
            proxy=None,
            open_timeout=3,
            close_timeout=0.2,
            ping_interval=2,
            ping_timeout=2,
        ) as websocket:
            asked: dict[str, Any] = {"requestIds": self._watched} if self._watched else {"scope": "mine"}
            await websocket.send(json.dumps({"type": "subscribe", **asked}))
            while True:
                await self.reading.wait()
                message = json.loads(await websocket.recv())
                for body in message.get("requests", []):
                    self._saw(body)
                if message["type"] == "update":
                    self._saw(message["request"])

    async def _supabase(self, url: str) -> None:
        options: dict[str, Any] = {"open_timeout": 3, "close_timeout": 0.2, "ping_interval": 2, "ping_timeout": 2}
        async with channel_client(url, **options) as client:
            config = {"postgres_changes": [binding("*", f"user_id=eq.{self._user}")]}
            token = bearer(self._user)["Authorization"].removeprefix("Bearer ")
            await client.push("realtime:mine", "phx_join", {"config": config, "access_token": token})
            while True:
                await self.reading.wait()
                message = await client.receive(None)
                if message.payload.get("status") == "error":
                    return  # come again
                if message.event == "postgres_changes":
                    self._saw(message.payload["data"]["record"])

    async def _events(self, url: str) -> None:
        (request_id,) = self._watched
        headers = bearer(self._user)
        if seen := self._versions.get(request_id):
            headers["Last-Event-ID"] = str(seen)
        timeout = httpx.Timeout(3, read=20)
        async with (
            httpx.AsyncClient(verify=False, timeout=timeout) as http,
            http.stream("GET", f"{url}/api/ai-status/{request_id}/events", headers=headers) as answer,
        ):
            if answer.status_code == 200:
                async for line in answer.aiter_lines():
                    await self.reading.wait()
                    if line.startswith("data: "):
                        self._saw(json.loads(line.removeprefix("data: ")))

    async def _long_poll(self, url: str) -> None:
        (request_id,) = self._watched
        query = {"wait": 3, "version": self._versions.get(request_id, 0)}
        async with httpx.AsyncClient(verify=False, timeout=8) as http:
            await self.reading.wait()
            answer = await http.get(f"{url}/api/ai-status/{request_id}", params=query, headers=bearer(self._user))
            if answer.status_code == 200:
                self._saw(answer.json())


def clients_for(stand: Stand, history: History, requests: dict[str, list[str]]) -> list[Client]:
    """Clients for every user's new requests, on every transport; and one that asks for what is not its own."""
    made = []
    everything = [request_id for ids in requests.values() for request_id in ids]
    for number, (user, ids) in enumerate(requests.items()):
        for copy in range(3):
            client = Client(f"ws-{number}-{copy}-{ids[0][:8]}", user, "websocket", stand, history, [])
            client.expect(ids)
            made.append(client)
        channel = Client(f"channel-{number}-{ids[0][:8]}", user, "supabase", stand, history, [])
        channel.expect(ids)
        made.append(channel)
        spy = Client(f"spy-{number}-{ids[0][:8]}", user, "websocket", stand, history, everything)
        spy.expect(ids)
        made.append(spy)
        for request_id in ids:
            for transport in ("events", "long poll"):
                client = Client(f"{transport}-{request_id[:8]}", user, transport, stand, history, [request_id])
                client.expect([request_id])
                made.append(client)
    return made
