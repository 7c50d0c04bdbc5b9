"""What pages of other origins may ask and read (Fetch Standard, section 3.3)."""

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from gateway.settings import Settings

REQUEST_HEADERS = ("Authorization", "Content-Type", "Idempotency-Key", "If-None-Match", "Last-Event-ID", "Cancel-After")
"""The headers that our API reads."""

TRACING_HEADERS = ("traceparent", "tracestate", "baggage", "sentry-trace", "b3", "newrelic", "x-request-id")
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
