"""Turns at the database: how many work with it at once, and who comes first.

What n8n reports and what is sent to it is urgent: a request that is under way has been paid for, and a callback that is
refused comes back. Submissions, snapshots and lists are shed first: whoever sent them may try again.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from storage.database import timeouts
from storage.errors import DatabaseUnavailable

P = ParamSpec("P")
T = TypeVar("T")

_urgent: ContextVar[bool] = ContextVar("urgent", default=False)


def urgent(operation: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Let whatever `operation` asks of the database come before what is not urgent."""

    @wraps(operation)
    async def first(*args: P.args, **kwargs: P.kwargs) -> T:
        token = _urgent.set(True)
        try:
            return await operation(*args, **kwargs)
        finally:
            _urgent.reset(token)

    return first


class Turns:
    """A bounded number of turns, some of which are the urgent ones' alone.

    Args:
        total: how many work at once.
        reserved: how many of these only urgent work may have.
    """

    def __init__(self, total: int, *, reserved: int) -> None:
        self._free = total
        self._reserved = reserved
        self._waiting: dict[bool, deque[asyncio.Future[None]]] = {True: deque(), False: deque()}

    def locked(self) -> bool:
        """Whether whoever comes now must wait."""
        return not self._may_go(_urgent.get())

    def waiting(self) -> int:
        """How many wait."""
        return sum(map(len, self._waiting.values()))

    async def acquire(self) -> None:
        """Wait for a turn, for at most `timeouts.ACQUIRE_SECONDS`.

        Raises:
            DatabaseUnavailable: none became free in time, or too many wait.
        """
        first = _urgent.get()
        if self._may_go(first):
            self._free -= 1
            return
        queue = self._waiting[first]
        if len(queue) >= timeouts.MAX_WAITING:
            raise DatabaseUnavailable(f"more than {timeouts.MAX_WAITING} operations wait for the database")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            async with asyncio.timeout(timeouts.ACQUIRE_SECONDS):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():  # it came, too late
                self.release()
            else:
                with contextlib.suppress(ValueError):  # `release` has passed it over
                    queue.remove(turn)
            if isinstance(error, TimeoutError):
                raise DatabaseUnavailable("no database connection became free in time") from error
            raise

    def release(self) -> None:
        """End a turn; the next one is the urgent ones'."""
        self._free += 1
        for first in (True, False):
            queue = self._waiting[first]
            while queue and self._has_turn(first):
                turn = queue.popleft()
                if not turn.done():
                    self._free -= 1
                    turn.set_result(None)

    def _may_go(self, first: bool) -> bool:
        return not self._waiting[first] and self._has_turn(first)

    def _has_turn(self, first: bool) -> bool:
        return self._free > (0 if first else self._reserved)


def reserved_of(connections: int) -> int:
    """How many of so many connections are the urgent ones': a fifth, and one where there are two."""
    return 0 if connections < 2 else max(1, connections // 5)
