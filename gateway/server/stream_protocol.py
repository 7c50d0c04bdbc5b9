"""A response without an end, after its head: chunks (RFC 9112, section 7.1) on one side, a session on the other.

Its connection ends with it, as the head has announced. Whatever the client sends meanwhile is not looked at, and who
sends more than `MAX_IGNORED` bytes is dropped.
"""

import asyncio
from dataclasses import dataclass

from gateway.realtime.connection import StreamSession
from gateway.server.keepalive import Keepalive
from gateway.server.push_protocol import PushProtocol

MAX_IGNORED = 64 * 1024
"""How many bytes a client may send during a response: another request may have been on its way."""


@dataclass(frozen=True, slots=True)
class Streams:
    """What the streams of a process share."""

    keepalive: Keepalive
    stall_seconds: float


class StreamProtocol(PushProtocol[Streams, StreamSession]):
    """One connection, from the response's head to its end."""

    __slots__ = ("_ignored",)

    stall_event = "event_stream_stalled"

    def begin(self, transport: asyncio.Transport, session: StreamSession) -> None:
        """Carry `session` from now on."""
        self._ignored = 0
        self._session = session
        self._take_over(transport)

    def data_received(self, data: bytes) -> None:
        """Nothing more is understood on this connection."""
        self._ignored += len(data)
        if self._ignored > MAX_IGNORED:
            self.abort()

    def write(self, content: bytes) -> None:
        """Send a chunk, unless the connection has just broken: `connection_lost` says so a turn later."""
        if not self._leaving and not self._transport.is_closing():
            self._transport.write(b"%x\r\n%b\r\n" % (len(content), content))

    def finish(self) -> None:
        """Send the last chunk; who does not read it in time is dropped."""
        if self._leaving:
            return
        if not self._transport.is_closing():
            self._transport.write(b"0\r\n\r\n")
        self._stop_session()
        self._transport.close()
        self._await_end()

    def keep_alive(self) -> None:
        """Let the session say something, if the client reads."""
        if self._session is not None and self.writable:
            self._session.keep_alive()

    def shutdown(self) -> None:
        """The server stops (uvicorn calls it)."""
        if self._session is not None:
            self._session.restart()
        self.finish()
