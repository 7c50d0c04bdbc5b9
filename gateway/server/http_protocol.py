"""uvicorn's HTTP protocol, with the bounds that it leaves out, and its way out to WebSockets.

A connection waits for the application, or it waits for its peer. Only the first may take long; for the second there is
always a timer:

| waiting for | at most |
| --- | --- |
| a head, from the connection's start or from the first byte after a response (noise counts as one) | `HEAD_SECONDS` |
| the rest of a request that has been answered already | `HEAD_SECONDS` |
| the next request | the server's keep-alive |
| the client to read, while an answer lies in the buffer | `WRITE_SECONDS` |
| the client to read what was left when the connection was closed | `CLOSE_SECONDS` |

Bodies are the application's to wait for (`gateway.api.parsing`).

An upgrade to a WebSocket at one of our paths, and an event stream after its head, leave HTTP here: no ASGI task, queue
or scope stays behind an idle client. An upgrade to anything else is ignored, as RFC 9110 (section 7.8) allows: the
request is served as it is.
"""

import asyncio
from collections import deque
from itertools import chain
from typing import Any, NamedTuple

import httptools
import structlog
from starlette.datastructures import Headers
from uvicorn.config import Config
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from gateway.realtime.connection import StreamCarrier, StreamSession, Upgrade
from gateway.scope_extensions import HAND_OVER, RECEIVED_BODY
from gateway.server.joined_response import JoinedResponse
from gateway.server.last_answer import last_answer
from gateway.server.open_connections import OpenConnections
from gateway.server.push_protocol import PushProtocol
from gateway.server.stream_protocol import StreamProtocol
from gateway.server.upgrade import UpgradeHeaders, UpgradeRefused, accepting, refused_by_transport
from gateway.server.websocket_protocol import WebSocketProtocol, WebSockets

log = structlog.get_logger(__name__)

MAX_HEAD = 64 * 1024
"""Longest request line and headers together, in bytes: room for session cookies of several parts. As much may lie
between the parts of a body (the framing of chunks), behind it (trailers) and between two requests."""

MAX_HEADERS = 256
"""Most headers of a request."""

MAX_PIECES = 4096
"""Most pieces (chunks, or what the network makes of it) in which a body may come: each costs as much as a frame."""

MAX_PIPELINED = 16
"""Most requests that wait on a connection while another one is answered."""

HEAD_SECONDS = 15.0
"""Longest wait for a whole head; a client that drips bytes holds no connection for longer."""

WRITE_SECONDS = 30.0
"""Longest wait for a client to make room in its buffer."""

CLOSE_SECONDS = 10.0
"""Longest wait for a client to read the end of what was sent."""

_HOP_BY_HOP = frozenset((b"upgrade", b"http2-settings"))
"""What asks for an upgrade, as headers and as tokens of `Connection`."""


class _Refusal(NamedTuple):
    """Why nothing more is read."""

    status: bytes
    code: str
    error: str


_INVALID = _Refusal(b"400 Bad Request", "invalid_request", "This is not a valid HTTP request.")
_TOO_LARGE = _Refusal(b"431 Request Header Fields Too Large", "head_too_large", "The request's head is too large.")
_PIPELINED = _Refusal(b"429 Too Many Requests", "too_many_requests", "Too many requests wait for an answer.")
_FULL = _Refusal(b"503 Service Unavailable", "overloaded", "Too many connections. Try again later.")


class _Refused(Exception):
    """Stops the parser."""

    def __init__(self, refusal: _Refusal) -> None:
        super().__init__(refusal.error)
        self.refusal = refusal


def _address(transport: asyncio.Transport, name: str) -> tuple[str, int] | None:
    """An end's host and port; None on a Unix socket.

    IPv4 on a socket for both is IPv4 (RFC 4291, section 2.5.5.2): its clients share no network, and proxies are known.
    """
    found = transport.get_extra_info(name)
    if not isinstance(found, tuple) or len(found) < 2:
        return None
    host = str(found[0])
    return (host.removeprefix("::ffff:") if "." in host else host), int(found[1])


Loop = asyncio.AbstractEventLoop | None

PER_CONNECTION = ("parser", "pipeline")
"""What uvicorn makes anew for each connection; everything else that it sets is the server's."""

_SHARED = "gateway_shared"


def _new_parser(protocol: HttpToolsProtocol) -> httptools.HttpRequestParser:
    parser = httptools.HttpRequestParser(protocol)
    parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's own
    return parser


class BoundedHttpProtocol(HttpToolsProtocol):
    """HTTP with bounds on sizes, and on every wait for the client."""

    _timer: asyncio.TimerHandle | None = None
    """Drops a client that does not go on, or whose connection has been closed."""
    _write_timer: asyncio.TimerHandle | None = None
    """Drops a client that does not read."""
    _answering: RequestResponseCycle | None = None
    """The request that the application is at work on, or was last; `cycle` is the one that came last."""
    _counted_host: str | None = None
    _serves = False
    """Whether it has had a request; most become a WebSocket at once."""
    _refused = False
    _ignoring_upgrade = False
    _upgrading = False
    _between_requests = True
    _pieces = 0
    """In how many the body has come so far."""
    _unaccounted = 0
    """Bytes since the last that were part of something: a head, a body, the end of a message."""

    # -- the connection -----------------------------------------------------------------------------------------------

    def __init__(
        self, config: Config, server_state: ServerState, app_state: dict[str, Any], _loop: Loop = None
    ) -> None:
        # uvicorn looks loggers and settings up for each connection, though they are the server's.
        shared: dict[str, Any] | None = vars(server_state).get(_SHARED)
        if shared is None:
            super().__init__(config, server_state, app_state, _loop)
            shared = {name: value for name, value in vars(self).items() if name not in PER_CONNECTION}
            vars(server_state)[_SHARED] = shared
        vars(self).update(shared)
        self.parser = _new_parser(self)
        self.pipeline = deque()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        # uvicorn's own, without the socket objects that it makes to ask for the addresses, and what only requests need.
        self.connections.add(self)
        self.transport = transport
        self.client = _address(transport, "peername")
        self.scheme = "https" if self.config.is_ssl else "http"
        self._limit(HEAD_SECONDS)
        open_connections: OpenConnections | None = self.app_state.get("open_connections")
        if open_connections is not None:
            host = self.client[0] if self.client else ""
            if not open_connections.take(host, is_proxy=self._is_from_proxy()):
                self._refuse(_FULL)
                return
            self._counted_host = host

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave_http()
        self._leave_application()
        super().connection_lost(exc)
        self._forget_requests()

    def _leave_application(self) -> None:
        """Let whatever the application still says go nowhere. uvicorn tells the last of several pipelined requests
        only, and only once the connection is lost: a write before that, or for an earlier one, would raise."""
        for cycle in (self._answering, self.cycle, *(waiting for waiting, _ in self.pipeline)):
            if cycle is not None and not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()

    def eof_received(self) -> None:
        # The transport closes once everything is written: never, if the client does not read.
        self._limit(CLOSE_SECONDS)

    def shutdown(self) -> None:
        super().shutdown()
        if self.transport.is_closing():
            self._limit(CLOSE_SECONDS)

    def abort(self) -> None:
        """Drop the connection, whatever is unsent."""
        self._leave_application()
        self.transport.abort()

    def timeout_keep_alive_handler(self) -> None:
        self.transport.abort()  # a close would wait for a client that never read the last answer

    def pause_writing(self) -> None:
        if self._serves:  # before any request there is only an answer that ends the connection
            super().pause_writing()
        if self._write_timer is None:
            self._write_timer = self.loop.call_later(WRITE_SECONDS, self._stalled)

    def resume_writing(self) -> None:
        if self._serves:
            super().resume_writing()
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _stalled(self) -> None:
        log.warning("http_stalled")
        self.abort()

    # -- requests -----------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        if self.timeout_keep_alive_task is not None:  # a head begins, or noise that never becomes one
            self._unset_keepalive_if_required()
            self._limit(HEAD_SECONDS)
        self._unaccounted += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            rest = data[upgrade.args[0] :]
            if self._ignoring_upgrade:
                self._serve_without_upgrade(rest)
            else:
                self._upgrade(rest)
        except httptools.HttpParserError as error:
            reason = error.__context__
            self._refuse(reason.refusal if isinstance(reason, _Refused) else _INVALID)
        else:
            if self._unaccounted > MAX_HEAD:
                self._refuse(_TOO_LARGE)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._between_requests = False
        self._pieces = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(self.headers) >= MAX_HEADERS:
            raise _Refused(_TOO_LARGE)
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._unlimit()  # from here the application is waited for
        self._unaccounted = 0
        if len(self.url) + sum(map(len, chain.from_iterable(self.headers))) > MAX_HEAD:
            raise _Refused(_TOO_LARGE)
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                raise _Refused(_INVALID)
            self._upgrading = "websockets" in self.app_state and self._get_upgrade() == b"websocket"
            self._ignoring_upgrade = not self._upgrading
            return  # the parser stops behind the head
        if not self._serves:
            self._serves = True
            self.flow = FlowControl(self.transport)
            self.server = _address(self.transport, "sockname")
        scope: Any = self.scope
        scope["server"] = self.server
        # Not for upgrades: it leads back here, and only the collector would free what a connection leaves behind.
        scope["extensions"] = {HAND_OVER: self._hand_over, RECEIVED_BODY: self._received_body}
        super().on_headers_complete()
        JoinedResponse(self.cycle)
        if not self.pipeline:
            self._answering = self.cycle
        self.headers = []  # for trailers, which nobody asked for; the scope has the others
        if len(self.pipeline) > MAX_PIPELINED:
            raise _Refused(_PIPELINED)

    def on_body(self, body: bytes) -> None:
        self._unaccounted = 0
        self._pieces += 1
        if self._pieces > MAX_PIECES:
            raise _Refused(_INVALID)
        super().on_body(body)

    def _received_body(self) -> bytes | None:
        """The body of the request that is being answered, if all of it is here."""
        cycle = self._answering
        return None if cycle is None or cycle.more_body or cycle.disconnected else bytes(cycle.body)

    def on_message_complete(self) -> None:
        if self._upgrading or self._ignoring_upgrade:
            return
        self._unaccounted = 0
        self._between_requests = True
        super().on_message_complete()
        if self.cycle.response_complete and not self.transport.is_closing():
            self._unlimit()
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def on_response_complete(self) -> None:
        if self._answering is not None:
            self._answering.transport = self.transport  # each held the other
        self._answering = self.pipeline[-1][0] if self.pipeline else None
        super().on_response_complete()
        if self.transport.is_closing():
            self._limit(CLOSE_SECONDS)
        elif self.timeout_keep_alive_task is not None and not self._between_requests:
            # Half a request more: the rest of the one that was answered, or the next one's head.
            self._unset_keepalive_if_required()
            self._limit(HEAD_SECONDS)

    def _refuse(self, refusal: _Refusal) -> None:
        """Say why nothing more is read, if the client cannot take it for something else, and close."""
        self._refused = True
        is_answered = self._is_answering() and (self.cycle.response_started or bool(self.pipeline))
        self._leave_application()
        if is_answered:
            self.transport.abort()
            return
        self._answer_and_close(last_answer(refusal.status, refusal.code, refusal.error))

    def _is_answering(self) -> bool:
        """Whether the application is at work on a request that came before."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def _answer_and_close(self, answer: bytes) -> None:
        self._refused = True
        self.transport.write(answer)
        self.transport.close()
        self._limit(CLOSE_SECONDS)

    # -- upgrades -----------------------------------------------------------------------------------------------------

    def _upgrade(self, rest: bytes) -> None:
        """Hand the connection over to a WebSocket, or say why not."""
        if self._is_answering():
            self._refuse(_INVALID)  # the answer to an earlier request would end up among the frames
            return
        websockets: WebSockets = self.app_state["websockets"]
        headers = UpgradeHeaders(self.headers)
        try:
            target = httptools.parse_url(self.url)
            path = (target.path or b"").decode("ascii").removeprefix(self.root_path)
            answer = accepting(self.parser.get_method().decode(), path, headers, websockets.endpoints.keys())
            upgrade = Upgrade(path, target.query or b"", headers, self._client_host(headers))
            if (refusal := websockets.endpoints[path].refusal(upgrade)) is not None:
                raise refused_by_transport(refusal)
        except UpgradeRefused as error:
            self._answer_and_close(error.answer)
            return
        except (httptools.HttpParserError, UnicodeDecodeError):
            self._refuse(_INVALID)
            return
        self._leave_http()
        self.connections.discard(self)
        protocol = WebSocketProtocol(websockets, self.connections, self.loop)
        self.transport.set_protocol(protocol)
        protocol.begin(self.transport, upgrade, answer)
        self._part_from(protocol)
        if rest:
            protocol.data_received(rest)

    def _client_host(self, headers: Headers) -> str:
        """The client's address, behind the proxies that are trusted, as uvicorn finds it for HTTP."""
        host = self.client[0] if self.client else ""
        if isinstance(self.app, ProxyHeadersMiddleware) and "x-forwarded-for" in headers and self._is_from_proxy():
            forwarded = ", ".join(headers.getlist("x-forwarded-for"))
            if forwarded:
                host = self.app.trusted_hosts.get_trusted_client_address(forwarded)[0] or host
        return host

    def _is_from_proxy(self) -> bool:
        """Whether the connection is a trusted proxy's."""
        host = self.client[0] if self.client else ""
        return isinstance(self.app, ProxyHeadersMiddleware) and host in self.app.trusted_hosts

    def _serve_without_upgrade(self, rest: bytes) -> None:
        """Read the request again as one that asks for no upgrade."""
        version = self.parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, version)]
        for name, value in self.headers:
            if name == b"connection":
                tokens = [token.strip() for token in value.split(b",")]
                value = b", ".join(token for token in tokens if token.lower() not in _HOP_BY_HOP)
            if name not in _HOP_BY_HOP:
                lines.append(b"%b: %b" % (name, value))
        self._ignoring_upgrade = False
        self.parser = _new_parser(self)
        self.data_received(b"\r\n".join(lines) + b"\r\n\r\n" + rest)

    # -- streams ------------------------------------------------------------------------------------------------------

    def _hand_over(self, session: StreamSession) -> StreamCarrier:
        """Take the response whose head has been sent out of ASGI: nothing of its request stays behind it.

        Raises:
            ConnectionError: the client has gone, and nobody would tell the session.
        """
        cycle = self._answering
        has_gone = cycle is None or cycle.disconnected or self.transport.is_closing()
        if cycle is not None:
            cycle.disconnected = True  # uvicorn misses no end of the response then
        if has_gone:
            raise ConnectionError("the client has gone")
        self._leave_http()
        self.flow.resume_reading()
        self.connections.discard(self)
        protocol = StreamProtocol(self.app_state["streams"], self.connections, self.loop)
        self.transport.set_protocol(protocol)
        protocol.begin(self.transport, session)
        self._part_from(protocol)
        return protocol

    def _part_from(self, protocol: PushProtocol[Any, Any]) -> None:
        """Let `protocol` have the connection alone, with what it should know of it."""
        self.parser = None  # type: ignore[assignment]
        if self._serves:
            if self.flow.write_paused:
                protocol.pause_writing()  # the transport says so once
            self._forget_requests()

    def _forget_requests(self) -> None:
        """Part from what leads back here: only the collector would free it."""
        for cycle in (self._answering, self.cycle, *(waiting for waiting, _ in self.pipeline)):
            if cycle is not None:
                cycle.transport = self.transport  # each held the other
        self.cycle = self._answering = self.scope = None  # type: ignore[assignment]
        self.pipeline.clear()

    # -- timers -------------------------------------------------------------------------------------------------------

    def _limit(self, seconds: float) -> None:
        """Drop the connection unless it goes on within `seconds`."""
        self._unlimit()
        self._timer = self.loop.call_later(seconds, self.transport.abort)

    def _unlimit(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _leave_http(self) -> None:
        """Nothing is timed or counted any more."""
        self._unlimit()
        self._unset_keepalive_if_required()
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
        if self._counted_host is not None:
            self.app_state["open_connections"].release(self._counted_host)
            self._counted_host = None
