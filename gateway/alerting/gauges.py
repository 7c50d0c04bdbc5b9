"""The metrics that are read, not counted."""

from typing import Protocol

from gateway.drain import Drain
from gateway.realtime.bus import Bus
from gateway.realtime.connection_limits import ConnectionLimits
from gateway.realtime.hub import Hub
from gateway.telemetry import metrics


class HttpConnections(Protocol):
    """What counts the HTTP connections of this process."""

    @property
    def open(self) -> int:
        """How many there are."""


def refresh_gauges(bus: Bus, hub: Hub, limits: ConnectionLimits, http: HttpConnections, drain: Drain) -> None:
    """Bring them up to date."""
    metrics.BUS_HEALTHY.set(float(bus.healthy))
    metrics.SUBSCRIBERS.set(hub.subscribers)
    metrics.CONNECTIONS.set(limits.open)
    metrics.HTTP_CONNECTIONS.set(http.open)
    metrics.DRAINING.set(float(drain.begun))
