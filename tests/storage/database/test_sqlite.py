"""The traps of SQLite and its driver. Each test fails on the naive code that stands in its docstring."""

import asyncio
import contextlib
import sqlite3
import time
from pathlib import Path

import pytest

from storage.database.open import open_database
from storage.database.sqlite import path_of
from storage.errors import DatabaseBusy, DatabaseUnavailable
from storage.queries import reading


async def test_pragmas_hold_on_every_connection(migrated_file: Path, tmp_path: Path) -> None:
    """Naive: `databases` opens a new SQLite connection for every query, without foreign keys."""
    path = tmp_path / "a.sqlite3"
    path.write_bytes(migrated_file.read_bytes())
    async with open_database(f"sqlite:///{path}") as database:
        row = await database.transaction(lambda tx: tx.one("SELECT foreign_keys FROM pragma_foreign_keys"))
        assert row is not None
        assert row["foreign_keys"] == 1
        for unit in (database.one, lambda sql: database.transaction(lambda tx: tx.one(sql))):
            row = await unit("SELECT timeout FROM pragma_busy_timeout")
            assert row is not None
            assert row["timeout"] == 2000


async def test_a_second_process_on_the_same_file_is_refused(migrated_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite3"
    path.write_bytes(migrated_file.read_bytes())
    async with open_database(f"sqlite:///{path}"):
        with pytest.raises(DatabaseBusy, match="Another gateway process already serves"):
            async with open_database(f"sqlite:///{path}"):
                pass
    async with open_database(f"sqlite:///{path}") as database:
        assert await database.one(reading.PING) is not None


@pytest.mark.parametrize(
    ("url", "path"),
    [("sqlite:///a/b.sqlite3", "a/b.sqlite3"), ("sqlite:////a/b.sqlite3", "/a/b.sqlite3"), ("sqlite:///a%20b", "a b")],
)
def test_the_file_of_a_url(url: str, path: str) -> None:
    assert str(path_of(url)) == path


async def test_a_file_that_another_tool_has_locked(migrated_file: Path, tmp_path: Path) -> None:
    """Naive: every write waits for its own time-out, one behind the other: 60 s with twelve of them."""
    path = tmp_path / "a.sqlite3"
    path.write_bytes(migrated_file.read_bytes())
    insert = "INSERT INTO organizations (name) VALUES ('x')"
    async with open_database(f"sqlite:///{path}") as database:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as tool:
            tool.execute("BEGIN IMMEDIATE")
            begun = time.monotonic()
            results = await asyncio.gather(*(database.all(insert) for _ in range(12)), return_exceptions=True)
            assert time.monotonic() - begun < 10
            assert all(isinstance(result, DatabaseUnavailable) for result in results)
            assert await database.one(reading.PING) is not None, "reads go on"
            tool.execute("ROLLBACK")
        await database.all(insert)


@pytest.mark.parametrize("harm", ["PRAGMA max_page_count = 1", "PRAGMA query_only = ON"])
async def test_a_full_disk_and_a_read_only_file_pass(migrated_file: Path, tmp_path: Path, harm: str) -> None:
    path = tmp_path / "a.sqlite3"
    path.write_bytes(migrated_file.read_bytes())
    insert = "INSERT INTO organizations (name) VALUES (:name)"
    async with open_database(f"sqlite:///{path}") as database:
        writer = database._connections[0].raw_connection  # type: ignore[attr-defined]
        await writer.execute_fetchall(harm)
        with pytest.raises(DatabaseUnavailable):
            await database.all(insert, name="x" * 200_000)
        await writer.execute_fetchall("PRAGMA max_page_count = 1000000")
        await writer.execute_fetchall("PRAGMA query_only = OFF")
        await database.all(insert, name="x" * 200_000)
