"""The opening handshake of a WebSocket (RFC 6455, section 4.2)."""

import binascii
from collections.abc import Collection

from starlette.datastructures import Headers
from websockets.utils import accept_key

from gateway.realtime.connection import UpgradeRefusal
from gateway.server.last_answer import last_answer


class UpgradeRefused(Exception):
    """The upgrade cannot be accepted; `answer` is the HTTP response that says why."""

    def __init__(self, status: bytes, code: str, error: str, *headers: bytes) -> None:
        super().__init__(error)
        self.answer = last_answer(status, code, error, *headers)


class UpgradeHeaders(Headers):
    """Headers that are asked for many times, of which a few are: each is found without a search."""

    def __init__(self, raw: list[tuple[bytes, bytes]]) -> None:
        super().__init__(raw=raw)
        self._first: dict[bytes, bytes] = {}
        for name, value in raw:
            self._first.setdefault(name, value)

    def __getitem__(self, key: str) -> str:
        return self._first[_encoded(key)].decode("latin-1")

    def get(self, key: str, default: str | None = None) -> str | None:  # type: ignore[override]
        """The header's first value."""
        value = self._first.get(_encoded(key))
        return default if value is None else value.decode("latin-1")

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and _encoded(key) in self._first


def _encoded(name: str) -> bytes:
    return name.lower().encode("latin-1")


def accepting(method: str, path: str, headers: Headers, paths: Collection[str]) -> bytes:
    """The answer that accepts the upgrade.

    Raises:
        UpgradeRefused: it is no proper handshake, or no WebSocket is served at `path`.
    """
    if path not in paths:
        raise UpgradeRefused(b"404 Not Found", "not_found", "No WebSocket is served here.")
    if method != "GET" or "transfer-encoding" in headers or headers.get("content-length", "0") != "0":
        raise UpgradeRefused(
            b"400 Bad Request", "invalid_upgrade", "An upgrade to a WebSocket is a GET without a body."
        )
    if headers.get("sec-websocket-version") != "13":
        raise UpgradeRefused(
            b"426 Upgrade Required",
            "unsupported_version",
            "The Sec-WebSocket-Version must be 13.",
            b"sec-websocket-version: 13",
        )
    key = headers.get("sec-websocket-key", "")
    if not _is_nonce(key):
        raise UpgradeRefused(b"400 Bad Request", "invalid_upgrade", "The Sec-WebSocket-Key must be 16 bytes in base64.")
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: %b\r\n\r\n" % accept_key(key).encode()
    )


def refused_by_transport(refusal: UpgradeRefusal) -> UpgradeRefused:
    """What the transport itself does not let in."""
    status = refusal.status
    return UpgradeRefused(f"{status.value} {status.phrase}".encode(), refusal.code, refusal.error)


def _is_nonce(key: str) -> bool:
    try:
        return len(binascii.a2b_base64(key, strict_mode=True)) == 16
    except (binascii.Error, ValueError):
        return False
