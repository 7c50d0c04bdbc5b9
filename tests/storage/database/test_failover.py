"""Failover: one address, behind which another server takes the writes from now on."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from storage import alerts, migrations, reads
from storage.database.base import Database
from storage.database.open import open_database
from storage.errors import DatabaseUnavailable
from storage.queries import reading
from tests.servers import Postgres, Standby

RECOVERY_SECONDS = 5.0
"""How soon writes go through after the promotion."""


class Address:
    """A port that leads to whichever server it is told; connections that are open stay where they are."""

    def __init__(self, target: Postgres) -> None:
        self.target = target
        self._peers: set[asyncio.StreamWriter] = set()
        self._copying: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "Address":
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for peer in self._peers:
            peer.close()
        await asyncio.gather(*self._copying, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self.target.port)
        self._peers |= {writer, server_writer}
        for source, sink in ((reader, server_writer), (server_reader, writer)):
            task = asyncio.create_task(_copy(source, sink))
            self._copying.add(task)
            task.add_done_callback(self._copying.discard)

    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/migrated"


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    sink.close()


@pytest.fixture
def primary() -> Iterator[Postgres]:
    with Postgres() as server:
        server.execute("CREATE DATABASE migrated")
        migrations.upgrade(server.url("migrated"))
        yield server


@pytest.fixture
def standby(primary: Postgres) -> Iterator[Standby]:
    with Standby(primary) as server:
        yield server


@pytest.fixture
async def address(primary: Postgres) -> AsyncIterator[Address]:
    async with Address(primary) as address:
        yield address


async def write(database: Database) -> None:
    """What `/readyz` and the heartbeat write."""
    await alerts.process_seen(database, "one", connections=0, bus_healthy=True)


async def all_connections(database: Database) -> None:
    """Let the pool have all of its connections."""
    await asyncio.gather(*(database.one("SELECT pg_sleep(0.1)") for _ in range(10)))


async def seconds_until_written(database: Database) -> float:
    begun = time.monotonic()
    while True:
        with contextlib.suppress(DatabaseUnavailable):
            await write(database)
            return time.monotonic() - begun
        assert time.monotonic() - begun < 60, "it never recovers"
        await asyncio.sleep(0.02)


async def test_a_promotion_behind_one_address(primary: Postgres, standby: Standby, address: Address) -> None:
    """Before: the pool kept its ten connections to the old server, 503 for every submission until a restart."""
    async with open_database(address.url()) as database:
        await all_connections(database)
        await write(database)
        await asyncio.to_thread(primary.fence)
        with pytest.raises(DatabaseUnavailable):
            await write(database)
        assert await database.one(reading.PING) is not None, "reads go on"
        await asyncio.to_thread(standby.promote)
        address.target = standby
        assert await seconds_until_written(database) < RECOVERY_SECONDS
        await all_connections(database)
        for _ in range(20):
            await write(database)
        rows = await asyncio.gather(*(database.all("SHOW port") for _ in range(20)))
        assert {row[0]["port"] for row in rows} == {str(standby.port)}, "no connection stays at the old server"


async def test_connections_found_in_recovery(standby: Standby, address: Address) -> None:
    """The address already leads to the standby, which is promoted a moment later."""
    address.target = standby
    async with open_database(address.url()) as database:
        with pytest.raises(DatabaseUnavailable):
            await write(database)
        await asyncio.to_thread(standby.promote)
        assert await seconds_until_written(database) < RECOVERY_SECONDS


@pytest.mark.slow
async def test_a_server_that_answers_no_more(primary: Postgres, standby: Standby, address: Address) -> None:
    """The old server hangs: each of the ten connections would cost somebody a statement's whole time limit."""
    async with open_database(address.url()) as database:
        await all_connections(database)
        await asyncio.to_thread(standby.promote)
        await asyncio.to_thread(primary.freeze)
        address.target = standby
        with pytest.raises(DatabaseUnavailable):
            await write(database)
        assert await seconds_until_written(database) < RECOVERY_SECONDS
        primary.thaw()


async def test_a_read_only_hour_of_the_same_server(primary: Postgres, address: Address) -> None:
    """Supabase's read-only mode: reads go on, writes pass, and connections are not replaced at every write."""
    async with open_database(address.url()) as database:
        await write(database)
        await asyncio.to_thread(primary.fence)
        generation = database._generation  # type: ignore[attr-defined]
        begun = time.monotonic()
        for _ in range(5):
            with pytest.raises(DatabaseUnavailable):
                await write(database)
            assert await database.one(reading.PING) is not None
        assert database._generation - generation <= 1 + (time.monotonic() - begun)  # type: ignore[attr-defined]
        await asyncio.to_thread(primary.execute, "ALTER SYSTEM RESET default_transaction_read_only")
        await asyncio.to_thread(primary.execute, "SELECT pg_reload_conf()")
        assert await seconds_until_written(database) < RECOVERY_SECONDS


async def test_a_server_that_takes_no_writes_says_nothing_for_certain(primary: Postgres) -> None:
    """Reads go on at one that was fenced or demoted, but another one may hold more by then."""
    request_id = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
    async with open_database(primary.url("migrated")) as database:
        assert await reads.read_for_certain(database, [request_id]) == {}
        await asyncio.to_thread(primary.fence)
        assert await reads.read_all(database, [request_id]) == {}
        with pytest.raises(DatabaseUnavailable):
            await reads.read_for_certain(database, [request_id])
