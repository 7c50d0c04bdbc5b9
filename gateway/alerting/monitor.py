"""Alerts: what operators should know, each told once when it begins and once when it ends, over all processes.

A trouble is one row in the database, which every process that sees it refreshes; whoever takes the row for a moment
tells it (`ALERT_WEBHOOK_URL`, and the log). What could not be told is told later. A process that dies between telling
and writing that down makes it told twice: better than not at all.

A database that is away cannot keep such a row: that alert goes through the bus's server, where there is one.

Looking and telling are two loops: a webhook that is slow or away keeps nothing else waiting.
"""

import asyncio
import contextlib
import time
from datetime import UTC, datetime

import httpx
import structlog

from gateway.alerting.gauges import refresh_gauges
from gateway.http_client import new_client
from gateway.state import State
from gateway.telemetry import metrics
from storage import alerts, statistics
from storage.alerts import Alert
from storage.errors import DatabaseUnavailable
from storage.times import rfc3339

log = structlog.get_logger(__name__)

LOOK_SECONDS = 5.0
"""How often each process looks."""

CONDITION_QUIET_SECONDS = 20.0
"""A condition that was not seen for so long is over."""

INCIDENT_QUIET_SECONDS = 300.0
"""Single failures belong together while no more than this lies between them."""

AWAY_SECONDS = 10.0
"""How long the bus or the database may be away before anyone is alerted: a restart is no trouble."""

TELL_SECONDS = 10.0
"""Longest wait for the webhook."""

DATABASE_AWAY = "database_away"
DATABASE_AWAY_SUMMARY = "The database is away. Nothing can be submitted, and callbacks are put off."


class AlertMonitor:
    """One process's watch over itself and over what all share."""

    def __init__(self, gateway: State) -> None:
        self._gateway = gateway
        self._database_away_since: float | None = None
        self._bus_away_since: float | None = None
        self._database_alert: Alert | None = None
        self._database_looked_at = False
        self._own: list[Alert] = []
        """What this process has to tell of the database, which cannot keep it: a beginning, an end, or both."""
        self._active: set[str] = set()
        self._shown: set[str] = set()
        """Every alert that `/metrics` has had; one that is over stays there, as 0."""

    async def keep_looking(self) -> None:
        """Look until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_SECONDS)

    async def keep_telling(self) -> None:
        """Tell until cancelled."""
        while True:
            await self.tell()
            await asyncio.sleep(LOOK_SECONDS)

    async def stop(self) -> None:
        """Write down what happened since the last look, and sign off."""
        try:
            await self._write_down()
            await alerts.process_gone(self._gateway.database, self._gateway.process)
        except DatabaseUnavailable as error:
            log.warning("process_not_signed_off", reason=str(error)[:200])

    async def look(self) -> None:
        """Refresh what this process knows, and raise what is wrong."""
        gateway = self._gateway
        refresh_gauges(gateway.bus, gateway.hub, gateway.limits, gateway.drain)
        try:
            await self._look_at_database()
        except DatabaseUnavailable as error:
            await self._database_is_away(error)
        else:
            await self._database_is_back()

    async def _look_at_database(self) -> None:
        gateway, database = self._gateway, self._gateway.database
        healthy = self._bus_is_well()
        connections = gateway.limits.held
        await alerts.process_seen(database, gateway.process, connections=connections, bus_healthy=healthy)
        await self._write_down()
        if not healthy:
            await alerts.raise_alert(
                database,
                "bus_away",
                "Redis is away. Clients are served from the database, every few seconds instead of at once.",
                quiet_seconds=CONDITION_QUIET_SECONDS,
            )
        queue = await statistics.queue(database, gateway.settings.ai_stuck_after_seconds)
        for state in ("waiting", "sending", "processing", "stuck"):
            metrics.QUEUE.labels(state).set(getattr(queue, state))
        metrics.QUEUE_AGE.set(queue.oldest_seconds)
        if queue.stuck:
            minutes = round(gateway.settings.ai_stuck_after_seconds / 60, 1)
            await alerts.raise_alert(
                database,
                "stuck_requests",
                f"{queue.stuck} request(s) have been in processing for more than {minutes:g} minutes.",
                quiet_seconds=CONDITION_QUIET_SECONDS,
            )
        await alerts.resolve_quiet_alerts(database)
        self._show({alert.name for alert in await alerts.recent_alerts(database, 0.0, 100) if alert.ended_at is None})

    def _bus_is_well(self) -> bool:
        if self._gateway.bus.healthy:
            self._bus_away_since = None
            return True
        self._bus_away_since = self._bus_away_since or time.monotonic()
        return time.monotonic() - self._bus_away_since < AWAY_SECONDS

    async def _write_down(self) -> None:
        await self._write_down_incidents()
        await self._gateway.hub.delivered.write_down(self._gateway.database, self._gateway.process)

    async def _write_down_incidents(self) -> None:
        taken = self._gateway.incidents.take()
        if not taken:
            return
        try:
            await alerts.add_incidents(
                self._gateway.database,
                {str(incident): (incident.sentence, count) for incident, count in taken.items()},
                quiet_seconds=INCIDENT_QUIET_SECONDS,
            )
        except DatabaseUnavailable:
            self._gateway.incidents.put_back(taken)
            raise

    def _show(self, active: set[str]) -> None:
        self._active = active
        self._shown |= active
        for name in self._shown:
            metrics.ALERT.labels(name).set(float(name in active))

    # -- the database itself ------------------------------------------------------------------------------------------

    async def _database_is_away(self, error: DatabaseUnavailable) -> None:
        log.warning("alert_look_failed", reason=str(error)[:200])
        now = time.monotonic()
        self._database_away_since = self._database_away_since or now
        if now - self._database_away_since < AWAY_SECONDS or self._database_alert is not None:
            return
        self._database_alert = Alert(DATABASE_AWAY, DATABASE_AWAY_SUMMARY, 1, datetime.now(UTC), None)
        self._show(self._active | {DATABASE_AWAY})
        if await self._gateway.bus.claim_once(DATABASE_AWAY):
            self._own = [self._database_alert]  # an older end that could not be told would mislead now

    async def _database_is_back(self) -> None:
        first_look, self._database_looked_at = not self._database_looked_at, True
        begun, self._database_away_since, self._database_alert = self._database_alert, None, None
        if begun is None and not first_look:
            return
        self._show(self._active - {DATABASE_AWAY})
        # A process that has just started may be the successor of those who told the beginning.
        if await self._gateway.bus.give_back(DATABASE_AWAY, certain=begun is not None):
            now = datetime.now(UTC)
            since = now if begun is None else begun.since
            self._own.append(Alert(DATABASE_AWAY, DATABASE_AWAY_SUMMARY, 1, since, now, told=True))

    # -- telling ------------------------------------------------------------------------------------------------------

    async def tell(self) -> None:
        """Tell what has not been told yet. What could not be told is told later."""
        for alert in list(self._own):
            if not await self._tell(alert):
                break
            if alert in self._own:
                self._own.remove(alert)
        with contextlib.suppress(DatabaseUnavailable):  # the look says so
            untold = await alerts.claim_notifications(self._gateway.database)
            await asyncio.gather(*(self._tell_and_note(alert) for alert in untold))

    async def _tell_and_note(self, alert: Alert) -> None:
        if await self._tell(alert):
            await alerts.record_notification(self._gateway.database, alert)

    async def _tell(self, alert: Alert) -> bool:
        """Log the alert and post it; whether that worked."""
        over = alert.told and alert.ended_at is not None
        fields = {"alert": alert.name, "summary": alert.summary, "count": alert.count, "since": rfc3339(alert.since)}
        url = self._gateway.settings.alert_webhook_url
        if url is not None and not await self._post(url.get_secret_value(), _message(alert, over=over)):
            log.warning("alert_not_told", alert=alert.name)
            return False
        if over:
            log.warning("alert_ended", **fields)
        else:
            log.error("alert_began", **fields)
        return True

    async def _post(self, url: str, message: dict[str, object]) -> bool:
        # A client of its own: httpx bounds each read but not the whole, and one that is cancelled keeps its connection.
        try:
            async with (
                asyncio.timeout(TELL_SECONDS),
                new_client(timeout=TELL_SECONDS) as http,
                http.stream("POST", url, json=message) as answer,  # its body is nobody's concern
            ):
                told = answer.is_success
        except (httpx.HTTPError, TimeoutError) as error:
            log.warning("alert_webhook_failed", reason=type(error).__name__)
            return False
        if not told:
            log.warning("alert_webhook_failed", status=answer.status_code)
        return told


def _message(alert: Alert, *, over: bool) -> dict[str, object]:
    """What is posted: Slack shows `text`; the rest is for programs."""
    sign = "✅ Resolved" if over else "🚨"
    text = f"{sign} {alert.summary}" + (f" (seen {alert.count} times)" if alert.count > 1 else "")
    return {
        "text": text,
        "alert": alert.name,
        "status": "resolved" if over else "firing",
        "summary": alert.summary,
        "count": alert.count,
        "since": rfc3339(alert.since),
        "endedAt": None if alert.ended_at is None else rfc3339(alert.ended_at),
    }
