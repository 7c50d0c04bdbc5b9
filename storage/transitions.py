"""What happens to a request after its submission: every change of the life table, each in one transaction.

Each function here takes the event, tries the one guarded UPDATE, and tells what came of it. When nothing changed,
the row as it is decides between "already so", "too late" and "contradiction".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

from storage.database.base import Database, Row, Transaction
from storage.events import record
from storage.lifecycle import ERROR_CODES, Event, Status
from storage.public_urls import PublicUrls
from storage.queries import life, reading
from storage.request import Request


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
        row = await tx.one(life.START[event], id=request_id, progress=progress, execution_id=execution_id)
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
            life.COMPLETE,
            id=request_id,
            storage_key=completion.storage_key,
            storage_id=completion.storage_id,
            cost=completion.cost,
            execution_id=execution_id,
        )
        if row is not None:
            request = Request.from_row(row)
            asset = await tx.one(
                life.INSERT_ASSET,
                organization_id=request.organization_id,
                user_id=request.user_id,
                name=f"AI Generated: {request.product} - {request.brand}",
                file_url=urls.of(completion.storage_key, request.id, request.picture_token),
            )
            await tx.all(life.SET_ASSET, id=request_id, asset_id=None if asset is None else asset["id"])
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
            life.FAIL[event],
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
        await tx.all(life.SET_EXECUTION, id=request_id, execution_id=execution_id)
    row = await tx.one(reading.REQUEST, id=request_id)
    return None if row is None else Request.from_row(row)
