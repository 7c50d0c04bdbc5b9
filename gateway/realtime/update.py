"""One change of one request, as it travels over the bus and out to the clients."""

import struct
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

import msgspec

from storage.lifecycle import Status
from storage.public_urls import PublicUrls
from storage.request import Request, encode_body

MAX_VERSION = 2**31 - 1
"""The highest version that the database's column holds."""


class Columns(msgspec.Struct, frozen=True, array_like=True):
    """What the row tells its owner and the Body does not; times as exact as the database has them."""

    organization_id: str
    n8n_execution_id: str | None
    request_metadata: dict[str, Any]
    retry_of: str | None
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None


class Update(msgspec.Struct, frozen=True, dict=True, array_like=True):
    """A request's newest Body, encoded once, with what is needed to deliver it without decoding it."""

    request_id: str
    user_id: str
    version: Annotated[int, msgspec.Meta(ge=1, le=MAX_VERSION)]
    status: Status
    body: msgspec.Raw
    at: float = 0.0
    """Unix time in seconds of the change; 0 where it was read for somebody who has only just come."""
    columns: msgspec.Raw = msgspec.Raw(b"[]")
    """The `Columns`, for transports that show the row."""

    @classmethod
    def of(cls, request: Request, urls: PublicUrls, at: float = 0.0) -> "Update":
        """The update that carries `request` as it is."""
        body = msgspec.Raw(encode_body(request, urls))
        columns = Columns(
            request.organization_id,
            request.n8n_execution_id,
            request.metadata,
            request.retry_of,
            request.created_at,
            request.updated_at,
            request.completed_at,
        )
        encoded = msgspec.Raw(_encoder.encode(columns))
        return cls(request.id, request.user_id, request.version, request.status, body, at, encoded)

    @property
    def is_final(self) -> bool:
        """Whether nothing more is expected of the request."""
        return self.status.is_final

    def rendered(self, form: str, render: Callable[["Update"], bytes]) -> bytes:
        """What a transport sends of the update, made once for all its clients.

        Args:
            form: the form's name, one for each `render`.
            render: makes the bytes.
        """
        made: dict[str, bytes] = self.__dict__
        content = made.get(form)
        if content is None:
            content = made[form] = render(self)
        return content


_encoder = msgspec.json.Encoder()
_decode = msgspec.json.Decoder(Update).decode
_first = struct.Struct("B").unpack_from
_OBJECT, _ARRAY = (ord("{"),), (ord("["),)


def encode_update(update: Update) -> bytes:
    """`update` as the bus carries it: an array of its fields, since their names would be a fifth of it."""
    return _encoder.encode(update)


def decode_update(message: bytes) -> Update:
    """The update in a bus message.

    Raises:
        msgspec.DecodeError, UnicodeDecodeError, RecursionError: it is not one.
    """
    if not message.isascii():
        message.decode()  # nobody looks at the bytes of a `Raw`, and a client ends a connection that brings no UTF-8
    update = _decode(message)
    if _first(update.body) != _OBJECT or _first(update.columns) != _ARRAY:
        raise msgspec.DecodeError("the Body is no object, or the columns are no array")
    return update
