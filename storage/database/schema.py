"""Whether the database has the schema that this code was written for."""

from storage.database.base import Database
from storage.errors import StatementRefused, StorageError
from storage.queries import reading

VERSION = "0008"
"""The newest migration. After 0005 each only adds to what the one before it made, so older code serves a newer
database too: migrate first, then replace the processes one by one."""


PAGE = 'storage/README.md ("The least role")'
INSUFFICIENT_PRIVILEGE = "42501"


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
        if getattr(error.__cause__, "sqlstate", None) == INSUFFICIENT_PRIVILEGE:
            sentence = "The gateway's role may not read which migration the database has: "
            raise SchemaOutdated(f"{sentence}grant it what {PAGE} lists. ({error})") from error
        raise SchemaOutdated(f"The database has no gateway tables: run `gateway migrate`. ({error})") from error
    if row is None:  # every migration leaves one; row level security is on
        raise SchemaOutdated(
            "The gateway's role sees no row of ai_gateway_schema, as where no policy lets it: create those that "
            f"{PAGE} lists. If no migration has ever ended, run `gateway migrate`."
        )
    found = row["version_num"]
    if found < VERSION:
        raise SchemaOutdated(f"The database is at migration {found}, this gateway needs {VERSION}: `gateway migrate`.")
