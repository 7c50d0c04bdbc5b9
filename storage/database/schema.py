"""Whether the database has the schema that this code was written for."""

import asyncpg

from storage.database.base import Database
from storage.errors import DatabaseUnavailable, StorageError
from storage.queries import reading

VERSION = "0006"
"""The newest migration. After 0005 each only adds to what the one before it made, so older code serves a newer
database too: migrate first, then replace the processes one by one."""


class SchemaOutdated(StorageError):
    """The migrations have not been run; its text says what to do."""


async def check_schema(database: Database) -> None:
    """Return if the newest migration has been applied.

    Raises:
        DatabaseUnavailable: nobody knows.
        SchemaOutdated: it has not.
    """
    try:
        row = await database.one(reading.SCHEMA_VERSION)
    except (asyncpg.UndefinedTableError, DatabaseUnavailable) as error:
        if isinstance(error, DatabaseUnavailable) and "no such table" not in str(error):
            raise  # a full pool or a pooler's refusal: the tables may well be there
        raise SchemaOutdated(f"The database has no gateway tables: run `gateway migrate`. ({error})") from error
    found = None if row is None else row["version_num"]
    if found is None or found < VERSION:
        raise SchemaOutdated(f"The database is at migration {found}, this gateway needs {VERSION}: `gateway migrate`.")
