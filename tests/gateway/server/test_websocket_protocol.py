"""A WebSocket's rules, on a transport that only remembers what it was told."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from gateway.realtime.close_codes import CloseCode
from gateway.realtime.connection import Carrier, Upgrade, UpgradeRefusal
from gateway.realtime.frames import Opcode, close_frame, control_frame, text_frame
from gateway.server import push_protocol
from gateway.server.keepalive import Keepalive
from gateway.server.websocket_protocol import FRAMES_A_TURN, MAX_FRAGMENTS, MAX_IGNORED, WebSocketProtocol, WebSockets
from gateway.telemetry.metrics import PROTOCOL_VIOLATIONS
from tests.gateway.server.client_frames import client_frame

RATE = 1000
ANSWER = b"HTTP/1.1 101 \r\n\r\n"


class Transport:
    """A socket on which everything can be written at once."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.closing = self.aborted = self.ended = self.paused = False

    def set_write_buffer_limits(self, high: int) -> None:
        assert high > 0

    def write(self, data: bytes) -> None:
        assert not self.ended, "nothing is written behind the end"
        self.writes.append(data)

    @property
    def written(self) -> bytes:
        return b"".join(self.writes)

    def write_eof(self) -> None:
        self.ended = True

    def can_write_eof(self) -> bool:
        return True

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = self.aborted = True

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None:
        assert not self.paused
        self.paused = True

    def resume_reading(self) -> None:
        assert self.paused
        self.paused = False


class Recording:
    """A session that remembers what it was told."""

    def __init__(self, carrier: Carrier) -> None:
        self.carrier = carrier
        self.told: list[str] = []
        self.closed = 0

    def on_text(self, text: str) -> None:
        if text == "raise":
            raise RuntimeError("a fault in a transport")
        self.told.append(text)

    def on_binary(self) -> None:
        self.told.append("<binary>")

    def on_paused(self) -> None:
        self.told.append("<paused>")

    def on_writable(self) -> None:
        self.told.append("<writable>")

    def on_closed(self) -> None:
        self.closed += 1

    def restart(self) -> None:
        self.carrier.close(CloseCode.RESTART, "")


class Entrance:
    session: Recording

    def __init__(self, burst: int = 0) -> None:
        self.burst = burst

    def refusal(self, upgrade: Upgrade) -> UpgradeRefusal | None:
        if upgrade.query == b"refuse":
            return UpgradeRefusal(HTTPStatus.TOO_MANY_REQUESTS, "too_many_connections", "Too many connections.")
        return None

    def open(self, upgrade: Upgrade, carrier: Carrier) -> Recording:
        if upgrade.query == b"raise":
            raise RuntimeError("a fault in a transport")
        self.session = Recording(carrier)
        if upgrade.query == b"welcome":
            carrier.write(text_frame(b"welcome"))
        return self.session


class Connection:
    """A protocol between a transport and a session that both only remember."""

    def __init__(self, *, rate: float = RATE, burst: int = 0, max_size: int = 70_000, query: bytes = b"") -> None:
        self.transport = Transport()
        self.connections: set[Any] = set()
        entrance = Entrance(burst)
        shared = WebSockets({"/ws": entrance}, Keepalive(3600.0), max_size, rate, 0.05)
        self.protocol = WebSocketProtocol(shared, self.connections, asyncio.get_running_loop())
        self.protocol.begin(cast("asyncio.Transport", self.transport), Upgrade("/ws", query, Headers(), "x"), ANSWER)
        if not query:
            self.session = entrance.session

    async def receive(self, *chunks: bytes) -> None:
        for chunk in chunks:
            if self.transport.closing:
                break
            self.protocol.data_received(chunk)
            while self.transport.paused and not self.transport.closing:
                await asyncio.sleep(0)

    @property
    def sent(self) -> bytes:
        return self.transport.written.removeprefix(ANSWER)

    def is_closing(self) -> bool:
        return self.transport.closing

    def is_aborted(self) -> bool:
        return self.transport.aborted

    def end(self) -> None:
        self.protocol.connection_lost(None)
        assert not self.connections
        assert self.protocol._timer is None


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(cast("Any", test()))


# -- messages ---------------------------------------------------------------------------------------------------------

TEXTS = st.lists(
    st.tuples(st.text(max_size=60), st.lists(st.integers(0, 240), max_size=3), st.binary(max_size=125)), max_size=8
)


@given(texts=TEXTS, cuts=st.lists(st.integers(min_value=1, max_value=40), min_size=1, max_size=8))
def test_texts_come_whole_and_in_order(texts: list[tuple[str, list[int], bytes]], cuts: list[int]) -> None:
    """Whatever the fragments, also in the middle of a character, the pings between them, and how the bytes arrive."""
    stream, pongs, expected = b"", b"", []
    for text, where, ping in texts:
        payload = text.encode()
        edges = sorted({0, len(payload), *(cut for cut in where if cut < len(payload))})
        parts = [payload[start:end] for start, end in itertools.pairwise(edges)] or [b""]
        for number, part in enumerate(parts):
            opcode = Opcode.TEXT if number == 0 else Opcode.CONTINUATION
            stream += client_frame(opcode, part, final=number == len(parts) - 1)
            stream += client_frame(Opcode.PING, ping)
            pongs += control_frame(Opcode.PONG, ping)
        expected.append(text)

    async def scenario() -> None:
        connection = Connection()
        chunks: list[bytes] = []
        position = 0
        while position < len(stream):
            size = cuts[len(chunks) % len(cuts)]
            chunks.append(stream[position : position + size])
            position += size
        await connection.receive(*chunks)
        assert connection.session.told == expected
        assert connection.sent == pongs
        connection.end()

    run(scenario)


@pytest.mark.parametrize(
    "broken", [b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"\xc0\xaf", b"ok\x80"]
)
async def test_text_that_is_not_utf8_costs_a_counter(broken: bytes, caplog: pytest.LogCaptureFixture) -> None:
    connection = Connection()
    before = PROTOCOL_VIOLATIONS.labels("1007")._value.get()
    await connection.receive(client_frame(Opcode.TEXT, broken), client_frame(Opcode.TEXT, b"too late"))
    assert connection.sent.startswith(close_frame(1007)[2:4], 2)
    assert connection.session.told == ["<paused>"]
    assert PROTOCOL_VIOLATIONS.labels("1007")._value.get() == before + 1
    assert caplog.records == []
    connection.end()


async def test_a_binary_message_is_told_once_and_is_never_text() -> None:
    connection = Connection()
    await connection.receive(
        client_frame(Opcode.BINARY, b"a", final=False),
        client_frame(Opcode.CONTINUATION, b"b", final=False),
        client_frame(Opcode.CONTINUATION, b"c"),
        client_frame(Opcode.TEXT, b"text"),
    )
    assert connection.session.told == ["<binary>", "text"]
    connection.end()


# -- control frames and the closing handshake -------------------------------------------------------------------------


async def test_a_close_is_answered_with_its_code_and_nothing_follows() -> None:
    connection = Connection()
    await connection.receive(client_frame(Opcode.CLOSE, (4999).to_bytes(2, "big") + b"bye"), client_frame(payload=b"x"))
    assert connection.sent == close_frame(4999)
    assert connection.is_closing()
    connection.protocol.write(text_frame(b"late"))
    assert connection.sent == close_frame(4999)
    assert connection.session.told == ["<paused>"]
    connection.end()
    assert connection.session.closed == 1


async def test_a_close_without_a_code_is_answered_without_one() -> None:
    connection = Connection()
    await connection.receive(client_frame(Opcode.CLOSE))
    assert connection.sent == control_frame(Opcode.CLOSE)
    connection.end()


async def test_a_client_that_answers_our_close_is_done() -> None:
    connection = Connection()
    connection.protocol.close(CloseCode.UNAUTHORIZED, "why")
    assert not connection.is_closing()
    await connection.receive(
        client_frame(payload=b"on its way"), client_frame(Opcode.PING, b"x"), client_frame(Opcode.CLOSE, b"\x11\x31")
    )
    assert connection.is_closing()
    assert connection.sent == close_frame(CloseCode.UNAUTHORIZED, "why"), "one close, and no pong behind it"
    assert connection.session.told == ["<paused>"]
    connection.end()


async def test_one_that_does_not_answer_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push_protocol, "CLOSE_SECONDS", 0.01)
    connection = Connection()
    connection.protocol.close(CloseCode.UNAUTHORIZED, "why")
    async with asyncio.timeout(5):
        while not connection.transport.aborted:
            await asyncio.sleep(0.005)
    connection.end()


async def test_one_that_ends_its_side_and_reads_nothing_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push_protocol, "CLOSE_SECONDS", 0.01)
    connection = Connection()
    connection.protocol.eof_received()
    async with asyncio.timeout(5):
        while not connection.transport.aborted:
            await asyncio.sleep(0.005)
    connection.end()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (client_frame(reserved=4), 1002),
        (client_frame(mask=None), 1002),
        (client_frame(Opcode.CLOSE, b"\x03"), 1002),
        (client_frame(Opcode.CLOSE, (1006).to_bytes(2, "big")), 1002),
        (client_frame(Opcode.CLOSE, b"\x03\xe8\xff"), 1007),
        (client_frame(payload=b"x" * 1001), 1009),
    ],
)
async def test_a_violation_ends_it_and_what_follows_is_not_looked_at(data: bytes, code: int) -> None:
    connection = Connection(max_size=1000)
    more = client_frame(payload=b"more") + client_frame(Opcode.CLOSE, b"\x03\xe8")
    await connection.receive(data + more, more)
    assert connection.sent[:4] == close_frame(code)[:1] + connection.sent[1:2] + code.to_bytes(2, "big")
    assert connection.transport.ended
    assert connection.session.told == ["<paused>"]
    connection.end()


async def test_who_sends_on_after_a_violation_is_dropped() -> None:
    connection = Connection()
    await connection.receive(client_frame(mask=None))
    for _ in range(MAX_IGNORED // 65536):
        await connection.receive(b"x" * 65536)
    assert not connection.is_aborted()
    await connection.receive(b"x")
    assert connection.is_aborted()
    connection.end()


# -- what a client may cost -------------------------------------------------------------------------------------------

FLOODS = {
    "pings": client_frame(Opcode.PING),
    "pongs": client_frame(Opcode.PONG),
    "texts": client_frame(Opcode.TEXT, b"{}"),
    "binaries": client_frame(Opcode.BINARY),
    "continuations": client_frame(Opcode.CONTINUATION, final=False),
}


@pytest.mark.parametrize("kind", FLOODS)
async def test_every_frame_counts(kind: str) -> None:
    connection = Connection(rate=50)
    begin = client_frame(Opcode.TEXT, final=False) if kind == "continuations" else b""
    await connection.receive(begin + FLOODS[kind] * 200)
    assert connection.sent.endswith(close_frame(CloseCode.TOO_MANY, CloseCode.TOO_MANY.reason))
    assert connection.transport.ended
    assert connection.sent.count(control_frame(Opcode.PONG)) <= 51
    connection.end()


@pytest.mark.parametrize("payload", [b"", b"x"])
async def test_the_fragments_of_a_message_are_bounded(payload: bytes) -> None:
    """Only their bytes were: of empty ones, as many were kept as came."""
    connection = Connection()
    begin = client_frame(Opcode.TEXT, payload, final=False)
    more = client_frame(Opcode.CONTINUATION, payload, final=False)
    whole = begin + more * (MAX_FRAGMENTS - 1) + client_frame(Opcode.CONTINUATION, payload)
    await connection.receive(whole)
    assert connection.session.told == [payload.decode() * (MAX_FRAGMENTS + 1)]
    await connection.receive(begin + more * MAX_FRAGMENTS)
    assert connection.sent == close_frame(CloseCode.TOO_BIG, CloseCode.TOO_BIG.reason)
    connection.end()


@pytest.mark.parametrize(("burst", "most"), [(0, 50), (49, 50), (300, 300)])
async def test_a_burst_is_the_endpoints_or_a_seconds_worth(
    burst: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("gateway.server.websocket_protocol.time.monotonic", lambda: now)
    connection = Connection(rate=50, burst=burst)
    await connection.receive(client_frame() * most)
    now += 0.1
    await connection.receive(client_frame() * 5)
    assert len(connection.session.told) == most + 5
    await connection.receive(client_frame())
    assert connection.sent == close_frame(CloseCode.TOO_MANY, CloseCode.TOO_MANY.reason)
    connection.end()


async def test_others_have_a_turn_between_a_few_frames() -> None:
    connection = Connection()
    connection.protocol.data_received(client_frame(payload=b"x") * (FRAMES_A_TURN * 3))
    turns = []
    while connection.transport.paused:
        turns.append(len(connection.session.told))
        await asyncio.sleep(0)
    assert turns == [FRAMES_A_TURN, FRAMES_A_TURN * 2, FRAMES_A_TURN * 3]
    assert len(connection.session.told) == FRAMES_A_TURN * 3
    connection.end()


async def test_one_that_is_dropped_between_two_turns_is_left_alone() -> None:
    connection = Connection()
    connection.protocol.data_received(client_frame(payload=b"x") * (FRAMES_A_TURN * 3))
    connection.transport.abort()
    connection.end()
    await asyncio.sleep(0)
    assert len(connection.session.told) == FRAMES_A_TURN


async def test_who_finishes_no_frame_between_two_pings_is_dropped() -> None:
    connection = Connection()
    connection.protocol.keep_alive()
    assert connection.sent == control_frame(Opcode.PING)
    await connection.receive(client_frame(Opcode.PONG))
    connection.protocol.keep_alive()
    assert not connection.is_aborted()
    await connection.receive(b"\x81")  # the drip of a frame that never ends is no sign of life
    connection.protocol.keep_alive()
    assert connection.is_aborted()
    connection.end()


async def test_who_does_not_read_is_dropped() -> None:
    connection = Connection()
    connection.protocol.pause_writing()
    assert not connection.protocol.writable
    connection.protocol.resume_writing()
    assert connection.session.told == ["<paused>", "<writable>"]
    connection.protocol.pause_writing()
    async with asyncio.timeout(5):
        while not connection.transport.aborted:
            await asyncio.sleep(0.01)
    connection.end()


async def test_one_that_was_closed_counts_as_written_to_no_more() -> None:
    connection = Connection()
    connection.protocol.close(CloseCode.TOO_MANY, "")
    connection.protocol.resume_writing()
    assert not connection.protocol.writable
    assert connection.session.told == ["<paused>"]
    connection.end()


# -- faults of our own ------------------------------------------------------------------------------------------------


async def test_a_fault_in_a_session_ends_that_connection_with_a_code(caplog: pytest.LogCaptureFixture) -> None:
    connection = Connection()
    await connection.receive(client_frame(payload=b"raise"))
    assert connection.sent == close_frame(1011)
    assert "a fault in a transport" in caplog.text
    connection.end()
    assert connection.session.closed == 1


async def test_a_fault_at_the_beginning_does_too(caplog: pytest.LogCaptureFixture) -> None:
    connection = Connection(query=b"raise")
    await connection.receive(client_frame(payload=b"x" * 100) * 10)
    assert connection.sent == close_frame(1011)
    assert "a fault in a transport" in caplog.text
    connection.protocol.shutdown()
    connection.end()


async def test_the_answer_and_the_first_frame_go_out_together() -> None:
    """A packet less for every client that comes."""
    connection = Connection(query=b"welcome")
    assert connection.transport.writes == [ANSWER + text_frame(b"welcome")]
    connection.protocol.write(text_frame(b"more"))
    assert connection.sent == text_frame(b"welcome") + text_frame(b"more")
    connection.end()


async def test_a_server_that_stops_closes_with_restart() -> None:
    connection = Connection()
    connection.protocol.shutdown()
    assert connection.sent == close_frame(CloseCode.RESTART)
    connection.protocol.shutdown()
    assert connection.sent == close_frame(CloseCode.RESTART)
    connection.end()
