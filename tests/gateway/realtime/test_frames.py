"""Frames against another implementation's, in any pieces, and every rule of RFC 6455 that a client can break."""

from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets import frames as theirs
from websockets.streams import StreamReader

from gateway.realtime.frames import (
    MAX_CONTROL,
    Frame,
    FrameReader,
    Opcode,
    ProtocolViolation,
    close_code,
    close_frame,
    control_frame,
    text_frame,
)

DATA = st.sampled_from([Opcode.TEXT, Opcode.BINARY])
PAYLOADS = st.one_of(st.binary(max_size=300), st.integers(0, 70_000).map(bytes))


def masked(opcode: int, payload: bytes = b"", *, final: bool = True) -> bytes:
    """A client's frame."""
    return theirs.Frame(theirs.Opcode(opcode), payload, fin=final).serialize(mask=True)


def read_by_them(data: bytes) -> theirs.Frame:
    """A server's frame as the other implementation reads it."""
    stream = StreamReader()
    stream.feed_data(data)
    parser = theirs.Frame.parse(stream.read_exact, mask=False, max_size=None)
    with pytest.raises(StopIteration) as done:
        next(parser)
    frame: theirs.Frame = done.value.value
    return frame


def read_all(reader: FrameReader) -> Iterator[Frame]:
    while (frame := reader.next_frame()) is not None:
        yield frame


@given(st.lists(st.tuples(DATA, PAYLOADS), max_size=5), st.lists(st.integers(0, 100_000), max_size=8))
def test_frames_are_read_however_they_are_cut(sent: list[tuple[Opcode, bytes]], cuts: list[int]) -> None:
    stream = b"".join(masked(opcode, payload) for opcode, payload in sent)
    reader = FrameReader(100_000)
    found: list[Frame] = []
    bounds = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    for start, end in pairwise(bounds):
        reader.feed(stream[start:end])
        found += read_all(reader)
    assert found == [Frame(opcode, payload, True) for opcode, payload in sent]


@pytest.mark.parametrize("length", [0, 1, 125, 126, 65_535, 65_536])
def test_what_is_written_is_read_by_others(length: int) -> None:
    frame = read_by_them(text_frame(b"x" * length))
    assert (frame.opcode, frame.data, frame.fin) == (theirs.Opcode.TEXT, b"x" * length, True)


def test_control_frames_are_read_by_others() -> None:
    assert read_by_them(control_frame(Opcode.PING, b"p")).opcode is theirs.Opcode.PING
    closing = theirs.Close.parse(bytes(read_by_them(close_frame(4401, "no token")).data))
    assert (closing.code, closing.reason) == (4401, "no token")


@given(st.lists(st.binary(max_size=50), min_size=2, max_size=6), st.integers(0, 5))
def test_a_message_may_come_in_fragments_with_control_frames_between(parts: list[bytes], at: int) -> None:
    reader = FrameReader(10_000)
    for number, part in enumerate(parts):
        if number == at:
            reader.feed(masked(Opcode.PING, b"?"))
        opcode = Opcode.TEXT if number == 0 else Opcode.CONTINUATION
        reader.feed(masked(opcode, part, final=number == len(parts) - 1))
    found = [frame for frame in read_all(reader) if frame.opcode != Opcode.PING]
    assert [frame.payload for frame in found] == parts
    assert [frame.final for frame in found] == [False] * (len(parts) - 1) + [True]


VIOLATIONS = {
    "a reserved bit": (bytes((0xC1, 0x80)) + bytes(4), 1002),
    "an unknown opcode": (bytes((0x83, 0x80)) + bytes(4), 1002),
    "no mask": (bytes((0x81, 0x01)) + b"x", 1002),
    "a long ping": (masked(Opcode.PING, b"")[:1] + bytes((0x80 | 126, 0, 126)) + bytes(4), 1002),
    "a ping in fragments": (bytes((0x09, 0x80)) + bytes(4), 1002),
    "a continuation of nothing": (masked(Opcode.CONTINUATION, b"x"), 1002),
    "a text within a text": (masked(Opcode.TEXT, b"x", final=False) + masked(Opcode.TEXT, b"x"), 1002),
    "a message that is too long": (masked(Opcode.TEXT, bytes(101)), 1009),
    "its head alone": (masked(Opcode.TEXT, bytes(70_000))[:10], 1009),
    "fragments that are too long together": (
        masked(Opcode.TEXT, bytes(60), final=False) + masked(Opcode.CONTINUATION, bytes(60)),
        1009,
    ),
}


@pytest.mark.parametrize(("data", "code"), VIOLATIONS.values(), ids=VIOLATIONS.keys())
def test_what_breaks_the_rules_is_told_by_its_code(data: bytes, code: int) -> None:
    reader = FrameReader(100)
    reader.feed(data)
    with pytest.raises(ProtocolViolation) as violation:
        list(read_all(reader))
    assert violation.value.code == code


def test_what_was_read_after_a_message_counts_for_the_next_one_alone() -> None:
    reader = FrameReader(100)
    for _ in range(3):
        reader.feed(masked(Opcode.TEXT, bytes(60), final=False) + masked(Opcode.CONTINUATION, bytes(40)))
    assert len(list(read_all(reader))) == 6


def test_what_is_cleared_is_gone() -> None:
    reader = FrameReader(100)
    reader.feed(masked(Opcode.TEXT, b"x") + masked(Opcode.TEXT, b"y"))
    reader.clear()
    assert reader.next_frame() is None


@pytest.mark.parametrize(
    ("payload", "code"),
    [(b"", 1005), (b"\x03\xe8", 1000), (b"\x03\xe8bye", 1000), (b"\x0b\xb8", 3000), (b"\x11\x31", 4401)],
)
def test_close_codes_that_may_be_sent(payload: bytes, code: int) -> None:
    assert close_code(payload) == code


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"\x03", 1002),
        (b"\x00\x00", 1002),
        (b"\x03\xec", 1002),  # 1004 is reserved
        (b"\x03\xed", 1002),  # 1005 is never sent
        (b"\x03\xee", 1002),  # 1006 neither
        (b"\x03\xf7", 1002),  # 1015 neither
        (b"\x13\x88", 1002),  # 5000 is nobody's
        (b"\x03\xe8\xff", 1007),
    ],
)
def test_close_codes_that_may_not(payload: bytes, code: int) -> None:
    with pytest.raises(ProtocolViolation) as violation:
        close_code(payload)
    assert violation.value.code == code


def test_a_reason_never_makes_a_close_frame_too_long() -> None:
    assert len(close_frame(4400, "x" * 500)) == 2 + MAX_CONTROL
