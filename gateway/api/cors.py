"""What pages of other origins may ask and read (Fetch Standard, section 3.3)."""

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from gateway.settings import Settings

REQUEST_HEADERS = ("Authorization", "Content-Type", "Idempotency-Key", "If-None-Match", "Last-Event-ID", "Cancel-After")
"""The headers that our API reads."""

TRACING_HEADERS = (
    *("traceparent", "tracestate", "baggage", "x-request-id", "x-correlation-id"),  # Trace Context, and of old
    "sentry-trace",
    *("b3", "x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled", "x-b3-flags"),  # Zipkin
    *("x-datadog-trace-id", "x-datadog-parent-id", "x-datadog-origin", "x-datadog-sampling-priority"),
    *("x-datadog-tags", "x-datadog-sampled"),
    *("request-id", "request-context"),  # Application Insights
    *("newrelic", "x-newrelic-id"),
    "elastic-apm-traceparent",
    "uber-trace-id",  # Jaeger
    "x-amzn-trace-id",  # X-Ray
    "x-cloud-trace-context",  # Google Cloud
    *("x-dtpc", "x-dtreferer"),  # Dynatrace
    *("x-instana-t", "x-instana-s", "x-instana-l"),
    "sw8",  # SkyWalking
)
"""What tracing libraries add to every call of a page. Refused, they would take all its calls with them."""

RESPONSE_HEADERS = ("ETag", "Location", "Retry-After", "RateLimit", "RateLimit-Policy")
"""The headers that a page may read, besides those that it always may."""


def cors(inside: ASGIApp, settings: Settings) -> CORSMiddleware:
    """The layer around `inside` for requests with an Origin."""
    return CORSMiddleware(
        inside,
        allow_origins=sorted(settings.origins),
        allow_credentials=True,
        allow_methods=["GET", "POST"],
        allow_headers=[*REQUEST_HEADERS, *TRACING_HEADERS, *settings.allowed_headers],
        expose_headers=RESPONSE_HEADERS,
    )
