"""Which database this is, told apart from every other one and from copies of it that are served elsewhere."""

import hashlib

from storage.database.base import Database
from storage.queries.identity import IDENTITY


async def identity_of(database: Database, address: str) -> str:
    """A name of 20 characters for the connected database, the same for all processes that serve it at `address`.

    It stands for what was made once and is kept in the database, for the server that holds it now, and for the address.
    The address is what tells a copy of the whole server apart (a promoted standby, a snapshot of its disk): that holds
    the same in every other way, as the standby of a failover does, which has the same name on purpose.

    Args:
        database: an open one.
        address: the origin under which clients and n8n reach the environment.

    Raises:
        DatabaseUnavailable: it cannot be read now.
    """
    row = await database.one(IDENTITY)
    kept = "" if row is None else str(row["id"])
    return hashlib.sha256(f"{kept} {await database.place()} {address}".encode()).hexdigest()[:20]
