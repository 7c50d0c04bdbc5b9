"""The database on PostgreSQL."""

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import TypeVar

import asyncpg
from databases import Database as ConnectionPool

from storage.database.base import STATEMENT_SECONDS, Database, Row, Transaction
from storage.database.postgres_url import CONNECT_SECONDS, pool_options

T = TypeVar("T")

_AFTER = re.compile(r"AFTER\((:\w+)\)")
_SECONDS = re.compile(r"SECONDS\((\w+)\)")
_TOTAL = re.compile(r"TOTAL\((\w+)\)")
_HOUR_OF = re.compile(r"HOUR_OF\((\w+)\)")
_PARAMETER = re.compile(r"(?<!:):([a-z_]+)")


@lru_cache(maxsize=256)
def translate(sql: str) -> tuple[str, tuple[str, ...]]:
    """`sql` of the queries page in PostgreSQL's words: the statement with ``$n``, and the parameters' names in order.

    ``statement_timestamp()`` and not ``now()``: a transaction that waited for a lock must not judge by the time at
    which it began to wait. It is stable within a statement, so indexes on times can be used.
    """
    sql = _AFTER.sub(r"(statement_timestamp() + make_interval(secs => \1))", sql)
    sql = _SECONDS.sub(r"extract(epoch FROM (\1 - created_at))", sql)
    sql = _HOUR_OF.sub(r"date_trunc('hour', \1 AT TIME ZONE 'UTC')", sql)
    sql = _TOTAL.sub(r"sum(\1)", sql)
    sql = sql.replace("MONTH()", "(date_trunc('month', statement_timestamp() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC')")
    sql = sql.replace("NOW()", "statement_timestamp()")
    names: list[str] = []

    def numbered(match: re.Match[str]) -> str:
        if match[1] not in names:
            names.append(match[1])
        return f"${names.index(match[1]) + 1}"

    return _PARAMETER.sub(numbered, sql), tuple(names)


async def _reset(connection: asyncpg.Connection) -> None:
    # asyncpg's reset is a query at every release. Nothing here leaves session state behind (locks and settings are
    # the transaction's), so only a connection that is still inside a transaction needs it.
    if connection.is_in_transaction():
        await connection.reset()


class _PostgresTransaction(Transaction):
    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def one(self, sql: str, **values: object) -> Row | None:
        statement, names = translate(sql)
        row: Row | None = await self._connection.fetchrow(statement, *[values[name] for name in names])
        return row

    async def all(self, sql: str, **values: object) -> list[Row]:
        statement, names = translate(sql)
        rows: list[Row] = await self._connection.fetch(statement, *[values[name] for name in names])
        return rows

    async def lock(self, name: str) -> None:
        await self._connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", name)


class PostgresDatabase(Database):
    """Many connections; transactions in READ COMMITTED, ordered by row guards and advisory locks."""

    def __init__(self, url: str) -> None:
        pool_url, options = pool_options(url)
        super().__init__(connections=options["max_size"])
        self._pool = ConnectionPool(pool_url, command_timeout=STATEMENT_SECONDS, reset=_reset, **options)

    async def _connect(self) -> None:
        await self._pool.connect()

    async def _disconnect(self) -> None:
        with contextlib.suppress(TimeoutError):
            # It waits for connections in use; the units of work have ended, so only a broken one could hold it.
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._pool.disconnect()

    async def _in_transaction(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        async with self._pool.connection() as connection:
            raw: asyncpg.Connection = connection.raw_connection
            async with raw.transaction():
                return await work(_PostgresTransaction(raw))

    async def _statement(self, sql: str, values: dict[str, object]) -> list[Row]:
        async with self._pool.connection() as connection:
            return await _PostgresTransaction(connection.raw_connection).all(sql, **values)

    def _unavailable_errors(self) -> tuple[type[Exception], ...]:
        return (
            OSError,  # refused, reset; TimeoutError is one of these
            asyncpg.PostgresConnectionError,
            asyncpg.InterfaceError,  # "connection is closed", "… has been released"
            asyncpg.OperatorInterventionError,  # shutting down, starting up, cancelled by the administrator
            asyncpg.InsufficientResourcesError,  # too many connections, disk full
            asyncpg.ReadOnlySQLTransactionError,  # a failover left us on the replica
        )
