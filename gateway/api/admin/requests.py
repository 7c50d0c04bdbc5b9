"""`/api/admin/requests`: everyone's requests, and what administrators do to them, recorded with who did it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.api.admin.exchange import EXCHANGE, exchange_of, without_secrets
from gateway.api.admin.filters import FILTER_PARAMETERS, filters_of
from gateway.api.admin.ordering import PAGE_PARAMETERS, cursor_of, order_of, place_of
from gateway.api.documents.operations import operation
from gateway.api.documents.schemas import (
    COUNT,
    MAYBE_TEXT,
    READ_ERRORS,
    REQUEST_ID,
    TEXT,
    USER,
    Schema,
    content,
    errors,
    json_body,
    object_of,
    ref,
    trimmed_text,
)
from gateway.api.errors import ApiError, not_found
from gateway.api.generate import refused_submission
from gateway.api.history import LIMIT, limit_of
from gateway.api.parsing import MAX_TEXT, admin_of, read_json_object, request_id_of, text_field
from gateway.api.responses import json_response
from gateway.auth.redaction import secrets_of, text_without
from gateway.n8n.editor import execution_url
from gateway.state import State, state_of
from gateway.telemetry.logging import log_fields
from storage import administration, directory, selection, transitions
from storage.errors import NotRetriable, Refusal
from storage.lifecycle import Event
from storage.request import Request as AiRequest
from storage.request import encode_body
from storage.times import rfc3339
from storage.transitions import Outcome

log = structlog.get_logger(__name__)

REFUSALS = READ_ERRORS | errors((403, "Not an administrator, or a cookie from a foreign page."))
_REFUSALS_OF_ONE = REFUSALS | errors((404, "Unknown."))
_SHOWN: Schema = {
    "allOf": [ref("Body")],
    "properties": {
        "userId": TEXT,
        "organizationId": TEXT,
        "userEmail": MAYBE_TEXT,
        "organizationName": MAYBE_TEXT,
        "executionId": MAYBE_TEXT,
        "executionUrl": MAYBE_TEXT,
        "retryOf": MAYBE_TEXT,
        "attempts": COUNT,
    },
}
ENDED_BY_ADMIN = "The request was ended by an administrator."
"""What its owner reads, where the administrator gave no reason."""

MAX_COUNTED = 10_000
"""So many requests are counted; a total of so many means that there may be more."""

_PAGE = object_of(
    requests={"type": "array", "items": {"allOf": [_SHOWN], "properties": {"sentAt": MAYBE_TEXT}}},
    previousCursor=MAYBE_TEXT,
    nextCursor=MAYBE_TEXT,
    total={"type": "integer", "description": f"With these filters; {MAX_COUNTED:,} stands for more too."},
)
_EVENT = object_of(at=TEXT, version=COUNT, kind=TEXT, actor=TEXT, detail={"type": "object"})
_NEIGHBOUR: Schema = {
    "oneOf": [{"type": "null"}, object_of(requestId=TEXT, status=TEXT, product=TEXT, brand=TEXT, createdAt=TEXT)],
    "description": "Of the same user.",
}
_TIMELINE = object_of(
    request=_SHOWN,
    costEstimate=MAYBE_TEXT,
    sentAt=MAYBE_TEXT,
    deadlineAt=MAYBE_TEXT,
    events={"type": "array", "items": _EVENT},
    n8n=EXCHANGE,
    previous=_NEIGHBOUR,
    next=_NEIGHBOUR,
)
_REASON: Schema = {
    "type": "object",
    "properties": {"reason": {"anyOf": [trimmed_text(MAX_TEXT, may_be_empty=True), {"type": "null"}]}},
}


# -- reading ----------------------------------------------------------------------------------------------------------


@operation(
    "Everyone's requests",
    security=USER,
    parameters=[*FILTER_PARAMETERS, *PAGE_PARAMETERS, LIMIT],
    responses={
        "200": content(_PAGE, "A page; `previousCursor` is null on the first one, `nextCursor` on the last."),
        **REFUSALS,
        **errors((400, "An unusable parameter.")),
    },
)
async def list_requests(request: Request) -> Response:
    """A page of everyone's requests, newest first or as asked, by any of the filters together."""
    await admin_of(request)
    state, asked = state_of(request), request.query_params
    limit, order = limit_of(request), order_of(asked)
    after, before = place_of(asked, "cursor", order), place_of(asked, "newer", order)
    filters = await filters_of(asked, state)
    page = await selection.page(state.database, filters, order, limit, after=after, before=before)
    content = {
        "requests": [
            shown | {"sentAt": _time(page.sent.get(shown["requestId"]))}
            for shown in await shown_with_names(page.rows, state)
        ],
        "previousCursor": cursor_of(page.previous, order),
        "nextCursor": cursor_of(page.next, order),
        "total": await selection.count(state.database, filters, MAX_COUNTED),
    }
    return json_response(content)


@operation(
    "A request, what happened to it, what n8n was sent and has reported, and the user's requests before and after",
    security=USER,
    parameters=[REQUEST_ID],
    responses={"200": content(_TIMELINE, "The timeline."), **_REFUSALS_OF_ONE},
)
async def one_request(request: Request) -> Response:
    """A request and everything that happened to it."""
    await admin_of(request)
    state = state_of(request)
    request_id = request_id_of(request)
    found = await administration.timeline(state.database, request_id)
    if found is None:
        raise not_found()
    content = {
        "request": (await shown_with_names([found.request], state))[0],
        "costEstimate": None if found.cost_estimate is None else f"{found.cost_estimate:f}",
        "sentAt": _time(found.sent_at),
        "deadlineAt": _time(found.deadline_at),
        "events": [
            {
                "at": rfc3339(event.at),
                "version": event.version,
                "kind": event.kind,
                "actor": event.actor,
                "detail": event.detail,
            }
            for event in found.events
        ],
        "n8n": exchange_of(found, state),
        "previous": _neighbour(found.before),
        "next": _neighbour(found.after),
    }
    return json_response(without_secrets(content, found.request, state))


# -- doing ------------------------------------------------------------------------------------------------------------


@operation(
    "Submit a failed request anew",
    security=USER,
    parameters=[REQUEST_ID],
    responses={
        "202": content(object_of(requestId=TEXT, retryOf=TEXT, status={"const": "pending"}), "Submitted."),
        **_REFUSALS_OF_ONE,
        **errors((402, "The organization's budget is spent."), (409, "Not failed, or already retried.")),
    },
)
async def retry(request: Request) -> Response:
    """Submit a failed request anew, for the same user and organization."""
    admin = await admin_of(request)
    state = state_of(request)
    request_id = request_id_of(request)
    try:
        made = await administration.retry(
            state.database,
            request_id,
            actor=f"admin:{admin.id}",
            deadline_seconds=state.settings.ai_deadline_seconds,
            pricing=state.settings.pricing,
        )
    except NotRetriable as error:
        raise ApiError(409, error.code, str(error)) from error
    except Refusal as refusal:
        raise refused_submission(refusal) from refusal
    if made is None:
        raise not_found()
    announce_retry(made, request_id, state, f"admin:{admin.id}")
    headers = {"Location": f"/api/admin/requests/{made.id}"}
    return json_response({"requestId": made.id, "retryOf": request_id, "status": made.status}, 202, headers)


def announce_retry(made: AiRequest, retry_of: str, state: State, actor: str) -> None:
    """Tell everyone of a request that an administrator has submitted."""
    log.info("retried", **log_fields(made), retry_of=retry_of, actor=actor)
    state.announcer.announce(made)
    state.dispatch_due.set()


@operation(
    "End an unfinished request",
    security=USER,
    parameters=[REQUEST_ID],
    requestBody=json_body(_REASON, required=False),
    responses={
        "200": content(ref("Body"), "Failed."),
        **_REFUSALS_OF_ONE,
        **errors((400, "An unusable reason."), (409, "Already final."), (413, "Too large."), (415, "No JSON.")),
    },
)
async def fail(request: Request) -> Response:
    """End an unfinished request as failed. A picture that comes later still wins."""
    admin = await admin_of(request)
    state = state_of(request)
    request_id = request_id_of(request)
    body = await read_json_object(request) if request.headers.get("content-type") else {}
    given = body.get("reason")
    reason = (given is not None and text_field(given, "reason")) or ENDED_BY_ADMIN
    reason = text_without(secrets_of(request_id, state.settings, state.callback_secrets), reason)
    actor = f"admin:{admin.id}"
    applied = await transitions.fail(state.database, request_id, Event.FAILED_BY_ADMIN, reason, actor=actor)
    if applied.request is None:
        raise not_found()
    if applied.outcome is not Outcome.CHANGED:
        raise ApiError(409, "already_final", f"The request is already {applied.request.status}.")
    state.announcer.announce_change(applied, actor=actor)
    return json_response(encode_body(applied.request, state.urls))


# -- what is asked and shown ------------------------------------------------------------------------------------------


async def shown_with_names(requests: Sequence[AiRequest], state: State) -> list[dict[str, Any]]:
    """The requests as administrators see them, with the names of who is behind them."""
    organization_ids, user_ids = ([getattr(one, name) for one in requests] for name in ("organization_id", "user_id"))
    names = await directory.names(state.database, organization_ids, user_ids)
    return [
        _shown(one, state)
        | {
            "organizationName": names.organizations.get(one.organization_id),
            "userEmail": names.users.get(one.user_id),
        }
        for one in requests
    ]


def _shown(request: AiRequest, state: State) -> dict[str, Any]:
    """The Body, and what only administrators see."""
    body: dict[str, Any] = msgspec.json.decode(encode_body(request, state.urls))
    return body | {
        "userId": request.user_id,
        "organizationId": request.organization_id,
        "executionId": request.n8n_execution_id,
        "executionUrl": execution_url(state.settings.n8n_editor_url, request.n8n_execution_id),
        "retryOf": request.retry_of,
        "attempts": request.dispatch_attempts,
    }


def _time(at: datetime | None) -> str | None:
    return None if at is None else rfc3339(at)


def _neighbour(request: AiRequest | None) -> dict[str, str] | None:
    if request is None:
        return None
    return {
        "requestId": request.id,
        "status": request.status,
        "product": request.product,
        "brand": request.brand,
        "createdAt": rfc3339(request.created_at),
    }


routes = [
    Route("/api/admin/requests", list_requests, methods=["GET"]),
    Route("/api/admin/requests/{request_id}", one_request, methods=["GET"]),
    Route("/api/admin/requests/{request_id}/retry", retry, methods=["POST"]),
    Route("/api/admin/requests/{request_id}/fail", fail, methods=["POST"]),
]
