"""The Server-Sent Events transport (WHATWG HTML, section 9.2): one request's updates as a stream.

The event's id is the version, so a client that comes back with Last-Event-ID gets only what is newer.

ASGI takes the request and sends the head. Then the stream leaves it, as WebSockets do: it is a state machine without
I/O, and an idle client costs no task.
"""

import asyncio
import contextlib
import time

from starlette.types import Receive, Scope, Send

from gateway.realtime.connection import StreamCarrier
from gateway.realtime.connection_limits import ConnectionLimits
from gateway.realtime.hub import Hub
from gateway.realtime.subscriber import Subscriber
from gateway.realtime.update import Update
from gateway.scope_extensions import HAND_OVER

HEARTBEAT_SECONDS = 15.0
"""How often something is said; proxies close what is silent for longer."""

RETRY_MILLISECONDS = 2000
"""After which pause a client comes back when the stream breaks."""

_HEADERS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"private, no-cache, no-transform"),  # who compresses it holds it back to its end
    (b"x-accel-buffering", b"no"),  # nginx would hold events back
    (b"connection", b"close"),  # nothing else is served on it
]


class EventStream(Subscriber):
    """One client of a stream, to a final status or the end of its token. It is `accepting` while the client reads."""

    __slots__ = ("_carrier", "_host", "_hub", "_joined", "_leave_in", "_limits", "_preface", "_timer")

    def __init__(self, user_id: str, host: str, hub: Hub, limits: ConnectionLimits) -> None:
        super().__init__(user_id, "events")
        self._host = host
        self._hub = hub
        self._limits = limits
        self._joined = False
        self._carrier: StreamCarrier | None = None
        self._timer: asyncio.TimerHandle | None = None
        """Ends it with the token."""
        self._leave_in: float | None = None
        """The seconds after which a client that was asked to leave comes back."""
        self._preface = b"retry: %d\n" % RETRY_MILLISECONDS

    def join(self) -> None:
        """Count it, and hold what comes, until `leave`.

        Raises:
            TooManyConnections: nothing was done.
        """
        self._limits.acquire(self._host, self.user_id)
        self._joined = True
        self._hub.join(self)

    def leave(self) -> None:
        """Undo `join`."""
        self.accepting = False
        self._stop_timer()
        if self._joined:
            self._joined = False
            self._hub.leave(self)
            self._limits.release(self._host, self.user_id)

    def begin(self, carrier: StreamCarrier, first: Update | None, expires_at: float) -> None:
        """Go on without ASGI.

        Args:
            carrier: takes what is sent.
            first: the request as it was read after joining, if the client has not seen it yet.
            expires_at: when the token ends, in Unix seconds.
        """
        self._carrier = carrier
        self._timer = asyncio.get_running_loop().call_later(max(0.0, expires_at - time.time()), self._end)
        if first is not None:
            self.deliver(first)
            self._hub.record_delivery(self, first)
        self._resume()
        if self._leave_in is not None:
            self.leave_within(self._leave_in)

    def deliver(self, update: Update) -> None:
        # In a block of its own, strict clients would take the preface for an empty event.
        self._write(self._preface + update.rendered("event", _event))
        self._preface = b""
        if update.is_final:
            self._end()

    def leave_within(self, seconds: float) -> None:
        """The client comes back at its own moment, by its own means."""
        self._leave_in = seconds
        if self._carrier is not None:
            self._write(b"retry: %d\n" % int(seconds * 1000))  # no empty line: see `deliver`
            self._end()

    # -- what comes from the server -----------------------------------------------------------------------------------

    def keep_alive(self) -> None:
        self._write(b":\n\n")

    def on_paused(self) -> None:
        self.accepting = False

    def on_writable(self) -> None:
        self._resume()

    def on_closed(self) -> None:
        self.leave()

    def restart(self) -> None:
        self._end()

    # -- out ----------------------------------------------------------------------------------------------------------

    def _resume(self) -> None:
        """Go on with what was held, as far as the client reads."""
        assert self._carrier is not None, "resumed after it has begun"  # noqa: S101
        self.accepting = self._carrier.writable
        if self.accepting and self._pending:
            self._hub.deliver_held(self, self._carrier)

    def _write(self, content: bytes) -> None:
        assert self._carrier is not None, "written to after it has begun"  # noqa: S101
        self._carrier.write(content)

    def _end(self) -> None:
        self._stop_timer()
        assert self._carrier is not None, "ended after it has begun"  # noqa: S101
        self._carrier.finish()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class EventStreamResponse:
    """Sends the head, and hands the rest over to `stream`, which has joined; the others are `EventStream.begin`'s."""

    def __init__(self, stream: EventStream, first: Update | None, expires_at: float) -> None:
        self._stream = stream
        self._first = first
        self._expires_at = expires_at

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer.

        Raises:
            RuntimeError: the server is not ours.
        """
        with contextlib.ExitStack() as leaving:
            leaving.callback(self._stream.leave)
            hand_over = scope.get("extensions", {}).get(HAND_OVER)
            if hand_over is None:
                raise RuntimeError("event streams need the server of `gateway serve`")
            await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
            with contextlib.suppress(ConnectionError):  # the client has gone
                carrier = hand_over(self._stream)
                leaving.pop_all()
                self._stream.begin(carrier, self._first, self._expires_at)


def _event(update: Update) -> bytes:
    return b"id: %d\nevent: update\ndata: %b\n\n" % (update.version, bytes(update.body))
