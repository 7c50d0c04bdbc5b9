"""Cancellations: a request that is not wanted any more, at once or by itself after a while, and what n8n still runs
for it.

Not sent yet, it never will be, and its reservation is released. Under way, it fails as ``canceled``, and n8n is to be
asked to stop. A picture that comes all the same still wins: it exists and was paid for.
"""

from dataclasses import dataclass
from datetime import datetime

from storage.database.base import Database
from storage.database.turns import urgent
from storage.events import change
from storage.lifecycle import ERROR_CODES, Event, Status
from storage.queries import canceling
from storage.reads import read
from storage.request import Request
from storage.times import instant
from storage.transitions import Applied, Outcome

MESSAGE = "Canceled."
"""What the user reads."""

STOP_LEASE_SECONDS = 60.0
"""How long one process may take to stop an execution before another one tries."""


@dataclass(frozen=True, slots=True)
class Stop:
    """A canceled request that n8n may still work on. Times are the database's."""

    request: Request
    sent_at: datetime
    canceled_seconds: float
    """How long ago it was canceled."""


@urgent
async def cancel(database: Database, request_id: str, *, actor: str) -> Applied:
    """Apply `Event.CANCELED`: `CHANGED`, `DUPLICATE` when it was canceled before, `IGNORED` when it ended otherwise."""
    code = ERROR_CODES[Event.CANCELED]
    values = {"id": request_id, "error_message": MESSAGE, "error_code": code}
    request = await change(database, canceling.CANCEL, Event.CANCELED, actor, {}, **values)
    if request is not None:
        return Applied(Outcome.CHANGED, request)
    current = await read(database, request_id)
    if current is None:
        return Applied(Outcome.UNKNOWN, None)
    same = current.status is Status.FAILED and current.error_code == code
    return Applied(Outcome.DUPLICATE if same else Outcome.IGNORED, current)


@urgent
async def due(database: Database, limit: int) -> list[str]:
    """The ids of up to `limit` requests that are to be canceled by themselves now."""
    return [str(row["id"]) for row in await database.all(canceling.DUE, limit=limit)]


@urgent
async def claim_stops(database: Database, limit: int) -> list[Stop]:
    """Up to `limit` canceled requests that n8n is to stop, for `STOP_LEASE_SECONDS`."""
    rows = await database.all(canceling.CLAIM_STOPS, seconds=STOP_LEASE_SECONDS, limit=limit)
    stops = []
    for row in rows:
        request = Request.from_row(row)
        sent_at = row["dispatch_sending_at"]
        canceled_at = request.completed_at or request.updated_at
        age = (instant(row["now"]) - canceled_at).total_seconds()
        stops.append(Stop(request, request.created_at if sent_at is None else instant(sent_at), age))
    return stops


@urgent
async def postpone_stop(database: Database, request_id: str, seconds: float) -> None:
    """Let n8n be asked again in `seconds`."""
    await database.all(canceling.POSTPONE_STOP, id=request_id, seconds=seconds)


@urgent
async def end_stop(database: Database, request_id: str, kind: str, detail: dict[str, object], *, actor: str) -> bool:
    """Record, once, what came of the stopping: `kind` is ``stopped`` or ``not_stopped``; whether it was still open."""
    return await change(database, canceling.END_STOP, kind, actor, detail, id=request_id) is not None
