"""A WebSocket connection (RFC 6455): bytes on one side, a transport's session on the other.

It has callbacks and no task. What a client may cost is bounded here, whatever the session does:

* every frame counts against `frames_per_second`, control frames and fragments too, before anyone is authenticated; what
  may come at once is the endpoint's `burst`, or a second's worth;
* at most `FRAMES_A_TURN` frames are taken in one turn of the loop, then others have theirs;
* after a violation of the protocol nothing is read any more, and who sends on is dropped after `MAX_IGNORED` bytes;
* a client that does not read is dropped after `stall_seconds`; one that does not answer a close, after `CLOSE_SECONDS`;
* a client that finishes no frame between two pings, not even a pong, is dropped.
"""

import asyncio
import time
from dataclasses import dataclass
from typing import Any

import structlog

from gateway.realtime.close_codes import CloseCode
from gateway.realtime.connection import Endpoint, Session, Upgrade
from gateway.realtime.frames import (
    Frame,
    FrameReader,
    Opcode,
    ProtocolViolation,
    close_code,
    close_frame,
    control_frame,
)
from gateway.server.keepalive import Keepalive
from gateway.server.push_protocol import PushProtocol
from gateway.settings import Settings
from gateway.telemetry.metrics import PROTOCOL_VIOLATIONS

log = structlog.get_logger(__name__)

FRAMES_A_TURN = 16
"""Most frames that are taken from one connection in one turn of the loop."""

MAX_IGNORED = 1024 * 1024
"""How many bytes a client may send after it has broken the protocol: some were on their way when it was told."""

MAX_FRAGMENTS = 256
"""Most fragments of one message that are not its last, empty ones too."""


@dataclass(frozen=True, slots=True)
class WebSockets:
    """The transports of a process that stand on WebSockets, and what their connections share."""

    endpoints: dict[str, Endpoint]
    """By path."""
    keepalive: Keepalive
    max_size: int
    frames_per_second: float
    stall_seconds: float

    @classmethod
    def of(cls, settings: Settings, endpoints: dict[str, Endpoint]) -> "WebSockets":
        """The endpoints, served within the settings' bounds."""
        return cls(
            endpoints,
            Keepalive(settings.ws_ping_seconds),
            settings.ws_frame_bytes,
            float(settings.ws_frames_per_second),
            settings.ws_stall_seconds,
        )


class WebSocketProtocol(PushProtocol[WebSockets, Session]):
    """One connection, from the answered upgrade to its end."""

    __slots__ = (
        "_alive",
        "_allowance",
        "_burst",
        "_counted_at",
        "_failed",
        "_fragments",
        "_ignored",
        "_in_binary",
        "_opening",
        "_reader",
        "_waiting",
    )

    stall_event = "ws_stalled"

    def __init__(self, shared: WebSockets, connections: set[Any], loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(shared, connections, loop)
        self._reader = FrameReader(shared.max_size)
        self._fragments: list[bytes] | None = None
        self._burst = self._allowance = shared.frames_per_second
        self._counted_at = time.monotonic()
        self._failed = False
        self._ignored = 0
        self._in_binary = False
        self._opening: list[bytes] | None = None
        """What goes out together, as the session begins."""
        self._waiting = False
        self._alive = True

    def begin(self, transport: asyncio.Transport, upgrade: Upgrade, answer: bytes) -> None:
        """Answer the upgrade, and begin the session."""
        self._take_over(transport)
        self._opening = [answer]
        endpoint = self._shared.endpoints[upgrade.path]
        self._burst = self._allowance = max(self._shared.frames_per_second, float(endpoint.burst))
        try:
            self._session = endpoint.open(upgrade, self)
        except Exception:
            log.exception("ws_failed")
            self._send_opening()
            self._fail(1011, "")
        else:
            self._send_opening()

    def _send_opening(self) -> None:
        opening, self._opening = self._opening, None
        if not self._transport.is_closing():
            self._transport.write(b"".join(opening or ()))

    # -- in -----------------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Take the frames in `data`."""
        if self._failed:
            self._ignored += len(data)
            if self._ignored > MAX_IGNORED:
                self.abort()
            return
        self._reader.feed(data)
        if not self._waiting:
            self._take_frames()

    def _take_frames(self) -> None:
        try:
            for _ in range(FRAMES_A_TURN):
                frame = self._reader.next_frame()
                if frame is None:
                    self._wait_turn(False)
                    return
                if not self._within_rate():
                    self._fail(CloseCode.TOO_MANY, CloseCode.TOO_MANY.reason)
                    return
                self._on_frame(frame)
                if self._session is None or self._transport.is_closing():
                    return
        except ProtocolViolation as error:
            PROTOCOL_VIOLATIONS.labels(str(error.code)).inc()
            self._fail(error.code, CloseCode.TOO_BIG.reason if error.code == CloseCode.TOO_BIG else str(error))
            return
        except Exception:
            log.exception("ws_failed")
            self._fail(1011, "")
            return
        self._wait_turn(True)
        self._loop.call_soon(self._go_on)

    def _wait_turn(self, waiting: bool) -> None:
        """Whether others have a turn before this connection goes on; meanwhile no more of it arrives."""
        if waiting != self._waiting and not self._transport.is_closing():
            self._waiting = waiting
            if waiting:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def _go_on(self) -> None:
        if self._session is not None and not self._transport.is_closing():
            self._take_frames()

    def _fail(self, code: int, reason: str) -> None:
        """Fail the connection (RFC 6455, section 7.1.7): what follows is not looked at any more."""
        self._failed = True
        self._reader.clear()
        self._wait_turn(False)
        self.close(code, reason)
        if self._transport.can_write_eof() and not self._transport.is_closing():
            self._transport.write_eof()  # only the client's end is waited for, as its close frame would not be seen

    def _within_rate(self) -> bool:
        """A token bucket: a burst may come at once, and no more than `frames_per_second` in the long run."""
        now = time.monotonic()
        refill = (now - self._counted_at) * self._shared.frames_per_second
        self._allowance = min(self._burst, self._allowance + refill)
        self._counted_at = now
        if self._allowance < 1:
            return False
        self._allowance -= 1
        return True

    def _on_frame(self, frame: Frame) -> None:
        self._alive = True
        opcode = frame.opcode
        if opcode == Opcode.CLOSE:
            self._on_close(close_code(frame.payload))
        elif self._leaving:
            pass  # whatever was on its way when we said goodbye
        elif opcode == Opcode.PING:
            self.write(control_frame(Opcode.PONG, frame.payload))
        elif opcode != Opcode.PONG:
            self._on_data(frame)

    def _on_data(self, frame: Frame) -> None:
        session = self._session
        assert session is not None, "frames are taken while there is a session"  # noqa: S101
        if frame.opcode == Opcode.BINARY or self._in_binary:
            self._in_binary = not frame.final
            if frame.opcode == Opcode.BINARY:
                session.on_binary()
            return
        if not frame.final:
            if self._fragments is None:
                self._fragments = []
            if len(self._fragments) >= MAX_FRAGMENTS:
                raise ProtocolViolation(1009, "the message has too many fragments")
            self._fragments.append(frame.payload)
            return
        message = frame.payload
        if self._fragments is not None:
            message, self._fragments = b"".join([*self._fragments, message]), None
        try:
            text = message.decode()
        except UnicodeDecodeError:
            raise ProtocolViolation(1007, "the text is not UTF-8") from None
        session.on_text(text)

    def _on_close(self, code: int) -> None:
        if not self._leaving:
            self._transport.write(close_frame(code) if code != 1005 else control_frame(Opcode.CLOSE))
            self._stop_session()
        self._transport.close()
        self._await_end()  # the transport waits until everything is written

    # -- out ----------------------------------------------------------------------------------------------------------

    def write(self, frame: bytes) -> None:
        """Send a whole frame, unless the connection has just broken: `connection_lost` says so a turn later."""
        if self._leaving or self._transport.is_closing():
            return
        if self._opening is None:
            self._transport.write(frame)
        else:
            self._opening.append(frame)

    def close(self, code: int, reason: str) -> None:
        """Say goodbye; who does not answer in time is dropped."""
        if self._leaving:
            return
        self.write(close_frame(code, reason))
        self._stop_session()
        self._await_end()

    def keep_alive(self) -> None:
        """Ping the client; drop it if nothing has come since the last time."""
        if not self._alive:
            self.abort()
            return
        self._alive = False
        self.write(_PING)

    # -- the end ------------------------------------------------------------------------------------------------------

    def shutdown(self) -> None:
        """The server stops (uvicorn calls it)."""
        if self._session is not None:
            self._session.restart()
        if not self._leaving:
            self.close(CloseCode.RESTART, CloseCode.RESTART.reason)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is over."""
        self._reader.clear()
        super().connection_lost(exc)


_PING = control_frame(Opcode.PING)
