"""Whether the database has the schema that this code was written for."""

from storage.database.base import Database
from storage.errors import StatementRefused, StorageError
from storage.queries import reading

VERSION = "0008"
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
    except StatementRefused as error:
        sentence = "The database has no gateway tables that its role may read: run `gateway migrate`."
        raise SchemaOutdated(f"{sentence} ({error})") from error
    found = None if row is None else row["version_num"]
    if found is None or found < VERSION:
        raise SchemaOutdated(f"The database is at migration {found}, this gateway needs {VERSION}: `gateway migrate`.")
