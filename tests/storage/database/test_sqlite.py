"""The traps of SQLite and its driver. Each test fails on the naive code that stands in its docstring."""

from pathlib import Path

import pytest

from storage.database.open import open_database
from storage.database.sqlite import path_of
from storage.errors import DatabaseBusy
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
            assert row["timeout"] == 5000


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
