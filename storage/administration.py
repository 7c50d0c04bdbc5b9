"""What an administrator may see and do."""

import json
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from storage.amounts import amount_or_none
from storage.costs import Pricing, check_budget
from storage.database.base import Database, Transaction
from storage.errors import NotRetriable, RowGone
from storage.events import record
from storage.lifecycle import Status
from storage.queries import reading, selecting
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
    """A request, everything that happened to it, what is expected of it, and what is beside it."""

    request: Request
    events: list[TimelineEntry]
    cost_estimate: Decimal | None
    deadline_at: datetime | None
    sent_at: datetime | None
    before: Request | None
    """What the same user submitted before it."""
    after: Request | None
    """What they submitted after it."""


async def timeline(database: Database, request_id: str) -> Timeline | None:
    """The request and its events; None if there is no such request."""

    async def work(tx: Transaction) -> Timeline | None:
        row = await tx.one(reading.REQUEST, id=request_id)
        details = await tx.one(selecting.DETAILS, id=request_id)
        if row is None or details is None:
            return None
        events = [
            TimelineEntry(
                instant(event["at"]), event["version"], event["kind"], event["actor"], json.loads(event["detail"])
            )
            for event in await tx.all(selecting.EVENTS, id=request_id, limit=MAX_EVENTS)
        ]
        request = Request.from_row(row)
        place = {"user_id": request.user_id, "moment": request.created_at, "place_id": request.id}
        before, after = [await tx.one(query, **place) for query in (selecting.BEFORE, selecting.AFTER)]
        return Timeline(
            request,
            events,
            amount_or_none(details["cost_estimate"]),
            instant_or_none(details["deadline_at"]),
            instant_or_none(details["dispatch_sending_at"]),
            None if before is None else Request.from_row(before),
            None if after is None else Request.from_row(after),
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
        if (earlier := await tx.one(selecting.RETRY, id=request_id)) is not None:
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
