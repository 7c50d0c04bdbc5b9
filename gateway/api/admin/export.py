"""`/api/admin/requests/export.csv` and `.json`: what a filter selects, for a spreadsheet or a program."""

import csv
import io
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from gateway.api.admin.filters import FILTER_PARAMETERS, filters_of
from gateway.api.admin.ordering import ORDER_PARAMETERS, order_of
from gateway.api.admin.requests import REFUSALS, shown_with_names
from gateway.api.documents.operations import operation
from gateway.api.documents.schemas import USER, errors
from gateway.api.parsing import admin_of
from gateway.state import State, state_of
from storage import selection
from storage.selection import Order

MAX_EXPORTED = 10_000
"""Most requests of one export."""

PAGE = 500

COLUMNS = (
    "requestId", "status", "product", "brand", "createdAt", "completedAt", "progress", "errorCode", "errorMessage",
    "cost", "organizationId", "organizationName", "userId", "userEmail", "executionId", "retryOf", "attempts",
    "publicUrl",
)  # fmt: skip

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula (OWASP, CSV Injection)."""


@operation(
    "What a filter selects, as CSV",
    description=f"The first {MAX_EXPORTED:,} of them, in the list's order.",
    security=USER,
    parameters=[*FILTER_PARAMETERS, *ORDER_PARAMETERS],
    responses={
        "200": {"description": "CSV (RFC 4180).", "content": {"text/csv": {"schema": {"type": "string"}}}},
        **REFUSALS,
        **errors((400, "An unusable parameter.")),
    },
)
async def export_csv(request: Request) -> Response:
    """The selected requests as CSV, with a byte order mark: else a spreadsheet takes it for another encoding."""
    await admin_of(request)
    state = state_of(request)
    filters, order = await filters_of(request.query_params, state), order_of(request.query_params)

    async def lines() -> AsyncIterator[str]:
        yield "\ufeff" + _line(COLUMNS)
        async for shown in _selected(state, filters, order):
            yield _line([shown[name] for name in COLUMNS])

    return _download(lines(), "text/csv; charset=utf-8", "requests.csv")


@operation(
    "What a filter selects, as JSON",
    description=f"The first {MAX_EXPORTED:,} of them, in the list's order.",
    security=USER,
    parameters=[*FILTER_PARAMETERS, *ORDER_PARAMETERS],
    responses={
        "200": {"description": "A list.", "content": {"application/json": {"schema": {"type": "array"}}}},
        **REFUSALS,
        **errors((400, "An unusable parameter.")),
    },
)
async def export_json(request: Request) -> Response:
    """The selected requests as a list."""
    await admin_of(request)
    state = state_of(request)
    filters, order = await filters_of(request.query_params, state), order_of(request.query_params)

    async def parts() -> AsyncIterator[bytes]:
        before = b"["
        async for shown in _selected(state, filters, order):
            yield before + msgspec.json.encode(shown)
            before = b",\n"
        yield b"]\n" if before != b"[" else b"[]\n"

    return _download(parts(), "application/json", "requests.json")


async def _selected(state: State, filters: dict[str, object], order: Order) -> AsyncIterator[dict[str, Any]]:
    after, left = None, MAX_EXPORTED
    while left > 0:
        page = await selection.page(state.database, filters, order, min(PAGE, left), after=after)
        for shown in await shown_with_names(page.rows, state):
            yield shown
        left -= len(page.rows)
        if page.next is None:
            return
        after = page.next


def _line(values: Any) -> str:  # noqa: ANN401 - whatever a cell holds
    line = io.StringIO()
    csv.writer(line).writerow(["" if value is None else _cell(value) for value in values])
    return line.getvalue()


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _download(content: AsyncIterator[Any], media_type: str, name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return StreamingResponse(content, media_type=media_type, headers=headers)


routes = [
    Route("/api/admin/requests/export.csv", export_csv, methods=["GET"]),
    Route("/api/admin/requests/export.json", export_json, methods=["GET"]),
]
