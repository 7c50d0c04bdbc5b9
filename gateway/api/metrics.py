"""`/metrics`: what Prometheus scrapes, read from the process's parts at the moment of the scrape."""

import hmac
from collections.abc import Iterable

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.context import Gateway, gateway_of
from gateway.errors import unauthorized


class _GatewayCollector(Collector):
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def collect(self) -> Iterable[Metric]:
        gateway, hub = self._gateway, self._gateway.hub
        yield GaugeMetricFamily(
            "gateway_bus_healthy", "1 while what is published comes back.", value=float(gateway.bus.healthy)
        )
        yield CounterMetricFamily(
            "gateway_bus_publish_failures", "Updates that could not be published.", value=gateway.bus.publish_failures
        )
        yield GaugeMetricFamily("gateway_watchers", "Clients that watch, on all transports.", value=hub.watchers)
        yield CounterMetricFamily("gateway_reconciles", "Reads of everything watched.", value=hub.reconciles)
        yield CounterMetricFamily("gateway_reconcile_failures", "Such reads that failed.", value=hub.reconcile_failures)
        yield GaugeMetricFamily("gateway_draining", "1 while the process stops.", value=float(gateway.draining))


async def metrics(request: Request) -> Response:
    """The metrics of this process."""
    gateway = gateway_of(request)
    expected = gateway.settings.metrics_token
    if expected is not None:
        given = request.headers.get("authorization", "").partition(" ")[2]
        if not hmac.compare_digest(given.encode(errors="surrogateescape"), expected.get_secret_value().encode()):
            raise unauthorized()
    registry = CollectorRegistry()
    registry.register(_GatewayCollector(gateway))
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


routes = [Route("/metrics", metrics, methods=["GET"])]
