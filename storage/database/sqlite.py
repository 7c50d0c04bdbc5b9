"""The database in one SQLite file.

`databases` opens a connection and a thread for every query on SQLite, and forgets PRAGMAs with each. So two
connections are held instead: one writes (one transaction at a time, BEGIN IMMEDIATE), one reads (WAL readers see the
last commit and never wait for a writer).
"""

import json
import re
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import unquote, urlsplit

import aiosqlite
from databases import Database as ConnectionPool
from filelock import FileLock, Timeout

from storage.database.base import Database, Row, Transaction, Values
from storage.database.dialect import to_sqlite
from storage.database.error_kinds import ErrorKind, kind_of_sqlite
from storage.database.turns import Turns
from storage.errors import DatabaseBusy, RowGone, StatementRefused
from storage.times import AFTER_ALL, rfc3339

T = TypeVar("T")

_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",  # a 202 promises that the row survives a power cut
    "PRAGMA foreign_keys = ON",
    "PRAGMA busy_timeout = 2000",  # other tools may write meanwhile
)


def is_sqlite(url: str) -> bool:
    """Whether `url` names a SQLite file."""
    return url.startswith("sqlite:")


def path_of(url: str) -> Path:
    """The file that `url` names: ``sqlite:///relative`` or ``sqlite:////absolute``."""
    return Path(unquote(urlsplit(url).path.removeprefix("/")))


def _text(content: bytes) -> str:
    # Other tools write a column's text too, and half a character must not be everyone's loss.
    return content.decode(errors="replace")


class _Row(sqlite3.Row):
    def __new__(cls, cursor: sqlite3.Cursor, values: tuple[object, ...]) -> Self:
        # No column is one of bytes: what other tools have left there is a text.
        texts = [_text(value) if isinstance(value, bytes) else value for value in values]
        return super().__new__(cls, cursor, tuple(texts))


def _bindable(value: object) -> object:
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime):
        return "~" if value == AFTER_ALL else rfc3339(value)  # after all letters too
    if isinstance(value, list):
        return json.dumps(value)
    return value


def _bound(values: Values) -> dict[str, object]:
    return {name: _bindable(value) for name, value in values.items()}


async def _fetch(connection: aiosqlite.Connection, sql: str, values: Values) -> list[Row]:
    return list(await connection.execute_fetchall(to_sqlite(sql), _bound(values)))


_CONSTRAINT = re.compile(r"(?:NOT NULL|CHECK|UNIQUE) constraint failed: (.*)")
"""How SQLite words the column (with its table) or the constraint."""


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


class _SqliteTransaction(Transaction):
    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection

    async def all(self, sql: str, **values: object) -> list[Row]:
        return await _fetch(self._connection, sql, values)

    async def many(self, sql: str, each: Sequence[Values]) -> list[Row]:
        return [row for values in each for row in await _fetch(self._connection, sql, values)]

    async def chain(self, steps: Mapping[str, str], each: Sequence[Values]) -> list[Row]:
        return [row for values in each if (row := await self._chain_one(steps, values)) is not None]

    async def _chain_one(self, steps: Mapping[str, str], values: Values) -> Row | None:
        """Statement by statement; what one returned is a table of constants to those after it."""
        tables: list[str] = []
        constants = dict(values)
        changed: Row | None = None
        for name, sql in steps.items():
            prefix = f"WITH {', '.join(tables)} " if tables else ""
            row, columns = await self._step(prefix + sql, constants)
            if name == "changed":
                changed = row
            if not columns:
                continue  # it tells nobody anything
            selected = ", ".join(f":{name}_{column} AS {column}" for column in columns)
            tables.append(f"{name} AS (SELECT {selected}{' WHERE 0' if row is None else ''})")
            constants |= {f"{name}_{column}": None if row is None else row[column] for column in columns}
        return changed

    async def _step(self, sql: str, values: Values) -> tuple[Row | None, list[str]]:
        """The first row that a step returns, and which columns it has, or would have."""
        async with self._connection.execute(to_sqlite(sql), _bound(values)) as cursor:
            rows = list(await cursor.fetchall())  # to the end: only then is all of it done
            return rows[0] if rows else None, [column[0] for column in cursor.description or ()]

    async def lock(self, name: str) -> None:
        """Nothing to do: BEGIN IMMEDIATE already lets one writer in at a time."""

    async def lock_free(self, names: Sequence[str]) -> set[str]:
        """All are free, for the same reason."""
        return set(names)


class SqliteDatabase(Database):
    """One file, served by one gateway process (a lock file beside it says so)."""

    def __init__(self, url: str) -> None:
        super().__init__(connections=64)  # units queue at the writer's lock; the reader interleaves them
        self._path = path_of(url)
        self._pools = [ConnectionPool(f"sqlite:///{self._path}") for _ in ("writer", "reader")]
        self._connections: list[Any] = []
        self._writing = Turns(1, reserved=0)  # nobody waits long behind one who waits for another tool
        self._lock = FileLock(f"{self._path}.lock", thread_local=False)

    def _kind_of(self, error: Exception) -> ErrorKind | None:
        if isinstance(error, sqlite3.Error):
            return kind_of_sqlite(error)
        return ErrorKind.PASSING if isinstance(error, OSError) else None

    def _refusal(self, error: Exception) -> StatementRefused:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
            return RowGone(str(error))
        place = _CONSTRAINT.fullmatch(str(error))
        return StatementRefused(str(error), None if place is None else place[1].rpartition(".")[2])

    async def place(self) -> str:
        """Nothing: the file is served by one process, whose bus nobody else hears."""
        return ""

    async def _connect(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(blocking=False)
        except Timeout as error:
            raise DatabaseBusy(
                f"Another gateway process already serves {self._path}. SQLite carries one process; stop the other one, "
                "or set DATABASE_URL to PostgreSQL and REDIS_URL to Redis to run several."
            ) from error
        try:
            for pool in self._pools:
                connection = await pool.connection().__aenter__()
                self._connections.append(connection)
                raw: aiosqlite.Connection = connection.raw_connection
                raw.row_factory = _Row
                raw.text_factory = _text
                await raw.create_function("lower", 1, _lower, deterministic=True)  # SQLite's own knows ASCII alone
                for pragma in _PRAGMAS:
                    await raw.execute_fetchall(pragma)
        except BaseException:
            await self._disconnect()
            raise

    async def _disconnect(self) -> None:
        for connection in self._connections:
            await connection.__aexit__(None, None, None)  # an open one would hang the interpreter's exit
        self._connections.clear()
        self._lock.release()

    async def _in_transaction(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        raw: aiosqlite.Connection = self._connections[0].raw_connection
        await self._writing.acquire()
        try:
            await raw.execute_fetchall("BEGIN IMMEDIATE")
            try:
                result = await work(_SqliteTransaction(raw))
                await raw.execute_fetchall("COMMIT")
            except BaseException:
                if raw.in_transaction:
                    await raw.execute_fetchall("ROLLBACK")
                raise
            return result
        finally:
            self._writing.release()

    async def _read(self, sql: str, values: Values) -> list[Row]:
        return await _fetch(self._connections[1].raw_connection, sql, values)

    async def _write(self, sql: str, values: Values) -> list[Row]:
        return await self._in_transaction(lambda tx: tx.all(sql, **values))

    async def _each(self, sql: str, name: str, each: list[str], values: Values) -> dict[str, list[Row]]:
        found = {value: await self._read(sql, {**values, name: value}) for value in each}
        return {value: rows for value, rows in found.items() if rows}

    async def _chain_each(self, steps: Mapping[str, str], each: Sequence[Values]) -> list[Row]:
        return await self._in_transaction(lambda tx: tx.chain(steps, each))
