"""Where a transport meets the server that carries it: narrow interfaces, and no I/O.

The server speaks HTTP and frames, and calls a `Session` for each text message; the session says what goes out through
its `Carrier`. Neither starts a task for the other, so an idle client costs its state and nothing else. An event stream
is the half of it: nothing comes in (`StreamSession`, `StreamCarrier`).
"""

from dataclasses import dataclass
from http import HTTPStatus
from typing import NamedTuple, Protocol

from starlette.datastructures import Headers

from gateway.auth.tokens import Authenticator
from gateway.realtime.connection_limits import ConnectionLimits
from gateway.realtime.hub import Hub
from gateway.realtime.subscriptions import Subscriptions
from gateway.settings import Settings

DRAIN_PATIENCE_SECONDS = 0.5
"""How long after its moment a client that was asked to leave may take."""


class Upgrade(NamedTuple):
    """A request to become a WebSocket, already found to be one (RFC 6455, section 4.2.1)."""

    path: str
    query: bytes
    headers: Headers
    host: str
    """The client's address, behind the proxies that are trusted."""


@dataclass(frozen=True, slots=True)
class UpgradeRefusal:
    """Why an upgrade is answered with an error of HTTP."""

    status: HTTPStatus
    code: str
    error: str


class Carrier(Protocol):
    """What carries a session's frames: an open connection."""

    def write(self, frame: bytes) -> None:
        """Send a whole frame; never waits. After a close, nothing is sent."""

    def close(self, code: int, reason: str) -> None:
        """Say goodbye with a code, and drop the connection if the client does not answer in time."""

    def abort(self) -> None:
        """Drop the connection, whatever is unsent."""

    @property
    def writable(self) -> bool:
        """Whether the client reads what is sent; when that changes to true, the session is told."""


class PushSession(Protocol):
    """One client of a transport that pushes."""

    def on_paused(self) -> None:
        """The client does not read: nothing more is to be written."""

    def on_writable(self) -> None:
        """The client reads again."""

    def on_closed(self) -> None:
        """The connection is over, whoever ended it. Called once, last."""

    def restart(self) -> None:
        """The process ends now: close."""


class Session(PushSession, Protocol):
    """One client of a transport over WebSockets."""

    def on_text(self, text: str) -> None:
        """A whole message has come."""

    def on_binary(self) -> None:
        """A message has come that is no text."""


class StreamCarrier(Protocol):
    """What carries a response that goes on for as long as there is something to say."""

    def write(self, content: bytes) -> None:
        """Send a part of the body, which is not empty; never waits. After the end, nothing is sent."""

    def finish(self) -> None:
        """End the body, and drop the connection if the client does not read the end in time."""

    @property
    def writable(self) -> bool:
        """Whether the client reads what is sent; when that changes to true, the session is told."""


class StreamSession(PushSession, Protocol):
    """One client of such a response."""

    def keep_alive(self) -> None:
        """Say something without a meaning, so that no proxy takes the connection for dead."""


class Endpoint(Protocol):
    """A transport's entrance."""

    @property
    def burst(self) -> int:
        """How many frames a client may send at once, where that is more than a second's worth of them."""

    def refusal(self, upgrade: Upgrade) -> UpgradeRefusal | None:
        """Why the upgrade is not answered at all; None to answer it and begin a session."""

    def open(self, upgrade: Upgrade, carrier: Carrier) -> Session:
        """Begin a session. The upgrade has been answered already, so that a browser sees the code of a close."""


@dataclass(frozen=True, slots=True)
class SessionParts:
    """What the sessions of a transport work with."""

    settings: Settings
    authenticator: Authenticator
    hub: Hub
    subscriptions: Subscriptions
    limits: ConnectionLimits
