"""States into which a hostile peer brings a connection, and what it does there."""

import asyncio
import contextlib
import re
import time

from gateway.realtime.frames import Opcode
from tests.gateway.server.client_frames import client_frame
from tests.gateway.server.raw import UPGRADE, Peer

CHUNK = 512 * 1024

STATES = (
    "before the head",
    "half a head",
    "a body that never comes",
    "a body in chunks",
    "an upgrade with a body",
    "an unauthenticated WebSocket",
    "an authenticated WebSocket",
    "a WebSocket that is being closed",
    "a WebSocket after its close",
)

WEBSOCKETS = tuple(state for state in STATES if "WebSocket" in state)

SERVED = (
    "an event stream",
    "a long poll",
    "pipelined requests",
    "after an answer",
    "trailers",
    "a socket of Supabase",
)
"""States in which a silent peer is served for as long as it likes, or for longer than a test: floods end them too."""

FLOODS = {
    "pings": client_frame(Opcode.PING),
    "pongs": client_frame(Opcode.PONG),
    "continuations": client_frame(Opcode.CONTINUATION, final=False),
    "objects": client_frame(Opcode.TEXT, b"{}"),
    "closes": client_frame(Opcode.CLOSE),
    "garbage": b"\xa5\x5a\x00\xff",
    "noise": b"\r\n",
    "headers": b"a:b\r\n",
    "chunks": b"1\r\nx\r\n",
    "requests": b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
}


async def enter(peer: Peer, state: str, token: str) -> None:
    """Bring `peer`'s connection into `state`."""
    match state:
        case "before the head":
            pass
        case "half a head":
            await peer.say(b"GET /healthz HTTP/1.1\r\nX: y\r\n")
        case "a body that never comes":
            length = b"Content-Type: application/json\r\nContent-Length: 100\r\n"
            await peer.say(b"POST /api/ai-callback HTTP/1.1\r\nHost: x\r\n" + length + b"\r\n{")
        case "a body in chunks":
            chunked = b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
            await peer.say(b"POST /api/ai-callback HTTP/1.1\r\nHost: x\r\n" + chunked + b"\r\n")
        case "an upgrade with a body":
            await peer.say(UPGRADE % b"Content-Length: 100\r\n")
        case "an unauthenticated WebSocket":
            await peer.say(UPGRADE % b"")
            await peer.hear_until(b"\r\n\r\n")
        case "an authenticated WebSocket":
            await peer.say(UPGRADE % f"Authorization: Bearer {token}\r\n".encode())
            await peer.hear_until(b'"welcome"')
        case "a WebSocket that is being closed":
            await peer.say(UPGRADE % b"Authorization: Bearer x\r\n")
            await peer.hear_until(b"fresh one")
        case "an event stream":
            await peer.say(_authorized(b"GET /api/ai-status/%b/events" % await _submitted(peer, token), token))
            await peer.hear_until(b"event: update")
        case "a long poll":
            path = b"/api/ai-status/%b" % await _submitted(peer, token)
            await peer.say(_authorized(b"GET %b?wait=60&version=1" % path, token))
        case "pipelined requests":
            await peer.say(b"GET /api/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 8)
        case "after an answer":
            await peer.say(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            await peer.hear_until(b"\r\n\r\n")
        case "trailers":
            await peer.say(b"POST /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")
        case "a socket of Supabase":
            await peer.say(UPGRADE.replace(b"/ws", b"/realtime/v1/websocket?vsn=2.0.0") % b"")
            await peer.hear_until(b"\r\n\r\n")
        case "a WebSocket after its close":
            await peer.say(UPGRADE % b"")
            await peer.hear_until(b"\r\n\r\n")
            await peer.say(client_frame(Opcode.CLOSE, b"\x03\xe8"))


def _authorized(request: bytes, token: str) -> bytes:
    return b"%b HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %b\r\n\r\n" % (request, token.encode())


async def _submitted(peer: Peer, token: str) -> bytes:
    """The id of a request that was submitted over this connection."""
    body = b'{"Product": "Shoes", "Your Brand": "Nike"}'
    await peer.say(
        b"POST /api/ai-generate HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %b\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (token.encode(), len(body), body)
    )
    heard = await peer.hear_until(b"}")
    found = re.search(rb'"requestId":"([^"]+)"', heard)
    assert found is not None, heard
    return found[1]


async def silence(peer: Peer, seconds: float) -> float:
    """Say nothing and read; after how many seconds the other side ended it, at most `seconds`."""
    began = time.monotonic()
    with contextlib.suppress(TimeoutError):
        await peer.hear(seconds)
    return time.monotonic() - began


async def flood(peer: Peer, kind: str, size: int) -> int:
    """Say `size` bytes of a kind without reading; how many went out before the other side ended it."""
    chunk = FLOODS[kind] * (CHUNK // len(FLOODS[kind]))  # whole ones: it fits to whatever was said before
    said = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(60):
            while said < size and await peer.say(chunk):
                said += len(chunk)
    return said
