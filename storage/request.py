"""One request: its row as a value, and the Body that every transport carries."""

import json
import re
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from storage.amounts import amount_or_none
from storage.database.base import Row
from storage.lifecycle import Status
from storage.public_urls import PublicUrls
from storage.times import instant, instant_or_none, rfc3339


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One row of ``ai_image_requests``, with the same types on both databases."""

    id: str
    user_id: str
    organization_id: str
    product: str
    brand: str
    status: Status
    version: int
    progress: int | None
    storage_key: str | None
    storage_id: str | None
    error_message: str | None
    error_code: str | None
    cost: Decimal | None
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None
    n8n_execution_id: str | None
    metadata: dict[str, Any]
    retry_of: str | None
    dispatch_attempts: int
    picture_token: str

    @classmethod
    def from_row(cls, row: Row) -> "Request":
        """The request in `row`, which holds the columns of `rows.COLUMNS`."""
        return cls(
            id=str(row["id"]),
            user_id=str(row["user_id"]),
            organization_id=str(row["organization_id"]),
            product=row["product"],
            brand=row["brand"],
            status=Status(row["status"]),
            version=_whole(row["version"], 1),
            progress=_whole(row["progress"], None),
            storage_key=row["storage_key"],
            storage_id=row["storage_id"],
            error_message=row["error_message"],
            error_code=row["error_code"],
            cost=amount_or_none(row["cost"]),
            created_at=instant(row["created_at"]),
            updated_at=instant(row["updated_at"]),
            completed_at=instant_or_none(row["completed_at"]),
            n8n_execution_id=row["n8n_execution_id"],
            metadata=_metadata(row["request_metadata"]),
            retry_of=None if row["retry_of"] is None else str(row["retry_of"]),
            dispatch_attempts=_whole(row["dispatch_attempts"], 0),
            picture_token=str(row["picture_token"]),
        )


class Body(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The JSON object that describes a request to everyone outside. Made here and nowhere else.

    Times are RFC 3339 in UTC with milliseconds; `cost` is a decimal as a string.
    """

    request_id: str
    status: Status
    product: str
    brand: str
    storage_key: str | None
    storage_id: str | None
    public_url: str | None
    error_message: str | None
    created_at: str
    completed_at: str | None
    version: int
    progress: int | None
    error_code: str | None
    updated_at: str
    cost: str | None


_encoder = msgspec.json.Encoder()


def body_of(request: Request, urls: PublicUrls) -> Body:
    """The Body of `request`."""
    shown = request.storage_key if request.status is Status.COMPLETED else None
    return Body(
        request_id=request.id,
        status=request.status,
        product=request.product,
        brand=request.brand,
        storage_key=request.storage_key,
        storage_id=request.storage_id,
        public_url=None if shown is None else urls.of(shown, request.id, request.picture_token),
        error_message=request.error_message,
        created_at=rfc3339(request.created_at),
        completed_at=None if request.completed_at is None else rfc3339(request.completed_at),
        version=request.version,
        progress=request.progress,
        error_code=request.error_code,
        updated_at=rfc3339(request.updated_at),
        cost=None if request.cost is None else f"{request.cost:f}",
    )


def encode_body(request: Request, urls: PublicUrls) -> bytes:
    """The Body of `request` as JSON bytes: encoded once, carried by every transport unchanged."""
    return _encoder.encode(body_of(request, urls))


I = TypeVar("I", int, int | None)  # noqa: E741


def _whole(value: object, otherwise: I) -> int | I:
    """The whole number in a column. SQLite keeps whatever other tools write there."""
    return value if type(value) is int else otherwise


def _metadata(text: object) -> dict[str, Any]:
    """The object in `request_metadata`; other tools write there too, so anything else counts as none."""
    metadata = _decoded(text) if isinstance(text, str | bytes) else text
    return metadata if isinstance(metadata, dict) else {}


_decode = msgspec.json.Decoder().decode


def _decoded(text: str | bytes) -> object:
    for decode in (_decode, json.loads):  # the slow one takes numbers that no float holds, as PostgreSQL does
        try:
            decoded: object = decode(text)
        except (ValueError, RecursionError):
            continue
        return decoded
    return None


_TRACE_ID = re.compile(r"(?!0{32})[0-9a-f]{32}\Z")


def trace_id_of(request: Request) -> str:
    """The trace that the request belongs to (W3C Trace Context, section 3.2.2.3): its client's, or one of its own.

    It becomes a header, and the row may have been written by anyone: what is no trace id is not used.
    """
    named = request.metadata.get("traceId")
    return named if isinstance(named, str) and _TRACE_ID.match(named) else request.id.replace("-", "")
