"""`POST /api/admin/requests/bulk`: do the same to all that a filter selects, counted and recorded one by one."""

from typing import Any

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.api.admin.filters import FILTER_FIELDS, filters_of
from gateway.api.admin.requests import ENDED_BY_ADMIN, REFUSALS, announce_retry
from gateway.api.documents.operations import operation
from gateway.api.documents.schemas import USER, Schema, content, errors, json_body, object_of
from gateway.api.errors import ApiError
from gateway.api.generate import refused_submission
from gateway.api.parsing import admin_of, read_json_object
from gateway.api.responses import json_response
from gateway.state import State, state_of
from storage import administration, cancellations, selection, transitions
from storage.errors import NotRetriable, Refusal
from storage.lifecycle import Event
from storage.transitions import Outcome

log = structlog.get_logger(__name__)

ACTIONS = ("retry", "fail", "cancel")

MAX_BULK = 500
"""Most requests of one call; what is left is selected by the same filter again."""

_COUNT: Schema = {"type": "integer", "minimum": 0}
_BULK: Schema = {
    "type": "object",
    "properties": {
        "action": {"enum": list(ACTIONS)},
        "count": {"type": "integer", "minimum": 0, "description": "How many were confirmed: more are refused."},
        **FILTER_FIELDS,
    },
    "required": ["action"],
    "additionalProperties": False,
}


@operation(
    "Retry, fail or cancel all that a filter selects",
    description=(
        f"At most {MAX_BULK} at a time. Without `count` nothing is done, and `selected` says how many it would be. "
        "Each is recorded in its own timeline, as if it had been done by itself."
    ),
    security=USER,
    requestBody=json_body(_BULK),
    responses={
        "200": content(
            object_of(selected=_COUNT, done=_COUNT, refused=_COUNT, more={"type": "boolean"}),
            "What was done; `more` says that the filters select more than one call does.",
        ),
        **REFUSALS,
        **errors(
            (400, "An unusable action, count or filter."),
            (408, "The body did not arrive in time."),
            (409, "More are selected than were confirmed."),
            (413, "Too large."),
            (415, "No JSON."),
        ),
    },
)
async def bulk(request: Request) -> Response:
    """Do one thing to each of the selected requests that it can be done to."""
    admin = await admin_of(request)
    state = state_of(request)
    body = await read_json_object(request)
    action, confirmed = body.get("action"), body.get("count")
    if action not in ACTIONS:
        raise ApiError(400, "invalid_field", f"action must be one of {', '.join(ACTIONS)}.")
    if "count" in body and (not isinstance(confirmed, int) or isinstance(confirmed, bool) or confirmed < 0):
        raise ApiError(400, "invalid_field", "count must be a whole number.")
    filters = await filters_of(_texts(body), state)
    found = await selection.ids(state.database, filters, MAX_BULK + 1, failed=action == "retry")
    selected, more = found[:MAX_BULK], len(found) > MAX_BULK
    if confirmed is None:
        return json_response({"selected": len(selected), "done": 0, "refused": 0, "more": more})
    if len(selected) > confirmed:
        sentence = f"{len(selected)} requests are selected by now, and {confirmed} were confirmed. Nothing was done."
        raise ApiError(409, "count_changed", sentence)
    actor = f"admin:{admin.id}"
    results = [await _do(action, request_id, state, actor) for request_id in selected]
    log.info("bulk", action=action, selected=len(selected), done=sum(results), actor=actor)
    done, refused = sum(results), len(results) - sum(results)
    return json_response({"selected": len(selected), "done": done, "refused": refused, "more": more})


def _texts(body: dict[str, Any]) -> dict[str, str]:
    """The filters in `body`. What is no filter is refused: leaving it out would select more than was meant.

    Raises:
        ApiError: 400.
    """
    texts = {}
    for name, value in body.items():
        if name in ("action", "count"):
            continue
        if name not in FILTER_FIELDS:
            raise ApiError(400, "invalid_field", "Besides action and count, only the list's filters may be named.")
        if not isinstance(value, str):
            raise ApiError(400, "invalid_field", f"{name} must be text.")
        texts[name] = value
    return texts


async def _do(action: str, request_id: str, state: State, actor: str) -> bool:
    """Whether it was done; what has changed meanwhile is left as it is."""
    if action == "retry":
        return await _retry(request_id, state, actor)
    if action == "cancel":
        applied = await cancellations.cancel(state.database, request_id, actor=actor)
    else:
        applied = await transitions.fail(state.database, request_id, Event.FAILED_BY_ADMIN, ENDED_BY_ADMIN, actor=actor)
    state.announcer.announce_change(applied, actor=actor)
    return applied.outcome is Outcome.CHANGED


async def _retry(request_id: str, state: State, actor: str) -> bool:
    settings = state.settings
    try:
        made = await administration.retry(
            state.database,
            request_id,
            actor=actor,
            deadline_seconds=settings.ai_deadline_seconds,
            pricing=settings.pricing,
        )
    except NotRetriable:
        return False
    except Refusal as refusal:  # the organization's budget
        log.warning("bulk_refused", request_id=request_id, code=refused_submission(refusal).code)
        return False
    if made is None:
        return False
    announce_retry(made, request_id, state, actor)
    return True


routes = [Route("/api/admin/requests/bulk", bulk, methods=["POST"])]
