"""What arrives together is done together, and nobody waits in vain."""

import asyncio
from collections.abc import Sequence

import pytest

from storage.database import batches as module
from storage.database import timeouts
from storage.database.batches import HALVED_FROM, MOST, MOST_SINGLE, Batches
from storage.errors import DatabaseUnavailable
from tests.running import SECONDS


class Doubling:
    """Doubles numbers, when it is let."""

    def __init__(self) -> None:
        self.done: list[list[int]] = []
        self.go_on = asyncio.Event()
        self.error: Exception | None = None
        self.batches = Batches(self.run)

    async def run(self, numbers: Sequence[int]) -> list[int]:
        self.done.append(list(numbers))
        await self.go_on.wait()
        if self.error is not None:
            raise self.error
        return [2 * number for number in numbers]

    async def begun(self, numbers: Sequence[int]) -> list["asyncio.Task[int]"]:
        tasks = [asyncio.create_task(self.batches.add(number)) for number in numbers]
        while not self.done:
            await asyncio.sleep(0)
        return tasks


async def test_what_comes_meanwhile_is_done_together() -> None:
    doubling = Doubling()
    tasks = await doubling.begun([1])
    tasks += [asyncio.create_task(doubling.batches.add(number)) for number in (2, 3)]
    await asyncio.sleep(0)
    doubling.go_on.set()
    assert await asyncio.gather(*tasks) == [2, 4, 6]
    assert doubling.done == [[1], [2, 3]]
    assert await doubling.batches.add(4) == 8


@pytest.mark.parametrize(
    ("together", "sizes"),
    [(HALVED_FROM // 2, [16]), (HALVED_FROM, [16, 16]), (HALVED_FROM + 8, [20, 16, 4]), (2 * MOST + 2, [100, 51])],
)
async def test_a_batch_is_bounded(together: int, sizes: list[int]) -> None:
    doubling = Doubling()
    doubling.go_on.set()
    numbers = list(range(together))
    assert await asyncio.gather(*map(doubling.batches.add, numbers)) == [2 * number for number in numbers]
    assert [len(batch) for batch in doubling.done][: len(sizes)] == sizes


async def test_the_next_batch_begins_before_the_last_one_is_answered() -> None:
    """So that the database works while the answers are made."""
    doubling = Doubling()
    happened: list[str] = []

    async def run(numbers: Sequence[int]) -> list[int]:
        happened.append(f"runs {[*numbers]}")
        return await doubling.run(numbers)

    async def add(number: int) -> None:
        await batches.add(number)
        happened.append(f"answered {number}")

    batches = Batches(run)
    tasks = [asyncio.create_task(add(1))]
    while not doubling.done:
        await asyncio.sleep(0)
    tasks.append(asyncio.create_task(add(2)))
    await asyncio.sleep(0)
    doubling.go_on.set()
    await asyncio.gather(*tasks)
    assert happened.index("runs [2]") < happened.index("answered 1")


async def test_behind_a_slow_one_the_others_go_singly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SLOW_SECONDS", 0.01)
    doubling = Doubling()
    tasks = await doubling.begun(range(2))
    tasks += [asyncio.create_task(doubling.batches.add(number)) for number in range(2, 40)]
    async with asyncio.timeout(SECONDS):
        while len(doubling.done) < MOST_SINGLE:
            await asyncio.sleep(0.01)
    assert doubling.done == [[0, 1], *([number] for number in range(2, 1 + MOST_SINGLE))]
    monkeypatch.setattr(module, "SLOW_SECONDS", 3600.0)
    doubling.go_on.set()
    assert await asyncio.gather(*tasks) == [2 * number for number in range(40)]
    sizes = [len(batch) for batch in doubling.done]
    assert max(sizes[MOST_SINGLE:]) > 1, "together again, once they are quick"
    assert min(sizes) == 1, "none is begun for nothing"
    assert sum(sizes) == 40


async def test_who_goes_away_takes_nothing_back() -> None:
    doubling = Doubling()
    gone, stays = await doubling.begun([1, 2])
    gone.cancel()
    doubling.go_on.set()
    assert await stays == 4
    assert doubling.done == [[1, 2]]
    assert gone.cancelled()


async def test_an_error_is_everyones_and_ends_with_its_batch() -> None:
    doubling = Doubling()
    doubling.go_on.set()
    doubling.error = ValueError("wrong")
    results = await asyncio.gather(*map(doubling.batches.add, [1, 2]), return_exceptions=True)
    assert [str(result) for result in results] == ["wrong", "wrong"]
    doubling.error = None
    assert await doubling.batches.add(3) == 6


async def test_when_the_database_is_away_whoever_waits_is_told() -> None:
    doubling = Doubling()
    tasks = await doubling.begun([1])
    tasks += [asyncio.create_task(doubling.batches.add(2))]
    await asyncio.sleep(0)
    doubling.error = DatabaseUnavailable("gone")
    doubling.go_on.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [DatabaseUnavailable, DatabaseUnavailable]
    assert doubling.done == [[1]]


async def test_waiting_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeouts, "ACQUIRE_SECONDS", 0.05)
    doubling = Doubling()
    (first,) = await doubling.begun([1])
    with pytest.raises(DatabaseUnavailable, match="in time"):
        await doubling.batches.add(2)
    doubling.go_on.set()
    assert await first == 2


async def test_waiters_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeouts, "MAX_WAITING", 1)
    doubling = Doubling()
    tasks = await doubling.begun([1])
    tasks += [asyncio.create_task(doubling.batches.add(2))]
    await asyncio.sleep(0)
    with pytest.raises(DatabaseUnavailable, match="more than 1"):
        await doubling.batches.add(3)
    doubling.go_on.set()
    assert await asyncio.gather(*tasks) == [2, 4]
