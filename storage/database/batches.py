"""Work that arrives together and is done together."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from storage.database import timeouts
from storage.errors import DatabaseUnavailable

MOST = 100
"""Most items of one batch: a transaction that is longer makes those behind it wait."""

I = TypeVar("I")  # noqa: E741
R = TypeVar("R")


class Batches(Generic[I, R]):
    """Does items together that arrive while others are being done; whoever comes alone waits for nobody.

    Args:
        run: does the items and returns a result for each, in their order. It must not wait for anything but the
            database, as those who come meanwhile wait for it.
    """

    def __init__(self, run: Callable[[Sequence[I]], Awaitable[Sequence[R]]]) -> None:
        self._run = run
        self._waiting: list[tuple[I, asyncio.Future[R]]] = []
        self._running: asyncio.Task[None] | None = None

    async def add(self, item: I) -> R:
        """The result of `item`. A caller who goes away does not take it back.

        Raises:
            DatabaseUnavailable: too many wait, or the database went away; whether it was done may be unknown.
        """
        if len(self._waiting) >= timeouts.MAX_WAITING:
            raise DatabaseUnavailable(f"more than {timeouts.MAX_WAITING} operations wait for the database")
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._running is None:
            self._running = asyncio.create_task(self._run_all())
        return await future

    async def _run_all(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
                timer = loop.call_later(timeouts.ACQUIRE_SECONDS, self._refuse, "the database did not answer in time")
                try:
                    results = await self._run([item for item, _ in batch])
                except Exception as error:  # noqa: BLE001 - each caller gets it
                    _fail(batch, error)
                    if isinstance(error, DatabaseUnavailable):
                        self._refuse(str(error))
                else:
                    for (_, future), result in zip(batch, results, strict=True):
                        if not future.done():
                            future.set_result(result)
                finally:
                    timer.cancel()
        finally:
            self._running = None

    def _refuse(self, reason: str) -> None:
        """Let nobody wait in vain behind a batch that does not end."""
        waiting, self._waiting = self._waiting, []
        _fail(waiting, DatabaseUnavailable(reason))


def _fail(batch: Sequence[tuple[object, "asyncio.Future[R]"]], error: Exception) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(error)
