"""One connection to Redis, taken over from redis-py: what it hands on, and every way in which it ends."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import hiredis
import pytest
from redis.asyncio import Redis

from gateway.realtime import redis_link
from gateway.realtime.redis_link import LinkLost, RedisLink, Reply, packed
from gateway.settings.redis_url import new_pool
from tests.running import eventually
from tests.servers import Valkey


@contextlib.asynccontextmanager
async def opened(url: str) -> AsyncIterator[RedisLink]:
    link = RedisLink(new_pool(url, 2.0))
    await link.open()
    try:
        yield link
    finally:
        await link.close()


async def kill_others(url: str) -> None:
    async with Redis.from_url(url) as redis:
        await redis.client_kill_filter(_type="normal", skipme=True)


async def test_replies_come_in_their_order_however_many_arrive_together(valkey: Valkey) -> None:
    replies: list[Reply] = []
    large = b"x" * 1_000_000
    async with opened(valkey.url) as link:
        reading = asyncio.create_task(link.read(replies.append))
        link.write([packed(b"ECHO", b"%d" % n) for n in range(1000)] + [packed(b"ECHO", large), packed(b"NO-SUCH")])

        async def all_came() -> bool:
            return len(replies) == 1002

        await eventually(all_came)
        reading.cancel()
    assert replies[:1000] == [b"%d" % n for n in range(1000)]
    assert replies[1000] == large
    assert isinstance(replies[1001], Exception)


async def test_what_comes_together_is_parsed_in_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    """The parser moves what is left for every KiB that it has parsed: all at once, 500 messages took 2 µs each, not a
    quarter of one."""
    fed: list[int] = []
    replies: list[Reply] = []

    class Reader(hiredis.Reader):
        def feed(self, data: bytes) -> None:  # type: ignore[override]
            fed.append(len(data))
            super().feed(data)

    monkeypatch.setattr(hiredis, "Reader", Reader)
    taking = redis_link._Replies(replies.append)
    messages = [b"%d" % n * 100 for n in range(10_000)]
    taking.data_received(b"".join(b"$%d\r\n%b\r\n" % (len(message), message) for message in messages))
    assert replies == messages
    assert max(fed) == redis_link.PORTION


async def test_a_connection_that_the_server_ends_is_lost() -> None:
    with Valkey() as server:
        async with opened(server.url) as link:
            reading = asyncio.create_task(link.read(lambda reply: None))
            await kill_others(server.url)
            with pytest.raises(LinkLost):
                await asyncio.wait_for(reading, 10)


async def test_one_that_has_ended_before_it_is_read_is_lost_too() -> None:
    """Nobody would say so again."""
    with Valkey() as server:
        async with opened(server.url) as link:
            await kill_others(server.url)
            stream = link._connection._reader
            assert stream is not None

            async def ended() -> bool:
                return stream.at_eof()

            await eventually(ended)
            with pytest.raises(LinkLost):
                await asyncio.wait_for(link.read(lambda reply: None), 10)


async def test_what_the_reader_of_a_reply_raises_ends_the_reading_and_nothing_comes_after_it(valkey: Valkey) -> None:
    replies: list[Reply] = []

    def fail(reply: Reply) -> None:
        replies.append(reply)
        raise KeyError("a fault of ours")

    async with opened(valkey.url) as link:
        reading = asyncio.create_task(link.read(fail))
        link.write([packed(b"PING")] * 3)
        with pytest.raises(KeyError):
            await asyncio.wait_for(reading, 10)
        link.write([packed(b"PING")])
        async with Redis.from_url(valkey.url) as redis:
            await redis.ping()
    assert replies == [b"PONG"]


async def test_over_tls_it_is_the_same(valkey: Valkey, certificate: Path) -> None:
    """Taken over, the connection is still the encrypted one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_server = await asyncio.open_connection("127.0.0.1", valkey.port)

        async def pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            with contextlib.closing(target), contextlib.suppress(OSError):
                while data := await source.read(65536):
                    target.write(data)

        await asyncio.gather(pass_on(reader, to_server[1]), pass_on(to_server[0], writer))

    replies: list[Reply] = []
    large = b"x" * 1_000_000
    async with await asyncio.start_server(relay, "127.0.0.1", 0, ssl=context) as server:
        port = server.sockets[0].getsockname()[1]
        async with opened(f"rediss://127.0.0.1:{port}?ssl_ca_certs={certificate}") as link:
            reading = asyncio.create_task(link.read(replies.append))
            link.write([packed(b"ECHO", b"first"), packed(b"ECHO", large)])

            async def all_came() -> bool:
                return len(replies) == 2

            await eventually(all_came)
            reading.cancel()
    assert replies == [b"first", large]


async def test_a_server_that_does_not_speak_redis_is_lost() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            while data := await reader.read(1000):
                noise = b"PING" in data
                writer.write(b"no reply of Redis\r\n" if noise else b"+OK\r\n" * data.count(b"*"))

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with opened(f"redis://127.0.0.1:{port}") as link:
            reading = asyncio.create_task(link.read(lambda reply: None))
            link.write([packed(b"PING")])
            with pytest.raises(LinkLost):
                await asyncio.wait_for(reading, 10)
