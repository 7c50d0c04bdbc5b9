"""Errors of the database are told as what they are."""

import asyncio
import socket
import sqlite3
import ssl

import asyncpg
import pytest

from gateway.cli.database_faults import explain
from storage.database.open import open_database
from storage.database.schema import check_schema
from storage.errors import DatabaseUnavailable
from tests.servers import Postgres, free_port


def error_at(url: str) -> BaseException:
    async def connect() -> None:
        async with open_database(url) as database:
            await check_schema(database)

    with pytest.raises(Exception) as raised:  # noqa: PT011 - whichever
        asyncio.run(connect())
    return raised.value


def test_what_a_server_refuses(postgres: Postgres) -> None:
    postgres.execute("CREATE DATABASE empty")
    postgres.execute("CREATE ROLE few LOGIN CONNECTION LIMIT 0")
    url = postgres.url("migrated")
    told = {
        postgres.url("empty"): "run `gateway migrate`",
        postgres.url("no_such"): "no such database",
        url.replace("postgres@", "nobody@"): "refuses the user or the password",
        url.replace("postgres@", "few@"): "has no connection left",
        f"{url}?sslmode=require": "rejected SSL upgrade",
        f"{url}?target_session_attrs=standby": "target_session_attrs",
        url.replace("127.0.0.1", "no-such-host.invalid"): "host name is not known",
        f"postgresql://u@127.0.0.1:{free_port()}/d": "nothing listens there",
    }
    for address, sentence in told.items():
        assert sentence in explain(error_at(address)), address


def test_what_poolers_say() -> None:
    """Texts of Supabase's pooler and of PgBouncer."""
    full = asyncpg.InternalServerError("MaxClientsInSessionMode: max clients reached - in Session mode")
    wrapped = DatabaseUnavailable("x")
    wrapped.__cause__ = full
    assert "has no connection left" in explain(wrapped)
    prepared = asyncpg.DuplicatePreparedStatementError('prepared statement "__asyncpg_stmt_1__" already exists')
    assert "pgbouncer=true" in explain(prepared)
    assert "pgbouncer=true" in explain(asyncpg.InvalidSQLStatementNameError("x"))


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)"), "TLS failed"),
        (socket.gaierror(-2, "Name or service not known"), "host name is not known"),
        (TimeoutError(), "did not answer in time"),
        (sqlite3.OperationalError("attempt to write a readonly database"), "permissions"),
        (sqlite3.DatabaseError("file is not a database"), "file is not a database"),
        (asyncpg.ReadOnlySQLTransactionError("cannot execute INSERT"), "read-only"),
        (ValueError("odd\nand more"), "cannot be used (ValueError: odd)"),
    ],
)
def test_other_causes(error: Exception, told: str) -> None:
    assert told in explain(error)
