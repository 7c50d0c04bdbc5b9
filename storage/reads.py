"""Reads of requests: by id, by owner, by execution, and what has changed or is overdue."""

from collections.abc import Sequence
from datetime import datetime

from storage.database.base import Database
from storage.database.turns import urgent
from storage.queries import life, reading
from storage.request import Request
from storage.times import instant


async def now(database: Database) -> datetime:
    """The database's time, by which everything is ordered.

    Raises:
        DatabaseUnavailable: it does not answer.
    """
    row = await database.one(reading.PING)
    assert row is not None, "the clock always answers"  # noqa: S101
    return instant(row["now"])


async def read(database: Database, request_id: str) -> Request | None:
    """The request, whoever owns it."""
    row = await database.one(reading.REQUEST, id=request_id)
    return None if row is None else Request.from_row(row)


async def read_all(database: Database, ids: Sequence[str]) -> dict[str, Request]:
    """Those of `ids` that exist, by id and whoever owns them: one query for many callers, each of which compares the
    owner."""
    rows = await database.all(reading.REQUESTS, ids=list(ids))
    return {request.id: request for request in map(Request.from_row, rows)}


async def read_for_certain(database: Database, ids: Sequence[str]) -> dict[str, Request]:
    """`read_all` by the server that takes the writes: what it does not hold is not in the database.

    Raises:
        DatabaseUnavailable: also where the server was demoted or fenced, and another one may hold more.
    """
    rows = await database.all(reading.REQUESTS_FOR_CERTAIN, ids=list(ids))
    return {request.id: request for request in map(Request.from_row, rows)}


async def recent(database: Database, user_id: str | None, limit: int) -> list[Request]:
    """At most `limit` requests of `user_id` (None: of everyone), unfinished first, then the newest."""
    if user_id is None:
        rows = await database.all(reading.RECENT, limit=limit)
    else:
        rows = await database.all(reading.RECENT_OF_USER, user_id=user_id, limit=limit)
    return [Request.from_row(row) for row in rows]


async def recent_of_users(database: Database, user_ids: Sequence[str], limit: int) -> dict[str, list[Request]]:
    """`recent` of each of `user_ids` (at most `limit` each), in one query for many callers; who has none has an empty
    list."""
    found = await database.each(reading.RECENT_OF_USER, "user_id", user_ids, limit=limit)
    return {user_id: [Request.from_row(row) for row in found.get(user_id, ())] for user_id in user_ids}


async def changed_since(
    database: Database, since: datetime, after_id: str, user_ids: list[str] | None, limit: int
) -> list[Request]:
    """One page of the requests of `user_ids` (None: of everyone) that changed after (`since`, `after_id`)."""
    query = reading.CHANGED if user_ids is None else reading.CHANGED_OF_USERS
    users: dict[str, object] = {} if user_ids is None else {"user_ids": user_ids}
    rows = await database.all(query, since=since, after_id=after_id, limit=limit, **users)
    return [Request.from_row(row) for row in rows]


@urgent
async def of_execution(database: Database, execution_id: str) -> str | None:
    """The id of the request that n8n's execution `execution_id` works for."""
    row = await database.one(reading.REQUEST_OF_EXECUTION, execution_id=execution_id)
    return None if row is None else str(row["id"])


@urgent
async def overdue(database: Database, limit: int, *, unsent_only: bool = False) -> list[str]:
    """The ids of unfinished requests whose deadline has passed, oldest first; only those that n8n cannot have, if
    `unsent_only`."""
    query = life.OVERDUE_UNSENT if unsent_only else life.OVERDUE
    return [str(row["id"]) for row in await database.all(query, limit=limit)]
