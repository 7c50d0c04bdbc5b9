"""The notifier: hands alerts to `ALERT_WEBHOOK_URL` and to the log, each once when it begins and once when it is over.

A process that dies between notifying and recording that makes it notified twice: better than not at all. Notifying is
a loop of its own: a webhook that is slow or away keeps nothing else waiting.
"""

import asyncio
import contextlib

import httpx
import structlog

from gateway.alerting.database_outage import DatabaseOutage
from gateway.http_client import new_client
from storage import alerts
from storage.alerts import Alert
from storage.database.base import Database
from storage.errors import DatabaseUnavailable
from storage.times import rfc3339

log = structlog.get_logger(__name__)

INTERVAL_SECONDS = 5.0

WEBHOOK_SECONDS = 10.0
"""Longest wait for the webhook."""


class Notifier:
    """One process's share of the notifications.

    Args:
        database: where alerts are kept.
        outage: the alert that the database cannot keep.
        webhook_url: where alerts are posted; to the log alone without one.
    """

    def __init__(self, database: Database, outage: DatabaseOutage, webhook_url: str | None) -> None:
        self._database = database
        self._outage = outage
        self._webhook_url = webhook_url

    async def run(self) -> None:
        """Notify until cancelled."""
        while True:
            await self.notify()
            await asyncio.sleep(INTERVAL_SECONDS)

    async def notify(self) -> None:
        """Notify what has not been notified yet. What could not be is notified later."""
        for alert in list(self._outage.pending):
            if not await self._deliver(alert):
                break
            if alert in self._outage.pending:  # a new outage may have replaced it meanwhile
                self._outage.pending.remove(alert)
        with contextlib.suppress(DatabaseUnavailable):  # the monitor says so
            claimed = await alerts.claim_notifications(self._database)
            await asyncio.gather(*(self._deliver_and_record(alert) for alert in claimed))

    async def _deliver_and_record(self, alert: Alert) -> None:
        if await self._deliver(alert):
            await alerts.record_notification(self._database, alert)

    async def _deliver(self, alert: Alert) -> bool:
        """Post the alert and log it; whether that worked."""
        resolved = alert.notified and alert.ended_at is not None
        if self._webhook_url is not None and not await _post(self._webhook_url, message(alert, resolved=resolved)):
            log.warning("alert_not_notified", alert=alert.name)
            return False
        fields = {"alert": alert.name, "summary": alert.summary, "count": alert.count, "since": rfc3339(alert.since)}
        if resolved:
            log.warning("alert_resolved", **fields)
        else:
            log.error("alert_firing", **fields)
        return True


async def _post(url: str, content: dict[str, object]) -> bool:
    # A client of its own: httpx bounds each read but not the whole, and one that is cancelled keeps its connection.
    try:
        async with (
            asyncio.timeout(WEBHOOK_SECONDS),
            new_client(timeout=WEBHOOK_SECONDS) as http,
            http.stream("POST", url, json=content) as answer,  # its body is nobody's concern
        ):
            accepted = answer.is_success
    except (httpx.HTTPError, TimeoutError) as error:
        log.warning("alert_webhook_failed", reason=type(error).__name__)
        return False
    if not accepted:
        log.warning("alert_webhook_failed", status=answer.status_code)
    return accepted


def message(alert: Alert, *, resolved: bool) -> dict[str, object]:
    """What is posted: Slack shows `text`; the rest is for programs."""
    sign = "✅ Resolved" if resolved else "🚨"
    text = f"{sign} {alert.summary}" + (f" (seen {alert.count} times)" if alert.count > 1 else "")
    return {
        "text": text,
        "alert": alert.name,
        "status": "resolved" if resolved else "firing",
        "summary": alert.summary,
        "count": alert.count,
        "since": rfc3339(alert.since),
        "endedAt": None if alert.ended_at is None else rfc3339(alert.ended_at),
    }
