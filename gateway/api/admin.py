"""`/api/admin/…`: what administrators see and do. Everything that they do is recorded with who did it."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.api.generate import refused_submission
from gateway.api.history import cursor_of, page_asked_for, status_asked_for
from gateway.api.parsing import number_parameter, read_json_object, text_field, user_of
from gateway.auth import User
from gateway.context import Gateway, gateway_of, log_fields
from gateway.errors import ApiError
from gateway.ids import parse_id
from gateway.operations import charts
from gateway.operations.incidents import CALLBACK_INCIDENTS, Incident
from gateway.responses import json_response
from storage import administration, alerts, requests, statistics
from storage.errors import NotRetriable, Refusal
from storage.lifecycle import Event, Status
from storage.listing import Position
from storage.request import Request as AiRequest
from storage.request import encode_body, rfc3339
from storage.requests import Outcome
from storage.statistics import Span, Statistics

log = structlog.get_logger(__name__)

DAYS = 7
MAX_DAYS = 90

FRESH_SECONDS = 5.0
"""How long statistics are good: open dashboards must not become load."""

HOURS_SHOWN = 48
MAX_ALERTS = 100


async def admin_of(request: Request) -> User:
    """The administrator who is asking.

    Raises:
        ApiError: 401, 403.
    """
    user = await user_of(request)
    if not user.is_admin:
        raise ApiError(403, "forbidden", "Only administrators may do that.")
    return user


# -- reading ----------------------------------------------------------------------------------------------------------


class StatisticsMemory:
    """The last statistics by the number of days, remembered for a moment. There are at most `MAX_DAYS` of them."""

    def __init__(self) -> None:
        self._found: dict[int, tuple[float, Statistics]] = {}

    async def of(self, gateway: Gateway, days: int) -> Statistics:
        """The statistics of the last `days` days."""
        asked_at, found = self._found.get(days, (-FRESH_SECONDS, None))
        if found is None or time.monotonic() - asked_at >= FRESH_SECONDS:
            found = await statistics.statistics(gateway.database, days * 24 * 3600.0)
            self._found[days] = (time.monotonic(), found)
        return found


async def stats(request: Request) -> Response:
    """Counts, durations and costs of the last days, and what is going on now."""
    await admin_of(request)
    gateway, days = gateway_of(request), _days(request)
    found = await _memory(request).of(gateway, days)
    queue = await statistics.queue(gateway.database, gateway.settings.ai_stuck_after_seconds)
    process_count, connections = await alerts.processes(gateway.database)
    counted = await alerts.counts(gateway.database, 24 * 3600.0)
    shown_alerts = await alerts.recent_alerts(gateway.database, 24 * 3600.0, MAX_ALERTS)
    whole = _together(list(found.by_hour.values()))
    return json_response(
        {
            "days": days,
            "totals": _counted(whole) | {"cost": f"{whole.cost:f}"},
            "successRate": _success_rate(whole),
            "seconds": {"mean": found.durations.mean, "p50": found.durations.p50, "p95": found.durations.p95},
            "errors": found.errors,
            "byHour": [{"hour": label, **_entry(span)} for label, span in _hours(found, days)],
            "byDay": [{"day": label, **_entry(span)} for label, span in _days_of(found, days)],
            "byUser": [{"userId": one.id, "requests": one.requests, "cost": f"{one.cost:f}"} for one in found.users],
            "byOrganization": [
                {"organizationId": one.id, "requests": one.requests, "cost": f"{one.cost:f}"}
                for one in found.organizations
            ],
            "queue": {
                "waiting": queue.waiting,
                "sending": queue.sending,
                "processing": queue.processing,
                "stuck": queue.stuck,
                "oldestSeconds": round(queue.oldest_seconds, 1),
            },
            "connections": connections,
            "processes": process_count,
            "callbackFailures": sum(counted.get(str(incident), 0) for incident in CALLBACK_INCIDENTS),
            "dispatchFailures": counted.get(str(Incident.DISPATCH_FAILED), 0),
            "alerts": [
                {
                    "name": alert.name,
                    "summary": alert.summary,
                    "count": alert.count,
                    "since": rfc3339(alert.since),
                    "endedAt": None if alert.ended_at is None else rfc3339(alert.ended_at),
                }
                for alert in shown_alerts
            ],
        }
    )


async def chart(request: Request) -> Response:
    """One of the charts, as SVG."""
    await admin_of(request)
    days = _days(request)
    found = await _memory(request).of(gateway_of(request), days)
    match request.path_params["name"]:
        case "hours":
            drawn = _requests_chart([(f"{label[11:]}:00", span) for label, span in _hours(found, days)], every=6)
        case "days":
            drawn = _requests_chart(
                [(label[5:], span) for label, span in _days_of(found, days)], every=max(1, days // 7)
            )
        case "costs":
            spans = [(label[5:], span) for label, span in _days_of(found, days)]
            labels = [label for label, _ in spans]
            drawn = charts.bars(labels, "cost", [float(span.cost) for _, span in spans], labels[:: max(1, days // 7)])
        case _:
            raise ApiError(404, "not_found", "There is no such chart.")
    return Response(drawn, media_type="image/svg+xml", headers={"Cache-Control": "private, no-store"})


def _requests_chart(spans: Sequence[tuple[str, Span]], every: int) -> bytes:
    labels = [label for label, _ in spans]
    series = {status: [span.statuses[status] for _, span in spans] for status in charts.STATUSES}
    return charts.stacked_bars(labels, series, labels[::every])


async def list_requests(request: Request) -> Response:
    """A page of everyone's requests, newest first, by any of the filters together."""
    await admin_of(request)
    gateway = gateway_of(request)
    limit, after = page_asked_for(request)
    found = await administration.requests_of_everyone(gateway.database, _filters(request, gateway), after, limit)
    last = Position(found[-1].created_at, found[-1].id) if len(found) == limit else None
    return json_response({"requests": [_shown(one, gateway) for one in found], "nextCursor": cursor_of(last)})


async def one_request(request: Request) -> Response:
    """A request and everything that happened to it."""
    await admin_of(request)
    gateway = gateway_of(request)
    request_id = _request_id(request)
    found = await administration.timeline(gateway.database, request_id)
    if found is None:
        raise _not_found()
    content = {
        "request": _shown(found.request, gateway),
        "costEstimate": None if found.cost_estimate is None else f"{found.cost_estimate:f}",
        "sentAt": None if found.sent_at is None else rfc3339(found.sent_at),
        "deadlineAt": None if found.deadline_at is None else rfc3339(found.deadline_at),
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
    }
    return json_response(content)


# -- doing ------------------------------------------------------------------------------------------------------------


async def retry(request: Request) -> Response:
    """Submit a failed request anew, for the same user and organization."""
    admin = await admin_of(request)
    gateway = gateway_of(request)
    request_id = _request_id(request)
    try:
        made = await administration.retry(
            gateway.database,
            request_id,
            actor=f"admin:{admin.id}",
            deadline_seconds=gateway.settings.ai_deadline_seconds,
            pricing=gateway.settings.pricing,
        )
    except NotRetriable as error:
        raise ApiError(409, error.code, str(error)) from error
    except Refusal as refusal:
        raise refused_submission(refusal) from refusal
    if made is None:
        raise _not_found()
    log.info("retried", **log_fields(made), retry_of=request_id, actor=f"admin:{admin.id}")
    gateway.announce(made)
    gateway.wake_dispatcher()
    headers = {"Location": f"/api/admin/requests/{made.id}"}
    return json_response({"requestId": made.id, "retryOf": request_id, "status": made.status}, 202, headers)


async def fail(request: Request) -> Response:
    """End an unfinished request as failed. A picture that comes later still wins."""
    admin = await admin_of(request)
    gateway = gateway_of(request)
    request_id = _request_id(request)
    body = await read_json_object(request) if request.headers.get("content-type") else {}
    reason = text_field(body.get("reason") or "", "reason") or "The request was ended by an administrator."
    actor = f"admin:{admin.id}"
    applied = await requests.fail(gateway.database, request_id, Event.FAILED_BY_ADMIN, reason, actor=actor)
    if applied.request is None:
        raise _not_found()
    if applied.outcome is not Outcome.CHANGED:
        raise ApiError(409, "already_final", f"The request is already {applied.request.status}.")
    gateway.announce_change(applied, actor=actor)
    return json_response(encode_body(applied.request, gateway.urls))


# -- what is asked and shown ------------------------------------------------------------------------------------------


def _memory(request: Request) -> StatisticsMemory:
    memory: StatisticsMemory = request.app.state.statistics
    return memory


def _days(request: Request) -> int:
    days = number_parameter(request, "days", MAX_DAYS)
    if days == 0:
        raise ApiError(400, "invalid_parameter", f"days must be a whole number from 1 to {MAX_DAYS}.")
    return days or DAYS


def _filters(request: Request, gateway: Gateway) -> dict[str, object]:
    query = request.query_params
    filters: dict[str, object] = {}
    if query.get("status") == "stuck":
        filters["minus_stuck"] = -gateway.settings.ai_stuck_after_seconds
    elif (status := status_asked_for(request)) is not None:
        filters["status"] = str(status)
    for name, column in (("organizationId", "organization_id"), ("userId", "user_id")):
        if text := query.get(name):
            if (parsed := parse_id(text)) is None:
                raise ApiError(400, "invalid_parameter", f"{name} must be a UUID.")
            filters[column] = parsed
    if text := text_field(query.get("q") or "", "q"):
        filters["text"] = administration.like(text)
    for name in ("since", "until"):
        if text := query.get(name):
            filters[name] = _moment(text, name)
    return filters


def _moment(text: str, name: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ApiError(400, "invalid_parameter", f"{name} must be a time such as 2026-01-31T12:00:00Z.") from error


def _request_id(request: Request) -> str:
    parsed = parse_id(request.path_params["request_id"])
    if parsed is None:
        raise _not_found()
    return parsed


def _not_found() -> ApiError:
    return ApiError(404, "not_found", "Request not found")


def _shown(request: AiRequest, gateway: Gateway) -> dict[str, Any]:
    """The Body, and what only administrators see."""
    body: dict[str, Any] = msgspec.json.decode(encode_body(request, gateway.urls))
    return body | {
        "userId": request.user_id,
        "organizationId": request.organization_id,
        "executionId": request.n8n_execution_id,
        "retryOf": request.retry_of,
        "attempts": request.dispatch_attempts,
    }


def _hours(found: Statistics, days: int) -> list[tuple[str, Span]]:
    """The last hours, empty ones too, oldest first."""
    now = datetime.now(UTC)
    labels = [(now - timedelta(hours=back)).isoformat()[:13] for back in reversed(range(min(HOURS_SHOWN, 24 * days)))]
    return [(label, found.by_hour.get(label, Span())) for label in labels]


def _days_of(found: Statistics, days: int) -> list[tuple[str, Span]]:
    now = datetime.now(UTC)
    labels = [(now - timedelta(days=back)).isoformat()[:10] for back in reversed(range(days))]
    by_day = {label: _together([s for hour, s in found.by_hour.items() if hour[:10] == label]) for label in labels}
    return list(by_day.items())


def _together(spans: list[Span]) -> Span:
    whole = Span()
    for span in spans:
        whole.statuses.update(span.statuses)
        whole.cost += span.cost
    return whole


def _counted(span: Span) -> dict[str, int]:
    return {"requests": span.statuses.total(), **{str(status): span.statuses[status] for status in Status}}


def _entry(span: Span) -> dict[str, Any]:
    return _counted(span) | {"cost": f"{span.cost:f}"}


def _success_rate(span: Span) -> float | None:
    ended = span.statuses[Status.COMPLETED] + span.statuses[Status.FAILED]
    return round(span.statuses[Status.COMPLETED] / ended, 4) if ended else None


routes = [
    Route("/api/admin/stats", stats, methods=["GET"]),
    Route("/api/admin/charts/{name}.svg", chart, methods=["GET"]),
    Route("/api/admin/requests", list_requests, methods=["GET"]),
    Route("/api/admin/requests/{request_id}", one_request, methods=["GET"]),
    Route("/api/admin/requests/{request_id}/retry", retry, methods=["POST"]),
    Route("/api/admin/requests/{request_id}/fail", fail, methods=["POST"]),
]
