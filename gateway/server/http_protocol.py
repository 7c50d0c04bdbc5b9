"""uvicorn's HTTP protocol, with the bounds that it leaves out, and its way out to WebSockets.

An application can only ask for a polite close, and a peer that no longer reads never answers it: its buffers would stay
for ever. So `ABORT` is put into the scope's extensions, a function that drops the connection at once.

An upgrade to a WebSocket at one of our paths leaves HTTP here: no ASGI task, queue or scope stays behind an idle
client. An upgrade to anything else is ignored, as RFC 9110 (section 7.8) allows: the request is served as it is.
"""

import asyncio
from typing import Any

import httptools
from starlette.datastructures import Headers
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.utils import is_ssl

from gateway.realtime.connection import ABORT, Upgrade
from gateway.server.upgrade import UpgradeRefused, accepting, refused_by_transport
from gateway.server.websocket_protocol import WebSocketProtocol, WebSockets

MAX_HEAD = 64 * 1024
"""Longest request line and headers together, in bytes: room for session cookies of several parts."""

HEAD_SECONDS = 15.0
"""Longest wait for a whole head; a client that drips bytes holds no connection for longer."""

_NOT_FORWARDED = frozenset((b"connection", b"upgrade", b"http2-settings"))
"""The headers that ask for an upgrade."""


def _address(transport: asyncio.Transport, name: str) -> tuple[str, int] | None:
    """An end's host and port; None on a Unix socket."""
    found = transport.get_extra_info(name)
    return (str(found[0]), int(found[1])) if isinstance(found, tuple) and len(found) >= 2 else None


class BoundedHttpProtocol(HttpToolsProtocol):
    """HTTP with a bound on the head's size and on the time it may take."""

    _head_bytes = 0
    _head_timer: asyncio.TimerHandle | None = None
    _ignoring_upgrade = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        # uvicorn's own, without the two socket objects that it makes to ask for two addresses.
        self.connections.add(self)
        self.transport = transport
        self.flow = FlowControl(transport)
        self.server, self.client = _address(transport, "sockname"), _address(transport, "peername")
        self.scheme = "https" if is_ssl(transport) else "http"
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_arrived()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")
            return
        except httptools.HttpParserUpgrade as upgrade:
            rest = data[upgrade.args[0] :]
            if self._ignoring_upgrade:
                self._serve_without_upgrade(rest)
            else:
                self._upgrade(rest)
            return
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
        self._ignoring_upgrade = self.parser.should_upgrade() and not self._should_upgrade()
        if not self._ignoring_upgrade:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if not self._ignoring_upgrade:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if not self._ignoring_upgrade:
            super().on_message_complete()

    def _should_upgrade(self) -> bool:
        return self._get_upgrade() == b"websocket"

    def _upgrade(self, rest: bytes) -> None:
        """Hand the connection over to a WebSocket, or say why not."""
        websockets: WebSockets = self.app_state["websockets"]
        headers = Headers(raw=self.headers)
        target = httptools.parse_url(self.url)
        path = target.path.decode("ascii", "replace").removeprefix(self.root_path)
        try:
            answer = accepting(self.scope["method"], path, headers, websockets.endpoints.keys())
            upgrade = Upgrade(path, target.query or b"", headers, self._client_host(headers))
            if (refusal := websockets.endpoints[path].refusal(upgrade)) is not None:
                raise refused_by_transport(refusal)
        except UpgradeRefused as error:
            self.transport.write(error.answer)
            self.transport.close()
            return
        self.connections.discard(self)
        self.parser = None  # type: ignore[assignment]
        protocol = WebSocketProtocol(websockets, self.connections, self.loop)
        self.transport.set_protocol(protocol)
        protocol.begin(self.transport, upgrade, answer)
        if rest:
            protocol.data_received(rest)

    def _client_host(self, headers: Headers) -> str:
        """The client's address, behind the proxies that are trusted, as uvicorn finds it for HTTP."""
        host = self.client[0] if self.client else ""
        if isinstance(self.app, ProxyHeadersMiddleware) and host in self.app.trusted_hosts:
            forwarded = ", ".join(headers.getlist("x-forwarded-for"))
            if forwarded:
                host = self.app.trusted_hosts.get_trusted_client_address(forwarded)[0] or host
        return host

    def _serve_without_upgrade(self, rest: bytes) -> None:
        """Read the request again as one that asks for no upgrade."""
        method, version = self.scope["method"].encode(), self.scope["http_version"].encode()
        lines = [b"%b %b HTTP/%b" % (method, self.url, version)]
        lines += [b"%b: %b" % header for header in self.headers if header[0] not in _NOT_FORWARDED]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's own
        self.data_received(b"\r\n".join(lines) + b"\r\n\r\n" + rest)

    def _await_head(self) -> None:
        self._head_bytes = 0
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _head_arrived(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
