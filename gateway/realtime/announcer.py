"""From a committed change to the bus."""

import time

import structlog

from gateway.realtime.bus import Bus
from gateway.realtime.update import Update
from gateway.telemetry.logging import log_fields
from storage.public_urls import PublicUrls
from storage.request import Request
from storage.transitions import Applied, Outcome

log = structlog.get_logger(__name__)


class Announcer:
    """Tells every process whose clients have subscribed that a request has changed."""

    def __init__(self, bus: Bus, urls: PublicUrls) -> None:
        self._bus = bus
        self.urls = urls

    def announce(self, request: Request) -> None:
        """Publish `request` as it is now. Never waits, never fails."""
        self._bus.publish(Update.of(request, self.urls, time.time()))

    def announce_change(self, applied: Applied, *, actor: str) -> None:
        """Log and publish what an event did to a request, if it did anything."""
        if applied.outcome is Outcome.CHANGED and applied.request is not None:
            request = applied.request
            log.info(
                "changed",
                **log_fields(request),
                status=request.status,
                version=request.version,
                error_code=request.error_code,
                actor=actor,
            )
            self.announce(request)
