"""What is wired to what, and the lifespan; nothing else."""

import asyncio
import contextlib
import os
import socket
import uuid
from collections.abc import AsyncIterator, Callable, Sequence

import structlog
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from gateway.alerting.claims import Claims, InProcessClaims, RedisClaims
from gateway.alerting.database_outage import DatabaseOutage
from gateway.alerting.heartbeat import Heartbeat
from gateway.alerting.monitor import AlertMonitor
from gateway.alerting.notifier import Notifier
from gateway.api import callback, cancel, generate, health, history, images, metrics, pages, sign_in, status
from gateway.api.admin import bulk, export
from gateway.api.admin import requests as admin_requests
from gateway.api.admin import statistics as admin_statistics
from gateway.api.application import Application
from gateway.api.cors import cors
from gateway.api.documents import routes as documents
from gateway.api.security_headers import SecurityHeaders
from gateway.asset_writer import AssetWriter
from gateway.auth.callback_secrets import CallbackSecrets
from gateway.auth.tokens import Authenticator
from gateway.drain import Drain
from gateway.n8n.dispatcher import Dispatcher
from gateway.n8n.executions import Executions
from gateway.n8n.recovery import DeadlineSweeper
from gateway.n8n.stopping import Cancellations
from gateway.n8n.webhook import Webhook
from gateway.realtime.announcer import Announcer
from gateway.realtime.bus import Bus, InProcessBus
from gateway.realtime.connection import SessionParts
from gateway.realtime.connection_limits import ConnectionLimits
from gateway.realtime.event_stream import HEARTBEAT_SECONDS
from gateway.realtime.hub import Hub
from gateway.realtime.redis_bus import RedisBus, prefix_of
from gateway.realtime.request_reader import RequestReader
from gateway.realtime.subscriptions import Subscriptions
from gateway.realtime.supabase import endpoint as supabase
from gateway.realtime.websocket import endpoint as websocket
from gateway.server.keepalive import Keepalive
from gateway.server.open_connections import OpenConnections
from gateway.server.reachable import reachable
from gateway.server.stream_protocol import Streams
from gateway.server.websocket_protocol import WebSockets
from gateway.settings import Settings, origin_of
from gateway.signed_urls import SignedUrls
from gateway.state import State
from gateway.tasks import keep_running, stop_all
from gateway.telemetry.incidents import Incidents
from gateway.telemetry.logging import configure_logging
from storage.database.open import open_database
from storage.identity import identity_of
from storage.public_urls import PublicUrls

log = structlog.get_logger(__name__)


def build_state(settings: Settings) -> State:
    """The parts of a process, wired together and not yet started."""
    database = open_database(settings.database_url.get_secret_value())
    bus: Bus = InProcessBus() if settings.redis_url is None else RedisBus(settings.redis_url.get_secret_value())
    urls = PublicUrls(settings.storage_base, settings.app_url, frozenset(settings.storage_private_buckets))
    hub = Hub(database, bus, urls, settings.reconcile_seconds)
    reader = RequestReader(database, urls)
    drain = Drain(settings.drain_seconds)
    drain.on_begin(lambda: hub.drain(settings.drain_seconds))
    return State(
        process=f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}",
        settings=settings,
        database=database,
        bus=bus,
        hub=hub,
        announcer=Announcer(bus, urls),
        reader=reader,
        subscriptions=Subscriptions(hub, reader),
        limits=ConnectionLimits(
            per_user=settings.ws_connections_per_user,
            per_address=settings.ws_connections_per_address,
            in_total=settings.ws_connections,
        ),
        http_connections=OpenConnections.of(settings),
        drain=drain,
        dispatch_due=asyncio.Event(),
        urls=urls,
        signed_urls=SignedUrls(settings),
        incidents=Incidents(),
        authenticator=Authenticator(settings),
        callback_secrets=CallbackSecrets(settings),
    )


@contextlib.asynccontextmanager
async def running(state: State, *, worker: bool) -> AsyncIterator[None]:
    """Keep the parts running; with `worker`, the dispatcher and the sweeper too."""
    for warning in state.settings.warnings:
        log.warning("setting_warning", warning=warning)
    async with reachable(state.database):
        identity = await identity_of(state.database, origin_of(state.settings.app_url))
        try:
            await state.bus.start(identity, state.hub)
            await state.hub.start()
            async with alerting(state, identity), working(state) if worker else contextlib.nullcontext():
                yield
        finally:
            state.drain.begin()
            await state.hub.stop()
            await state.bus.stop()
            await state.authenticator.aclose()
            await state.signed_urls.aclose()


@contextlib.asynccontextmanager
async def alerting(state: State, identity: str) -> AsyncIterator[None]:
    """Run the heartbeat, the alert monitor and the notifier."""
    settings, database, bus = state.settings, state.database, state.bus
    heartbeat = Heartbeat(
        state.process, database, bus, state.hub, state.limits, state.http_connections, state.drain, state.incidents
    )
    redis_url, webhook_url = settings.redis_url, settings.alert_webhook_url
    claims: Claims = InProcessClaims()
    if redis_url is not None:
        claims = RedisClaims(redis_url.get_secret_value(), prefix_of(identity))
    outage = DatabaseOutage(claims)
    monitor = AlertMonitor(database, bus, outage, settings.ai_stuck_after_seconds)
    notifier = Notifier(database, outage, None if webhook_url is None else webhook_url.get_secret_value())
    tasks = [
        keep_running(heartbeat.run, "heartbeat"),
        keep_running(monitor.run, "alert-monitor"),
        keep_running(notifier.run, "alert-notifier"),
    ]
    try:
        yield
    finally:
        state.drain.begin()
        await stop_all(*tasks)
        await heartbeat.stop()
        await claims.aclose()


@contextlib.asynccontextmanager
async def working(state: State) -> AsyncIterator[None]:
    """Run the dispatcher, the sweeper, the cancellations and the asset writer."""
    settings = state.settings
    dispatcher = Dispatcher(
        settings,
        state.database,
        state.announcer,
        state.incidents,
        Webhook(settings, state.callback_secrets),
        process=state.process,
        due=state.dispatch_due,
    )
    state.drain.on_begin(dispatcher.stop_claiming)
    executions = Executions(settings, state.callback_secrets) if settings.n8n_api_url else None
    sweeper = DeadlineSweeper(
        state.database, state.announcer, settings.ai_deadline_seconds, executions, attempts=settings.n8n_attempts
    )
    cancellations = Cancellations(state.database, state.announcer, executions)
    tasks = [
        keep_running(dispatcher.run, "dispatcher"),
        keep_running(sweeper.run, "deadline-sweeper"),
        keep_running(cancellations.run, "cancellations"),
        keep_running(AssetWriter(state.database).run, "asset-writer"),
    ]
    try:
        yield
    finally:
        state.drain.begin()
        await dispatcher.stop(state.drain.seconds_left())
        await stop_all(*tasks)
        if executions is not None:
            await executions.aclose()


def create_app(settings: Settings, *, worker: bool = True, extra_routes: Sequence[BaseRoute] = ()) -> Application:
    """The ASGI application of one process.

    Args:
        settings: validated settings.
        worker: whether this process also sends requests to n8n and watches deadlines.
        extra_routes: routes that come before ours (the demo's stand-ins).
    """
    state = build_state(settings)
    sessions = SessionParts(settings, state.authenticator, state.hub, state.subscriptions, state.limits)
    return _application(
        state,
        WebSockets.of(
            settings,
            {
                websocket.PATH: websocket.WebSocketEndpoint(sessions),
                supabase.PATH: supabase.SupabaseEndpoint(sessions),
            },
        ),
        [
            *extra_routes,
            *generate.routes,
            *cancel.routes,
            *callback.routes,
            *status.routes,
            *images.routes,
            *history.routes(),
            *admin_statistics.routes(),
            *bulk.routes,
            *export.routes,
            *admin_requests.routes,
            *health.routes(),
            *metrics.routes(),
            *documents.routes(),
            *sign_in.routes,
            *pages.routes,
        ],
        worker=worker,
        cors=lambda inside: cors(inside, settings),
    )


def create_worker_app(settings: Settings) -> Application:
    """The worker as an application that tells operators how it is, and nobody anything else."""
    routes = [*health.routes(), *metrics.routes()]
    return _application(build_state(settings), WebSockets.of(settings, {}), routes, worker=True)


def _application(
    state: State,
    websockets: WebSockets,
    routes: Sequence[BaseRoute],
    *,
    worker: bool,
    cors: Callable[[ASGIApp], CORSMiddleware] | None = None,
) -> Application:
    @contextlib.asynccontextmanager
    async def lifespan(app: Application) -> AsyncIterator[dict[str, object]]:
        async with running(state, worker=worker):
            # In every connection's state; the server takes its own parts from it.
            yield {
                "gateway": state,
                "websockets": websockets,
                "streams": Streams(Keepalive(HEARTBEAT_SECONDS), settings.ws_stall_seconds),
                "open_connections": state.http_connections,
                "drain": state.drain,
                "hub": state.hub,
            }

    settings = state.settings
    security_headers = SecurityHeaders(own=origin_of(settings.app_url), images=origin_of(settings.storage_base))
    return Application(routes, lifespan=lifespan, security_headers=security_headers, cors=cors)


def app_with_worker() -> Application:
    """The application of one of several server processes, by the environment alone."""
    return _app_from_environment(worker=True)


def app_without_worker() -> Application:
    """The same without the dispatcher and the sweeper: `gateway worker` runs them."""
    return _app_from_environment(worker=False)


def _app_from_environment(*, worker: bool) -> Application:
    settings = Settings.load()
    configure_logging(production=settings.environment == "production")
    return create_app(settings, worker=worker)
