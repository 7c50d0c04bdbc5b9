"""One connection to Redis, written and read in bulk.

redis-py opens it (addresses, TLS, authentication are its affair) and would then take a coroutine and several calls for
every single message. So the open connection is taken over: what has arrived is handed on in the turn of the loop that
brought it, without a task that would have to wake up, and one write sends everything that such a turn has brought.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable

import hiredis
from redis.asyncio import ConnectionPool
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError

MAX_UNREAD = 1024 * 1024
"""Most bytes that wait for a server which does not read."""

PORTION = 16 * 1024
"""How many bytes the parser is fed at once. It moves all that is left forward for every KiB that it has parsed, so that
what it does for a message grows with what came together with it."""

Reply = bytes | int | list[bytes | int | None] | hiredis.ReplyError | None


class LinkLost(Exception):
    """The connection broke, or could not be made; the text says how."""


class RedisLink:
    """A connection of `pool`'s kind, but not one of its own: it lives from `open` to `close`."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._connection: AbstractConnection = pool.make_connection()  # type: ignore[no-untyped-call]

    async def open(self) -> None:
        """Connect.

        Raises:
            LinkLost: no server, or it does not let us in.
        """
        try:
            await self._connection.connect()  # type: ignore[no-untyped-call]
        except (RedisError, OSError) as error:
            raise LinkLost(type(error).__name__) from error

    @property
    def congested(self) -> bool:
        """Whether nothing should be written now: the server reads more slowly, or the connection has just broken."""
        return self._transport.is_closing() or self._transport.get_write_buffer_size() > MAX_UNREAD

    def write(self, commands: Iterable[bytes]) -> None:
        """Send packed commands, unless the connection has just broken. Never waits."""
        if not self._transport.is_closing():
            self._transport.writelines(list(commands))

    async def read(self, on_reply: Callable[[Reply], None]) -> None:
        """Hand every reply and message to `on_reply`, until the connection breaks.

        Raises:
            LinkLost: always, in the end.
        """
        stream, transport = self._connection._reader, self._transport
        if transport.is_closing() or (stream is not None and stream.at_eof()):
            raise LinkLost("closed by the server")  # nobody would say so again
        replies = _Replies(on_reply)
        transport.set_protocol(replies)
        await replies.lost

    def abort(self) -> None:
        """Drop the connection; `read` ends."""
        if self._connection._writer is not None:
            self._transport.abort()

    async def close(self) -> None:
        """Close the connection, if it is open."""
        with contextlib.suppress(RedisError, OSError, asyncio.TimeoutError):
            await self._connection.disconnect(nowait=True)

    @property
    def _transport(self) -> asyncio.WriteTransport:
        writer = self._connection._writer  # redis-py has no reading in bulk; its version is bounded
        assert writer is not None, "open"  # noqa: S101
        return writer.transport


class _Replies(asyncio.Protocol):
    """Takes what arrives apart.

    Attributes:
        lost: ends with the connection, or with what `on_reply` raised.
    """

    def __init__(self, on_reply: Callable[[Reply], None]) -> None:
        self._on_reply = on_reply
        self._parser = hiredis.Reader()
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        if self.lost.done():
            return
        parser, on_reply = self._parser, self._on_reply
        try:
            for start in range(0, len(data), PORTION):
                parser.feed(data[start : start + PORTION])
                while (reply := parser.gets()) is not False:
                    on_reply(reply)
        except hiredis.ProtocolError as error:
            self.lost.set_exception(LinkLost(type(error).__name__))
        except Exception as error:  # noqa: BLE001 - raised where the connection is waited for
            self.lost.set_exception(error)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.lost.done():
            self.lost.set_exception(LinkLost("closed by the server" if exc is None else type(exc).__name__))


def packed(*arguments: bytes) -> bytes:
    """A command as it goes over the wire (RESP: an array of bulk strings)."""
    return b"*%d\r\n" % len(arguments) + b"".join([b"$%d\r\n%b\r\n" % (len(part), part) for part in arguments])
