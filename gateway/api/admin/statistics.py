"""`/api/admin/stats`: the numbers of the last days, and what is going on now."""

from datetime import UTC, datetime, timedelta
from typing import Any

from async_lru import alru_cache
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.api.admin.requests import REFUSALS
from gateway.api.documents.operations import operation
from gateway.api.documents.schemas import (
    COUNT,
    MAYBE_TEXT,
    TEXT,
    USER,
    Schema,
    content,
    errors,
    object_of,
    parameter,
)
from gateway.api.errors import ApiError
from gateway.api.parsing import admin_of, number_parameter
from gateway.api.responses import json_response
from gateway.state import State, state_of
from gateway.telemetry.incidents import CALLBACK_INCIDENTS, Incident
from storage import alerts, directory, statistics
from storage.database.base import Database
from storage.directory import Names
from storage.lifecycle import Status
from storage.statistics import Share, Span, Statistics
from storage.times import rfc3339

DAYS = 7
MAX_DAYS = 90

FRESH_SECONDS = 5.0
"""How long statistics are good: open dashboards must not become load."""

HOURS_SHOWN = 48
MAX_ALERTS = 100

_COUNTS = dict.fromkeys(("requests", *Status), COUNT)
_NUMBER: Schema = {"type": ["number", "null"]}


def _list_of(**properties: Schema) -> Schema:
    return {"type": "array", "items": object_of(**properties)}


_STATS = object_of(
    days=COUNT,
    totals=object_of(**_COUNTS, cost=TEXT),
    successRate=_NUMBER,
    seconds=object_of(mean=_NUMBER, p50=_NUMBER, p95=_NUMBER),
    errors={"type": "object", "additionalProperties": COUNT},
    byHour=_list_of(hour=TEXT, **_COUNTS, cost=TEXT),
    byDay=_list_of(day=TEXT, **_COUNTS, cost=TEXT),
    byUser=_list_of(userId=TEXT, name=MAYBE_TEXT, requests=COUNT, cost=TEXT),
    byOrganization=_list_of(organizationId=TEXT, name=MAYBE_TEXT, requests=COUNT, cost=TEXT),
    queue=object_of(waiting=COUNT, sending=COUNT, processing=COUNT, stuck=COUNT, oldestSeconds={"type": "number"}),
    stuckAfterSeconds={"type": "number"},
    currency=MAYBE_TEXT,
    connections=COUNT,
    processes=COUNT,
    callbackFailures=COUNT,
    dispatchFailures=COUNT,
    alerts=_list_of(name=TEXT, summary=TEXT, count=COUNT, since=TEXT, endedAt=MAYBE_TEXT),
)
_DAYS = parameter("days", "query", f"How far back ({DAYS}).", {"type": "integer", "minimum": 1, "maximum": MAX_DAYS})


class Numbers:
    """What the dashboard shows, remembered for a moment: who asks at once waits for the one answer."""

    def __init__(self) -> None:
        self._statistics = alru_cache(maxsize=MAX_DAYS, ttl=FRESH_SECONDS)(_statistics)

    @operation(
        "Statistics, what goes on now, and alerts",
        security=USER,
        parameters=[_DAYS],
        responses={"200": content(_STATS, "Statistics."), **REFUSALS, **errors((400, "An unusable parameter."))},
    )
    async def stats(self, request: Request) -> Response:
        """Counts, durations and costs of the last days, and what is going on now."""
        await admin_of(request)
        state, days = state_of(request), _days(request)
        found = await self._statistics(state.database, days)
        organization_ids, user_ids = ([one.id for one in shares] for shares in (found.organizations, found.users))
        names = await directory.names(state.database, organization_ids, user_ids)
        now = await _now(state)
        return json_response({"days": days, **_of_the_span(found, days, names), **now})


async def _statistics(database: Database, days: int) -> Statistics:
    return await statistics.summarize(database, days * 24 * 3600.0)


async def _now(state: State) -> dict[str, Any]:
    """What is going on, by the database's word: the same in every process."""
    queue = await statistics.queue(state.database, state.settings.ai_stuck_after_seconds)
    process_count, connections = await alerts.processes(state.database)
    counted = await alerts.counts(state.database, 24 * 3600.0)
    shown_alerts = await alerts.recent_alerts(state.database, 24 * 3600.0, MAX_ALERTS)
    return {
        "queue": {
            "waiting": queue.waiting,
            "sending": queue.sending,
            "processing": queue.processing,
            "stuck": queue.stuck,
            "oldestSeconds": round(queue.oldest_seconds, 1),
        },
        "stuckAfterSeconds": state.settings.ai_stuck_after_seconds,
        "currency": state.settings.ai_currency,
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


def _of_the_span(found: Statistics, days: int, names: Names) -> dict[str, Any]:
    whole = _together(list(found.by_hour.values()))
    return {
        "totals": _entry(whole),
        "successRate": _success_rate(whole),
        "seconds": {"mean": found.durations.mean, "p50": found.durations.p50, "p95": found.durations.p95},
        "errors": found.errors,
        "byHour": [{"hour": label, **_entry(span)} for label, span in _hours(found, days)],
        "byDay": [{"day": label, **_entry(span)} for label, span in _days_of(found, days)],
        "byUser": [{"userId": one.id, **_share(one, names.users)} for one in found.users],
        "byOrganization": [
            {"organizationId": one.id, **_share(one, names.organizations)} for one in found.organizations
        ],
    }


def _share(one: Share, names: dict[str, str]) -> dict[str, Any]:
    return {"name": names.get(one.id), "requests": one.requests, "cost": f"{one.cost:f}"}


def _days(request: Request) -> int:
    days = number_parameter(request, "days", MAX_DAYS)
    if days == 0:
        raise ApiError(400, "invalid_parameter", f"days must be a whole number from 1 to {MAX_DAYS}.")
    return days or DAYS


def _hours(found: Statistics, days: int) -> list[tuple[str, Span]]:
    """The last hours, empty ones too, oldest first."""
    now = datetime.now(UTC)
    shown = min(HOURS_SHOWN, 24 * days + 1)
    labels = [(now - timedelta(hours=back)).isoformat()[:13] for back in reversed(range(shown))]
    return [(label, found.by_hour.get(label, Span())) for label in labels]


def _days_of(found: Statistics, days: int) -> list[tuple[str, Span]]:
    """The calendar days (UTC) that the last `days` times 24 hours touch: the first of them only in part."""
    now = datetime.now(UTC)
    labels = [(now - timedelta(days=back)).isoformat()[:10] for back in reversed(range(days + 1))]
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


def routes() -> list[Route]:
    """Routes of one application, with a memory of their own."""
    numbers = Numbers()
    return [
        Route("/api/admin/stats", numbers.stats, methods=["GET"]),
    ]
