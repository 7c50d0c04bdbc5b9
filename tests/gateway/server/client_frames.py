"""Frames as a client sends them, right and wrong."""

from gateway.realtime.frames import Opcode


def client_frame(
    opcode: int = Opcode.TEXT,
    payload: bytes = b"",
    *,
    final: bool = True,
    reserved: int = 0,
    mask: bytes | None = b"\x01\x02\x03\x04",
    length_bytes: int | None = None,
) -> bytes:
    """A frame (RFC 6455, section 5.2).

    Args:
        opcode: what it carries.
        payload: unmasked.
        final: whether the message ends with it.
        reserved: the three reserved bits, 0..7.
        mask: four bytes; None leaves the frame unmasked.
        length_bytes: 0, 2 or 8 bytes of extended length; as few as possible by default.
    """
    length = len(payload)
    if length_bytes is None:
        length_bytes = 0 if length < 126 else 2 if length < 65536 else 8
    short = {0: length, 2: 126, 8: 127}[length_bytes]
    head = bytes(((0x80 if final else 0) | reserved << 4 | opcode, (0 if mask is None else 0x80) | short))
    head += length.to_bytes(length_bytes, "big") if length_bytes else b""
    if mask is None:
        return head + payload
    return head + mask + bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
