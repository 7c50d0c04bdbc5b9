"""Which database this is, told apart from every other one and from its own copies."""

import hashlib

from storage.database.base import Database
from storage.queries.identity import IDENTITY


async def identity_of(database: Database) -> str:
    """A name of 20 characters for the connected database, the same for all processes that share it.

    It stands for what was made once and is kept in the database, and for the server that holds it now: a copy that is
    restored elsewhere has another name.

    Raises:
        DatabaseUnavailable: it cannot be read now.
    """
    row = await database.one(IDENTITY)
    kept = "" if row is None else str(row["id"])
    return hashlib.sha256(f"{kept} {await database.place()}".encode()).hexdigest()[:20]
