"""A response without an end, on a transport that only remembers what it was told."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from gateway.server import push_protocol
from gateway.server.keepalive import Keepalive
from gateway.server.stream_protocol import MAX_IGNORED, StreamProtocol, Streams
from tests.gateway.server.test_websocket_protocol import Transport
from tests.running import eventually

END = b"0\r\n\r\n"


class Recording:
    """A session that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def keep_alive(self) -> None:
        self.told.append("kept alive")

    def on_paused(self) -> None:
        self.told.append("paused")

    def on_writable(self) -> None:
        self.told.append("writable")

    def on_closed(self) -> None:
        self.told.append("closed")

    def restart(self) -> None:
        self.told.append("restart")


class Stream:
    """A protocol between the two."""

    def __init__(self) -> None:
        self.transport, self.session = Transport(), Recording()
        self.connections: set[Any] = set()
        self.keepalive = Keepalive(3600.0)
        self.protocol = StreamProtocol(Streams(self.keepalive, 0.05), self.connections, asyncio.get_running_loop())
        self.protocol.begin(cast("asyncio.Transport", self.transport), self.session)

    async def is_aborted(self) -> bool:
        return self.transport.aborted

    def end(self) -> None:
        self.protocol.connection_lost(None)
        assert not self.connections
        assert not any(self.keepalive._slots)
        assert self.protocol._timer is None
        assert self.session.told[-1] == "closed"


@pytest.fixture
async def stream() -> AsyncIterator[Stream]:
    made = Stream()
    yield made
    made.end()


async def test_what_is_written_goes_out_in_chunks(stream: Stream) -> None:
    stream.protocol.write(b"data: 1\n\n")
    stream.protocol.write(b"x" * 300)
    assert stream.transport.writes == [b"9\r\ndata: 1\n\n\r\n", b"12c\r\n" + b"x" * 300 + b"\r\n"]


async def test_the_end_is_written_once_and_nothing_behind_it(stream: Stream) -> None:
    stream.protocol.finish()
    stream.protocol.finish()
    stream.protocol.write(b"late")
    assert stream.transport.writes == [END]
    assert stream.transport.closing
    assert not stream.protocol.writable
    assert stream.session.told == ["paused"]


async def test_nothing_is_written_to_a_connection_that_has_just_broken(stream: Stream) -> None:
    stream.transport.closing = True
    stream.protocol.write(b"late")
    stream.protocol.finish()
    assert stream.transport.writes == []


async def test_who_does_not_read_is_dropped(stream: Stream) -> None:
    stream.protocol.pause_writing()
    assert stream.session.told == ["paused"]
    assert await eventually(stream.is_aborted)


async def test_who_reads_again_goes_on(stream: Stream) -> None:
    stream.protocol.pause_writing()
    stream.protocol.keep_alive()
    assert stream.session.told == ["paused"], "nothing is said to who does not read"
    stream.protocol.resume_writing()
    assert stream.session.told == ["paused", "writable"]
    assert stream.protocol._timer is None
    stream.protocol.keep_alive()
    assert stream.session.told[-1] == "kept alive"


async def test_who_does_not_read_the_end_is_dropped(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push_protocol, "CLOSE_SECONDS", 0.01)
    stream.protocol.finish()
    stream.protocol.pause_writing()
    stream.protocol.resume_writing()
    assert stream.session.told == ["paused"], "it has said goodbye"
    assert await eventually(stream.is_aborted)


async def test_who_closes_its_side_is_dropped_in_time(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if it reads a little; and nothing counts as delivered to it."""
    monkeypatch.setattr(push_protocol, "CLOSE_SECONDS", 0.01)
    stream.protocol.eof_received()
    stream.protocol.pause_writing()
    stream.protocol.resume_writing()
    assert stream.session.told == ["paused"]
    assert await eventually(stream.is_aborted)


async def test_what_a_client_sends_meanwhile_is_bounded(stream: Stream) -> None:
    stream.protocol.data_received(b"GET / HTTP/1.1\r\n")
    stream.protocol.data_received(b"x" * (MAX_IGNORED - 16))
    assert not stream.transport.aborted
    stream.protocol.data_received(b"x")
    assert stream.transport.aborted


async def test_a_server_that_stops_ends_it(stream: Stream) -> None:
    stream.protocol.shutdown()
    assert stream.session.told == ["restart", "paused"]
    assert stream.transport.writes == [END]
