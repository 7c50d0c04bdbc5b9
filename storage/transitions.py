"""What happens to a request after its submission: every change of the life table, each in one round trip.

Each function here takes the event, tries the one guarded UPDATE, and says what came of it. Only when nothing changed is
the row read: it decides between "already so", "too late" and "contradiction".
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

from storage.changes import change_row
from storage.database.base import Database
from storage.database.turns import urgent
from storage.errors import StatementBroken, StatementRefused
from storage.events import change, event_values
from storage.lifecycle import ERROR_CODES, Event, Status
from storage.owed_assets import pause_after, reason_of
from storage.public_urls import PublicUrls
from storage.queries import life, owing
from storage.reads import read
from storage.request import Request

SILENCE_SECONDS = 60.0
"""How long after a progress report n8n is asked whether it still works, where it can be asked."""


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


@urgent
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
    values = {"id": request_id, "progress": progress, "execution_id": execution_id, "probe": SILENCE_SECONDS}
    detail = {"progress": progress, "executionId": execution_id}
    request = await change(database, life.START[event], event, actor, detail, **values)
    if request is not None:
        return Applied(Outcome.CHANGED, request)
    current = await _current(database, request_id, execution_id)
    if current is None:
        return Applied(Outcome.UNKNOWN, None)
    lower = progress is not None and progress < (current.progress or 0)
    too_late = current.status.is_final or lower
    return Applied(Outcome.IGNORED if too_late else Outcome.DUPLICATE, current)


@urgent
async def complete(
    database: Database,
    request_id: str,
    completion: Completion,
    urls: PublicUrls,
    *,
    actor: str,
    execution_id: str | None = None,
) -> Applied:
    """Apply `Event.COMPLETED`: the request and its asset, or neither. Where the app's library refuses the asset, the
    request alone, and the asset is owed."""
    key = completion.storage_key
    detail = {"key": key, "id": completion.storage_id, "cost": _amount(completion.cost), "executionId": execution_id}
    values: dict[str, object] = {
        "id": request_id,
        "storage_key": key,
        "storage_id": completion.storage_id,
        "cost": completion.cost,
        "execution_id": execution_id,
        "file_url": urls.of(key, request_id, life.TOKEN_PLACE),
    }
    event = life.INSERT_EVENT_OF_CHANGE
    try:
        steps = {"asset": life.INSERT_ASSET, "changed": life.COMPLETE, "event": event}
        request = await change_row(database, steps, **values, **event_values(Event.COMPLETED, actor, detail))
    except (StatementRefused, StatementBroken) as refused:
        values |= {"reason": reason_of(refused), "pause": pause_after(1)}
        detail["assetRefused"] = reason_of(refused)
        # Whatever code the library's trigger chose. If it was not the library, this ends the same way; and if the
        # change had been made and only the word of it was lost, nothing is owed, as it is not made again.
        steps = {"changed": life.COMPLETE_OWING, "owed": owing.OWE, "event": event}
        request = await change_row(database, steps, **values, **event_values(Event.COMPLETED, actor, detail))
    if request is not None:
        return Applied(Outcome.CHANGED, request)
    current = await _current(database, request_id, execution_id)
    if current is None:
        return Applied(Outcome.UNKNOWN, None)
    same = (current.storage_key, current.storage_id) == (key, completion.storage_id)
    return Applied(Outcome.DUPLICATE if same else Outcome.CONFLICT, current)


@urgent
async def fail(
    database: Database,
    request_id: str,
    event: Event,
    message: str,
    *,
    actor: str,
    cost: Decimal | None = None,
    execution_id: str | None = None,
    original: str | None = None,
) -> Applied:
    """Apply one of the failing events; `message` is what the user will read, `original` goes into the timeline."""
    values = {"id": request_id, "error_message": message, "error_code": ERROR_CODES[event], "cost": cost}
    detail = {"error": message, "original": original, "cost": _amount(cost), "executionId": execution_id}
    request = await change(database, life.FAIL[event], event, actor, detail, **values, execution_id=execution_id)
    if request is not None:
        return Applied(Outcome.CHANGED, request)
    current = await _current(database, request_id, execution_id)
    if current is None:
        return Applied(Outcome.UNKNOWN, None)
    return Applied(Outcome.DUPLICATE if current.status is Status.FAILED else Outcome.IGNORED, current)


def _amount(cost: Decimal | None) -> str | None:
    return None if cost is None else f"{cost:f}"


async def _current(database: Database, request_id: str, execution_id: str | None) -> Request | None:
    if execution_id is not None:
        await database.all(life.SET_EXECUTION, id=request_id, execution_id=execution_id)
    return await read(database, request_id)
