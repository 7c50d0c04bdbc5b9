"""The uvicorn server of one process, and how several share a port."""

import asyncio
import gc
import signal
import socket
import time

import structlog
import uvicorn
from starlette.types import ASGIApp
from uvicorn.supervisors import multiprocess

from gateway.realtime.websocket.session import DRAIN_PATIENCE_SECONDS
from gateway.server.http_protocol import BoundedHttpProtocol
from gateway.settings import Settings
from gateway.state import State
from gateway.telemetry import metrics

log = structlog.get_logger(__name__)

WORKER_SECONDS = 30
"""How long a server process may take to start, or hang, before it is replaced: a busy machine needs its time."""

CLOSING_SECONDS = 5
"""How long requests that are still being answered may take once `DRAIN_SECONDS` are over."""

KEEP_ALIVE_SECONDS = 75
"""How long an idle connection is kept for the next request: longer than a proxy keeps it (60 seconds for most), or the
proxy would sometimes send one just as it is closed, and answer 502."""

COLLECTOR_THRESHOLDS = (50_000, 20, 50)
"""After how many more objects the collector looks at the young ones, and after how many such looks at older ones."""

LOOK_SECONDS = 0.05
"""How often a stopping process looks whether everyone has left."""


class GatewayServer(uvicorn.Server):
    """A server that tames the collector, and lets the gateway begin to stop before its connections are closed."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        tame_collector()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        state = self.lifespan.state.get("gateway")
        if isinstance(state, State):
            # Still listening, but no longer ready: load balancers look elsewhere while clients leave one by one.
            state.drain.begin()
            deadline = time.monotonic() + state.drain.seconds + DRAIN_PATIENCE_SECONDS
            # A signal handler sets force_exit, so there is no event to wait for.
            while state.hub.subscribers and time.monotonic() < deadline and not self.force_exit:  # noqa: ASYNC110
                await asyncio.sleep(LOOK_SECONDS)
        await super().shutdown(sockets)


def tame_collector() -> None:
    """Keep what lives as long as the process out of the collector's sight, and let it look less often.

    With thousands of connections a look at everything stops the process for a third of a second. Reference counting
    frees nearly all without it; what it is for are cycles, which errors and tasks leave behind.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTOR_THRESHOLDS)


def server_config(app: ASGIApp | str, settings: Settings, *, workers: int = 1) -> uvicorn.Config:
    """How uvicorn is to serve `app` (an import string of a factory when there are several workers)."""
    return uvicorn.Config(
        app,
        factory=isinstance(app, str),
        workers=workers,
        http=BoundedHttpProtocol,
        ws="none",  # gateway.server.websocket_protocol
        timeout_worker_healthcheck=WORKER_SECONDS,
        timeout_graceful_shutdown=CLOSING_SECONDS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        log_config=None,
        access_log=False,
        server_header=False,
        forwarded_allow_ips=settings.forwarded_allow_ips,
    )


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; on ``::``, for IPv4 too.

    Raises:
        OSError: the address is in use or not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    both = host == "::" and socket.has_dualstack_ipv6()
    listener = socket.create_server((host, port), family=family, backlog=2048, dualstack_ipv6=both)
    listener.set_inheritable(True)
    return listener


def serve(app: ASGIApp, settings: Settings, listener: socket.socket) -> None:
    """Serve `app` on `listener` until a signal says to stop."""
    GatewayServer(server_config(app, settings)).run(sockets=[listener])


class _GatewayProcess(multiprocess.Process):
    @property
    def server(self) -> uvicorn.Server:
        if self._server is None:
            self._server = GatewayServer(self.config)
        return self._server

    def join(self) -> None:
        """Wait for the process's end; whatever ended it, its gauges count no more."""
        super().join()
        if self.pid is not None:
            metrics.forget_process(self.pid)
        if self.exitcode not in (0, -signal.SIGTERM):
            log.error("worker_died", pid=self.pid, exitcode=self.exitcode)


# uvicorn's supervisor starts processes in several places (at first, for one that died, on SIGHUP, on SIGTTIN) and looks
# their class up here.
multiprocess.Process = _GatewayProcess  # type: ignore[misc]


def serve_in_processes(settings: Settings, listener: socket.socket, workers: int, *, factory: str) -> None:
    """Serve what `factory` (``module:function``) makes from the environment in `workers` processes on `listener`."""
    config = server_config(factory, settings, workers=workers)
    folder = metrics.share_between_processes()
    try:
        multiprocess.Multiprocess(config, [listener]).run()
    finally:
        metrics.forget_all(folder)
