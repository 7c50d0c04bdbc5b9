"""Lists of requests and assets, newest first, page by page.

A page begins where the last one ended (its last row's time and id), so that pages neither skip nor repeat rows while
new ones come in, and the hundredth page costs what the first does.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from storage.database.base import Database, Row
from storage.lifecycle import Status
from storage.queries import lists
from storage.request import Request
from storage.times import AFTER_ALL, EARLIEST, place


@dataclass(frozen=True, slots=True)
class Position:
    """Where a page begins: after the row of this time and id."""

    created_at: datetime | str
    """The text where SQLite has one that is no RFC 3339 (`times.place`)."""
    id: str


START = Position(AFTER_ALL, "ffffffff-ffff-ffff-ffff-ffffffffffff")
"""Before everything."""


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list."""

    rows: list[T]
    next: Position | None
    """Where the next page begins; None at the end."""


def _next(rows: list[Row], limit: int) -> Position | None:
    """Where the page after `rows`, which were read with `limit`, begins: a full page may have another one after it."""
    if len(rows) < limit:
        return None
    last = Position(place(rows[-1]["created_at"]), str(rows[-1]["id"]))
    return None if last.created_at == EARLIEST else last  # before it there is nothing that has a name of its own


@dataclass(frozen=True, slots=True)
class Asset:
    """One picture in the app's library, and the request that made it."""

    id: str
    name: str
    type: str
    format: str | None
    file_url: str | None
    status: str | None
    request: Request


async def requests_of(
    database: Database, user_id: str, status: Status | None, after: Position, limit: int
) -> Page[Request]:
    """A page of the user's requests, of one status or of all."""
    values: dict[str, Any] = {"user_id": user_id, "before": after.created_at, "before_id": after.id, "limit": limit}
    if status is None:
        rows = await database.all(lists.LIST_OF_USER, **values)
    else:
        rows = await database.all(lists.LIST_OF_USER_BY_STATUS, status=str(status), **values)
    return Page([Request.from_row(row) for row in rows], _next(rows, limit))


async def assets_of(database: Database, user_id: str, after: Position, limit: int) -> Page[Asset]:
    """A page of the user's generated assets; those that the app has deleted are left out."""
    rows = await database.all(
        lists.LIST_WITH_ASSET, user_id=user_id, before=after.created_at, before_id=after.id, limit=limit
    )
    made = [(row["asset_id"], Request.from_row(row)) for row in rows]
    found = await database.all(lists.ASSETS, user_id=user_id, ids=[asset_id for asset_id, _ in made])
    assets = {row["id"]: row for row in found}
    kept = [
        Asset(row["id"], row["name"], row["type"], row["format"], row["file_url"], row["status"], request)
        for asset_id, request in made
        if (row := assets.get(asset_id)) is not None
    ]
    return Page(kept, _next(rows, limit))


async def typical_seconds(database: Database, window_seconds: float, sample: int) -> float | None:
    """The median time of the last completions, from submission to picture; None when there were none."""
    rows = await database.all(lists.RECENT_SECONDS, minus_window=-window_seconds, limit=sample)
    seconds = sorted(float(row["seconds"]) for row in rows)
    return seconds[len(seconds) // 2] if seconds else None
