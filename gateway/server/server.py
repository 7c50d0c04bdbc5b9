"""The uvicorn server of one process: how it is configured, started and stopped."""

import asyncio
import contextlib
import socket
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import structlog
import uvicorn
from starlette.types import ASGIApp

from gateway.drain import Drain
from gateway.realtime.connection import DRAIN_PATIENCE_SECONDS
from gateway.realtime.hub import Hub
from gateway.server.collector import tame_collector
from gateway.server.descriptors import provide_descriptors
from gateway.server.http_protocol import BoundedHttpProtocol
from gateway.settings import Settings

log = structlog.get_logger(__name__)

CLOSING_SECONDS = 5
"""How long requests that are still being answered may take once `DRAIN_SECONDS` are over."""

KEEP_ALIVE_SECONDS = 75
"""How long an idle connection is kept for the next request: longer than a proxy keeps it (60 seconds for most), or the
proxy would sometimes send one just as it is closed, and answer 502."""

DRAIN_POLL_SECONDS = 0.05
"""How often a process looks whether it should stop while it starts, and whether everyone has left while it stops."""

BEAT_SECONDS = 1.0
"""How often a process shows that its loop turns."""


class GatewayServer(uvicorn.Server):
    """A server that tames the collector, and lets the gateway begin to stop before its connections are closed.

    Args:
        config: see `server_config`.
        beat: called every `BEAT_SECONDS` from start to end, with whether the server serves. It returns whether anybody
            still listens; the server stops when nobody does.
    """

    def __init__(self, config: uvicorn.Config, beat: Callable[[bool], bool] | None = None) -> None:
        super().__init__(config)
        self._beat = beat

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        with super().capture_signals():
            yield
            # uvicorn would raise the signal again after it has been obeyed, and an orderly end would look like a death.
            self._captured_signals.clear()

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        beating = asyncio.create_task(self._keep_beating()) if self._beat is not None else None
        try:
            await super().serve(sockets)
        finally:
            if beating is not None:
                beating.cancel()

    async def _keep_beating(self) -> None:
        assert self._beat is not None, "otherwise there is no such task"  # noqa: S101
        while self._beat(self.started):  # noqa: ASYNC110 - it calls at intervals, and waits for nothing
            await asyncio.sleep(BEAT_SECONDS)
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, however long the application takes; a signal ends that too."""
        starting = asyncio.create_task(self._start(sockets))
        while not starting.done() and not self.should_exit:
            await asyncio.wait({starting}, timeout=DRAIN_POLL_SECONDS)
        if not starting.done():
            starting.cancel()  # its application is cancelled with the loop
            with contextlib.suppress(asyncio.CancelledError):
                await starting
            return
        if (status := starting.result()) is not None:
            sys.exit(status)
        tame_collector()
        if self._beat is not None:
            self._beat(self.started)  # at once: it may be killed before its next beat, and did serve

    async def _start(self, sockets: list[socket.socket] | None) -> int | str | None:
        try:
            await super().startup(sockets)
        except SystemExit as error:  # a task would throw it through the loop
            return error.code or 1
        return None

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        drain, hub = self.lifespan.state.get("drain"), self.lifespan.state.get("hub")
        if isinstance(drain, Drain) and isinstance(hub, Hub):
            # Still listening, but no longer ready: load balancers look elsewhere while clients leave one by one.
            drain.begin()
            deadline = time.monotonic() + drain.seconds + DRAIN_PATIENCE_SECONDS
            # A signal handler sets force_exit, so there is no event to wait for.
            while hub.subscribers and time.monotonic() < deadline and not self.force_exit:  # noqa: ASYNC110
                await asyncio.sleep(DRAIN_POLL_SECONDS)
        # uvicorn would cancel what is still at work, and each would leave a traceback; a client that left does not.
        dropping = asyncio.get_running_loop().call_later(CLOSING_SECONDS - 1, self._drop_everyone)
        try:
            await super().shutdown(sockets)
        finally:
            dropping.cancel()

    def _drop_everyone(self) -> None:
        connections: set[Any] = set(self.server_state.connections)  # ours, and uvicorn does not know their classes
        for connection in connections:
            connection.abort()


def server_config(app: ASGIApp | str, settings: Settings) -> uvicorn.Config:
    """How uvicorn is to serve `app` (or what the factory that an import string names makes)."""
    return uvicorn.Config(
        app,
        factory=isinstance(app, str),
        http=BoundedHttpProtocol,
        ws="none",  # gateway.server.websocket_protocol
        timeout_graceful_shutdown=CLOSING_SECONDS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        log_config=None,
        access_log=False,
        server_header=False,
        forwarded_allow_ips=settings.forwarded_allow_ips,
    )


def serve(app: ASGIApp, settings: Settings, listener: socket.socket) -> None:
    """Serve `app` on `listener` until a signal says to stop."""
    provide_descriptors(settings)
    GatewayServer(server_config(app, settings)).run(sockets=[listener])
