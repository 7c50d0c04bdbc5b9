"""The Server-Sent Events transport (WHATWG HTML, section 9.2): one request's updates as a stream.

The event's id is the version, so a client that comes back with Last-Event-ID gets only what is newer.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable

import structlog
from starlette.types import Message, Receive, Scope, Send

from gateway.realtime.subscriber import Inbox
from gateway.realtime.update import Update
from gateway.scope_extensions import abort

log = structlog.get_logger(__name__)

HEARTBEAT_SECONDS = 15.0
"""Longest silence; proxies close what is silent for longer."""

RETRY_MILLISECONDS = 2000
"""After which pause a client comes back when the stream breaks."""

_HEADERS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"private, no-cache, no-transform"),  # who compresses it holds it back to its end
    (b"x-accel-buffering", b"no"),  # nginx would hold events back
]


class EventStream:
    """The response that streams what comes to `inbox`, to a final status or the end of the token.

    Args:
        inbox: joined to the hub for as long as `registration` is open.
        registration: closed at the stream's end.
        first: the request as it was read after that, if the client has not seen it yet.
        expires_at: when the token ends, in Unix seconds.
        stall_seconds: how long one write may block before the connection is dropped.
        record_delivery: told of each update that has been written.
    """

    def __init__(
        self,
        inbox: Inbox,
        registration: contextlib.AsyncExitStack,
        *,
        first: Update | None,
        expires_at: float,
        stall_seconds: float,
        record_delivery: Callable[[Update], None] = lambda update: None,
    ) -> None:
        self._inbox = inbox
        self._registration = registration
        self._first = first
        self._expires_at = expires_at
        self._stall_seconds = stall_seconds
        self._record_delivery = record_delivery
        self._gone = False
        self._preface = b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._registration, asyncio.TaskGroup() as group:
            listener = group.create_task(self._listen(receive))
            try:
                await self._stream(send)
            except TimeoutError:
                log.warning("event_stream_stalled")
                abort(scope)
            finally:
                listener.cancel()

    async def _listen(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        self._inbox.wake()

    async def _stream(self, send: Send) -> None:
        await self._send(send, {"type": "http.response.start", "status": 200, "headers": _HEADERS})
        self._preface = b"retry: %d\n" % RETRY_MILLISECONDS
        final = False
        if self._first is not None:
            await self._write_update(send, self._first)
            final = self._first.is_final
        while not final and not self._gone and time.time() < self._expires_at:
            try:
                async with asyncio.timeout(min(HEARTBEAT_SECONDS, max(0.0, self._expires_at - time.time()))):
                    await self._inbox.ready()
            except TimeoutError:
                await self._write(send, b":\n\n")
            while not final and (update := self._inbox.take()) is not None:
                await self._write_update(send, update)
                final = update.is_final
            if self._inbox.leave_in is not None:
                # The client comes back at its own moment, by its own means. No empty line: see `_write_update`.
                await self._write(send, f"retry: {int(self._inbox.leave_in * 1000)}\n".encode())
                break
        await self._write(send, b"", more=False)

    async def _write_update(self, send: Send, update: Update) -> None:
        # In a block of its own, strict clients would take it for an empty event.
        await self._write(send, self._preface + update.rendered("event", _event))
        self._preface = b""
        self._record_delivery(update)

    async def _write(self, send: Send, content: bytes, *, more: bool = True) -> None:
        await self._send(send, {"type": "http.response.body", "body": content, "more_body": more})

    async def _send(self, send: Send, message: Message) -> None:
        async with asyncio.timeout(self._stall_seconds):
            await send(message)


def _event(update: Update) -> bytes:
    return b"id: %d\nevent: update\ndata: %b\n\n" % (update.version, bytes(update.body))
