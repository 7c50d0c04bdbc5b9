"""The metrics that are read, not counted."""

from gateway.drain import Drain
from gateway.realtime.bus import Bus
from gateway.realtime.connection_limits import ConnectionLimits
from gateway.realtime.hub import Hub
from gateway.telemetry import metrics


def refresh_gauges(bus: Bus, hub: Hub, limits: ConnectionLimits, drain: Drain) -> None:
    """Bring them up to date."""
    metrics.BUS_HEALTHY.set(float(bus.healthy))
    metrics.SUBSCRIBERS.set(hub.subscribers)
    metrics.CONNECTIONS.set(limits.open)
    metrics.DRAINING.set(float(drain.begun))
