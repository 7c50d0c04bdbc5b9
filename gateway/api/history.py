"""What a user has: `GET /api/ai-requests`, `GET /api/assets` and `GET /api/usage`."""

import re

import msgspec
import structlog
from async_lru import alru_cache
from jwt.utils import base64url_decode, base64url_encode
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.api.cursors import place_in, text_of
from gateway.api.documents.operations import operation
from gateway.api.documents.schemas import (
    COUNT,
    FLAG,
    MAYBE_TEXT,
    READ_ERRORS,
    TEXT,
    USER,
    Schema,
    content,
    object_of,
    page_of,
    parameter,
    ref,
)
from gateway.api.errors import ApiError, unavailable
from gateway.api.parsing import number_parameter, user_of
from gateway.api.responses import json_response
from gateway.auth.verified_tokens import User
from gateway.ids import parse_id
from gateway.state import State, state_of
from gateway.telemetry.logging import reason_of
from storage import costs, directory, listing
from storage.database.base import Database
from storage.errors import StatementRefused
from storage.lifecycle import Status
from storage.listing import START, Position
from storage.quota import WINDOW, remaining_quota
from storage.request import encode_body
from storage.times import rfc3339

log = structlog.get_logger(__name__)

PAGE = 20
MAX_PAGE = 100

TYPICAL_WINDOW_SECONDS = 7 * 24 * 3600.0
"""Completions older than this say nothing of how long a picture takes today."""

TYPICAL_SAMPLE = 100
"""How many completions are looked at."""

TYPICAL_FRESH_SECONDS = 30.0
"""How long that answer is good: every open page asks."""


LIMIT = parameter("limit", "query", f"Most entries ({PAGE}).", {"type": "integer", "minimum": 1, "maximum": MAX_PAGE})
PAGING = [LIMIT, parameter("cursor", "query", "The last page's `nextCursor`.", {"type": "string"})]


_THUMBNAILS = {"thumbnails": FLAG}
"""Whether the pictures of a page may be had as small variants."""


@operation(
    "Own requests, newest first",
    security=USER,
    parameters=[parameter("status", "query", "Only these.", {"enum": [*Status, ""]}), *PAGING],
    responses=page_of("requests", ref("Body"), **_THUMBNAILS),
)
async def ai_requests(request: Request) -> Response:
    """A page of the user's requests, newest first."""
    user = await user_of(request)
    state = state_of(request)
    limit, after = _page_asked_for(request)
    page = await listing.requests_of(state.database, user.id, status_asked_for(request), after, limit)
    bodies = [msgspec.Raw(encode_body(one, state.urls)) for one in page.rows]
    return json_response({"requests": bodies, "nextCursor": _cursor_of(page.next), **_thumbnails(state)})


_ASSET = object_of(
    id=TEXT,
    name=TEXT,
    type=TEXT,
    format=MAYBE_TEXT,
    status=MAYBE_TEXT,
    fileUrl=MAYBE_TEXT,
    requestId=TEXT,
    product=TEXT,
    brand=TEXT,
    createdAt=TEXT,
)


@operation(
    "Own assets, newest first", security=USER, parameters=PAGING, responses=page_of("assets", _ASSET, **_THUMBNAILS)
)
async def assets(request: Request) -> Response:
    """A page of the user's generated assets, newest first."""
    user = await user_of(request)
    state = state_of(request)
    limit, after = _page_asked_for(request)
    try:
        page = await listing.assets_of(state.database, user.id, after, limit)
    except StatementRefused as error:  # the app's own table, which may lack a column, or close itself to us
        log.error("library_not_readable", reason=reason_of(error))
        raise unavailable() from error
    content = [
        {
            "id": asset.id,
            "name": asset.name,
            "type": asset.type,
            "format": asset.format,
            "status": asset.status,
            "fileUrl": asset.file_url,
            "requestId": asset.request.id,
            "product": asset.request.product,
            "brand": asset.request.brand,
            "createdAt": rfc3339(asset.request.completed_at or asset.request.created_at),
        }
        for asset in page.rows
    ]
    return json_response({"assets": content, "nextCursor": _cursor_of(page.next), **_thumbnails(state)})


def _thumbnails(state: State) -> dict[str, bool]:
    return {"thumbnails": state.settings.storage_thumbnails}


_AMOUNT: Schema = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?$"}
_USAGE = object_of(
    limit=object_of(quota=COUNT, remaining=COUNT, windowSeconds=COUNT, resetSeconds=COUNT),
    month=object_of(spent=_AMOUNT, reserved=_AMOUNT),
    organizations={
        "type": "array",
        "items": object_of(
            organizationId=TEXT, name=MAYBE_TEXT, budget=MAYBE_TEXT, committed=_AMOUNT, remaining=MAYBE_TEXT
        ),
    },
    typicalSeconds={"type": ["number", "null"]},
    currency=MAYBE_TEXT,
    isAdmin=FLAG,
)


class Usage:
    """What `/api/usage` says, with a memory of its own for what is the same for all."""

    def __init__(self) -> None:
        self._typical_seconds = alru_cache(maxsize=1, ttl=TYPICAL_FRESH_SECONDS)(_typical_seconds)

    @operation(
        "Own costs of this month (UTC) and remaining limits",
        security=USER,
        responses={
            "200": content(
                _USAGE, "`typicalSeconds` is the median of the last completions; `currency` is what amounts count."
            ),
            **READ_ERRORS,
        },
    )
    async def usage(self, request: Request) -> Response:
        """What the user has spent, what is left of the limits, and how long a picture usually takes."""
        user = await user_of(request)
        state = state_of(request)
        return json_response(
            await _usage(state, user) | {"typicalSeconds": await self._typical_seconds(state.database)}
        )


async def _typical_seconds(database: Database) -> float | None:
    found = await listing.typical_seconds(database, TYPICAL_WINDOW_SECONDS, TYPICAL_SAMPLE)
    return None if found is None else round(found, 1)


async def _usage(state: State, user: User) -> dict[str, object]:
    settings = state.settings
    quota = settings.ai_generation_rate_limit_per_hour
    remaining, reset = await remaining_quota(state.database, user.id, quota)
    spending = await costs.spending_of_user(state.database, user.id)
    organizations = await costs.committed_by_organization(state.database, user.id)
    names = (await directory.names(state.database, organizations, ())).organizations
    budget = settings.ai_org_monthly_budget
    return {
        "limit": {
            "quota": quota,
            "remaining": max(0, remaining),
            "windowSeconds": int(WINDOW.total_seconds()),
            "resetSeconds": reset,
        },
        "month": {"spent": f"{spending.spent:f}", "reserved": f"{spending.reserved:f}"},
        "organizations": [
            {
                "organizationId": one,
                "name": names.get(one),
                "budget": None if budget is None else f"{budget:f}",
                "committed": f"{committed:f}",
                "remaining": None if budget is None else f"{max(budget - committed, 0):f}",
            }
            for one, committed in organizations.items()
        ],
        "currency": settings.ai_currency,
        "isAdmin": user.is_admin,
    }


def _page_asked_for(request: Request) -> tuple[int, Position]:
    """The page's length, and where it begins.

    Raises:
        ApiError: 400.
    """
    cursor = request.query_params.get("cursor")
    return limit_of(request), START if not cursor else _position(cursor)


def limit_of(request: Request) -> int:
    """How many entries a page has at most.

    Raises:
        ApiError: 400.
    """
    limit = number_parameter(request, "limit", MAX_PAGE)
    if limit == 0:
        raise ApiError(400, "invalid_parameter", f"limit must be a whole number from 1 to {MAX_PAGE}.")
    return limit or PAGE


def _cursor_of(position: Position | None) -> str | None:
    """`position` as clients carry it: opaque, and good for nothing else."""
    if position is None:
        return None
    text = f"{text_of(position.created_at)} {position.id}"
    return base64url_encode(text.encode()).decode()


def _position(cursor: str) -> Position:
    wrong = ApiError(400, "invalid_parameter", "cursor must be a nextCursor of an earlier answer.")
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,200}", cursor):
        raise wrong
    try:
        text = base64url_decode(cursor).decode()
        created_at, _, request_id = text.rpartition(" ")
        moment = place_in(created_at)
    except (ValueError, OverflowError) as error:
        raise wrong from error
    parsed = parse_id(request_id)
    if parsed is None:
        raise wrong
    return Position(moment, parsed)


def status_asked_for(request: Request) -> Status | None:
    """The status to filter by; None for all.

    Raises:
        ApiError: 400.
    """
    text = request.query_params.get("status")
    if not text:
        return None
    try:
        return Status(text)
    except ValueError as error:
        raise ApiError(400, "invalid_parameter", f"status must be one of {', '.join(Status)}.") from error


def routes() -> list[Route]:
    """Routes of one application, with a memory of their own."""
    return [
        Route("/api/ai-requests", ai_requests, methods=["GET"]),
        Route("/api/assets", assets, methods=["GET"]),
        Route("/api/usage", Usage().usage, methods=["GET"]),
    ]
