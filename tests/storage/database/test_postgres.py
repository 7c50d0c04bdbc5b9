"""The traps of asyncpg and its pools. Each test fails on the naive code that stands in its docstring."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from storage.database.base import Transaction
from storage.database.open import open_database
from storage.errors import DatabaseUnavailable
from storage.queries import reading
from tests.servers import Postgres


async def test_a_backend_that_dies_in_a_transaction_poisons_nothing(postgres: Postgres) -> None:
    """Naive: with `databases` every later query of that task raises InterfaceError, and its connection is lost."""
    async with open_database(postgres.url("migrated") + "?max_size=1") as database:

        async def work(tx: Transaction) -> None:
            row = await tx.one("SELECT pg_backend_pid() AS pid")
            assert row is not None
            await asyncio.to_thread(postgres.execute, f"SELECT pg_terminate_backend({row['pid']})")
            await tx.one(reading.PING)

        for _ in range(3):
            with pytest.raises(DatabaseUnavailable):
                await database.transaction(work)
            assert await database.one(reading.PING) is not None


async def test_a_lost_server_is_found_again(tmp_path: Path) -> None:
    with Postgres() as server:
        async with open_database(server.url()) as database:
            assert await database.one(reading.PING) is not None
            server.kill()
            with pytest.raises(DatabaseUnavailable):
                await database.one(reading.PING)
            server.start()
            async with asyncio.timeout(10):
                while True:
                    with contextlib.suppress(DatabaseUnavailable):
                        await database.one(reading.PING)
                        break
                    await asyncio.sleep(0.05)


async def test_reads_that_were_cancelled_on_a_frozen_server_leave_nothing_behind() -> None:
    """Naive: connections whose cancellation nobody answers go back among the idle ones, and hold whoever takes them."""
    with Postgres() as server:
        async with open_database(server.url()) as database:
            await asyncio.gather(*(database.one(reading.PING) for _ in range(10)))
            server.freeze()
            tasks = [asyncio.create_task(database.one(reading.PING)) for _ in range(10)]
            while not database._turns.locked():
                await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert not database._turns.locked(), "who is cancelled waits for no server"
            server.thaw()
            async with asyncio.timeout(10):
                rows = await asyncio.gather(*(database.one(reading.PING) for _ in range(30)))
    assert all(row is not None for row in rows)
