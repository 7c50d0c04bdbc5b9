"""`/metrics`: what Prometheus scrapes, of this process or of all that share its port."""

import hmac

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.api.errors import unauthorized
from gateway.state import gateway_of
from gateway.telemetry.metrics import exposition


async def metrics(request: Request) -> Response:
    """The metrics."""
    gateway = gateway_of(request)
    expected = gateway.settings.metrics_token
    if expected is not None:
        given = request.headers.get("authorization", "").partition(" ")[2]
        if not hmac.compare_digest(given.encode(errors="surrogateescape"), expected.get_secret_value().encode()):
            raise unauthorized()
    gateway.refresh_gauges()
    return Response(exposition(), media_type=CONTENT_TYPE_LATEST)


routes = [Route("/metrics", metrics, methods=["GET"])]
