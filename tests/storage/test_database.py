"""The traps of the database libraries. Each test fails on the naive code that stands in its docstring."""

import asyncio
import contextlib
import uuid
from pathlib import Path

import pytest

from storage import queries
from storage.database import base as database_module
from storage.database.base import Database, Transaction, open_database
from storage.database.postgres import translate
from storage.database.sqlite import path_of
from storage.errors import DatabaseBusy, DatabaseUnavailable
from tests.servers import Postgres

INSERT = "INSERT INTO organizations (id, name) VALUES (:id, :name)"


async def names(database: Database) -> set[str]:
    return {row["name"] for row in await database.all("SELECT name FROM organizations")}


async def insert(tx: Transaction, name: str) -> None:
    await tx.all(INSERT, id=str(uuid.uuid4()), name=name)


async def test_cancelled_units_of_work_leak_no_connection(database: Database) -> None:
    """Naive: ``async with db.transaction()`` in the request's own task; a pool of ten is dead after some cancels."""

    async def work(tx: Transaction) -> None:
        await insert(tx, "x")
        await tx.one(queries.PING)

    for round_number in range(60):
        tasks = [asyncio.create_task(database.transaction(work)) for _ in range(12)]
        for _ in range(round_number % 9):
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    async with asyncio.timeout(5):
        results = await asyncio.gather(*(database.one(queries.PING) for _ in range(30)))
    assert all(result is not None for result in results)


async def test_the_write_of_a_cancelled_caller_still_commits(database: Database) -> None:
    """Naive: the cancellation rolls back what the callback was promised."""
    inside, go_on = asyncio.Event(), asyncio.Event()

    async def work(tx: Transaction) -> None:
        await insert(tx, "kept")
        inside.set()
        await go_on.wait()

    task = asyncio.create_task(database.transaction(work))
    await inside.wait()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    go_on.set()
    async with asyncio.timeout(5):
        while "kept" not in await names(database):
            await asyncio.sleep(0.01)


async def test_nothing_escapes_a_transaction(database: Database) -> None:
    """Naive: inside ``db.transaction()``, ``asyncio.wait_for(db.execute(…), 1)`` runs outside it and survives."""

    async def work(tx: Transaction) -> None:
        async with asyncio.timeout(5):
            await insert(tx, "under a timeout")
        await asyncio.wait_for(insert(tx, "in a task of its own"), 5)
        raise ValueError("roll back")

    with pytest.raises(ValueError, match="roll back"):
        await database.transaction(work)
    assert await names(database) == set()


async def test_a_reader_does_not_see_what_is_not_committed(database: Database) -> None:
    """Naive: one SQLite connection for everything."""
    inside, go_on = asyncio.Event(), asyncio.Event()

    async def work(tx: Transaction) -> None:
        await insert(tx, "later")
        inside.set()
        await go_on.wait()

    task = asyncio.create_task(database.transaction(work))
    await inside.wait()
    assert await names(database) == set()
    go_on.set()
    await task
    assert await names(database) == {"later"}


async def test_concurrent_read_then_write_transactions_all_succeed(database: Database) -> None:
    """Naive: deferred BEGIN on SQLite; of twenty such transactions nineteen end with "database is locked"."""

    async def work(tx: Transaction) -> None:
        await tx.lock("counter")
        row = await tx.one("SELECT count(*) AS total FROM organizations")
        assert row is not None
        await insert(tx, f"number {row['total']}")

    await asyncio.gather(*(database.transaction(work) for _ in range(20)))
    assert await names(database) == {f"number {number}" for number in range(20)}


async def test_waiting_for_a_connection_has_an_end(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Naive: `databases` waits for a connection for ever."""
    monkeypatch.setattr(database_module, "ACQUIRE_SECONDS", 0.1)
    go_on = asyncio.Event()

    async def work(tx: Transaction) -> None:
        await go_on.wait()

    holders = [asyncio.create_task(database.transaction(work)) for _ in range(64)]
    while not database._turns.locked():
        await asyncio.sleep(0)
    with pytest.raises(DatabaseUnavailable, match="no database connection"):
        await database.transaction(work)
    go_on.set()
    await asyncio.gather(*holders, return_exceptions=True)
    assert await database.one(queries.PING) is not None


async def test_waiters_are_bounded(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "MAX_WAITING", 3)
    go_on = asyncio.Event()

    async def work(tx: Transaction) -> None:
        await go_on.wait()

    tasks = [asyncio.create_task(database.transaction(work)) for _ in range(64 + 3)]
    while database._waiting < 3:
        await asyncio.sleep(0)
    with pytest.raises(DatabaseUnavailable, match="wait for the database"):
        await database.one(queries.PING)
    go_on.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert await database.one(queries.PING) is not None


# -- PostgreSQL alone -------------------------------------------------------------------------------------------------


async def test_a_backend_that_dies_in_a_transaction_poisons_nothing(postgres: Postgres) -> None:
    """Naive: with `databases` every later query of that task raises InterfaceError, and its connection is lost."""
    async with open_database(postgres.url("migrated") + "?max_size=1") as database:

        async def work(tx: Transaction) -> None:
            row = await tx.one("SELECT pg_backend_pid() AS pid")
            assert row is not None
            await asyncio.to_thread(postgres.execute, f"SELECT pg_terminate_backend({row['pid']})")
            await tx.one(queries.PING)

        for _ in range(3):
            with pytest.raises(DatabaseUnavailable):
                await database.transaction(work)
            assert await database.one(queries.PING) is not None


def test_a_cast_is_not_taken_for_a_parameter() -> None:
    assert translate("SELECT '{}'::jsonb, :one, :two, :one") == ("SELECT '{}'::jsonb, $1, $2, $1", ("one", "two"))


async def test_a_lost_server_is_found_again(tmp_path: Path) -> None:
    with Postgres() as server:
        async with open_database(server.url()) as database:
            assert await database.one(queries.PING) is not None
            server.kill()
            with pytest.raises(DatabaseUnavailable):
                await database.one(queries.PING)
            server.start()
            async with asyncio.timeout(10):
                while True:
                    with contextlib.suppress(DatabaseUnavailable):
                        await database.one(queries.PING)
                        break
                    await asyncio.sleep(0.05)


# -- SQLite alone -----------------------------------------------------------------------------------------------------


async def test_pragmas_hold_on_every_connection(migrated_file: Path, tmp_path: Path) -> None:
    """Naive: `databases` opens a new SQLite connection for every query, without foreign keys."""
    path = tmp_path / "a.sqlite3"
    path.write_bytes(migrated_file.read_bytes())
    async with open_database(f"sqlite:///{path}") as database:
        row = await database.transaction(lambda tx: tx.one("SELECT foreign_keys FROM pragma_foreign_keys"))
        assert row is not None
        assert row["foreign_keys"] == 1
        for unit in (database.one, lambda sql: database.transaction(lambda tx: tx.one(sql))):
            row = await unit("SELECT timeout FROM pragma_busy_timeout")
            assert row is not None
            assert row["timeout"] == 5000


async def test_a_second_process_on_the_same_file_is_refused(migrated_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite3"
    path.write_bytes(migrated_file.read_bytes())
    async with open_database(f"sqlite:///{path}"):
        with pytest.raises(DatabaseBusy, match="Another gateway process already serves"):
            async with open_database(f"sqlite:///{path}"):
                pass
    async with open_database(f"sqlite:///{path}") as database:
        assert await database.one(queries.PING) is not None


@pytest.mark.parametrize(
    ("url", "path"),
    [("sqlite:///a/b.sqlite3", "a/b.sqlite3"), ("sqlite:////a/b.sqlite3", "/a/b.sqlite3"), ("sqlite:///a%20b", "a b")],
)
def test_the_file_of_a_url(url: str, path: str) -> None:
    assert str(path_of(url)) == path
