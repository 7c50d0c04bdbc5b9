"""`POST /api/ai-callback`: what n8n has to say.

n8n repeats every non-2xx answer five times and ignores Retry-After, so only what is truly wrong is refused; a repeat
or late report is answered with success. A success never has a top-level ``error``: n8n would take it for a failure.

Whoever has no good secret learns nothing: every refusal is the same 401. So the secret is checked first, and a body
that cannot be read is still searched for the request that the secret may open: its author is told what is wrong.
"""

import asyncio
import re
from functools import cache, partial
from typing import Any

import structlog
from prometheus_client import Counter
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from structlog.contextvars import bind_contextvars

from gateway.api.body_budget import BodyBudget
from gateway.api.documents.operations import operation
from gateway.api.documents.schemas import FLAG, Schema, content, errors, json_body
from gateway.api.errors import ApiError, unauthorized
from gateway.api.parsing import read_body, require_json
from gateway.api.responses import json_response
from gateway.auth.redaction import secrets_of
from gateway.ids import parse_id
from gateway.n8n.decoding import Undecodable, decode
from gateway.n8n.reports import InvalidReport, apply_report, execution_id_of, parse_report, single_report, stripped
from gateway.state import State, state_of
from gateway.telemetry import metrics
from gateway.telemetry.incidents import Incident
from gateway.telemetry.logging import log_fields
from storage import reads
from storage.errors import DatabaseUnavailable
from storage.transitions import Applied, Outcome

log = structlog.get_logger(__name__)

MAX_BODY = 1024 * 1024
"""Longest callback in bytes: n8n's error objects carry the request that failed, headers, stack and all."""

LARGE_BODY = 64 * 1024
"""From this size on, in bytes, a body is decoded and searched beside the event loop."""


# No types where what is unusable is dropped: n8n words things its own way, and repeats whatever is refused.
_CALLBACK: Schema = {
    "description": "An object with these properties, or one that n8n has wrapped in a list, `json`, `body` or `data`.",
    "properties": {
        "requestId": {"description": "The request; `executionId` will do with the global secret."},
        "status": {"description": "`processing`, `completed` or `failed`; may be missing beside an `error`."},
        "Key": {"description": "`bucket/path` of the picture, with `completed`."},
        "Id": {"description": "The object's id, with `completed`."},
        "error": {"description": "Anything; cleaned and cut to 2,000 characters."},
        "progress": {"description": "0 to 100, as a number or as text."},
        "cost": {"description": "What it cost, as a number or as text."},
        "executionId": {"description": "n8n's, as text or as a number."},
    },
}
_TAKEN: Schema = {
    "type": "object",
    "properties": {"success": {"const": True}, "duplicate": FLAG, "ignored": FLAG},
    "required": ["success"],
    "additionalProperties": False,
}


@operation(
    "Report on a request (n8n)",
    security=[{"callbackSecret": []}],
    requestBody=json_body(_CALLBACK),
    responses={
        "200": content(_TAKEN, "Taken. `duplicate`: it was already so. `ignored`: it came too late."),
        **errors(
            (400, "Missing or wrong fields."),
            (401, "No good secret."),
            (404, "There is no such request."),
            (408, "The body did not arrive in time."),
            (409, "Completed with another Key or Id."),
            (413, "The body is too large."),
            (415, "Not application/json."),
            (503, "Briefly unavailable."),
        ),
    },
)
async def callback(request: Request) -> Response:
    """Apply a callback."""
    state = state_of(request)
    try:
        applied = await _apply(request, state)
    except ApiError as error:
        if error.status == 503:
            metrics.CALLBACKS.labels("unavailable").inc()
        else:
            _count_refusal(state, error)
        raise
    except DatabaseUnavailable:
        metrics.CALLBACKS.labels("unavailable").inc()
        raise
    _counter(applied.outcome).inc()
    match applied.outcome:
        case Outcome.DUPLICATE:
            return json_response({"success": True, "duplicate": True})
        case Outcome.IGNORED:
            return json_response({"success": True, "ignored": True})
    return json_response({"success": True})


@cache
def _counter(outcome: Outcome) -> Counter:
    return metrics.CALLBACKS.labels(outcome.value)


async def _apply(request: Request, state: State) -> Applied:
    """What the callback did: `CHANGED`, `DUPLICATE` or `IGNORED`.

    Raises:
        ApiError: it did nothing.
    """
    secret = request.headers.get("x-callback-secret")
    if not secret:
        log.warning("callback_unauthorized", reason="no secret")
        raise unauthorized()
    fields = await _authorized_fields(request, state, secret)
    request_id = await _request_id(state, fields, may_use_execution=state.callback_secrets.is_global(secret))
    bind_contextvars(request_id=request_id)
    try:
        secrets = partial(secrets_of, request_id, state.settings, state.callback_secrets)
        report = parse_report(fields, state.settings.allowed_buckets, secrets)
    except InvalidReport as error:
        log.warning("callback_refused", **await _fields_of(state, request_id), reason=error.code)
        raise ApiError(400, error.code, str(error)) from error
    applied = await apply_report(state.database, state.announcer, request_id, report, actor="n8n")
    if applied.request is None:
        raise _unknown()
    if applied.outcome is Outcome.CONFLICT:
        log.warning("callback_conflict", **log_fields(applied.request))
        raise ApiError(409, "conflicting_completion", "The request was completed with another Key or Id.")
    return applied


async def _fields_of(state: State, request_id: str) -> dict[str, str | None]:
    """What a log line says of the request, as far as that can be found out."""
    try:
        found = await reads.read(state.database, request_id)
    except DatabaseUnavailable:
        found = None
    return {"request_id": request_id} if found is None else log_fields(found)


def _count_refusal(state: State, error: ApiError) -> None:
    incident, outcome = _REFUSALS.get(error.status, (Incident.REFUSED_REPORT, "refused"))
    state.incidents.count(incident)
    metrics.CALLBACKS.labels(outcome).inc()


_REFUSALS = {
    401: (Incident.WRONG_SECRET, "unauthorized"),
    404: (Incident.UNKNOWN_REQUEST, "unknown"),
    409: (Incident.CONTRADICTION, "conflict"),
}


async def _authorized_fields(request: Request, state: State, secret: str) -> dict[str, Any]:
    """The report's fields, once the secret has proved good for them.

    Raises:
        ApiError: 401 without a good secret, whatever else is wrong; 400, 408, 413 or 415 with one; 503 while too much
            of others' bodies is held.
    """
    content = bytearray()
    is_global = state.callback_secrets.is_global(secret)
    try:
        body = await read_body(request, MAX_BODY, content, None if is_global else _unproven)
        require_json(request)
        fields = await _fields_in(body)
    except ApiError as error:
        if error.status == 503 or is_global or _opens_something_in(content, state, secret):
            log.warning("callback_unreadable", reason=error.code)
            raise
        log.warning("callback_unauthorized", reason=error.code)
        raise unauthorized() from error
    if not is_global:
        named = _named(fields)
        request_id = parse_id(named) if isinstance(named, str) else None
        if request_id is None or not state.callback_secrets.opens(secret, request_id):
            log.warning("callback_unauthorized", reason="wrong secret", request_id=request_id)
            raise unauthorized()
    return fields


async def _fields_in(content: bytes) -> dict[str, Any]:
    try:
        return _read(content) if len(content) < LARGE_BODY else await asyncio.to_thread(_read, content)
    except Undecodable as error:
        raise ApiError(400, "invalid_json", "The body is not valid JSON.") from error
    except InvalidReport as error:
        raise ApiError(400, error.code, str(error)) from error


def _read(content: bytes) -> dict[str, Any]:
    return single_report(decode(content))


_unproven = BodyBudget()
"""Of this process: a body names the request whose secret it may come with, so it is read first."""

_ID = re.compile(rb"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")

_MAX_IDS = 20
"""Most ids in an unreadable body against which its secret is tried."""


def _opens_something_in(content: bytearray, state: State, secret: str) -> bool:
    """Whether the secret opens a request whose id stands somewhere in a body that cannot be read."""
    ids: dict[str, None] = {}
    for match in _ID.finditer(content):
        ids[match[0].decode().lower()] = None
        if len(ids) == _MAX_IDS:
            break
    return any(state.callback_secrets.opens(secret, request_id) for request_id in ids)


def _named(fields: dict[str, Any]) -> object:
    return stripped(fields.get("requestId"))


async def _request_id(state: State, fields: dict[str, Any], *, may_use_execution: bool) -> str:
    named = _named(fields)
    if named is not None and named != "":
        if not isinstance(named, str):
            raise ApiError(400, "invalid_field", "requestId must be text.")
        parsed = parse_id(named)
        if parsed is None:
            raise _unknown()
        return parsed
    execution_id = execution_id_of(fields.get("executionId"))
    if execution_id is None or not may_use_execution:
        raise ApiError(400, "request_id_required", "requestId is required")
    found = await reads.of_execution(state.database, execution_id)
    if found is None:
        raise _unknown()
    return found


def _unknown() -> ApiError:
    log.warning("callback_unknown_request")
    return ApiError(404, "unknown_request", "There is no such request.")


_route = Route("/api/ai-callback", callback, methods=["POST"])
# A slash at the end is served, not redirected: n8n would come back with a GET, or to a host that only a proxy knows.
_route.path_regex = re.compile(r"/api/ai-callback/?\Z")

routes = [_route]
