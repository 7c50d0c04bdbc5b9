"""The monitor: evaluates the conditions that operators should know of, raises their alerts and resolves them."""

import asyncio
import time

import structlog

from gateway.alerting.database_outage import DATABASE_AWAY, DatabaseOutage
from gateway.realtime.bus import Bus
from gateway.telemetry import metrics
from gateway.telemetry.logging import reason_of
from storage import alerts, owed_assets, statistics
from storage.database.base import Database
from storage.errors import DatabaseUnavailable

log = structlog.get_logger(__name__)

INTERVAL_SECONDS = 5.0

CONDITION_RESOLVE_SECONDS = 20.0
"""A condition that no process has seen for so long is over."""

BUS_AWAY_SECONDS = 10.0
"""How long the bus may be away before anyone is alerted: a restart is no trouble."""

BUS_AWAY = "bus_away"
STUCK_REQUESTS = "stuck_requests"
ASSETS_REFUSED = "assets_refused"


class AlertMonitor:
    """One process's evaluation of itself and of what all share.

    Args:
        database: where alerts are kept and the queue is read.
        bus: whose health is a condition.
        outage: the alert about the database.
        stuck_after_seconds: how long a request may be in processing (`AI_STUCK_AFTER_SECONDS`).
    """

    def __init__(self, database: Database, bus: Bus, outage: DatabaseOutage, stuck_after_seconds: float) -> None:
        self._database = database
        self._bus = bus
        self._outage = outage
        self._stuck_after_seconds = stuck_after_seconds
        self._bus_away_since: float | None = None
        self._firing: set[str] = set()
        self._exposed: set[str] = set()
        """Every alert that `/metrics` has had; one that is resolved stays there, as 0."""

    async def run(self) -> None:
        """Evaluate until cancelled."""
        while True:
            await self.evaluate()
            await asyncio.sleep(INTERVAL_SECONDS)

    async def evaluate(self) -> None:
        """Raise what is wrong, resolve what is over, and expose both."""
        try:
            await self._evaluate_bus()
            await self._evaluate_queue()
            await self._evaluate_library()
            await alerts.resolve_alerts(self._database)
            recent = await alerts.recent_alerts(self._database, 0.0, 100)
        except DatabaseUnavailable as error:
            log.warning("alert_evaluation_failed", reason=reason_of(error))
            if await self._outage.observed():
                self._expose(self._firing | {DATABASE_AWAY})
        else:
            self._expose({alert.name for alert in recent if alert.ended_at is None})
            await self._outage.over()

    async def _evaluate_bus(self) -> None:
        if self._bus.healthy:
            self._bus_away_since = None
            return
        self._bus_away_since = self._bus_away_since or time.monotonic()
        if time.monotonic() - self._bus_away_since >= BUS_AWAY_SECONDS:
            await self._raise(
                BUS_AWAY, "Redis is away. Clients are served from the database, every few seconds instead of at once."
            )

    async def _evaluate_queue(self) -> None:
        queue = await statistics.queue(self._database, self._stuck_after_seconds)
        for state in ("waiting", "sending", "processing", "stuck"):
            metrics.QUEUE.labels(state).set(getattr(queue, state))
        metrics.QUEUE_AGE.set(queue.oldest_seconds)
        if queue.stuck:
            minutes = round(self._stuck_after_seconds / 60, 1)
            requests = "1 request has" if queue.stuck == 1 else f"{queue.stuck} requests have"
            await self._raise(STUCK_REQUESTS, f"{requests} been in processing for more than {minutes:g} minutes.")

    async def _evaluate_library(self) -> None:
        owed = await owed_assets.outstanding(self._database)
        if owed is not None:
            await self._raise(
                ASSETS_REFUSED,
                f"The assets table has refused {owed.count} picture(s) of completed requests ({owed.reason}). "
                "They are tried again; `gateway check` says what the table asks for.",
            )

    async def _raise(self, name: str, summary: str) -> None:
        await alerts.raise_alert(self._database, name, summary, resolve_seconds=CONDITION_RESOLVE_SECONDS)

    def _expose(self, firing: set[str]) -> None:
        self._firing = firing
        self._exposed |= firing
        for name in self._exposed:
            metrics.ALERT.labels(name).set(float(name in firing))
