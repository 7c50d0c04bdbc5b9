"""From a URL to the database that it names."""

from storage.database.base import Database
from storage.database.postgres import PostgresDatabase
from storage.database.sqlite import SqliteDatabase, is_sqlite


def open_database(url: str) -> Database:
    """The database at `url` (``sqlite:///path``, ``postgresql://…`` or ``postgres://…``), not yet connected."""
    return SqliteDatabase(url) if is_sqlite(url) else PostgresDatabase(url)
