"""Who is behind the ids: names of organizations and addresses of users, where the database has them.

The tables are the app's own. One without such a column, or that is not ours to read, has no names; nothing else fails.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from storage.database.base import Database, Row
from storage.errors import DatabaseUnavailable
from storage.queries import directory

MAX_NAMED = 100
"""Most users, and most organizations, that one search goes on with."""


@dataclass(frozen=True, slots=True)
class Names:
    """Names by id; an id without one is left out."""

    organizations: dict[str, str]
    users: dict[str, str]


async def names(database: Database, organization_ids: Iterable[str], user_ids: Iterable[str]) -> Names:
    """What these are called.

    Raises:
        DatabaseUnavailable: it does not answer.
    """
    return Names(
        await _names(database, directory.ORGANIZATION_NAMES, organization_ids),
        await _names(database, directory.USER_EMAILS, user_ids),
    )


async def named(database: Database, pattern: str) -> tuple[list[str], list[str]]:
    """The ids of organizations, and of users, whose names match `pattern` (of LIKE, with ``!`` before its signs)."""
    found = [
        await _read(database, query, text=pattern, limit=MAX_NAMED)
        for query in (directory.ORGANIZATIONS_NAMED, directory.USERS_NAMED)
    ]
    organizations, users = ([str(row["id"]) for row in rows] for rows in found)
    return organizations, users


async def _names(database: Database, query: str, ids: Iterable[str]) -> dict[str, str]:
    wanted = sorted(set(ids))
    rows = await _read(database, query, ids=wanted) if wanted else []
    return {str(row["id"]): row["name"] for row in rows if row["name"]}


async def _read(database: Database, query: str, **values: object) -> list[Row]:
    try:
        return await database.all(query, **values)
    except DatabaseUnavailable:
        raise
    except Exception:  # noqa: BLE001 - whatever either driver says of a table that is not as we would have it
        return []
