"""A client of another house (`websockets`), against the protocol on a real socket."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from gateway.realtime.frames import text_frame
from tests.gateway.server.test_http_protocol import Served, small_application
from tests.running import eventually


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with small_application() as one:
        yield one


def websocket(served: Served) -> connect:
    return connect(served.url.replace("http", "ws") + "/ws", proxy=None, max_size=None)


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 16383, 16384])
async def test_texts_of_every_length_arrive(served: Served, length: int) -> None:
    text = "ä" * (length // 2) + "x" * (length % 2)
    async with websocket(served) as client:
        await client.send(text)
        await (await client.ping())
        assert served.entrance.session.told == [text]


@pytest.mark.parametrize("length", [0, 125, 126, 65535, 65536, 1_000_000])
async def test_texts_of_every_length_are_read(served: Served, length: int) -> None:
    async with websocket(served) as client:
        served.entrance.session.carrier.write(text_frame(b"x" * length))
        assert await client.recv() == "x" * length


async def test_fragments_with_pings_between_them_arrive_as_one(served: Served) -> None:
    async with websocket(served) as client:

        async def fragments() -> AsyncIterator[str]:
            for part in ("Grüße ", "aus ", "Köln"):
                yield part
                await (await client.ping())

        await client.send(fragments())
        await (await client.ping())
        assert served.entrance.session.told == ["Grüße aus Köln"]


@pytest.mark.parametrize("code", [1000, 1001, 3000, 4999])
async def test_a_close_is_answered(served: Served, code: int) -> None:
    async with websocket(served) as client:
        session = served.entrance.session
        await client.close(code, "bye")
        assert client.close_code == code
    await eventually(lambda: asyncio.sleep(0, session.closed == 1))


@pytest.mark.parametrize(
    ("sent", "code"), [("x" * 16_385, 1009), (iter(["x" * 10_000, "x" * 10_000]), 1009), ("raise", 1011)]
)
async def test_a_client_sees_why_it_was_closed(served: Served, sent: str | Iterator[str], code: int) -> None:
    async with websocket(served) as client:
        await client.send(sent)
        with pytest.raises(ConnectionClosed):
            async with asyncio.timeout(15):
                await client.recv()
        assert client.close_code == code


async def test_a_flood_is_told_why(served: Served) -> None:
    async with websocket(served) as client:
        with contextlib.suppress(ConnectionClosed):
            for number in range(200):
                await client.send(str(number))
        async with asyncio.timeout(15):
            await client.wait_closed()
        assert client.close_code == 4429
        told = served.entrance.session.told
        assert 50 <= len(told) - 1 < 120, "a second's worth at once, and what has come meanwhile"
