"""Every error of the drivers is declared: it passes, it is tried again, or it is refused for good."""

import asyncio
import sqlite3
import ssl
from typing import Any, NoReturn

import asyncpg
import pytest

from storage.database import timeouts
from storage.database.base import Database, Transaction
from storage.database.error_kinds import ErrorKind, kind_of_sqlite, kind_of_sqlstate
from storage.database.open import open_database
from storage.database.postgres import PostgresDatabase
from storage.errors import DatabaseContended, DatabaseUnavailable, RowGone, StatementRefused
from storage.queries import reading
from tests.servers import Postgres, free_port

CONTENDED, PASSING, PERMANENT = ErrorKind.CONTENDED, ErrorKind.PASSING, ErrorKind.PERMANENT

# By class of PostgreSQL's appendix; by code, where a member of a class differs from it.
PERMANENT_HERE = """01 02 03 09 0A 0B 0F 0L 0P 0Z 10 20 21 22 23 24 25 26 27 2B 2D 2F 34 38 39 3B 3F 42 44 54 55 F0
    HV P0 XX"""
PASSING_HERE = "08 28 40 53 57 58 72 25P03 25P04 55006 3D000 XX000"
CONTENDED_HERE = "40001 40P01 55P03 25006"
DECLARED = {
    code: kind
    for kind, codes in ((PERMANENT, PERMANENT_HERE), (PASSING, PASSING_HERE), (CONTENDED, CONTENDED_HERE))
    for code in codes.split()
}

_EXCEPTIONS: list[Any] = [error for error in vars(asyncpg.exceptions).values() if isinstance(error, type)]
ERRORS = {error.sqlstate: error for error in _EXCEPTIONS if issubclass(error, asyncpg.PostgresError) and error.sqlstate}


@pytest.mark.parametrize("sqlstate", sorted(ERRORS))
def test_each_error_of_the_driver_is_declared(sqlstate: str) -> None:
    declared = DECLARED.get(sqlstate) or DECLARED[sqlstate[:2]]
    assert kind_of_sqlstate(sqlstate) is declared
    database = PostgresDatabase("postgresql://nobody@127.0.0.1/none")
    assert database._kind_of(ERRORS[sqlstate]("x")) in (declared, CONTENDED)  # 0A000: a cached plan, below


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (asyncpg.InvalidCachedStatementError("cached plan must not change result type"), CONTENDED),
        (asyncpg.InterfaceError("connection is closed"), PASSING),
        (asyncpg.exceptions._base.ProtocolError("unexpected message"), PASSING),
        (asyncpg.exceptions._base.DataError("a surrogate"), PERMANENT),
        (ConnectionResetError(), PASSING),
        (TimeoutError(), PASSING),
        (KeyError("of the work itself"), None),
    ],
)
def test_errors_of_the_driver_itself(error: Exception, kind: ErrorKind | None) -> None:
    assert PostgresDatabase("postgresql://nobody@127.0.0.1/none")._kind_of(error) is kind


SQLITE_PASSING = "BUSY CANTOPEN FULL INTERRUPT IOERR LOCKED NOMEM PROTOCOL READONLY"
SQLITE_PERMANENT = "AUTH CONSTRAINT CORRUPT ERROR MISMATCH MISUSE NOTADB PERM RANGE SCHEMA TOOBIG"


@pytest.mark.parametrize("name", f"{SQLITE_PASSING} {SQLITE_PERMANENT}".split())
def test_each_code_of_sqlite_is_declared(name: str) -> None:
    error = sqlite3.OperationalError("x")
    error.sqlite_errorcode = getattr(sqlite3, f"SQLITE_{name}") | 0x100  # extended codes are of the same kind
    assert kind_of_sqlite(error) is (PASSING if name in SQLITE_PASSING.split() else PERMANENT)


SOME_ID = "11111111-1111-4111-8111-111111111111"


def raising(sqlstate: str) -> str:
    """A statement that ends with an error of that code."""
    return f"DO $$ BEGIN RAISE EXCEPTION 'as the pooler says it' USING ERRCODE = '{sqlstate}'; END $$"


@pytest.mark.parametrize("sqlstate", ["XX000", "28P01", "3D000", "53300", "57P03", "08006", "25P03", "57014", "58030"])
async def test_what_passes_is_unavailable(postgres: Postgres, sqlstate: str) -> None:
    async with open_database(postgres.url("migrated") + "?max_size=1") as database:
        with pytest.raises(DatabaseUnavailable) as raised:
            await database.all(raising(sqlstate))
        assert not isinstance(raised.value, DatabaseContended)
        assert await database.one(reading.PING) is not None


@pytest.mark.parametrize("sqlstate", ["40001", "40P01", "55P03", "25006"])
async def test_what_is_contended_is_tried_again_and_not_for_ever(
    postgres: Postgres, sqlstate: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before: a deadlock with the deletion of a user made a callback a 500."""
    monkeypatch.setattr(timeouts, "PAUSES_SECONDS", (0.0, 0.0, 0.0))
    async with open_database(postgres.url("migrated")) as database:
        tries = 0

        async def work(tx: Transaction, succeeds_at: int) -> str:
            nonlocal tries
            tries += 1
            if tries < succeeds_at:
                await tx.all(raising(sqlstate))
            return "done"

        assert await database.transaction(lambda tx: work(tx, 3)) == "done"
        tries = 0
        with pytest.raises(DatabaseContended):
            await database.transaction(lambda tx: work(tx, 99))
        assert tries == 4


async def test_two_units_that_lock_each_other_out_both_succeed(database: Database, backend: str) -> None:
    """A real deadlock: each holds what the other one wants."""
    inside = asyncio.Barrier(2 if backend == "postgres" else 1)
    met = False

    async def work(tx: Transaction, first: str, second: str) -> None:
        nonlocal met
        await tx.lock(first)
        if not met:
            await inside.wait()
            met = True
        await tx.lock(second)

    async with asyncio.timeout(30):
        await asyncio.gather(
            database.transaction(lambda tx: work(tx, "a", "b")), database.transaction(lambda tx: work(tx, "b", "a"))
        )


async def test_every_error_at_connecting_is_unavailable(postgres: Postgres) -> None:
    """A database that was dropped, a role that may not log in: 503 and not 500, until they are back."""
    postgres.execute("CREATE DATABASE dropped TEMPLATE migrated")
    async with open_database(postgres.url("dropped")) as database:
        assert await database.one(reading.PING) is not None
        postgres.execute("DROP DATABASE dropped WITH (FORCE)")
        for _ in range(3):
            with pytest.raises(DatabaseUnavailable):
                await database.one(reading.PING)
        postgres.execute("CREATE DATABASE dropped TEMPLATE migrated")
        assert await database.one(reading.PING) is not None


@pytest.mark.parametrize("error", [ValueError("bad"), ssl.SSLError("bad"), asyncpg.InvalidPasswordError("bad")])
async def test_whatever_is_raised_at_connecting(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async def refused() -> NoReturn:
        raise error

    async with open_database(postgres.url("migrated")) as database:
        monkeypatch.setattr(database, "_take", refused)
        with pytest.raises(DatabaseUnavailable):
            await database.one(reading.PING)


async def test_at_the_start_a_wrong_url_is_not_waited_for(postgres: Postgres) -> None:
    tried: list[tuple[str, type[Exception]]] = [
        (postgres.url("no_such"), asyncpg.InvalidCatalogNameError),
        (postgres.url("migrated").replace("postgres@", "nobody@"), asyncpg.InvalidAuthorizationSpecificationError),
        (f"postgresql://u@127.0.0.1:{free_port()}/d", DatabaseUnavailable),
    ]
    for url, error in tried:
        with pytest.raises(error):
            async with open_database(url):
                pass


async def test_nothing_listens(postgres: Postgres) -> None:
    async with open_database(postgres.url("migrated")) as database:
        database._pool.set_connect_args(f"postgresql://u@127.0.0.1:{free_port()}/d")  # type: ignore[attr-defined]
        await database._pool.expire_connections()  # type: ignore[attr-defined]
        with pytest.raises(DatabaseUnavailable):
            await database.one(reading.PING)


async def test_refusals_name_their_place(database: Database) -> None:
    with pytest.raises(StatementRefused) as raised:
        await database.all("INSERT INTO organizations (id, name) VALUES (:id, NULL)", id=SOME_ID)
    assert raised.value.place == "name"
    with pytest.raises(StatementRefused):
        await database.all("SELECT * FROM no_such_table")


async def test_a_reference_to_a_row_that_is_gone(database: Database, backend: str) -> None:
    sql = "INSERT INTO organization_members (organization_id, user_id) VALUES (:id, :id)"
    with pytest.raises(RowGone) as raised:
        await database.all(sql, id=SOME_ID)
    if backend == "postgres":
        assert raised.value.place in ("user_id", "organization_id")
