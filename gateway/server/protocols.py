"""uvicorn's protocols, with the bounds that it leaves out.

An application can only ask for a polite close, and a peer that no longer reads never answers it: its buffers would stay
for ever. So both protocols put `ABORT` into the scope's extensions, a function that drops the connection at once.
"""

import asyncio
from typing import Any

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

ABORT = "gateway.abort"
"""The scope extension: a function without arguments."""

MAX_HEAD = 64 * 1024
"""Longest request line and headers together, in bytes: room for session cookies of several parts."""

MAX_UNREAD = 128 * 1024
"""Most bytes that wait in the buffer of a peer that keeps asking; asyncio stops an application's writes at half."""

CLOSE_SECONDS = 10.0
"""How long a peer may take to answer a close and to read what was sent before it."""

HEAD_SECONDS = 15.0
"""Longest wait for a whole head; a client that drips bytes holds no connection for longer."""


def abort(scope: Scope) -> None:
    """Drop the connection behind `scope`, whatever is unsent."""
    drop = scope.get("extensions", {}).get(ABORT)
    if drop is not None:
        drop()


class BoundedHttpProtocol(HttpToolsProtocol):
    """HTTP with a bound on the head's size and on the time it may take."""

    _head_bytes = 0
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_arrived()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._head_timer is not None:  # still not whole
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD:
                self._head_arrived()
                self.send_400_response("The request's headers are too large.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        scope: Any = self.scope
        scope["extensions"] = {ABORT: self.transport.abort}
        if self._head_timer is None:  # the next request on a kept connection
            self._await_head()

    def on_headers_complete(self) -> None:
        self._head_arrived()
        super().on_headers_complete()

    def _await_head(self) -> None:
        self._head_bytes = 0
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _head_arrived(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


class AbortingWebSocketProtocol(WebSocketsSansIOProtocol):
    """WebSocket whose dead peers are dropped, not asked to leave."""

    _abort_timer: asyncio.TimerHandle | None = None

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        scope: Any = getattr(self, "scope", None)
        if scope is not None:
            scope["extensions"][ABORT] = self.transport.abort

    def keepalive_timeout(self) -> None:
        self.transport.abort()

    def on_task_complete(self, task: "asyncio.Task[None]") -> None:
        super().on_task_complete(task)
        self._abort_later()

    def shutdown(self) -> None:
        super().shutdown()
        self._abort_later()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._abort_timer is not None:
            self._abort_timer.cancel()
        super().connection_lost(exc)

    def _abort_later(self) -> None:
        # A polite close waits until everything is written; a peer that does not read would keep its buffer for ever.
        if self._abort_timer is None and not self.disconnected:
            self._abort_timer = self.loop.call_later(CLOSE_SECONDS, self.transport.abort)

    def handle_ping(self) -> None:
        # Pongs bypass the application, and so its limits: who pings without reading is dropped.
        super().handle_ping()
        if self.transport.get_write_buffer_size() > MAX_UNREAD:
            self.transport.abort()
