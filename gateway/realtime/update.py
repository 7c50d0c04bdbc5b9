"""One change of one request, as it travels over the bus and out to the clients."""

from functools import cached_property

import msgspec

from gateway.realtime.frames import text_frame
from storage.lifecycle import Status
from storage.public_urls import PublicUrls
from storage.request import Request, encode_body


class Update(msgspec.Struct, frozen=True, dict=True):
    """A request's newest Body, encoded once, with what is needed to deliver it without decoding it."""

    request_id: str
    user_id: str
    version: int
    status: Status
    body: msgspec.Raw
    at: float = 0.0
    """Unix time in seconds of the change; 0 where it was read for somebody who has only just come."""

    @classmethod
    def of(cls, request: Request, urls: PublicUrls, at: float = 0.0) -> "Update":
        """The update that carries `request` as it is."""
        body = msgspec.Raw(encode_body(request, urls))
        return cls(request.id, request.user_id, request.version, request.status, body, at)

    @cached_property
    def is_final(self) -> bool:
        """Whether nothing more is expected of the request."""
        return self.status.is_final

    @cached_property
    def frame(self) -> bytes:
        """The message of `/ws` as a WebSocket frame, made once for all connections."""
        return text_frame(b'{"type":"update","request":%b}' % bytes(self.body))

    @cached_property
    def event(self) -> bytes:
        """The Server-Sent Event, made once for all streams."""
        return b"id: %d\nevent: update\ndata: %b\n\n" % (self.version, bytes(self.body))


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Update)


def encode_update(update: Update) -> bytes:
    """`update` as the bus carries it."""
    return _encoder.encode(update)


def decode_update(message: bytes) -> Update:
    """The update in a bus message.

    Raises:
        msgspec.DecodeError, UnicodeDecodeError, RecursionError: it is not one.
    """
    return _decoder.decode(message)
