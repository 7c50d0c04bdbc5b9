"""WebSocket frames (RFC 6455, section 5): ready-made ones to send, and a reader of what a client sends.

The reader does no I/O. It is fed bytes and returns one frame at a time, so that its caller can count every frame, small
ones and control frames too, and stop between two.
"""

import struct
from enum import IntEnum
from typing import NamedTuple


class Opcode(IntEnum):
    """What a frame carries (section 5.2)."""

    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


_DATA = frozenset((Opcode.CONTINUATION, Opcode.TEXT, Opcode.BINARY))
_OPCODES = frozenset(Opcode)
_FINAL = 0x80
_WHOLE_TEXT = _FINAL | Opcode.TEXT.value
_MASKED = 0x80
_RESERVED = 0x70
MAX_CONTROL = 125
"""Longest payload of a control frame, in bytes (section 5.5)."""


class ProtocolViolation(Exception):
    """What the client sends is no WebSocket; `code` is the code to close with (section 7.4.1)."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Frame(NamedTuple):
    """A frame of a client, unmasked."""

    opcode: int
    payload: bytes
    final: bool


def text_frame(payload: bytes) -> bytes:
    """An unfragmented text frame of a server: `payload`, which must be UTF-8, behind its header."""
    length = len(payload)
    if length < 126:
        return _header(_WHOLE_TEXT, length) + payload
    if length < 65536:
        return _header_16(_WHOLE_TEXT, 126, length) + payload
    return _header_64(_WHOLE_TEXT, 127, length) + payload


_header = struct.Struct(">BB").pack
_header_16 = struct.Struct(">BBH").pack
_header_64 = struct.Struct(">BBQ").pack


def control_frame(opcode: Opcode, payload: bytes = b"") -> bytes:
    """A ping, pong or close frame of a server; `payload` has at most `MAX_CONTROL` bytes."""
    return bytes((_FINAL | opcode, len(payload))) + payload


def close_frame(code: int, reason: str = "") -> bytes:
    """A close frame that says why (section 5.5.1); a reason that is too long is cut between two characters."""
    cut = reason.encode()[: MAX_CONTROL - 2].decode(errors="ignore").encode()
    return control_frame(Opcode.CLOSE, code.to_bytes(2, "big") + cut)


class FrameReader:
    """Takes the bytes of one client apart.

    Args:
        max_size: longest message in bytes, over all its fragments.
    """

    __slots__ = ("_buffer", "_max_size", "_message_bytes", "_opened")

    def __init__(self, max_size: int) -> None:
        self._max_size = max_size
        self._buffer = b""
        self._opened = False
        """Whether a message has begun that is not over."""
        self._message_bytes = 0

    def feed(self, data: bytes) -> None:
        """Take what has arrived."""
        self._buffer = self._buffer + data if self._buffer else data

    def clear(self) -> None:
        """Forget what has arrived and was not read."""
        self._buffer = b""

    def next_frame(self) -> Frame | None:
        """The next frame, if it is whole.

        Raises:
            ProtocolViolation: 1002 for what breaks the RFC's rules, 1009 for a message longer than `max_size`.
        """
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        first, second = buffer[0], buffer[1]
        opcode, length = first & 0x0F, second & 0x7F
        self._check(first, opcode, second, length)
        start = 2
        if length == 126:
            start, length = 4, int.from_bytes(buffer[2:4], "big")
        elif length == 127:
            start, length = 10, int.from_bytes(buffer[2:10], "big")
        if len(buffer) < start:
            return None
        if start > 2 and length < (126 if start == 4 else 65536):
            raise ProtocolViolation(1002, "a length that is longer than it must be")
        if opcode in _DATA and self._message_bytes + length > self._max_size:
            raise ProtocolViolation(1009, "the message is too big")
        end = start + 4 + length
        if len(buffer) < end:
            return None
        payload = _unmasked(buffer[start + 4 : end], buffer[start : start + 4])
        self._buffer = buffer[end:]
        final = bool(first & _FINAL)
        if opcode in _DATA:
            self._opened = not final
            self._message_bytes = 0 if final else self._message_bytes + length
        return Frame(opcode, payload, final)

    def _check(self, first: int, opcode: int, second: int, length: int) -> None:
        if first & _RESERVED or opcode not in _OPCODES:
            raise ProtocolViolation(1002, "reserved bits or opcode")
        if not second & _MASKED:
            raise ProtocolViolation(1002, "a client's frames must be masked")
        if opcode not in _DATA:
            if length > MAX_CONTROL or not first & _FINAL:
                raise ProtocolViolation(1002, "a control frame must be short and whole")
        elif (opcode == Opcode.CONTINUATION) != self._opened:
            raise ProtocolViolation(1002, "a fragment out of order")


def _unmasked(payload: bytes, mask: bytes) -> bytes:
    """`payload` under `mask` (section 5.3), as one exclusive or of two long numbers."""
    length = len(payload)
    repeated = mask * (length // 4) + mask[: length % 4]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")).to_bytes(length, "big")


def close_code(payload: bytes) -> int:
    """The code in a client's close frame; 1005 when it names none.

    Raises:
        ProtocolViolation: a code that nobody may send, or a reason that is not UTF-8.
    """
    if not payload:
        return 1005
    code = int.from_bytes(payload[:2], "big")
    if len(payload) < 2 or not (code in _SENDABLE or 3000 <= code < 5000):
        raise ProtocolViolation(1002, "an invalid close code")
    try:
        payload[2:].decode()
    except UnicodeDecodeError:
        raise ProtocolViolation(1007, "a close reason that is not UTF-8") from None
    return code


_SENDABLE = frozenset((*range(1000, 1004), *range(1007, 1015)))
