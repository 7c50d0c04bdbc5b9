"""The narrow interface to the database, the same on SQLite and PostgreSQL.

    async with open_database(url) as database:
        row = await database.one(reading.REQUEST, id=request_id)
        result = await database.transaction(work)      # work(tx) awaits only the methods of tx

A unit of work that writes runs in a shielded task of its own: the write of a caller who has gone away still commits or
rolls back, and no cancellation meets BEGIN or COMMIT. A read needs neither; it runs in its caller's task and is
cancelled with it. Either waits at most `timeouts.ACQUIRE_SECONDS` for its turn.

`work` must not start tasks (`gather`, `wait_for`, `create_task`) that use `tx`; `asyncio.timeout` is fine. It may run
more than once: what met a deadlock, a lock timeout or a server that was replaced is tried again.
"""

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from storage.database import timeouts
from storage.database.batches import Batches
from storage.database.error_kinds import ErrorKind, is_of_settings
from storage.database.turns import Turns, reserved_of
from storage.errors import (
    DatabaseContended,
    DatabaseUnavailable,
    StatementBroken,
    StatementRefused,
    StatementTimeout,
    StorageError,
)

T = TypeVar("T")
I = TypeVar("I")  # noqa: E741
R = TypeVar("R")

Values = Mapping[str, object]
"""A statement's parameters by name."""


class Row(Protocol):
    """A row of either driver: values by column name, or by position."""

    def __getitem__(self, column: Any, /) -> Any: ...  # noqa: ANN401 - drivers return what the column holds


class Transaction(ABC):
    """What a unit of work may do. All of it commits, or none."""

    async def one(self, sql: str, **values: object) -> Row | None:
        """The first row that `sql` returns, or None."""
        rows = await self.all(sql, **values)
        return rows[0] if rows else None

    @abstractmethod
    async def all(self, sql: str, **values: object) -> list[Row]:
        """All rows that `sql` returns."""

    @abstractmethod
    async def many(self, sql: str, each: Sequence[Values]) -> list[Row]:
        """The rows that `sql` returns for one set of values after the other: one round trip where there are any."""

    @abstractmethod
    async def chain(self, steps: Mapping[str, str], each: Sequence[Values]) -> list[Row]:
        """Run `steps` for one set of values after the other; the rows that the step ``changed`` returned.

        Each step may read what an earlier one returned as a table of its name; where that returned nothing, the table
        is empty, and the step itself says what then is to be done. No step sees what another wrote by reading the table
        itself.
        """

    @abstractmethod
    async def lock(self, name: str) -> None:
        """Wait for the lock `name`, held to the transaction's end, over all processes."""

    @abstractmethod
    async def lock_free(self, names: Sequence[str]) -> set[str]:
        """Take those of the locks `names` that nobody else holds, without waiting; which these are."""


class Database(ABC):
    """A connected database; use as an async context manager."""

    def __init__(self, connections: int) -> None:
        self._turns = Turns(connections, reserved=reserved_of(connections))
        self._units: set[asyncio.Task[Any]] = set()
        self._batches: dict[object, Batches[Any, Any]] = {}

    async def transaction(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """Run `work` in one transaction and return what it returns.

        Raises:
            DatabaseUnavailable: no connection in time, or the database went away. Whether a commit that was
                under way took effect is then unknown.
            StatementRefused: the database refuses a statement, and will again.
        """
        return await self._shielded(self._turn(lambda: self._in_transaction(work)))

    async def one(self, sql: str, **values: object) -> Row | None:
        """The first row of one statement in a transaction of its own."""
        rows = await self.all(sql, **values)
        return rows[0] if rows else None

    async def all(self, sql: str, **values: object) -> list[Row]:
        """All rows of one statement in a transaction of its own."""
        if sql.startswith(("SELECT", "\nSELECT")):
            return await self._turn(lambda: self._read(sql, values))
        return await self._shielded(self._turn(lambda: self._write(sql, values)))

    async def each(self, sql: str, name: str, each: Sequence[str], **values: object) -> dict[str, list[Row]]:
        """The rows of the query `sql` with the parameter `name` (a UUID) as each of `each`, in one round trip.

        A value without rows is left out.
        """
        return await self._turn(lambda: self._each(sql, name, list(dict.fromkeys(each)), values))

    async def chain(self, steps: Mapping[str, str], **values: object) -> Row | None:
        """`Transaction.chain` for one set of values, in a transaction of its own: one round trip."""
        rows = await self.chain_each(steps, [values])
        return rows[0] if rows else None

    async def chain_each(self, steps: Mapping[str, str], each: Sequence[Values], *, patient: bool = True) -> list[Row]:
        """`Transaction.chain` in a transaction of its own: one round trip.

        With `patient`, what others stood in the way of is tried again.
        """
        pauses = timeouts.PAUSES_SECONDS if patient else ()
        return await self._shielded(self._turn(lambda: self._chain_each(steps, each), pauses))

    async def together(self, work: Callable[[Sequence[I]], Awaitable[Sequence[R]]], item: I) -> R:
        """The result of `work` for `item`, and whatever else comes for an equal `work` while that is busy.

        `work` is a hashable value, of which there are few: each is remembered.
        """
        batches: Batches[I, R] | None = self._batches.get(work)
        if batches is None:
            batches = self._batches[work] = Batches(work, lambda batch: self._keep(asyncio.create_task(batch)))
        return await batches.add(item)

    async def _shielded(self, unit: Coroutine[Any, Any, T]) -> T:
        if asyncio.current_task() in self._units:  # work of `together`, which nobody cancels
            return await unit
        return await asyncio.shield(self._keep(asyncio.create_task(unit)))

    def _keep(self, task: "asyncio.Task[T]") -> "asyncio.Task[T]":
        """Let `task` end, though nobody may wait for it, before the database is closed."""
        self._units.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._units.discard(task)
        if not task.cancelled():
            task.exception()  # seen here, so that a unit whose caller has gone is not reported as unhandled

    async def _turn(self, work: Callable[[], Awaitable[T]], pauses: Sequence[float] = timeouts.PAUSES_SECONDS) -> T:
        end = asyncio.get_running_loop().time() + timeouts.ACQUIRE_SECONDS
        for pause in (*pauses, None):
            await self._turns.acquire()
            try:
                return await work()
            except StorageError:
                raise
            except Exception as error:
                kind = self._kind_of(error)
                if kind is None:
                    raise  # the work's own
                if kind is ErrorKind.PERMANENT:
                    raise self._refusal(error) from error
                if isinstance(error, TimeoutError):
                    raise StatementTimeout(_sentence(error)) from error
                if kind is ErrorKind.PASSING:
                    raise StatementBroken(_sentence(error)) from error
                if pause is None or asyncio.get_running_loop().time() > end:
                    raise DatabaseContended(_sentence(error)) from error
            finally:
                self._turns.release()
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - spreads those that met each other
        raise AssertionError("the last try returns or raises")

    async def __aenter__(self) -> Self:
        try:
            await self._connect()
        except Exception as error:
            if self._kind_of(error) in (ErrorKind.PASSING, ErrorKind.CONTENDED) and not is_of_settings(error):
                raise DatabaseUnavailable(_sentence(error)) from error
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._units:
            await asyncio.wait(set(self._units), timeout=timeouts.STATEMENT_SECONDS)
        await self._disconnect()

    @abstractmethod
    def _kind_of(self, error: Exception) -> ErrorKind | None:
        """What `error` means; None when it is not the driver's."""

    @abstractmethod
    def _refusal(self, error: Exception) -> StatementRefused:
        """The driver's permanent `error`, as callers see it."""

    @abstractmethod
    async def place(self) -> str:
        """Which server and which database on it this is, as far as the role may see it."""

    @abstractmethod
    async def _connect(self) -> None: ...

    @abstractmethod
    async def _disconnect(self) -> None: ...

    @abstractmethod
    async def _in_transaction(self, work: Callable[[Transaction], Awaitable[T]]) -> T: ...

    @abstractmethod
    async def _read(self, sql: str, values: Values) -> list[Row]: ...

    @abstractmethod
    async def _write(self, sql: str, values: Values) -> list[Row]: ...

    @abstractmethod
    async def _each(self, sql: str, name: str, each: list[str], values: Values) -> dict[str, list[Row]]: ...

    @abstractmethod
    async def _chain_each(self, steps: Mapping[str, str], each: Sequence[Values]) -> list[Row]: ...


def _sentence(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
