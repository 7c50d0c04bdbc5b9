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


async def open_connection(gateway: RunningGateway) -> socket.socket:
    """A connection on which nothing has been said."""
    parts = urlsplit(gateway.url)
    connection = socket.socket()
    connection.setblocking(False)
    await asyncio.get_running_loop().sock_connect(connection, (parts.hostname, parts.port))
    return connection


async def ask(connection: socket.socket, path: str, token: str, until: bytes, *more: str) -> None:
    """Ask for `path`, and read until something has come."""
    lines = [f"GET {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {token}", *more]
    await asyncio.get_running_loop().sock_sendall(connection, ("\r\n".join(lines) + "\r\n\r\n").encode())
    await read_until(connection, until)


async def upgrade(connection: socket.socket, token: str) -> None:
    """Become a client that has been welcomed."""
    headers = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13")
    await ask(connection, "/ws", token, b'"welcome"', *headers, "Sec-WebSocket-Key: " + "A" * 22 + "==")


async def connect(gateway: RunningGateway, token: str) -> socket.socket:
    """A client that has been welcomed."""
    connection = await open_connection(gateway)
    await upgrade(connection, token)
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
    """That many event streams of a request of the user's, each of which has had it as it is."""
    token = gateway.token(user_id)
    with contextlib.ExitStack() as closing:
        for _ in range(number):
            connection = closing.enter_context(await open_connection(gateway))
            await ask(connection, f"/api/ai-status/{request_id}/events", token, b"data: ")
        yield


@contextlib.asynccontextmanager
async def asking(
    gateway: RunningGateway, user_id: str, number: int, *, then_upgrade: bool = False
) -> AsyncIterator[None]:
    """That many connections on which the user has asked something that was answered, and which may then be upgraded."""
    token = gateway.token(user_id)
    with contextlib.ExitStack() as closing:
        for _ in range(number):
            connection = closing.enter_context(await open_connection(gateway))
            await ask(connection, "/api/ai-status/none", token, b'"not_found"')
            if then_upgrade:
                await upgrade(connection, token)
        yield
