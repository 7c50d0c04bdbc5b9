"""A connection that is written to whenever there is something to say: what WebSockets and event streams have in common.

It has callbacks and no task. Writing never waits: above `WRITE_BUFFER` the session is told to stop, and a client that
does not read is dropped after `stall_seconds`; so is one that does not take the end of it within `CLOSE_SECONDS`.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import structlog

from gateway.realtime.connection import PushSession
from gateway.server.keepalive import Keepalive

log = structlog.get_logger(__name__)

CLOSE_SECONDS = 10.0
"""How long a client may take to answer a close and to read what was sent before it."""

WRITE_BUFFER = 64 * 1024
"""How many bytes may wait for a client before it counts as one that does not read."""


class Shared(Protocol):
    """What the connections of a kind share."""

    @property
    def keepalive(self) -> Keepalive:
        """Calls each of them in regular intervals."""

    @property
    def stall_seconds(self) -> float:
        """How long a client may not read."""


SessionT = TypeVar("SessionT", bound=PushSession)
SharedT = TypeVar("SharedT", bound=Shared)


class PushProtocol(asyncio.Protocol, ABC, Generic[SharedT, SessionT]):
    """One such connection, from when it is taken over from HTTP to its end.

    Attributes:
        writable: whether the client reads what is sent.
    """

    __slots__ = (
        "_connections",
        "_leaving",
        "_loop",
        "_session",
        "_shared",
        "_slot",
        "_timer",
        "_transport",
        "writable",
    )

    stall_event: ClassVar[str]
    """The name of the log line about a client that does not read."""

    def __init__(self, shared: SharedT, connections: set[Any], loop: asyncio.AbstractEventLoop) -> None:
        self._shared = shared
        self._connections = connections
        self._loop = loop
        self._session: SessionT | None = None
        self._leaving = False
        """Whether goodbye has been said: nothing more is sent."""
        self._timer: asyncio.TimerHandle | None = None
        """Drops a client that stalls, or that does not take the end."""
        self.writable = True

    def _take_over(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        transport.set_write_buffer_limits(high=WRITE_BUFFER)
        self._connections.add(self)
        self._slot = self._shared.keepalive.add(self)

    @abstractmethod
    def keep_alive(self) -> None:
        """Say something, so that no proxy takes the connection for dead."""

    def abort(self) -> None:
        """Drop the connection, whatever is unsent."""
        self._transport.abort()

    def eof_received(self) -> None:
        """The client has closed its side: so is ours, as soon as everything is written."""
        self._stop_session()
        self._await_end()

    def pause_writing(self) -> None:
        """The client does not read what was sent."""
        self.writable = False
        if not self._leaving:
            self._set_timer(self._shared.stall_seconds, self._stalled)
            if self._session is not None:
                self._session.on_paused()

    def resume_writing(self) -> None:
        """It reads again."""
        if not self._leaving:
            self._clear_timer()
            self.writable = True
            if self._session is not None:
                self._session.on_writable()

    def _stalled(self) -> None:
        # A client that does not read would not read a goodbye either: only dropping it frees its memory.
        log.warning(self.stall_event)
        self.abort()

    def _stop_session(self) -> None:
        """Let nothing count as delivered any more."""
        self._leaving = True
        self.writable = False
        if self._session is not None:
            self._session.on_paused()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is over."""
        self._clear_timer()
        self._connections.discard(self)
        self._shared.keepalive.remove(self, self._slot)
        session, self._session = self._session, None
        if session is not None:
            session.on_closed()

    def _await_end(self) -> None:
        self._set_timer(CLOSE_SECONDS, self.abort)

    def _set_timer(self, seconds: float, then: Callable[[], None]) -> None:
        self._clear_timer()
        self._timer = self._loop.call_later(seconds, then)

    def _clear_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
