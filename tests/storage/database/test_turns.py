"""Who comes first at the database."""

import asyncio

import pytest

from storage import dispatch, probes, reads, transitions
from storage.database import timeouts
from storage.database.base import Database, Transaction
from storage.database.turns import Turns, reserved_of, urgent
from storage.errors import DatabaseUnavailable
from storage.queries import reading
from tests.storage.test_transitions import URLS


@urgent
async def urgently(turns: Turns) -> None:
    await turns.acquire()


async def test_some_turns_are_the_urgent_ones_alone() -> None:
    turns = Turns(3, reserved=1)
    await turns.acquire()
    await turns.acquire()
    assert turns.locked()
    await urgently(turns)
    turns.release()
    assert turns.locked(), "what has become free is the reserved one"
    turns.release()
    assert not turns.locked()


async def test_the_urgent_ones_come_first() -> None:
    turns, order = Turns(1, reserved=0), []

    async def take(name: str) -> None:
        await (urgently(turns) if name.startswith("urgent") else turns.acquire())
        order.append(name)
        turns.release()

    await turns.acquire()
    tasks = [asyncio.create_task(take(name)) for name in ("list", "snapshot", "urgent 1", "urgent 2")]
    while turns.waiting() < len(tasks):
        await asyncio.sleep(0)
    turns.release()
    await asyncio.gather(*tasks)
    assert order == ["urgent 1", "urgent 2", "list", "snapshot"]


async def test_a_waiter_that_leaves_takes_no_turn_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeouts, "ACQUIRE_SECONDS", 0.05)
    for steps in range(6):
        turns = Turns(1, reserved=0)
        await turns.acquire()
        waiters = [asyncio.create_task(turns.acquire()) for _ in range(3)]
        while turns.waiting() < len(waiters):
            await asyncio.sleep(0)
        waiters[0].cancel()
        turns.release()  # while the first one's cancellation is on its way
        for _ in range(steps):
            await asyncio.sleep(0)
        waiters[1].cancel()
        await asyncio.gather(*waiters, return_exceptions=True)
        held = sum(not waiter.cancelled() and waiter.exception() is None for waiter in waiters)
        for _ in range(held):
            turns.release()
        assert turns.waiting() == 0
        assert not turns.locked()
        await turns.acquire()
        assert turns.locked()


async def test_waiting_has_an_end_and_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeouts, "ACQUIRE_SECONDS", 0.05)
    monkeypatch.setattr(timeouts, "MAX_WAITING", 1)
    turns = Turns(1, reserved=0)
    await turns.acquire()
    waiter = asyncio.create_task(turns.acquire())
    while turns.waiting() < 1:
        await asyncio.sleep(0)
    with pytest.raises(DatabaseUnavailable, match="more than 1 operations"):
        await turns.acquire()
    with pytest.raises(DatabaseUnavailable, match="became free in time"):
        await urgently(turns)  # which have a bound of their own
    with pytest.raises(DatabaseUnavailable, match="became free in time"):
        await waiter


@pytest.mark.parametrize(("connections", "reserved"), [(1, 0), (2, 1), (3, 1), (10, 2), (64, 12)])
def test_how_many_are_reserved(connections: int, reserved: int) -> None:
    assert reserved_of(connections) == reserved


async def test_what_n8n_waits_for_passes_a_database_full_of_others(database: Database, backend: str) -> None:
    """Before: whoever read a list held the connection that a callback needed."""
    go_on, holding = asyncio.Event(), 0

    async def hold(tx: Transaction) -> None:
        nonlocal holding
        holding += 1
        await tx.one(reading.PING)
        await go_on.wait()

    if backend == "sqlite":  # one writes at a time: there the reserved turns are for reads
        while not database._turns.locked():
            await database._turns.acquire()
        holders = []
    else:
        holders = [asyncio.create_task(database.transaction(hold)) for _ in range(20)]
        while holding < 8:
            await asyncio.sleep(0.01)
    async with asyncio.timeout(4):
        assert await dispatch.claim(database, "lease", 1) == []
        assert await probes.claim_probes(database, 1) == []
        assert await reads.of_execution(database, "4711") is None
        unknown = "11111111-1111-4111-8111-111111111111"
        applied = await transitions.complete(
            database, unknown, transitions.Completion("b/a.png", "1"), URLS, actor="n8n"
        )
    assert applied.outcome is transitions.Outcome.UNKNOWN
    go_on.set()
    await asyncio.gather(*holders)
