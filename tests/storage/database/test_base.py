"""The traps of the database libraries. Each test fails on the naive code that stands in its docstring."""

import asyncio
import contextlib
import uuid
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from storage.database import timeouts
from storage.database.base import Database, Transaction
from storage.errors import DatabaseUnavailable
from storage.queries import reading

INSERT = "INSERT INTO organizations (id, name) VALUES (:id, :name)"


async def names(database: Database) -> set[str]:
    return {row["name"] for row in await database.all("SELECT name FROM organizations")}


async def insert(tx: Transaction, name: str) -> None:
    await tx.all(INSERT, id=str(uuid.uuid4()), name=name)


async def cancel_many(start: Callable[[], Coroutine[Any, Any, object]]) -> None:
    """Start twelve at a time, and cancel them after none to eight turns of the loop."""
    for round_number in range(60):
        tasks = [asyncio.create_task(start()) for _ in range(12)]
        for _ in range(round_number % 9):
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def expect_free_connections(database: Database) -> None:
    """Thirty reads at once are answered."""
    async with asyncio.timeout(5):
        results = await asyncio.gather(*(database.one(reading.PING) for _ in range(30)))
    assert all(result is not None for result in results)


async def test_cancelled_units_of_work_leak_no_connection(database: Database) -> None:
    """Naive: ``async with db.transaction()`` in the request's own task; a pool of ten is dead after some cancels."""

    async def work(tx: Transaction) -> None:
        await insert(tx, "x")
        await tx.one(reading.PING)

    await cancel_many(lambda: database.transaction(work))
    await expect_free_connections(database)


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
    monkeypatch.setattr(timeouts, "ACQUIRE_SECONDS", 0.1)
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
    assert await database.one(reading.PING) is not None


async def test_waiters_are_bounded(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeouts, "MAX_WAITING", 3)
    taken = 0
    while not database._turns.locked():
        await database._turns.acquire()
        taken += 1
    tasks = [asyncio.create_task(database.one(reading.PING)) for _ in range(3)]
    while database._turns.waiting() < 3:
        await asyncio.sleep(0)
    with pytest.raises(DatabaseUnavailable, match="wait for the database"):
        await database.one(reading.PING)
    for _ in range(taken):
        database._turns.release()
    assert all(row is not None for row in await asyncio.gather(*tasks))
    assert await database.one(reading.PING) is not None


async def test_cancelled_reads_leak_no_connection(database: Database) -> None:
    """A read runs in its caller's task: what is cancelled in the middle of one must not keep its turn or connection."""
    await cancel_many(lambda: database.one(reading.PING))
    await expect_free_connections(database)


async def test_many_sets_of_values_in_one_transaction(database: Database) -> None:
    async def work(tx: Transaction) -> list[str]:
        each = [{"id": str(uuid.uuid4()), "name": name} for name in ("a", "b", "a")]
        rows = await tx.many(f"{INSERT} RETURNING name", each)
        assert await tx.many(f"{INSERT} RETURNING name", []) == []
        return [row["name"] for row in rows]

    assert await database.transaction(work) == ["a", "b", "a"]
    assert await names(database) == {"a", "b"}


RENAMED = {
    "changed": "UPDATE organizations SET name = :new WHERE name = :old RETURNING id, name",
    "copy": "INSERT INTO organizations (id, name) SELECT :copy, name || '!' FROM changed",
}


async def test_a_chain_reads_what_its_steps_returned(database: Database) -> None:
    await database.all(INSERT, id=str(uuid.uuid4()), name="a")
    changed = await database.chain(RENAMED, old="a", new="b", copy=str(uuid.uuid4()))
    assert changed is not None
    assert changed["name"] == "b"
    assert await names(database) == {"b", "b!"}


async def test_a_chain_without_its_first_row_does_nothing(database: Database) -> None:
    assert await database.chain(RENAMED, old="a", new="b", copy=str(uuid.uuid4())) is None
    assert await names(database) == set()


async def test_a_chain_is_whole_or_nothing(database: Database) -> None:
    taken = str(uuid.uuid4())
    await database.all(INSERT, id=taken, name="a")
    with pytest.raises(Exception, match=r"(?i)unique"):
        await database.chain(RENAMED, old="a", new="b", copy=taken)
    assert await names(database) == {"a"}


async def test_a_lock_that_another_holds_is_not_free(database: Database, backend: str) -> None:
    held, go_on = asyncio.Event(), asyncio.Event()

    async def hold(tx: Transaction) -> None:
        await tx.lock("one")
        held.set()
        await go_on.wait()

    holder = asyncio.create_task(database.transaction(hold))
    await held.wait()
    if backend == "sqlite":  # whose only lock is the transaction itself
        go_on.set()
    free = await database.transaction(lambda tx: tx.lock_free(["one", "two"]))
    assert free == ({"one", "two"} if backend == "sqlite" else {"two"})
    go_on.set()
    await holder
