"""`POST /api/ai-generate`: a submission in, a durable request out.

`POST /api/ai-generate-sync` is the same for clients that wait for the picture, as before there was a gateway. It stands
on the asynchronous path and holds nothing but the connection: whoever leaves early, or waits in vain, loses nothing.
"""

import re

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.api.documents.operations import operation
from gateway.api.documents.schemas import USER, Schema, content, errors, json_body, parameter, ref, trimmed_text
from gateway.api.errors import ApiError, unauthorized
from gateway.api.long_requests import ClientLeft, admitted, while_connected
from gateway.api.parsing import MAX_BODY, MAX_TEXT, read_json_object, text_field, user_of
from gateway.api.responses import json_response
from gateway.auth.verified_tokens import User
from gateway.ids import parse_id
from gateway.realtime.long_poll import wait_until_final
from gateway.realtime.update import Update
from gateway.state import State, state_of
from gateway.telemetry import metrics
from gateway.telemetry.logging import log_fields, reason_of
from storage.errors import (
    BudgetSpent,
    DatabaseUnavailable,
    IdempotencyConflict,
    NoOrganization,
    NotAMember,
    OrganizationRequired,
    RateLimited,
    Refusal,
    UserGone,
)
from storage.lifecycle import Status
from storage.quota import WINDOW
from storage.submissions import Submission, Submitted, submit

log = structlog.get_logger(__name__)

MESSAGE = "AI image generation started. This may take 30-60 seconds."

MAX_KEY = 255
"""Longest Idempotency-Key in characters."""

MAX_CANCEL_AFTER = 24 * 3600
"""Longest Cancel-After in seconds."""

# W3C Trace Context, section 3.2: version 00, trace id, parent id, flags.
_TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}\Z")


_NAME = trimmed_text(MAX_TEXT)
_SUBMISSION: Schema = {
    "security": USER,
    "parameters": [
        parameter(
            "Idempotency-Key",
            "header",
            "For 24 hours, the same key and body mean the same request.",
            {"type": "string", "minLength": 1, "maxLength": MAX_KEY},
        ),
        parameter(
            "Cancel-After",
            "header",
            "Seconds after which the request is canceled by itself, if it has not ended.",
            {"type": "integer", "minimum": 1, "maximum": MAX_CANCEL_AFTER},
        ),
    ],
    "requestBody": json_body(
        {
            "type": "object",
            "properties": {
                "Product": _NAME,
                "Your Brand": _NAME,
                "organizationId": {"type": ["string", "null"], "format": "uuid"},
            },
            "required": ["Product", "Your Brand"],
        }
    ),
}
_REFUSALS = errors(
    (400, "A missing or unusable field, or no organization."),
    (401, "No good credential."),
    (402, "The organization's budget for the month is spent; `Retry-After` says when it renews."),
    (403, "Not a member of the organization, or a cookie from a foreign page."),
    (408, "The body did not arrive in time."),
    (413, f"The body is larger than {MAX_BODY // 1024} KiB."),
    (415, "Not application/json."),
    (422, "The Idempotency-Key was used with another body."),
    (429, "The hour's quota is used up; `Retry-After` says when there is room."),
    (503, "Briefly unavailable."),
)
_ACCEPTED: Schema = {
    "type": "object",
    "properties": {
        "requestId": {"type": "string", "format": "uuid"},
        "status": {"const": "pending"},
        "message": {"type": "string"},
    },
    "required": ["requestId", "status", "message"],
}
_FAILURE: Schema = {
    "type": "object",
    "properties": {"error": {"type": "string"}, "code": {"type": "string"}, "request": ref("Body")},
    "required": ["error", "code", "request"],
}


@operation(
    "Submit a request",
    description="Answers once the request is durable. It is sent to n8n within a second.",
    responses={
        "202": content(_ACCEPTED, "Accepted; `Location`, `RateLimit-Policy` and `RateLimit` come along."),
        **_REFUSALS,
    },
    **_SUBMISSION,
)
async def generate(request: Request) -> Response:
    """Take a submission: 202 once it is durable. `AI_GENERATION_MODE=sync` makes it wait for the end."""
    state = state_of(request)
    if state.settings.ai_generation_mode == "sync":
        return await generate_sync(request)
    user = await user_of(request)
    submitted = await submit_for(state, await _parse(request, user))
    content = {"requestId": submitted.request.id, "status": "pending", "message": MESSAGE}
    headers = {"Location": f"/api/ai-status/{submitted.request.id}", **_limit_headers(state, submitted)}
    return json_response(content, 202, headers)


@operation(
    "Submit a request and wait for its end",
    description="With `AI_GENERATION_MODE=sync`, `/api/ai-generate` does this too.",
    responses={
        "200": content(ref("Body"), "Completed."),
        "202": content(ref("Body"), "Not final within `AI_SYNC_TIMEOUT_SECONDS`: it goes on, see `Location`."),
        "500": content(_FAILURE, "The generation failed."),
        **_REFUSALS,
    },
    **_SUBMISSION,
)
async def generate_sync(request: Request) -> Response:
    """Take a submission and answer when it is final: 200 or 500; 202 when that takes too long, and it goes on."""
    user = await user_of(request)
    state = state_of(request)
    submission = await _parse(request, user)
    with admitted(request, state, user):  # before anything is written
        submitted = await submit_for(state, submission)
        update = Update.of(submitted.request, state.urls)
        waiting = _until_final(state, user, update)
        try:
            update = await while_connected(request, waiting)
        except ClientLeft:
            return Response(status_code=204)  # nobody reads it
    headers = {"Location": f"/api/ai-status/{update.request_id}", **_limit_headers(state, submitted)}
    if update.status is Status.COMPLETED:
        return json_response(bytes(update.body), 200, headers)
    if not update.is_final:
        return json_response(bytes(update.body), 202, headers)
    body = msgspec.json.decode(update.body)
    failure = {"error": body["errorMessage"], "code": body["errorCode"] or "generation_failed", "request": update.body}
    return json_response(failure, 500, headers)


async def _until_final(state: State, user: User, submitted: Update) -> Update:
    """The newest update within `AI_SYNC_TIMEOUT_SECONDS`; the one at hand when the database cannot tell a newer."""
    try:
        found = await wait_until_final(
            state.hub,
            state.subscriptions,
            user.id,
            submitted.request_id,
            wait=state.settings.ai_sync_timeout_seconds,
        )
    except DatabaseUnavailable as error:
        log.warning("sync_wait_failed", request_id=submitted.request_id, reason=reason_of(error))
        return submitted
    return found or submitted


async def _parse(request: Request, user: User) -> Submission:
    key = request.headers.get("idempotency-key")
    if key is not None and not (0 < len(key) <= MAX_KEY and key.isprintable()):
        raise ApiError(400, "invalid_idempotency_key", f"The Idempotency-Key must have 1 to {MAX_KEY} characters.")
    cancel_after = _cancel_after(request)
    body = await read_json_object(request)
    fields = {}
    for name in ("Product", "Your Brand"):
        if body.get(name) is None or not (text := text_field(body[name], name)):
            raise ApiError(400, "product_and_brand_required", "Product and Brand are required")
        fields[name] = text
    named = body.get("organizationId")
    organization = parse_id(named) if isinstance(named, str) else None
    if named is not None and organization is None:
        raise ApiError(400, "invalid_field", "organizationId must be a UUID.")
    trace = _TRACEPARENT.match(request.headers.get("traceparent", ""))
    return Submission(
        user_id=user.id,
        product=fields["Product"],
        brand=fields["Your Brand"],
        organization_id=organization,
        idempotency_key=key,
        cancel_after=cancel_after,
        metadata={"traceId": trace[1]} if trace else {},
    )


def _cancel_after(request: Request) -> int | None:
    """Seconds after which the request is to be canceled by itself.

    Raises:
        ApiError: 400.
    """
    text = request.headers.get("cancel-after")
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 0 < int(text) <= MAX_CANCEL_AFTER:
        sentence = f"Cancel-After must be a whole number of seconds from 1 to {MAX_CANCEL_AFTER}."
        raise ApiError(400, "invalid_cancel_after", sentence)
    return int(text)


async def submit_for(state: State, submission: Submission) -> Submitted:
    """Make the submission durable and announce it.

    Raises:
        ApiError: a rule of the submission was broken.
    """
    settings = state.settings
    try:
        submitted = await submit(
            state.database,
            submission,
            quota=settings.ai_generation_rate_limit_per_hour,
            deadline_seconds=settings.ai_deadline_seconds,
            pricing=settings.pricing,
        )
    except Refusal as refusal:
        refused = refused_submission(refusal)
        metrics.SUBMISSIONS.labels(refused.code).inc()
        raise refused from refusal
    if not submitted.repeated:
        log.info("submitted", **log_fields(submitted.request))
        metrics.SUBMISSIONS.labels("accepted").inc()
        state.announcer.announce(submitted.request)
        state.dispatch_due.set()
    return submitted


def refused_submission(refusal: Refusal) -> ApiError:
    """What a client is told of a submission that breaks a rule."""
    match refusal:
        case UserGone():
            return unauthorized()
        case NoOrganization():
            return ApiError(400, "no_organization", "No organization found for user")
        case OrganizationRequired():
            sentence = "You belong to several organizations: name one of those in /api/usage as organizationId."
            return ApiError(400, "organization_required", sentence)
        case NotAMember():
            return ApiError(403, "not_a_member", "You are not a member of this organization.")
        case IdempotencyConflict():
            return ApiError(
                422, "idempotency_conflict", "This Idempotency-Key was already used for another submission."
            )
        case RateLimited(limit=limit, retry_after=seconds):
            headers = {"Retry-After": str(seconds), **_rate_limit(limit, 0, seconds)}
            sentence = f"Rate limit exceeded. Maximum {limit} requests per hour."
            return ApiError(429, "rate_limited", sentence, headers)
        case BudgetSpent(renews_at=renews_at, retry_after=seconds):
            day = f"{renews_at.day} {renews_at:%B %Y}"
            sentence = f"Your organization's budget for this month is spent. It renews on {day} (UTC)."
            return ApiError(402, "budget_spent", sentence, {"Retry-After": str(seconds)})
    raise refusal


def _limit_headers(state: State, submitted: Submitted) -> dict[str, str]:
    limit = state.settings.ai_generation_rate_limit_per_hour
    return _rate_limit(limit, max(0, submitted.remaining), submitted.reset_seconds)


def _rate_limit(limit: int, remaining: int, seconds: int) -> dict[str, str]:
    """The fields of draft-ietf-httpapi-ratelimit-headers."""
    window = int(WINDOW.total_seconds())
    return {"RateLimit-Policy": f'"hour";q={limit};w={window}', "RateLimit": f'"hour";r={remaining};t={seconds}'}


routes = [
    Route("/api/ai-generate", generate, methods=["POST"]),
    Route("/api/ai-generate-sync", generate_sync, methods=["POST"]),
]
