"""The database on PostgreSQL."""

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import asyncpg
from asyncpg.exceptions import OutdatedSchemaCacheError

from storage.database.base import Database, Row, Transaction, Values
from storage.database.dialect import chained, for_each, to_postgres
from storage.database.error_kinds import MOVED, ErrorKind, ends_connection, kind_of_sqlstate
from storage.database.postgres_url import CONNECT_SECONDS, read_url
from storage.database.timeouts import STATEMENT_SECONDS
from storage.errors import DatabaseUnavailable, RowGone, StatementRefused
from storage.times import AFTER_ALL, EARLIEST, LATEST, instant

T = TypeVar("T")

IDLE_SECONDS = 60.0
"""How long a connection may lie unused before it goes back to the pool, which closes it some minutes later."""

REPLACE_SECONDS = 1.0
"""Least time between two replacements of all connections."""

_REFERRING = re.compile(r"\((\w+)\)=")
"""The column in a foreign key's detail, ``Key (user_id)=(…) is not present in table "users".``, in any language."""

TRY_LOCKS = """
SELECT name FROM unnest(CAST(:names AS text[])) AS name
WHERE pg_try_advisory_xact_lock(hashtextextended(name, 0))"""


_SERVER = "SELECT system_identifier AS place FROM pg_control_system()"
"""Made by initdb; a standby that is promoted keeps it."""

_DATABASE = "SELECT oid AS place FROM pg_database WHERE datname = current_database()"


_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
"""PostgreSQL counts its times from here, in microseconds."""

_MICROSECOND = timedelta(microseconds=1)
_EARLIEST, _LATEST = ((moment - _EPOCH) // _MICROSECOND for moment in (EARLIEST, LATEST))
_INFINITY = (2**63 - 1,)


def _to_wire(moment: datetime | str) -> tuple[int]:
    if isinstance(moment, str):  # a place among the times of another database
        moment = instant(moment)
    return _INFINITY if moment == AFTER_ALL else ((moment - _EPOCH) // _MICROSECOND,)


def _from_wire(wire: tuple[int]) -> datetime:
    return _EPOCH + timedelta(0, 0, min(max(wire[0], _EARLIEST), _LATEST))


async def _read_any_time(connection: asyncpg.Connection) -> None:
    # asyncpg's own codec raises for years that Python does not know, when the server has committed, and with the row is
    # lost whatever was read or changed beside it. As the connection's, this one holds for every column of every query.
    for name in ("timestamptz", "timestamp"):  # the app's own tables may have either
        await connection.set_type_codec(name, schema="pg_catalog", encoder=_to_wire, decoder=_from_wire, format="tuple")


async def _reset(connection: asyncpg.Connection) -> None:
    # asyncpg's reset is a query at every release. Nothing here leaves session state behind (locks and settings are
    # the transaction's), so only a connection that is still inside a transaction needs it.
    if connection.is_in_transaction():
        await connection.reset()


class _PostgresTransaction(Transaction):
    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def all(self, sql: str, **values: object) -> list[Row]:
        return await _fetch(self._connection, sql, values)

    async def many(self, sql: str, each: Sequence[Values]) -> list[Row]:
        return await _fetch_many(self._connection, sql, each) if each else []

    async def chain(self, steps: Mapping[str, str], each: Sequence[Values]) -> list[Row]:
        return await self.many(chained(tuple(steps.items())), each)

    async def lock(self, name: str) -> None:
        await self._connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", name)

    async def lock_free(self, names: Sequence[str]) -> set[str]:
        return {row["name"] for row in await self.all(TRY_LOCKS, names=list(names))}


async def _fetch(connection: asyncpg.Connection, sql: str, values: Values) -> list[Row]:
    statement, names = to_postgres(sql)
    rows: list[Row] = await connection.fetch(statement, *[values[name] for name in names])
    return rows


async def _fetch_many(connection: asyncpg.Connection, sql: str, each: Sequence[Values]) -> list[Row]:
    # Pipelined up to one Sync, so that outside of a transaction it is one: all of it, or none.
    statement, names = to_postgres(sql)
    rows: list[Row] = await connection.fetchmany(statement, [[values[name] for name in names] for values in each])
    return rows


class PostgresDatabase(Database):
    """Many connections; transactions in READ COMMITTED, ordered by row guards and advisory locks.

    asyncpg's pool opens and closes the connections. It would make a task for each release, so those in use stay out of
    it and wait on a stack. (`databases` lies on the same pool; it would lose connections to cancellations during BEGIN
    and COMMIT, and costs as much as a statement.)
    """

    def __init__(self, url: str) -> None:
        self._url = read_url(url)
        super().__init__(connections=self._url.sizes["max_size"])
        self._idle: list[tuple[asyncpg.pool.PoolConnectionProxy, float]] = []
        self._generation = 0
        """Of the connections that are kept: one of an earlier generation speaks to a server that was replaced."""
        self._replaced_at = float("-inf")

    def _kind_of(self, error: Exception) -> ErrorKind | None:
        match error:
            case asyncpg.InvalidCachedStatementError() | OutdatedSchemaCacheError():
                return ErrorKind.CONTENDED  # a migration under our feet; the driver has forgotten the statement now
            case asyncpg.PostgresError():
                return kind_of_sqlstate(error.sqlstate)
            case asyncpg.InterfaceError() if isinstance(error, ValueError):
                return ErrorKind.PERMANENT  # a value that cannot be sent
            case asyncpg.InterfaceError() | asyncpg.InternalClientError() | OSError():
                return ErrorKind.PASSING  # "connection is closed", "unexpected message"; TimeoutError is an OSError
        return None

    def _refusal(self, error: Exception) -> StatementRefused:
        sentence = str(error).partition("\n")[0]  # what follows is the row
        if isinstance(error, asyncpg.ForeignKeyViolationError):
            referring = _REFERRING.search(str(error.detail))
            return RowGone(sentence, None if referring is None else referring[1])
        place = getattr(error, "column_name", None) or getattr(error, "constraint_name", None)
        return StatementRefused(sentence, place)

    async def place(self) -> str:
        seen = []
        for sql in (_SERVER, _DATABASE):
            with contextlib.suppress(StatementRefused):  # a right or a function is missing
                seen += [str(row["place"]) for row in await self.all(sql)]
        return " ".join(seen)

    async def _connect(self) -> None:
        self._pool = await asyncpg.create_pool(
            command_timeout=STATEMENT_SECONDS,
            init=_read_any_time,
            reset=_reset,
            **self._url.connection,
            **self._url.sizes,
        )

    async def _disconnect(self) -> None:
        with contextlib.suppress(TimeoutError):
            # It waits for connections in use; the units of work have ended, so only a broken one could hold it.
            async with asyncio.timeout(CONNECT_SECONDS):
                while self._idle:
                    await self._pool.release(self._idle.pop()[0])
                await self._pool.close()
                return
        self._pool.terminate()

    async def _use(self, work: Callable[[asyncpg.pool.PoolConnectionProxy], Awaitable[T]]) -> T:
        generation = self._generation
        try:
            connection = await self._take()
        except Exception as error:  # whatever it is: a password, a name, a certificate, a pooler's own words
            raise DatabaseUnavailable(f"no connection: {type(error).__name__}: {error}") from error
        try:
            result = await work(connection)
        except (asyncio.CancelledError, TimeoutError) as error:
            if isinstance(error, TimeoutError):
                await self._replace(generation)
            # The server is still at it, and may stay so. The pool waits for that, or ends the connection.
            self._keep(asyncio.create_task(self._pool.release(connection, timeout=CONNECT_SECONDS)))
            raise
        except BaseException as error:
            sqlstate = getattr(error, "sqlstate", None)
            if sqlstate in MOVED:
                await self._replace(generation)
            elif ends_connection(sqlstate) and _is_open(connection):
                connection.terminate()
            await self._give_back(connection, generation)
            raise
        await self._give_back(connection, generation)
        return result

    async def _take(self) -> asyncpg.pool.PoolConnectionProxy:
        while self._idle:
            connection, _ = self._idle.pop()
            if _is_open(connection):
                return connection
            await self._pool.release(connection)
        return await self._pool.acquire(timeout=CONNECT_SECONDS)

    async def _give_back(self, connection: asyncpg.pool.PoolConnectionProxy, generation: int) -> None:
        if generation != self._generation and _is_open(connection):
            connection.terminate()
        if not _is_open(connection) or connection.is_in_transaction() or self._pool.is_closing():
            await self._pool.release(connection)
            return
        now = asyncio.get_running_loop().time()
        self._idle.append((connection, now))
        if now - self._idle[0][1] > IDLE_SECONDS:
            await self._pool.release(self._idle.pop(0)[0])

    async def _replace(self, generation: int) -> None:
        """Replace the connections of `generation`: their server has been demoted, fenced, or answers no more.

        Behind one address another server may take writes meanwhile. Where it is the same one, which is read-only for a
        while, reads go on; connections are replaced at most once in `REPLACE_SECONDS`.
        """
        now = asyncio.get_running_loop().time()
        if generation != self._generation or now - self._replaced_at < REPLACE_SECONDS:
            return
        self._generation += 1
        self._replaced_at = now
        idle, self._idle = self._idle, []
        for connection, _ in idle:
            if _is_open(connection):
                connection.terminate()
            self._keep(asyncio.create_task(self._pool.release(connection)))
        await self._pool.expire_connections()  # does not wait

    async def _in_transaction(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        async def in_transaction(connection: asyncpg.pool.PoolConnectionProxy) -> T:
            async with connection.transaction():
                return await work(_PostgresTransaction(connection))

        return await self._use(in_transaction)

    async def _read(self, sql: str, values: Values) -> list[Row]:
        return await self._use(lambda connection: _fetch(connection, sql, values))

    _write = _read

    async def _each(self, sql: str, name: str, each: list[str], values: Values) -> dict[str, list[Row]]:
        found: dict[str, list[Row]] = {}
        for row in await self._read(for_each(sql, name), {**values, "each": each}):
            found.setdefault(row["each_value"], []).append(row)
        return found

    async def _chain_each(self, steps: Mapping[str, str], each: Sequence[Values]) -> list[Row]:
        sql = chained(tuple(steps.items()))
        return await self._use(lambda connection: _fetch_many(connection, sql, each))


def _is_open(connection: asyncpg.pool.PoolConnectionProxy) -> bool:
    try:
        return not connection.is_closed()
    except asyncpg.InterfaceError:  # it has died, and the pool has already taken note
        return False
