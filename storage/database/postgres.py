"""The database on PostgreSQL."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg
from databases import Database as ConnectionPool

from storage.database.base import STATEMENT_SECONDS, Database, Row, Transaction
from storage.database.dialect import for_each, to_postgres

T = TypeVar("T")

POOL_SIZE = 10
CONNECT_SECONDS = 5.0


def pool_options(url: str) -> tuple[str, dict[str, Any]]:
    """Split `url` for the pool: the URL without its query, and keyword options that carry the query's meaning.

    `databases` reads three options from a URL and silently ignores the rest, ``sslmode=require`` among them. So the
    whole URL also goes to asyncpg as its DSN, which understands libpq's options and sends unknown ones to the server.
    ``pgbouncer=true`` (Supabase's pooler on port 6543 asks for it) turns prepared statements off.
    """
    parts = urlsplit(url.replace("postgres://", "postgresql://", 1))
    query = dict(parse_qsl(parts.query))
    options: dict[str, Any] = {"min_size": 1, "max_size": POOL_SIZE}
    for size in ("min_size", "max_size"):
        if size in query:
            options[size] = int(query.pop(size))
    if "statement_cache_size" in query:
        options["statement_cache_size"] = int(query.pop("statement_cache_size"))
    if query.pop("pgbouncer", "") == "true":
        options["statement_cache_size"] = 0
    options["min_size"] = min(options["min_size"], options["max_size"])
    options["dsn"] = urlunsplit(parts._replace(query=urlencode(query)))
    return urlunsplit(parts._replace(query=urlencode({k: query[k] for k in ("host",) if k in query}))), options


async def _reset(connection: asyncpg.Connection) -> None:
    # asyncpg's reset is a query at every release. Nothing here leaves session state behind (locks and settings are
    # the transaction's), so only a connection that is still inside a transaction needs it.
    if connection.is_in_transaction():
        await connection.reset()


class _PostgresTransaction(Transaction):
    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def one(self, sql: str, **values: object) -> Row | None:
        statement, names = to_postgres(sql)
        row: Row | None = await self._connection.fetchrow(statement, *[values[name] for name in names])
        return row

    async def all(self, sql: str, **values: object) -> list[Row]:
        statement, names = to_postgres(sql)
        rows: list[Row] = await self._connection.fetch(statement, *[values[name] for name in names])
        return rows

    async def each(self, sql: str, name: str, each: Sequence[str], **values: object) -> dict[str, list[Row]]:
        found: dict[str, list[Row]] = {}
        for row in await self.all(for_each(sql, name), each=list(dict.fromkeys(each)), **values):
            found.setdefault(row["each_value"], []).append(row)
        return found

    async def lock(self, name: str) -> None:
        await self._connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", name)


class PostgresDatabase(Database):
    """Many connections; transactions in READ COMMITTED, ordered by row guards and advisory locks."""

    def __init__(self, url: str) -> None:
        pool_url, options = pool_options(url)
        super().__init__(connections=options["max_size"])
        self._pool = ConnectionPool(
            pool_url, command_timeout=STATEMENT_SECONDS, timeout=CONNECT_SECONDS, reset=_reset, **options
        )

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

    async def _each(self, sql: str, name: str, each: Sequence[str], values: dict[str, object]) -> dict[str, list[Row]]:
        async with self._pool.connection() as connection:
            return await _PostgresTransaction(connection.raw_connection).each(sql, name, each, **values)

    def _unavailable_errors(self) -> tuple[type[Exception], ...]:
        return (
            OSError,  # refused, reset; TimeoutError is one of these
            asyncpg.PostgresConnectionError,
            asyncpg.InterfaceError,  # "connection is closed", "… has been released"
            asyncpg.OperatorInterventionError,  # shutting down, starting up, cancelled by the administrator
            asyncpg.InsufficientResourcesError,  # too many connections, disk full
            asyncpg.ReadOnlySQLTransactionError,  # a failover left us on the replica
        )
