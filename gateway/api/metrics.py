"""`/metrics`: what Prometheus scrapes, of this process or of all that share its port."""

import hmac

from async_lru import alru_cache
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.alerting.gauges import HttpConnections, refresh_gauges
from gateway.api.documents.operations import operation
from gateway.api.documents.schemas import TEXT, errors
from gateway.api.errors import unauthorized
from gateway.drain import Drain
from gateway.realtime.bus import Bus
from gateway.realtime.connection_limits import ConnectionLimits
from gateway.realtime.hub import Hub
from gateway.state import state_of
from gateway.telemetry.metrics import exposition

FRESH_SECONDS = 0.5
"""How long an answer is good while no token is asked for: anyone may ask, and each one made takes milliseconds."""


class Metrics:
    """The metrics, remembered for a moment."""

    def __init__(self) -> None:
        self._remembered = alru_cache(maxsize=1, ttl=FRESH_SECONDS)(_current)

    @operation(
        "Prometheus metrics",
        responses={
            "200": {"description": "Metrics.", "content": {"text/plain": {"schema": TEXT}}},
            **errors((401, "`METRICS_TOKEN` is set, and this was not it.")),
        },
    )
    async def metrics(self, request: Request) -> Response:
        """The metrics, for whoever has the token if there is one."""
        state = state_of(request)
        expected = state.settings.metrics_token
        if expected is not None:
            given = request.headers.get("authorization", "").partition(" ")[2]
            if not hmac.compare_digest(given.encode(errors="surrogateescape"), expected.get_secret_value().encode()):
                raise unauthorized()
        read = _current if expected is not None else self._remembered
        text = await read(state.bus, state.hub, state.limits, state.http_connections, state.drain)
        return Response(text, media_type=CONTENT_TYPE_LATEST)


async def _current(bus: Bus, hub: Hub, limits: ConnectionLimits, http: HttpConnections, drain: Drain) -> bytes:
    refresh_gauges(bus, hub, limits, http, drain)
    return exposition()


def routes() -> list[Route]:
    """Routes of one application, with a memory of their own."""
    return [Route("/metrics", Metrics().metrics, methods=["GET"])]
