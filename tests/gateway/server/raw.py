"""A peer that says exactly what it is told to, over TCP."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%b\r\n"
)


class Peer:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def say(self, data: bytes) -> bool:
        """Send; whether the connection was open enough for it."""
        try:
            self._writer.write(data)
            await self._writer.drain()
        except ConnectionError:
            return False
        return True

    async def hear(self, seconds: float = 15.0) -> bytes:
        """Everything up to the end of the connection, which must come in time."""
        heard = b""
        async with asyncio.timeout(seconds):
            with contextlib.suppress(ConnectionError):
                while chunk := await self._reader.read(65536):
                    heard += chunk
        return heard

    async def hear_until(self, end: bytes, seconds: float = 15.0) -> bytes:
        """Everything up to and with `end`."""
        async with asyncio.timeout(seconds):
            return await self._reader.readuntil(end)

    async def is_open(self) -> bool:
        """Whether the other side has neither ended nor said anything."""
        try:
            async with asyncio.timeout(0.05):
                await self._reader.read(1)
        except TimeoutError:
            return True
        except ConnectionError:
            pass
        return False

    async def drip(self, data: bytes, interval: float) -> float:
        """Say one byte of `data` (again and again) every `interval`; after how many seconds the other side ended it."""
        began = time.monotonic()
        position = 0
        while not self._reader.at_eof():
            if not await self.say(data[position : position + 1]):
                break
            position = (position + 1) % len(data)
            with contextlib.suppress(TimeoutError, ConnectionError):
                async with asyncio.timeout(interval):
                    await self._reader.read(65536)
        return time.monotonic() - began


@contextlib.asynccontextmanager
async def peer(url: str) -> AsyncIterator[Peer]:
    """A connection to the server at `url`."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        yield Peer(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
