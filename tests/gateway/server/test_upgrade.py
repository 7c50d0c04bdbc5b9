"""The opening handshake: what is accepted, and what each refusal says."""

import json

import pytest
from starlette.datastructures import Headers

from gateway.server.upgrade import UpgradeRefused, accepting

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
GOOD = {"sec-websocket-version": "13", "sec-websocket-key": KEY}


def test_the_example_of_the_rfc() -> None:
    answer = accepting("GET", "/ws", Headers(GOOD), ["/ws"])
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.splitlines()[0] == b"HTTP/1.1 101 Switching Protocols"
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head.splitlines()
    assert body == b""


@pytest.mark.parametrize("length", ["0", None])
def test_a_length_of_nothing_is_no_body(length: str | None) -> None:
    assert accepting("GET", "/ws", Headers(GOOD | ({"content-length": length} if length else {})), ["/ws"])


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "code"),
    [
        ("GET", "/nowhere", {}, 404, "not_found"),
        ("GET", "/ws/", {}, 404, "not_found"),
        ("POST", "/ws", {}, 400, "invalid_upgrade"),
        ("GET", "/ws", {"content-length": "1"}, 400, "invalid_upgrade"),
        ("GET", "/ws", {"transfer-encoding": "chunked"}, 400, "invalid_upgrade"),
        ("GET", "/ws", {"sec-websocket-version": "8"}, 426, "unsupported_version"),
        ("GET", "/ws", {"sec-websocket-version": ""}, 426, "unsupported_version"),
        ("GET", "/ws", {"sec-websocket-key": ""}, 400, "invalid_upgrade"),
        ("GET", "/ws", {"sec-websocket-key": "AAAA"}, 400, "invalid_upgrade"),
        ("GET", "/ws", {"sec-websocket-key": KEY[:-1] + "!"}, 400, "invalid_upgrade"),
        ("GET", "/ws", {"sec-websocket-key": "ü" * 24}, 400, "invalid_upgrade"),
    ],
)
def test_what_is_refused(method: str, path: str, headers: dict[str, str], status: int, code: str) -> None:
    with pytest.raises(UpgradeRefused) as refused:
        accepting(method, path, Headers(GOOD | headers), ["/ws"])
    head, _, body = refused.value.answer.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0].startswith(b"HTTP/1.1 %d " % status)
    assert b"content-length: %d" % len(body) in lines
    assert b"connection: close" in lines
    assert json.loads(body)["code"] == code
    assert (b"sec-websocket-version: 13" in lines) == (status == 426), "RFC 6455, section 4.4"
