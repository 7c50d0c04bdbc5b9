"""The narrow interface to the database, the same on SQLite and PostgreSQL.

    async with open_database(url) as database:
        row = await database.one(SELECT_REQUEST, id=request_id)
        result = await database.transaction(work)      # work(tx) awaits only tx.one / tx.all / tx.lock

The `databases` package opens and pools the connections; what it does not keep is kept here:

* its connections belong to a task, and a cancellation during BEGIN or COMMIT loses one for ever: each unit of
  work runs in a shielded task of its own, so the write of a caller who has gone away still commits or rolls back;
* it has no limit on waiting: a unit of work waits at most `ACQUIRE_SECONDS` for its turn;
* its transactions keep a connection when BEGIN itself fails: the driver's own transactions are used.

`work` must not start tasks (`gather`, `wait_for`, `create_task`) that use `tx`; `asyncio.timeout` is fine.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from storage.errors import DatabaseUnavailable

ACQUIRE_SECONDS = 5.0
"""Longest wait for a connection: past it a client is better served by a 503 than by silence."""

STATEMENT_SECONDS = 10.0
"""Longest single statement."""

MAX_WAITING = 1000
"""Most units of work that may wait for a connection; more are refused at once, so that a database that is
away cannot fill the memory with waiters."""

T = TypeVar("T")


class Row(Protocol):
    """A row of either driver: values by column name."""

    def __getitem__(self, column: str, /) -> Any: ...  # noqa: ANN401 - drivers return what the column holds


class Transaction(ABC):
    """What a unit of work may do. All of it commits, or none."""

    @abstractmethod
    async def one(self, sql: str, **values: object) -> Row | None:
        """The first row that `sql` returns, or None."""

    @abstractmethod
    async def all(self, sql: str, **values: object) -> list[Row]:
        """All rows that `sql` returns."""

    @abstractmethod
    async def each(self, sql: str, name: str, each: Sequence[str], **values: object) -> dict[str, list[Row]]:
        """The rows of the query `sql` with the parameter `name` (a UUID) as each of `each`, in one round trip if the
        database can. A query with an aggregate has a row for each; the others may have none, and are then left out."""

    @abstractmethod
    async def lock(self, name: str) -> None:
        """Wait for the lock `name`, held to the transaction's end, over all processes."""


class Database(ABC):
    """A connected database; use as an async context manager."""

    def __init__(self, connections: int) -> None:
        self._turns = asyncio.Semaphore(connections)
        self._waiting = 0
        self._units: set[asyncio.Task[Any]] = set()

    async def transaction(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """Run `work` in one transaction and return what it returns.

        Raises:
            DatabaseUnavailable: no connection in time, or the database went away. Whether a commit that was
                under way took effect is then unknown.
        """
        return await self._unit(lambda: self._in_transaction(work))

    async def one(self, sql: str, **values: object) -> Row | None:
        """The first row of one statement in a transaction of its own."""
        rows = await self.all(sql, **values)
        return rows[0] if rows else None

    async def all(self, sql: str, **values: object) -> list[Row]:
        """All rows of one statement in a transaction of its own."""
        return await self._unit(lambda: self._statement(sql, values))

    async def each(self, sql: str, name: str, each: Sequence[str], **values: object) -> dict[str, list[Row]]:
        """`Transaction.each` in a transaction of its own, which sees one state of the database on PostgreSQL alone."""
        return await self._unit(lambda: self._each(sql, name, each, values))

    async def _unit(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        if self._waiting >= MAX_WAITING:
            raise DatabaseUnavailable(f"more than {MAX_WAITING} operations wait for the database")
        task = asyncio.create_task(self._turn(work))
        self._units.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._units.discard(task)
        if not task.cancelled():
            task.exception()  # seen here, so that a unit whose caller has gone is not reported as unhandled

    async def _turn(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        self._waiting += 1
        try:
            async with asyncio.timeout(ACQUIRE_SECONDS):
                await self._turns.acquire()
        except TimeoutError as error:
            raise DatabaseUnavailable("no database connection became free in time") from error
        finally:
            self._waiting -= 1
        try:
            return await work()
        except self._unavailable_errors() as error:
            raise DatabaseUnavailable(f"{type(error).__name__}: {error}") from error
        finally:
            self._turns.release()

    async def __aenter__(self) -> Self:
        await self._connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._units:
            await asyncio.wait(set(self._units), timeout=STATEMENT_SECONDS)
        await self._disconnect()

    @abstractmethod
    async def _connect(self) -> None: ...

    @abstractmethod
    async def _disconnect(self) -> None: ...

    @abstractmethod
    async def _in_transaction(self, work: Callable[[Transaction], Awaitable[T]]) -> T: ...

    @abstractmethod
    async def _statement(self, sql: str, values: dict[str, object]) -> list[Row]: ...

    @abstractmethod
    async def _each(
        self, sql: str, name: str, each: Sequence[str], values: dict[str, object]
    ) -> dict[str, list[Row]]: ...

    @abstractmethod
    def _unavailable_errors(self) -> tuple[type[Exception], ...]: ...
