"""What an administrator may see and do."""

import json
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from storage.costs import Pricing, check_budget
from storage.database.base import Database, Transaction
from storage.errors import NotRetriable, RowGone
from storage.events import record
from storage.lifecycle import Status
from storage.listing import Page, Position, page_of
from storage.queries import lists, reading
from storage.queries.rows import OPEN
from storage.request import Request
from storage.submissions import New, Submission, create
from storage.times import instant, instant_or_none

MAX_EVENTS = 500
"""Most events of one request that are shown."""


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One thing that happened to a request."""

    at: datetime
    version: int
    kind: str
    actor: str
    detail: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Timeline:
    """A request, everything that happened to it, and what is expected of it."""

    request: Request
    events: list[TimelineEntry]
    cost_estimate: Decimal | None
    deadline_at: datetime | None
    sent_at: datetime | None


async def requests_of_everyone(
    database: Database, filters: dict[str, object], after: Position, limit: int
) -> Page[Request]:
    """A page of requests, newest first.

    Args:
        database: where they are.
        filters: values by the names of `queries.lists.FILTERS`; ``stuck`` takes `minus_stuck`, in seconds, and ``text``
            takes `users` and `organizations` too, whose names match.
        after: where the page begins.
        limit: its length.
    """
    query = lists.list_of_everyone(_names(filters))
    rows = await database.all(query, before=after.created_at, before_id=after.id, limit=limit, **_values(filters))
    return page_of([Request.from_row(row) for row in rows], limit)


async def newer_of_everyone(
    database: Database, filters: dict[str, object], before: Position, limit: int
) -> Page[Request] | None:
    """The page that ends where another one, which begins at `before`, begins; None if that would not be a whole one."""
    query = lists.newer_of_everyone(_names(filters))
    rows = await database.all(query, after=before.created_at, after_id=before.id, limit=limit, **_values(filters))
    return page_of([Request.from_row(row) for row in reversed(rows)], limit) if len(rows) == limit else None


async def count(database: Database, filters: dict[str, object], most: int) -> int:
    """How many requests there are with these filters; `most` stands for all that are more."""
    row = await database.one(lists.count_of_everyone(_names(filters)), limit=most, **_values(filters))
    assert row is not None, "an aggregate returns a row"  # noqa: S101
    return int(row["requests"])


async def selected(database: Database, filters: dict[str, object], most: int, *, failed: bool) -> list[str]:
    """The ids of at most `most` requests with these filters that have failed, or that are unfinished; oldest first."""
    query = lists.ids_of_everyone(_names(filters), "status = 'failed'" if failed else OPEN)
    return [str(row["id"]) for row in await database.all(query, limit=most, **_values(filters))]


def _names(filters: dict[str, object]) -> set[str]:
    return {"stuck" if name == "minus_stuck" else name for name in filters} & set(lists.FILTERS)


def _values(filters: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in filters.items() if name != "open"}


def like(text: str) -> str:
    """The pattern that finds `text` anywhere, whatever signs are in it."""
    escaped = text.replace("!", "!!").replace("%", "!%").replace("_", "!_")
    return f"%{escaped}%"


async def timeline(database: Database, request_id: str) -> Timeline | None:
    """The request and its events; None if there is no such request."""

    async def work(tx: Transaction) -> Timeline | None:
        row = await tx.one(reading.REQUEST, id=request_id)
        details = await tx.one(lists.DETAILS, id=request_id)
        if row is None or details is None:
            return None
        events = [
            TimelineEntry(
                instant(event["at"]), event["version"], event["kind"], event["actor"], json.loads(event["detail"])
            )
            for event in await tx.all(lists.EVENTS, id=request_id, limit=MAX_EVENTS)
        ]
        estimate = details["cost_estimate"]
        return Timeline(
            Request.from_row(row),
            events,
            None if estimate is None else Decimal(estimate),
            instant_or_none(details["deadline_at"]),
            instant_or_none(details["dispatch_sending_at"]),
        )

    return await database.transaction(work)


async def retry(
    database: Database, request_id: str, *, actor: str, deadline_seconds: float, pricing: Pricing
) -> Request | None:
    """A new request that asks for the same as a failed one; None if there is no such request.

    The user's quota is not checked, as the user did not submit it; the organization's budget is.

    Raises:
        NotRetriable: it has not failed, or an earlier retry of it has not either: a second one would be billed. Or its
            user or organization is gone.
        BudgetSpent: the organization's month is over budget.
    """

    async def work(tx: Transaction) -> Request | None:
        await tx.lock(f"ai_image_requests:retry:{request_id}")
        row = await tx.one(reading.REQUEST, id=request_id)
        if row is None:
            return None
        failed = Request.from_row(row)
        if failed.status is not Status.FAILED:
            raise NotRetriable("not_failed", "Only a failed request can be retried.")
        if (earlier := await tx.one(lists.RETRY, id=request_id)) is not None:
            done = earlier["status"] == Status.COMPLETED
            raise NotRetriable(
                "already_retried",
                f"A retry of this request {'has already succeeded' if done else 'is already under way'}.",
            )
        await check_budget(tx, failed.organization_id, pricing)
        again = Submission(user_id=failed.user_id, product=failed.product, brand=failed.brand, retry_of=failed.id)
        (request,) = await create(
            tx,
            [New(again, failed.organization_id, actor)],
            deadline_seconds=deadline_seconds,
            estimate=pricing.estimate,
        )
        await record(tx, failed, "retried", actor, {"requestId": request.id})
        return request

    try:
        return await database.transaction(work)
    except RowGone as gone:
        raise NotRetriable("owner_gone", "The request's user or organization no longer exists.") from gone
