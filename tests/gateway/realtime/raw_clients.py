"""WebSocket clients as bare sockets: in this process they cost a descriptor, so what is measured is the server's."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

from gateway.realtime.frames import Opcode, text_frame
from tests.running import SECONDS, RunningGateway

_MASK_BIT = 0x80
_MASK = bytes(4)


def client_frame(message: dict[str, object]) -> bytes:
    """A short text frame of a client, under a mask of zeros (RFC 6455, section 5.3)."""
    frame = text_frame(json.dumps(message).encode())
    assert frame[0] & 0x0F == Opcode.TEXT
    assert frame[1] < 126
    return bytes((frame[0], frame[1] | _MASK_BIT)) + _MASK + frame[2:]


async def read_until(connection: socket.socket, end: bytes) -> bytes:
    """What comes until `end` is in it."""
    received = b""
    async with asyncio.timeout(SECONDS):
        while end not in received:
            data = await asyncio.get_running_loop().sock_recv(connection, 65536)
            assert data, f"closed after {received!r}"
            received += data
    return received


async def ask(gateway: RunningGateway, path: str, token: str, *more: str) -> socket.socket:
    """A connection on which `path` has been asked for."""
    parts = urlsplit(gateway.url)
    connection = socket.socket()
    connection.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(connection, (parts.hostname, parts.port))
    lines = [f"GET {path} HTTP/1.1", f"Host: {parts.netloc}", f"Authorization: Bearer {token}", *more]
    await loop.sock_sendall(connection, ("\r\n".join(lines) + "\r\n\r\n").encode())
    return connection


async def connect(gateway: RunningGateway, token: str) -> socket.socket:
    """A client that has been welcomed."""
    upgrade = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13")
    connection = await ask(gateway, "/ws", token, *upgrade, "Sec-WebSocket-Key: " + "A" * 22 + "==")
    await read_until(connection, b'"welcome"')
    return connection


async def stream(gateway: RunningGateway, token: str, request_id: str) -> socket.socket:
    """A client of an event stream that has had the request as it is."""
    connection = await ask(gateway, f"/api/ai-status/{request_id}/events", token)
    await read_until(connection, b"data: ")
    return connection


async def subscribe(connection: socket.socket, **what: object) -> None:
    """Subscribe and read the snapshot."""
    await asyncio.get_running_loop().sock_sendall(connection, client_frame({"type": "subscribe", "ref": 7, **what}))
    await read_until(connection, b'"missing"')


@contextlib.asynccontextmanager
async def connected(gateway: RunningGateway, user_id: str, number: int) -> AsyncIterator[list[socket.socket]]:
    """That many welcomed clients of one user."""
    token = gateway.token(user_id)
    with contextlib.ExitStack() as closing:
        yield [closing.enter_context(await connect(gateway, token)) for _ in range(number)]


@contextlib.asynccontextmanager
async def subscribed(gateway: RunningGateway, user_id: str, number: int) -> AsyncIterator[None]:
    """That many clients of one user that have subscribed to everything of the user."""
    async with connected(gateway, user_id, number) as connections:
        for connection in connections:
            await subscribe(connection, scope="mine")
        yield


@contextlib.asynccontextmanager
async def streaming(gateway: RunningGateway, user_id: str, number: int, *, request_id: str) -> AsyncIterator[None]:
    """That many event streams of a request of the user's."""
    token = gateway.token(user_id)
    with contextlib.ExitStack() as closing:
        for _ in range(number):
            closing.enter_context(await stream(gateway, token, request_id))
        yield


@contextlib.asynccontextmanager
async def asking(gateway: RunningGateway, user_id: str, number: int) -> AsyncIterator[None]:
    """That many connections on which the user has asked something that has been answered."""
    token = gateway.token(user_id)
    with contextlib.ExitStack() as closing:
        for _ in range(number):
            connection = closing.enter_context(await ask(gateway, "/api/ai-status/none", token))
            await read_until(connection, b'"not_found"')
        yield
