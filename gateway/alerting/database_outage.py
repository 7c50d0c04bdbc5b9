"""The alert about the database itself, which cannot keep it while it is away."""

import time
from datetime import UTC, datetime

from gateway.alerting.claims import Claims
from storage.alerts import Alert

AWAY_SECONDS = 10.0
"""How long the database may be away before anyone is alerted: a restart is no trouble."""

DATABASE_AWAY = "database_away"
SUMMARY = "The database is away. Nothing can be submitted, and callbacks are put off."


class DatabaseOutage:
    """What this process has seen of an outage, and what of it is its own to notify.

    Args:
        claims: which settle, between all processes, who notifies the beginning and who the end.
    """

    def __init__(self, claims: Claims) -> None:
        self._claims = claims
        self._since: float | None = None
        self._alert: Alert | None = None
        self._evaluated = False
        self.pending: list[Alert] = []
        """What this process has to notify: a beginning, an end, or both; the oldest first."""

    async def observed(self) -> bool:
        """Note that the database did not answer; whether that has lasted long enough to be an alert."""
        now = time.monotonic()
        self._since = self._since or now
        if now - self._since >= AWAY_SECONDS and self._alert is None:
            self._alert = Alert(DATABASE_AWAY, SUMMARY, 1, datetime.now(UTC), None)
            if await self._claims.claim(DATABASE_AWAY):
                self.pending = [self._alert]  # an older end that could not be notified would mislead now
        return self._alert is not None

    async def over(self) -> None:
        """Note that the database answers."""
        first, self._evaluated = not self._evaluated, True
        begun, self._since, self._alert = self._alert, None, None
        if begun is None and not first:
            return
        # A process that has just started may be the successor of the one that notified the beginning.
        if await self._claims.release(DATABASE_AWAY, certain=begun is not None):
            now = datetime.now(UTC)
            since = now if begun is None else begun.since
            self.pending.append(Alert(DATABASE_AWAY, SUMMARY, 1, since, now, notified=True))
