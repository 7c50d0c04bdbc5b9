"""What is wired to what, and the lifespan; nothing else."""

import contextlib
from collections.abc import AsyncIterator, Sequence

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import BaseRoute, WebSocketRoute

from gateway.alerting.monitor import AlertMonitor
from gateway.api import callback, generate, health, history, images, metrics, pages, status
from gateway.api.admin import requests as admin_requests
from gateway.api.admin import statistics as admin_statistics
from gateway.api.documents import routes as documents
from gateway.api.errors import HANDLERS, UNEXPECTED
from gateway.api.security_headers import SecurityHeaders
from gateway.auth.callback_secrets import CallbackSecrets
from gateway.auth.tokens import Authenticator
from gateway.n8n.dispatcher import Dispatcher
from gateway.n8n.executions import Executions
from gateway.n8n.recovery import DeadlineSweeper
from gateway.n8n.webhook import Webhook
from gateway.realtime.bus import Bus, InProcessBus
from gateway.realtime.connection_limits import ConnectionLimits
from gateway.realtime.hub import Hub
from gateway.realtime.redis_bus import RedisBus
from gateway.realtime.websocket.transport import WebSocketTransport
from gateway.settings import Settings, origin_of
from gateway.signed_urls import SignedUrls
from gateway.state import Gateway
from gateway.tasks import keep_running, stop_all
from gateway.telemetry.incidents import Incidents
from gateway.telemetry.logging import configure_logging
from gateway.typical_time import TypicalTime
from storage.database.base import open_database
from storage.database.schema import check_schema
from storage.public_urls import PublicUrls


def build_gateway(settings: Settings) -> Gateway:
    """The parts of a process, wired together and not yet started."""
    database = open_database(settings.database_url.get_secret_value())
    bus: Bus = InProcessBus() if settings.redis_url is None else RedisBus(settings.redis_url.get_secret_value())
    urls = PublicUrls(settings.storage_base, settings.app_url, frozenset(settings.storage_private_buckets))
    return Gateway(
        settings=settings,
        database=database,
        bus=bus,
        hub=Hub(database, bus, urls, settings.reconcile_seconds),
        admission=ConnectionLimits(
            per_user=settings.ws_connections_per_user,
            per_address=settings.ws_connections_per_address,
            in_total=settings.ws_connections,
        ),
        urls=urls,
        signed_urls=SignedUrls(settings),
        incidents=Incidents(),
        typical_time=TypicalTime(database),
        authenticator=Authenticator(settings),
        callback_secrets=CallbackSecrets(settings),
    )


@contextlib.asynccontextmanager
async def running(gateway: Gateway, *, worker: bool) -> AsyncIterator[None]:
    """Keep the gateway's parts running; with `worker`, the dispatcher and the deadline watch too."""
    async with gateway.database:
        await check_schema(gateway.database)
        await gateway.bus.start()
        await gateway.hub.start()
        alert_watch = AlertMonitor(gateway)
        alerting = (
            keep_running(alert_watch.keep_looking, "alert-look"),
            keep_running(alert_watch.keep_telling, "alert-tell"),
        )
        try:
            async with working(gateway) if worker else contextlib.nullcontext():
                yield
        finally:
            gateway.drain()
            await stop_all(*alerting)
            await alert_watch.stop()
            await gateway.hub.stop()
            await gateway.bus.stop()
            await gateway.authenticator.aclose()
            await gateway.signed_urls.aclose()


@contextlib.asynccontextmanager
async def working(gateway: Gateway) -> AsyncIterator[None]:
    """Run the dispatcher and the deadline watch."""
    dispatcher = Dispatcher(gateway, Webhook(gateway.settings, gateway.callback_secrets))
    gateway.wake_dispatcher, gateway.stop_dispatcher = dispatcher.wake, dispatcher.claim_no_more
    dispatching = keep_running(dispatcher.run, "dispatcher")
    executions = Executions(gateway.settings, gateway.callback_secrets) if gateway.settings.n8n_api_url else None
    watching = keep_running(DeadlineSweeper(gateway, executions).run, "deadline-watch")
    try:
        yield
    finally:
        gateway.drain()
        await dispatcher.stop(gateway.drain_seconds_left)
        await stop_all(dispatching, watching)
        if executions is not None:
            await executions.aclose()


def create_app(settings: Settings, *, worker: bool = True, extra_routes: Sequence[BaseRoute] = ()) -> Starlette:
    """The ASGI application of one process.

    Args:
        settings: validated settings.
        worker: whether this process also sends requests to n8n and watches deadlines.
        extra_routes: routes that come before ours (the demo's stand-ins).
    """
    gateway = build_gateway(settings)
    transport = WebSocketTransport(
        settings, gateway.authenticator, gateway.hub, gateway.admission, gateway.database, gateway.urls
    )
    return _application(
        gateway,
        worker=worker,
        routes=[
            *extra_routes,
            *generate.routes,
            *callback.routes,
            *status.routes,
            *images.routes,
            *history.routes,
            *admin_statistics.routes(),
            *admin_requests.routes,
            *health.routes(),
            *metrics.routes,
            *documents.routes,
            WebSocketRoute("/ws", transport.endpoint),
            *pages.routes,
        ],
        middleware=[
            Middleware(
                CORSMiddleware,
                allow_origins=sorted(settings.origins),
                allow_credentials=True,
                allow_methods=["GET", "POST"],
                allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "If-None-Match", "Last-Event-ID"],
                expose_headers=["ETag", "Location", "Retry-After", "RateLimit", "RateLimit-Policy"],
            ),
            Middleware(SecurityHeaders, images=origin_of(settings.storage_base)),
            UNEXPECTED,
        ],
    )


def create_worker_app(settings: Settings) -> Starlette:
    """The worker as an application that tells operators how it is, and nobody anything else."""
    routes = [*health.routes(), *metrics.routes]
    return _application(build_gateway(settings), worker=True, routes=routes, middleware=[UNEXPECTED])


def _application(
    gateway: Gateway, *, worker: bool, routes: Sequence[BaseRoute], middleware: Sequence[Middleware] = ()
) -> Starlette:
    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, Gateway]]:
        async with running(gateway, worker=worker):
            yield {"gateway": gateway}  # the server reads it from the lifespan's state, to drain

    app = Starlette(routes=routes, middleware=middleware, exception_handlers=HANDLERS, lifespan=lifespan)
    app.state.gateway = gateway
    return app


def app_with_worker() -> Starlette:
    """The application of one of several server processes, by the environment alone."""
    return _app_from_environment(worker=True)


def app_without_worker() -> Starlette:
    """The same without the dispatcher and the watch: `gateway worker` runs them."""
    return _app_from_environment(worker=False)


def _app_from_environment(*, worker: bool) -> Starlette:
    settings = Settings.load()
    configure_logging(production=settings.environment == "production")
    return create_app(settings, worker=worker)
