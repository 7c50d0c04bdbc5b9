"""What the dashboard shows: counts, durations and costs of a span of time, and what is going on now."""

from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal

from storage.amounts import amount_of
from storage.costs import hour_of
from storage.database.base import Database
from storage.queries import dashboard
from storage.times import instant

TOP = 20
"""How many users and organizations are listed."""


@dataclass(frozen=True, slots=True)
class Share:
    """One user's or organization's part."""

    id: str
    requests: int
    cost: Decimal


@dataclass(slots=True)
class Span:
    """One hour or day: how many requests of each status were submitted in it, and what they cost."""

    statuses: Counter[str] = field(default_factory=Counter)
    cost: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Durations:
    """Seconds from submission to picture, to a tenth; None when there was none."""

    mean: float | None
    p50: float | None
    p95: float | None


@dataclass(frozen=True, slots=True)
class Statistics:
    """A span of time, by hour (``2026-01-31T12``, UTC)."""

    by_hour: dict[str, Span]
    durations: Durations
    errors: dict[str, int]
    users: list[Share]
    organizations: list[Share]


@dataclass(frozen=True, slots=True)
class Queue:
    """What is unfinished now."""

    waiting: int
    """Not sent to n8n yet."""
    sending: int
    """On the way to n8n, or in doubt."""
    processing: int
    stuck: int
    """In processing for too long."""
    oldest_seconds: float
    """How long the oldest has waited to be sent."""


async def summarize(database: Database, window_seconds: float) -> Statistics:
    """Everything that was submitted in the last `window_seconds`."""
    window = {"minus_window": -window_seconds}
    by_hour: dict[str, Span] = {}
    for row in await database.all(dashboard.REQUESTS_BY_HOUR, **window):
        span = by_hour.setdefault(hour_of(row["hour"]), Span())
        span.statuses[row["status"]] += row["requests"]
        span.cost += amount_of(row["cost"])
    counted = {float(row["seconds"]): row["requests"] for row in await database.all(dashboard.DURATIONS, **window)}
    errors = {row["error_code"]: row["requests"] for row in await database.all(dashboard.ERRORS_BY_CODE, **window)}
    users, organizations = [
        [
            Share(str(row["id"]), row["requests"], amount_of(row["cost"]))
            for row in await database.all(query, limit=TOP, **window)
        ]
        for query in (dashboard.COSTS_BY_USER, dashboard.COSTS_BY_ORGANIZATION)
    ]
    return Statistics(by_hour, durations_of(counted), errors, users, organizations)


def durations_of(counted: dict[float, int]) -> Durations:
    """Mean and percentiles (nearest rank) of durations and how often each came."""
    total = sum(counted.values())
    if not total:
        return Durations(None, None, None)

    def percentile(share: float) -> float:
        left = share * total
        for seconds in sorted(counted):
            left -= counted[seconds]
            if left <= 0:
                return seconds
        return max(counted)

    mean = sum(seconds * times for seconds, times in counted.items()) / total
    return Durations(round(mean, 1), percentile(0.5), percentile(0.95))


async def queue(database: Database, stuck_seconds: float) -> Queue:
    """What is unfinished now; `stuck_seconds` is when a request in processing counts as stuck."""
    row = await database.one(dashboard.QUEUE, minus_stuck=-stuck_seconds)
    assert row is not None, "an aggregate returns a row"  # noqa: S101
    oldest = row["oldest"]
    waited = 0.0 if oldest is None else _seconds(row["now"], oldest)
    waiting, sending, processing, stuck = (
        int(row[name] or 0) for name in ("waiting", "sending", "processing", "stuck")
    )
    return Queue(waiting, sending, processing, stuck, max(0.0, waited))


def _seconds(now: object, then: object) -> float:
    return (instant(now) - instant(then)).total_seconds()
