"""What happens to a request after its submission: every change of the life table, each in one transaction.

Each function here takes the event, tries the one guarded UPDATE, and tells what came of it. When nothing changed,
the row as it is decides between "already so", "too late" and "contradiction".
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum

from storage import queries
from storage.database import Database, Row, Transaction
from storage.lifecycle import ERROR_CODES, Event, Status
from storage.public_urls import PublicUrls
from storage.request import Request, instant


class Outcome(Enum):
    """What an event did."""

    CHANGED = "changed"
    """The Body has a new version."""
    DUPLICATE = "duplicate"
    """It was already so."""
    IGNORED = "ignored"
    """News that came too late to change anything."""
    CONFLICT = "conflict"
    """A completion with another picture than the recorded one."""
    UNKNOWN = "unknown"
    """There is no such request."""


@dataclass(frozen=True, slots=True)
class Applied:
    """An event's outcome, and the request as it is now (None when unknown)."""

    outcome: Outcome
    request: Request | None


@dataclass(frozen=True, slots=True)
class Completion:
    """A picture that exists in the object store."""

    storage_key: str
    storage_id: str
    cost: Decimal | None = None


async def start(
    database: Database,
    request_id: str,
    event: Event,
    *,
    actor: str,
    progress: int | None = None,
    execution_id: str | None = None,
) -> Applied:
    """Apply `Event.ACCEPTED` or `Event.PROGRESSED`; `progress` (0..100) never falls."""

    async def work(tx: Transaction) -> Applied:
        row = await tx.one(queries.START[event], id=request_id, progress=progress, execution_id=execution_id)
        if row is not None:
            return await _changed(tx, row, event, actor, {"progress": progress, "executionId": execution_id})
        current = await _current(tx, request_id, execution_id)
        if current is None:
            return Applied(Outcome.UNKNOWN, None)
        lower = progress is not None and progress < (current.progress or 0)
        too_late = current.status.is_final or lower
        return Applied(Outcome.IGNORED if too_late else Outcome.DUPLICATE, current)

    return await database.transaction(work)


async def complete(
    database: Database,
    request_id: str,
    completion: Completion,
    urls: PublicUrls,
    *,
    actor: str,
    execution_id: str | None = None,
) -> Applied:
    """Apply `Event.COMPLETED`: the request and its asset, or neither."""

    async def work(tx: Transaction) -> Applied:
        row = await tx.one(
            queries.COMPLETE,
            id=request_id,
            storage_key=completion.storage_key,
            storage_id=completion.storage_id,
            cost=completion.cost,
            execution_id=execution_id,
        )
        if row is not None:
            request = Request.from_row(row)
            asset = await tx.one(
                queries.INSERT_ASSET,
                organization_id=request.organization_id,
                user_id=request.user_id,
                name=f"AI Generated: {request.product} - {request.brand}",
                file_url=urls.of(completion.storage_key, request.id, request.picture_token),
            )
            await tx.all(queries.SET_ASSET, id=request_id, asset_id=None if asset is None else asset["id"])
            detail = {"key": completion.storage_key, "id": completion.storage_id, "executionId": execution_id}
            return await _changed(tx, row, Event.COMPLETED, actor, detail)
        current = await _current(tx, request_id, execution_id)
        if current is None:
            return Applied(Outcome.UNKNOWN, None)
        same = (current.storage_key, current.storage_id) == (completion.storage_key, completion.storage_id)
        return Applied(Outcome.DUPLICATE if same else Outcome.CONFLICT, current)

    return await database.transaction(work)


async def fail(
    database: Database,
    request_id: str,
    event: Event,
    message: str,
    *,
    actor: str,
    cost: Decimal | None = None,
    execution_id: str | None = None,
) -> Applied:
    """Apply one of the failing events; `message` is what the user will read."""

    async def work(tx: Transaction) -> Applied:
        row = await tx.one(
            queries.FAIL[event],
            id=request_id,
            error_message=message,
            error_code=ERROR_CODES[event],
            cost=cost,
            execution_id=execution_id,
        )
        if row is not None:
            return await _changed(tx, row, event, actor, {"error": message, "executionId": execution_id})
        current = await _current(tx, request_id, execution_id)
        if current is None:
            return Applied(Outcome.UNKNOWN, None)
        return Applied(Outcome.DUPLICATE if current.status is Status.FAILED else Outcome.IGNORED, current)

    return await database.transaction(work)


async def _changed(tx: Transaction, row: Row, event: Event, actor: str, detail: Mapping[str, object]) -> Applied:
    request = Request.from_row(row)
    await record(tx, request, event, actor, detail)
    return Applied(Outcome.CHANGED, request)


async def _current(tx: Transaction, request_id: str, execution_id: str | None) -> Request | None:
    if execution_id is not None:
        await tx.all(queries.SET_EXECUTION, id=request_id, execution_id=execution_id)
    row = await tx.one(queries.REQUEST, id=request_id)
    return None if row is None else Request.from_row(row)


async def record(tx: Transaction, request: Request, kind: str, actor: str, detail: Mapping[str, object]) -> None:
    """Write one event row: what happened, when, by whom, and the details that are set."""
    await tx.all(
        queries.INSERT_EVENT,
        request_id=request.id,
        version=request.version,
        kind=str(kind),
        actor=actor,
        detail=json.dumps({name: value for name, value in detail.items() if value is not None}),
    )


@dataclass(frozen=True, slots=True)
class Delivery:
    """A final version that has been handed to a client of its owner."""

    request_id: str
    version: int
    transport: str
    age: float
    """How long ago, in seconds."""


async def record_deliveries(database: Database, deliveries: Sequence[Delivery], *, actor: str) -> None:
    """Write them into the timelines, each once over all processes.

    Raises:
        DatabaseUnavailable: none of them was written.
    """

    async def work(tx: Transaction) -> None:
        for delivery in deliveries:
            await tx.all(
                queries.INSERT_DELIVERED,
                request_id=delivery.request_id,
                version=delivery.version,
                minus_age=-delivery.age,
                actor=actor,
                detail=json.dumps({"transport": delivery.transport}),
            )

    await database.transaction(work)


async def now(database: Database) -> datetime:
    """The database's time, by which everything is ordered.

    Raises:
        DatabaseUnavailable: it does not answer.
    """
    row = await database.one(queries.PING)
    assert row is not None, "the clock always answers"  # noqa: S101
    return instant(row["now"])


async def read(database: Database, request_id: str) -> Request | None:
    """The request, whoever owns it."""
    row = await database.one(queries.REQUEST, id=request_id)
    return None if row is None else Request.from_row(row)


async def read_own(database: Database, request_id: str, user_id: str) -> Request | None:
    """The request, if it is `user_id`'s."""
    row = await database.one(queries.OWN_REQUEST, id=request_id, user_id=user_id)
    return None if row is None else Request.from_row(row)


async def read_many(database: Database, request_ids: list[str], user_id: str) -> list[Request]:
    """Those of `request_ids` that are `user_id`'s, in the order asked for."""
    rows = await database.all(queries.OWN_REQUESTS, ids=request_ids, user_id=user_id)
    found = {request.id: request for request in map(Request.from_row, rows)}
    return [found[request_id] for request_id in request_ids if request_id in found]


async def recent(database: Database, user_id: str | None, limit: int) -> list[Request]:
    """At most `limit` requests of `user_id` (None: of everyone), unfinished first, then the newest."""
    owner: dict[str, object] = {} if user_id is None else {"user_id": user_id}
    unfinished = queries.UNFINISHED if user_id is None else queries.UNFINISHED_OF_USER
    finished = queries.FINISHED if user_id is None else queries.FINISHED_OF_USER
    rows = await database.all(unfinished, limit=limit, **owner)
    if len(rows) < limit:
        seen = {str(row["id"]) for row in rows}
        more = await database.all(finished, limit=limit - len(rows), **owner)
        rows += [row for row in more if str(row["id"]) not in seen]  # it may have finished in between
    return [Request.from_row(row) for row in rows]


async def changed_since(
    database: Database, since: datetime, after_id: str, user_ids: list[str] | None, limit: int
) -> list[Request]:
    """One page of the requests of `user_ids` (None: of everyone) that changed after (`since`, `after_id`)."""
    query = queries.CHANGED if user_ids is None else queries.CHANGED_OF_USERS
    users: dict[str, object] = {} if user_ids is None else {"user_ids": user_ids}
    rows = await database.all(query, since=since, after_id=after_id, limit=limit, **users)
    return [Request.from_row(row) for row in rows]


async def of_execution(database: Database, execution_id: str) -> str | None:
    """The id of the request that n8n's execution `execution_id` works for."""
    row = await database.one(queries.REQUEST_OF_EXECUTION, execution_id=execution_id)
    return None if row is None else str(row["id"])


async def overdue(database: Database, limit: int, *, unsent_only: bool = False) -> list[str]:
    """The ids of unfinished requests whose deadline has passed, oldest first; only those that n8n cannot have, if
    `unsent_only`."""
    query = queries.OVERDUE_UNSENT if unsent_only else queries.OVERDUE
    return [str(row["id"]) for row in await database.all(query, limit=limit)]
