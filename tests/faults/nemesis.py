"""The nemesis: one fault at a time, then everything is healed again."""

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable

import redis.asyncio

from tests.faults.stand import Stand
from tests.faults.watching import Client

HELD_SECONDS = 4.0
"""How long a fault lasts."""

Fault = Callable[[Stand, list[Client]], Awaitable[None]]


async def nothing(stand: Stand, clients: list[Client]) -> None:
    """No fault: what the others are compared with."""
    await asyncio.sleep(HELD_SECONDS)


async def redis_killed(stand: Stand, clients: list[Client]) -> None:
    """Redis is killed and started anew."""
    stand.valkey.kill()
    await asyncio.sleep(HELD_SECONDS)
    await asyncio.to_thread(stand.valkey.start)


async def redis_frozen(stand: Stand, clients: list[Client]) -> None:
    """Redis hangs (SIGSTOP) with its connections open."""
    stand.valkey.freeze()
    await asyncio.sleep(HELD_SECONDS)
    stand.valkey.thaw()


async def redis_cuts_connections(stand: Stand, clients: list[Client]) -> None:
    """Redis throws out every client, again and again."""
    client = redis.asyncio.Redis.from_url(stand.valkey.url)
    for _ in range(int(HELD_SECONDS / 0.5)):
        for kind in ("pubsub", "normal"):
            with contextlib.suppress(redis.RedisError):
                await client.client_kill_filter(_type=kind, skipme=True)
        await asyncio.sleep(0.5)
    await client.aclose()


async def postgres_killed(stand: Stand, clients: list[Client]) -> None:
    """PostgreSQL is killed and recovers."""
    stand.postgres.kill()
    await asyncio.sleep(HELD_SECONDS)
    await asyncio.to_thread(stand.postgres.start)


async def gateway_killed(stand: Stand, clients: list[Client]) -> None:
    """A gateway process is killed (-9) and started anew."""
    stand.gateways[0].kill()
    await asyncio.sleep(HELD_SECONDS)
    await stand.start_gateway(0)


async def gateway_killed_before_publish(stand: Stand, clients: list[Client]) -> None:
    """A gateway process dies after a commit and before it could tell anyone."""
    (stand.folder / "die").touch()
    async with asyncio.timeout(20):
        while all(gateway.process.poll() is None for gateway in stand.gateways):
            await asyncio.sleep(0.05)
    for index, gateway in enumerate(stand.gateways):
        if gateway.process.poll() is not None:
            await stand.start_gateway(index)


async def gateway_frozen(stand: Stand, clients: list[Client]) -> None:
    """A gateway process hangs (SIGSTOP)."""
    process = stand.gateways[0].process
    process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(HELD_SECONDS)
    process.send_signal(signal.SIGCONT)


async def gateways_restarted_in_turn(stand: Stand, clients: list[Client]) -> None:
    """A rolling restart."""
    for index, gateway in enumerate(stand.gateways):
        await asyncio.to_thread(gateway.terminate)
        await stand.start_gateway(index)


async def clients_paused(stand: Stand, clients: list[Client]) -> None:
    """Clients stop reading for a while."""
    for client in clients:
        client.reading.clear()
    await asyncio.sleep(HELD_SECONDS)
    for client in clients:
        client.reading.set()


TO_THE_END_SECONDS = 12.0
"""Longer than any life on the stand, so that its last news falls into the fault."""


async def redis_killed_to_the_end(stand: Stand, clients: list[Client]) -> None:
    """Redis is away while every request comes to its end."""
    stand.valkey.kill()
    await asyncio.sleep(TO_THE_END_SECONDS)
    await asyncio.to_thread(stand.valkey.start)


async def bus_lossy_to_the_end(stand: Stand, clients: list[Client]) -> None:
    """The bus is lossy while every request comes to its end."""
    (stand.folder / "lossy").touch()
    await asyncio.sleep(TO_THE_END_SECONDS)
    (stand.folder / "lossy").unlink()


async def bus_lossy(stand: Stand, clients: list[Client]) -> None:
    """Bus messages are dropped, repeated and reordered."""
    (stand.folder / "lossy").touch()
    await asyncio.sleep(HELD_SECONDS)
    (stand.folder / "lossy").unlink()


FAULTS: tuple[Fault, ...] = (
    nothing,
    redis_killed,
    redis_frozen,
    redis_cuts_connections,
    postgres_killed,
    gateway_killed,
    gateway_killed_before_publish,
    gateway_frozen,
    gateways_restarted_in_turn,
    clients_paused,
    bus_lossy,
    redis_killed_to_the_end,
)
