"""`/metrics`: what Prometheus scrapes, of this process or of all that share its port."""

import hmac

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.alerting.gauges import refresh_gauges
from gateway.api.documents.operations import operation
from gateway.api.documents.schemas import TEXT, errors
from gateway.api.errors import unauthorized
from gateway.state import state_of
from gateway.telemetry.metrics import exposition


@operation(
    "Prometheus metrics",
    responses={
        "200": {"description": "Metrics.", "content": {"text/plain": {"schema": TEXT}}},
        **errors((401, "`METRICS_TOKEN` is set, and this was not it.")),
    },
)
async def metrics(request: Request) -> Response:
    """The metrics."""
    state = state_of(request)
    expected = state.settings.metrics_token
    if expected is not None:
        given = request.headers.get("authorization", "").partition(" ")[2]
        if not hmac.compare_digest(given.encode(errors="surrogateescape"), expected.get_secret_value().encode()):
            raise unauthorized()
    refresh_gauges(state.bus, state.hub, state.limits, state.drain)
    return Response(exposition(), media_type=CONTENT_TYPE_LATEST)


routes = [Route("/metrics", metrics, methods=["GET"])]
