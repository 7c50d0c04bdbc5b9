"""Everyone's requests as an administrator selects and orders them.

A page begins, or ends, beside a row's place in the order, so pages neither skip nor repeat rows while new ones come in.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from storage.database.base import Database, Row
from storage.queries import selecting
from storage.queries.rows import OPEN
from storage.request import Request
from storage.times import instant_or_none, place


class Sort(StrEnum):
    """What requests are sorted by."""

    TIME = "time"
    """Of the submission."""
    DURATION = "duration"
    """From submission to end; what is not at its end comes last."""
    COST = "cost"
    """What has no cost comes last."""


@dataclass(frozen=True, slots=True)
class Order:
    """An order of the list; those of the same duration or cost are in the order of their times."""

    sort: Sort = Sort.TIME
    ascending: bool = False


NEWEST_FIRST = Order()


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row stands in an order."""

    key: int | None
    """Milliseconds, or billionths of an amount; None where the row has none, or time alone counts."""
    created_at: datetime | str
    """The text where SQLite has one that is no RFC 3339 (`times.place`)."""
    id: str


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the list."""

    rows: list[Request]
    sent: dict[str, datetime]
    """When each of them was sent to n8n, by id; what was not is left out."""
    previous: Place | None
    """Before which the page before ends; None on the first page."""
    next: Place | None
    """After which the next page begins; None on the last page."""


async def page(
    database: Database,
    filters: dict[str, object],
    order: Order,
    limit: int,
    *,
    after: Place | None = None,
    before: Place | None = None,
) -> Page:
    """A page of at most `limit` requests.

    Args:
        database: where they are.
        filters: values by the names of `queries.selecting.FILTERS`, True for those that take none; ``stuck`` takes
            `minus_stuck`, in seconds, and ``text`` takes `users` and `organizations` too, whose names match.
        order: which comes first.
        limit: the page's length.
        after: where it begins; at the first row without it.
        before: where it ends, instead. Where no whole page is before it, the first page is meant.
    """
    if before is not None:
        rows = await _read(database, filters, order, limit + 1, before, backwards=True)
        if len(rows) >= limit:
            shown = rows[:limit][::-1]
            previous = _place(shown[0], order) if len(rows) > limit else None
            return _page(shown, previous, _place(shown[-1], order))
        after = None
    rows = await _read(database, filters, order, limit + 1, after, backwards=False)
    shown = rows[:limit]
    previous = None if after is None or not shown else _place(shown[0], order)
    return _page(shown, previous, _place(shown[-1], order) if len(rows) > limit else None)


async def count(database: Database, filters: dict[str, object], most: int) -> int:
    """How many requests there are with these filters; `most` stands for all that are more."""
    row = await database.one(selecting.count(_names(filters)), limit=most, **_values(filters))
    assert row is not None, "an aggregate returns a row"  # noqa: S101
    return int(row["requests"])


async def ids(database: Database, filters: dict[str, object], most: int, *, failed: bool) -> list[str]:
    """The ids of at most `most` requests with these filters that have failed, or that are unfinished; oldest first."""
    query = selecting.ids(_names(filters), "status = 'failed'" if failed else OPEN)
    return [str(row["id"]) for row in await database.all(query, limit=most, **_values(filters))]


def like(text: str) -> str:
    """The pattern that finds `text` anywhere, whatever signs are in it."""
    escaped = text.replace("!", "!!").replace("%", "!%").replace("_", "!_")
    return f"%{escaped}%"


async def _read(
    database: Database, filters: dict[str, object], order: Order, limit: int, place: Place | None, *, backwards: bool
) -> list[Row]:
    query = selecting.page(
        _names(filters), order.sort, ascending=order.ascending, backwards=backwards, goes_on=place is not None
    )
    values = _values(filters)
    if place is not None:
        values |= {"moment": place.created_at, "place_id": place.id}
        if order.sort in selecting.KEYS:
            has_key = place.key is not None
            values |= {"has_key": int(has_key != order.ascending), "key": place.key or 0}
    return await database.all(query, limit=limit, **values)


def _page(rows: list[Row], previous: Place | None, following: Place | None) -> Page:
    sent = {str(row["id"]): instant_or_none(row["dispatch_sending_at"]) for row in rows}
    known = {request_id: at for request_id, at in sent.items() if at is not None}
    return Page([Request.from_row(row) for row in rows], known, previous, following)


def _place(row: Row, order: Order) -> Place:
    key = row["sort_key"] if order.sort in selecting.KEYS else None
    return Place(None if key is None else int(key), place(row["created_at"]), str(row["id"]))


def _names(filters: dict[str, object]) -> set[str]:
    return {"stuck" if name == "minus_stuck" else name for name in filters} & set(selecting.FILTERS)


def _values(filters: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in filters.items() if value is not True}
