"""What an endpoint works with: everything that `create_app` has wired together."""

import os
import socket
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog
from starlette.requests import HTTPConnection

from gateway.auth.callback_secrets import CallbackSecrets
from gateway.auth.tokens import Authenticator
from gateway.realtime.bus import Bus
from gateway.realtime.connection_limits import ConnectionLimits
from gateway.realtime.hub import Hub
from gateway.realtime.update import Update
from gateway.settings import Settings
from gateway.signed_urls import SignedUrls
from gateway.telemetry import metrics
from gateway.telemetry.incidents import Incidents
from gateway.typical_time import TypicalTime
from storage.database.base import Database
from storage.public_urls import PublicUrls
from storage.request import Request, trace_id_of
from storage.transitions import Applied, Outcome

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Gateway:
    """The parts of one running process."""

    settings: Settings
    database: Database
    bus: Bus
    hub: Hub
    admission: ConnectionLimits
    urls: PublicUrls
    signed_urls: SignedUrls
    incidents: Incidents
    typical_time: TypicalTime
    authenticator: Authenticator
    callback_secrets: CallbackSecrets
    name: str = field(default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}")
    """Tells this process apart from all others."""
    drain_until: float | None = None
    """The moment (`time.monotonic`) by which what was under way when the process began to stop should have ended."""
    wake_dispatcher: Callable[[], None] = lambda: None
    """Tells this process's dispatcher, where there is one, that something is due."""
    stop_dispatcher: Callable[[], None] = lambda: None
    """Lets this process's dispatcher claim no more."""

    @property
    def draining(self) -> bool:
        """Whether this process is stopping."""
        return self.drain_until is not None

    @property
    def drain_seconds_left(self) -> float:
        """What is left of `DRAIN_SECONDS`; all of them before the process stops."""
        if self.drain_until is None:
            return self.settings.drain_seconds
        return max(0.0, self.drain_until - time.monotonic())

    def announce(self, request: Request) -> None:
        """Tell everyone who watches that `request` has changed. Never waits, never fails."""
        self.bus.publish(Update.of(request, self.urls, time.time()))

    def announce_change(self, applied: Applied, *, actor: str) -> None:
        """Log and announce what an event did to a request, if it did anything."""
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

    def refresh_gauges(self) -> None:
        """Bring the metrics that are read, not counted, up to date."""
        metrics.BUS_HEALTHY.set(float(self.bus.healthy))
        metrics.WATCHERS.set(self.hub.subscribers)
        metrics.CONNECTIONS.set(self.admission.held)
        metrics.DRAINING.set(float(self.draining))

    def drain(self) -> None:
        """Begin to stop: not ready any more, nothing new is claimed, and every client is asked to go elsewhere."""
        if not self.draining:
            self.drain_until = time.monotonic() + self.settings.drain_seconds
            self.hub.drain(self.settings.drain_seconds)
            self.stop_dispatcher()


def log_fields(request: Request) -> dict[str, str | None]:
    """What every log line about `request` says, so that its whole life can be found by any of them."""
    return {
        "request_id": request.id,
        "user_id": request.user_id,
        "execution_id": request.n8n_execution_id,
        "trace_id": trace_id_of(request),
    }


def gateway_of(connection: HTTPConnection) -> Gateway:
    """The gateway that serves this request or WebSocket."""
    gateway: Gateway = connection.app.state.gateway
    return gateway
