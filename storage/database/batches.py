"""Work that arrives together and is done together."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Generic, TypeVar

from storage.database import timeouts
from storage.errors import DatabaseUnavailable

MOST = 100
"""Most items of one batch: a transaction that is longer makes those behind it wait."""

HALVED_FROM = 32
"""As many that wait make two batches, and more do: while the database is at the one, the other's are answered."""

SLOW_SECONDS = 0.05
"""A batch that takes longer for each of its items holds others up (a trigger of the app's, say): they go singly."""

MOST_SINGLE = 10
"""Most that go singly at the same time."""

I = TypeVar("I")  # noqa: E741
R = TypeVar("R")


class Batches(Generic[I, R]):
    """Does items together that arrive while others are being done; whoever comes alone waits for nobody.

    Args:
        run: does the items and returns a result for each, in their order. It must not wait for anything but the
            database, as those who come meanwhile wait for it.
        start: runs a batch in a task of its own, which nobody cancels.
    """

    def __init__(
        self,
        run: Callable[[Sequence[I]], Awaitable[Sequence[R]]],
        start: Callable[[Coroutine[Any, Any, None]], object] = asyncio.create_task,
    ) -> None:
        self._run = run
        self._start = start
        self._waiting: list[tuple[I, asyncio.Future[R]]] = []
        self._running = 0
        self._starting = 0
        """Those of them that have not taken their items yet."""
        self._slow = False

    async def add(self, item: I) -> R:
        """The result of `item`. A caller who goes away does not take it back.

        Raises:
            DatabaseUnavailable: too many wait, or the database went away; whether it was done may be unknown.
        """
        if len(self._waiting) >= timeouts.MAX_WAITING:
            raise DatabaseUnavailable(f"more than {timeouts.MAX_WAITING} operations wait for the database")
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        self._start_more()
        return await future

    def _start_more(self) -> bool:
        """Start as many batches as may run beside those that do; whether there are any."""
        before = self._starting
        while self._starting < len(self._waiting) and self._running < (MOST_SINGLE if self._slow else 1):
            self._running += 1
            self._starting += 1
            self._start(self._run_batch())
        return self._starting > before

    async def _run_batch(self) -> None:
        self._starting -= 1
        size = 1 if self._slow else min(MOST, max(HALVED_FROM, len(self._waiting)) // 2)
        batch, self._waiting = self._waiting[:size], self._waiting[size:]
        if not batch:  # others have taken them, as they were quicker than was thought
            self._running -= 1
            return
        loop = asyncio.get_running_loop()
        patience = loop.time() + SLOW_SECONDS * len(batch)
        timers = (
            loop.call_at(patience, self._go_singly),
            loop.call_later(timeouts.ACQUIRE_SECONDS, self._refuse, "the database did not answer in time"),
        )
        results: list[tuple[asyncio.Future[R], R]] = []
        failure: Exception | None = None
        try:
            done = await self._run([item for item, _ in batch])
            results = list(zip([future for _, future in batch], done, strict=True))
        except Exception as error:  # noqa: BLE001 - each caller gets it
            failure = error
            if isinstance(error, DatabaseUnavailable):
                self._refuse(str(error))
        finally:
            for timer in timers:
                timer.cancel()
            self._running -= 1
        self._slow = loop.time() > patience
        if self._start_more():
            await asyncio.sleep(0)  # it goes to the database first: that works while these are answered
        if failure is not None:
            _fail(batch, failure)
            return
        for future, result in results:
            if not future.done():
                future.set_result(result)

    def _go_singly(self) -> None:
        self._slow = True
        self._start_more()

    def _refuse(self, reason: str) -> None:
        """Let nobody wait in vain behind a batch that does not end."""
        waiting, self._waiting = self._waiting, []
        _fail(waiting, DatabaseUnavailable(reason))


def _fail(batch: Sequence[tuple[object, "asyncio.Future[R]"]], error: Exception) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(error)
