"""A rolling restart of two processes under thousands of clients: nothing is lost, and nobody comes back as one wave."""

import asyncio
import contextlib
import json
import random
import time
from dataclasses import dataclass, field

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from tests.faults.history import History
from tests.faults.stand import Stand, bearer, database, standing
from tests.faults.writing import Writer

DRAIN_SECONDS = 6
BUCKET_SECONDS = 0.5
SPIKE = 3.0
"""How many times the even share of reconnections one bucket may hold."""


@dataclass
class Crowd:
    """What the clients saw together."""

    newest: dict[tuple[int, str], int] = field(default_factory=dict)
    returns: list[float] = field(default_factory=list)
    fell: int = 0
    ready: int = 0


async def follow(number: int, user: str, stand: Stand, crowd: Crowd) -> None:
    """One client: watches everything of its user, and goes elsewhere when asked."""
    at = number % 2
    first = True
    while True:
        with contextlib.suppress(OSError, WebSocketException, TimeoutError):
            async with connect(
                stand.urls[at].replace("http", "ws") + "/ws",
                additional_headers=bearer(user),
                proxy=None,
                compression=None,
                open_timeout=10,
                close_timeout=1,
                ping_interval=None,
            ) as websocket:
                await websocket.send(json.dumps({"type": "subscribe", "scope": "mine"}))
                if first:
                    crowd.ready += 1
                else:
                    crowd.returns.append(time.monotonic())
                first = False
                async for text in websocket:
                    message = json.loads(text)
                    if message["type"] == "drain":
                        asyncio.get_running_loop().call_later(
                            message["reconnectInMs"] / 1000, websocket.transport.abort
                        )
                    bodies = message.get("requests", [message["request"]] if "request" in message else [])
                    for body in bodies:
                        key = (number, body["requestId"])
                        crowd.fell += body["version"] < crowd.newest.get(key, 0)
                        crowd.newest[key] = max(body["version"], crowd.newest.get(key, 0))
        at = 1 - at
        if not first:
            await asyncio.sleep(random.uniform(0, 0.2))


async def restart_in_turn(stand: Stand, crowd: Crowd) -> list[float]:
    """Restart both processes; for each, the largest bucket of reconnections as a multiple of the even share."""
    spikes = []
    for index in range(2):
        crowd.returns.clear()
        began = time.monotonic()
        await asyncio.to_thread(stand.gateways[index].terminate)
        await stand.start_gateway(index)
        buckets: dict[int, int] = {}
        for moment in crowd.returns:
            bucket = int((moment - began) / BUCKET_SECONDS)
            buckets[bucket] = buckets.get(bucket, 0) + 1
        even = len(crowd.returns) * BUCKET_SECONDS / DRAIN_SECONDS
        spikes.append(max(buckets.values()) / even if even else 0.0)
    return spikes


async def roll(clients: int) -> list[str]:
    """Run it; what was broken, in sentences."""
    async with standing(
        users=20,
        AI_DEADLINE_SECONDS="120",
        DRAIN_SECONDS=str(DRAIN_SECONDS),
        WS_CONNECTIONS_PER_USER="100000",
        WS_CONNECTIONS_PER_ADDRESS="100000",
    ) as stand:
        history, crowd = History(), Crowd()
        writer = Writer(stand, history)
        owners = [stand.users[number % len(stand.users)].id for number in range(clients)]
        tasks = [asyncio.create_task(follow(number, user, stand, crowd)) for number, user in enumerate(owners)]
        async with asyncio.timeout(120):
            while crowd.ready < clients:
                await asyncio.sleep(0.1)
        submitting = asyncio.create_task(_keep_submitting(stand, writer))
        spikes = await restart_in_turn(stand, crowd)
        submitting.cancel()
        await writer.finish()
        async with database(stand.postgres) as opened:
            rows = await opened.all("SELECT id, user_id, version, status FROM ai_image_requests")
        expected = {
            (number, str(row["id"])): row["version"]
            for number, user in enumerate(owners)
            for row in rows
            if str(row["user_id"]) == user
        }
        began = time.monotonic()
        while (behind := _behind(expected, crowd)) and time.monotonic() < began + 20:
            await asyncio.sleep(0.1)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    print(
        f"{clients} clients, {len(rows)} requests during two restarts: {behind} clients behind, {crowd.fell} versions "
        f"fell, busiest half second {max(spikes):.1f} times the even share"
    )
    lost = len(history.accepted.keys() - {str(row["id"]) for row in rows})
    unfinished = sum(row["status"] not in ("completed", "failed") for row in rows)
    broken = {
        "accepted requests lost": lost,
        "requests without an end": unfinished,
        "requests sent twice": sum(times > 1 for times in history.sent.values()),
        "clients behind": behind,
        "versions that fell": crowd.fell,
        "reconnect spikes": sum(spike > SPIKE for spike in spikes),
    }
    return [f"{count} {what}" for what, count in broken.items() if count]


async def _keep_submitting(stand: Stand, writer: Writer) -> None:
    while True:
        await writer.submit(random.choice(stand.users).id)
        await asyncio.sleep(0.5)


def _behind(expected: dict[tuple[int, str], int], crowd: Crowd) -> int:
    return len({number for (number, request), v in expected.items() if crowd.newest.get((number, request), 0) < v})
