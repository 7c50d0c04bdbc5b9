"""The frames of RFC 6455: what is read as it was meant, and what is refused with which code."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets import frames as reference
from websockets.streams import StreamReader

from gateway.realtime.frames import (
    Frame,
    FrameReader,
    Opcode,
    ProtocolViolation,
    close_code,
    close_frame,
    control_frame,
    text_frame,
)
from tests.gateway.server.client_frames import client_frame

MAX_SIZE = 70_000
AROUND_THE_BOUNDS = (0, 1, 3, 4, 5, 124, 125, 126, 127, 65534, 65535, 65536, 65537)


def frames_in(chunks: list[bytes], max_size: int = MAX_SIZE) -> list[Frame]:
    reader, found = FrameReader(max_size), []
    for chunk in chunks:
        reader.feed(chunk)
        while (frame := reader.next_frame()) is not None:
            found.append(frame)
    return found


def violation(*chunks: bytes, max_size: int = MAX_SIZE) -> int:
    with pytest.raises(ProtocolViolation) as refused:
        frames_in(list(chunks), max_size)
    return refused.value.code


# -- what a client sends ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", AROUND_THE_BOUNDS)
def test_every_length_is_read(length: int) -> None:
    payload = bytes(number % 251 for number in range(length))
    assert frames_in([client_frame(Opcode.BINARY, payload)]) == [Frame(Opcode.BINARY, payload, True)]


@given(payload=st.binary(max_size=300), mask=st.binary(min_size=4, max_size=4))
def test_every_mask_is_taken_off(payload: bytes, mask: bytes) -> None:
    assert frames_in([client_frame(Opcode.TEXT, payload, mask=mask)]) == [Frame(Opcode.TEXT, payload, True)]


@given(payload=st.binary(max_size=70_000), opcode=st.sampled_from([Opcode.TEXT, Opcode.BINARY]))
def test_what_websockets_writes_is_read(payload: bytes, opcode: Opcode) -> None:
    written = reference.Frame(reference.Opcode(opcode), payload).serialize(mask=True)
    assert frames_in([written]) == [Frame(opcode, payload, True)]


MESSAGES = st.lists(
    st.tuples(
        st.sampled_from([Opcode.TEXT, Opcode.BINARY]),
        st.lists(st.binary(max_size=200), min_size=1, max_size=4),
        st.lists(st.tuples(st.sampled_from([Opcode.PING, Opcode.PONG]), st.binary(max_size=125)), max_size=3),
    ),
    max_size=5,
)


@given(messages=MESSAGES, cuts=st.lists(st.integers(min_value=1, max_value=50), min_size=1, max_size=20))
def test_however_the_bytes_arrive_the_frames_are_the_same(
    messages: list[tuple[Opcode, list[bytes], list[tuple[Opcode, bytes]]]], cuts: list[int]
) -> None:
    """Messages in fragments, control frames between them, and a stream that is cut anywhere."""
    sent, stream = [], b""
    for opcode, fragments, controls in messages:
        for number, fragment in enumerate(fragments):
            frame = Frame(opcode if number == 0 else Opcode.CONTINUATION, fragment, number == len(fragments) - 1)
            between = [Frame(control, payload, True) for control, payload in controls]
            for one in (frame, *between):
                sent.append(one)
                stream += client_frame(one.opcode, one.payload, final=one.final)
    chunks, position, turn = [], 0, 0
    while position < len(stream):
        size = cuts[turn % len(cuts)]
        chunks.append(stream[position : position + size])
        position, turn = position + size, turn + 1
    assert frames_in(chunks) == sent


@given(noise=st.binary(max_size=2000))
def test_noise_is_frames_or_a_violation(noise: bytes) -> None:
    """Never another error, and never a payload longer than was allowed."""
    try:
        found = frames_in([noise], max_size=1000)
    except ProtocolViolation as error:
        assert error.code in (1002, 1009)  # noqa: PT017
    else:
        assert all(len(frame.payload) <= 1000 for frame in found)


@pytest.mark.parametrize(
    "frame",
    [
        *(client_frame(reserved=reserved) for reserved in range(1, 8)),
        *(client_frame(opcode) for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)),
        client_frame(mask=None),
        client_frame(Opcode.TEXT, b"x" * 125, length_bytes=2),
        client_frame(Opcode.TEXT, b"x" * 200, length_bytes=8),
        client_frame(Opcode.TEXT, b"", length_bytes=8),
        client_frame(Opcode.PING, b"x" * 126),
        client_frame(Opcode.CLOSE, b"x" * 126),
        client_frame(Opcode.PING, final=False),
        client_frame(Opcode.PONG, final=False),
        client_frame(Opcode.CLOSE, final=False),
        client_frame(Opcode.CONTINUATION, b"x"),
        client_frame(Opcode.TEXT, b"x", final=False) + client_frame(Opcode.TEXT, b"x"),
        client_frame(Opcode.TEXT, b"x", final=False) + client_frame(Opcode.BINARY, b"x"),
        client_frame(Opcode.TEXT, b"x") + client_frame(Opcode.CONTINUATION, b"x"),
    ],
)
def test_what_breaks_the_rules_is_a_protocol_error(frame: bytes) -> None:
    assert violation(frame) == 1002
    assert violation(*(bytes((byte,)) for byte in frame)) == 1002, "and so it is byte by byte"


@pytest.mark.parametrize("length", [1001, 65536, 2**63 - 1, 2**64 - 1])
def test_too_much_is_refused_before_it_comes(length: int) -> None:
    """By its header alone: nothing of it is stored."""
    header = b"\x81\xfe" + length.to_bytes(2, "big") if length < 65536 else b"\x81\xff" + length.to_bytes(8, "big")
    assert violation(header, max_size=1000) == 1009


def test_the_fragments_of_a_message_count_together() -> None:
    half = client_frame(Opcode.TEXT, b"x" * 600, final=False)
    assert violation(half, client_frame(Opcode.CONTINUATION, b"x" * 401), max_size=1000) == 1009
    whole = client_frame(Opcode.CONTINUATION, b"x" * 400)
    assert len(frames_in([half, whole, half, whole], max_size=1000)) == 4, "each message anew"
    assert violation(half, client_frame(Opcode.PING, b"x" * 125), half, max_size=1000) == 1002


def test_what_was_cleared_is_gone() -> None:
    reader = FrameReader(MAX_SIZE)
    reader.feed(client_frame(Opcode.TEXT, b"old")[:-1])
    reader.clear()
    reader.feed(client_frame(Opcode.TEXT, b"new"))
    assert reader.next_frame() == Frame(Opcode.TEXT, b"new", True)
    assert reader.next_frame() is None


# -- close codes (section 7.4) ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4429, 4999]
)
def test_a_client_may_close_with(code: int) -> None:
    assert close_code(code.to_bytes(2, "big") + "Auf Wiedersehen – ü".encode()) == code


def test_a_client_may_close_without_a_code() -> None:
    assert close_code(b"") == 1005


@pytest.mark.parametrize("code", [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535])
def test_nobody_may_close_with(code: int) -> None:
    with pytest.raises(ProtocolViolation) as refused:
        close_code(code.to_bytes(2, "big"))
    assert refused.value.code == 1002


@pytest.mark.parametrize(
    ("payload", "code"), [(b"\x03", 1002), (b"\x03\xe8\xff", 1007), (b"\x03\xe8\xed\xa0\x80", 1007)]
)
def test_a_broken_close_is_refused(payload: bytes, code: int) -> None:
    with pytest.raises(ProtocolViolation) as refused:
        close_code(payload)
    assert refused.value.code == code


# -- what the server sends --------------------------------------------------------------------------------------------


def read_by_websockets(data: bytes) -> reference.Frame:
    stream = StreamReader()
    stream.feed_data(data)
    stream.feed_eof()
    parsing = reference.Frame.parse(stream.read_exact, mask=False)
    try:
        while True:
            next(parsing)
    except StopIteration as done:
        frame: reference.Frame = done.value
        assert stream.buffer == b""
        return frame


@pytest.mark.parametrize("length", AROUND_THE_BOUNDS)
def test_text_frames_are_what_websockets_reads(length: int) -> None:
    frame = read_by_websockets(text_frame(b"x" * length))
    assert (frame.opcode, frame.fin, bytes(frame.data)) == (reference.Opcode.TEXT, True, b"x" * length)


@pytest.mark.parametrize("opcode", [Opcode.PING, Opcode.PONG, Opcode.CLOSE])
@pytest.mark.parametrize("length", [0, 1, 125])
def test_control_frames_are_what_websockets_reads(opcode: Opcode, length: int) -> None:
    frame = read_by_websockets(control_frame(opcode, b"x" * length))
    assert (int(frame.opcode), frame.fin, bytes(frame.data)) == (opcode, True, b"x" * length)


@given(reason=st.text(max_size=200))
def test_a_close_says_its_reason_as_far_as_it_fits(reason: str) -> None:
    read = reference.Close.parse(bytes(read_by_websockets(close_frame(4401, reason)).data))
    assert read.code == 4401
    assert reason.startswith(read.reason)
    assert read.reason == reason or len(read.reason.encode()) > 119, "cut between two characters, not before"
