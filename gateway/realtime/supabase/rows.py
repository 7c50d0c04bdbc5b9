"""The row behind an update, as Supabase Realtime shows rows: made once, and only when somebody listens."""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import msgspec

from gateway.realtime.supabase.bindings import SCHEMA, TABLE
from gateway.realtime.update import Update

COLUMNS = (
    ("id", "uuid"),
    ("user_id", "uuid"),
    ("organization_id", "uuid"),
    ("product", "text"),
    ("brand", "text"),
    ("status", "text"),
    ("storage_key", "text"),
    ("storage_id", "text"),
    ("error_message", "text"),
    ("created_at", "timestamptz"),
    ("updated_at", "timestamptz"),
    ("completed_at", "timestamptz"),
    ("n8n_execution_id", "text"),
    ("request_metadata", "jsonb"),
    ("version", "int4"),
    ("progress", "int4"),
    ("error_code", "text"),
    ("cost", "numeric"),
    ("retry_of", "uuid"),
)
"""The columns that a record shows, and their types: the original design's, and what the Body tells besides. How a
request is dispatched, and the token of its private picture, are nobody's business."""

Type = Literal["INSERT", "UPDATE"]


class _Row(msgspec.Struct):
    """What a record holds beside the Body: the columns whose names the Body does not use."""

    id: str
    user_id: str
    storage_key: str | None
    storage_id: str | None
    error_message: str | None
    error_code: str | None
    organization_id: str | None = None
    n8n_execution_id: str | None = None
    request_metadata: dict[str, Any] | None = None
    retry_of: str | None = None
    created_at: str | None = None
    updated_at: str | None = None
    completed_at: str | None = None


class _Body(msgspec.Struct, rename="camel"):
    """What of the Body is shown under a column's name too."""

    storage_key: str | None
    storage_id: str | None
    error_message: str | None
    error_code: str | None
    updated_at: str


class _Columns(msgspec.Struct, array_like=True):
    """`update.Columns` with times as text. An update of an older release has none."""

    organization_id: str | None = None
    n8n_execution_id: str | None = None
    request_metadata: dict[str, Any] | None = None
    retry_of: str | None = None
    created_at: str | None = None
    updated_at: str | None = None
    completed_at: str | None = None


_encode = msgspec.json.Encoder().encode
_decode_body = msgspec.json.Decoder(_Body).decode
_decode_columns = msgspec.json.Decoder(_Columns).decode

_HEAD = b'{"schema":"%b","table":"%b","columns":%b,"errors":null,"commit_timestamp":' % (
    SCHEMA.encode(),
    TABLE.encode(),
    _encode([{"name": name, "type": type_} for name, type_ in COLUMNS]),
)


def change_of(update: Update, type_: Type) -> bytes:
    """The `data` of a `postgres_changes` message, made once for all channels."""
    return update.rendered(f"supabase {type_}", _RENDERERS[type_])


def _change_of(update: Update, type_: Type) -> bytes:
    body = _decode_body(update.body)
    old = b',"old_record":{"id":"%b"}' % update.request_id.encode() if type_ == "UPDATE" else b""
    record = _record_of(update, body)
    return b'%b"%b","type":"%b"%b,"record":%b}' % (_HEAD, body.updated_at.encode(), type_.encode(), old, record)


def _record_of(update: Update, body: _Body) -> bytes:
    """The row in snake_case, and the Body's keys after it."""
    columns = _decode_columns(update.columns)
    row = _Row(
        id=update.request_id,
        user_id=update.user_id,
        storage_key=body.storage_key,
        storage_id=body.storage_id,
        error_message=body.error_message,
        error_code=body.error_code,
        organization_id=columns.organization_id,
        n8n_execution_id=columns.n8n_execution_id,
        request_metadata=columns.request_metadata,
        retry_of=columns.retry_of,
        created_at=_timestamptz(columns.created_at),
        updated_at=_timestamptz(columns.updated_at),
        completed_at=_timestamptz(columns.completed_at),
    )
    return _encode(row)[:-1] + b"," + bytes(update.body)[1:]


def _timestamptz(moment: str | None) -> str | None:
    """RFC 3339 in UTC as PostgreSQL's `to_jsonb` writes it: the offset in digits, no zeros at a fraction's end."""
    if moment is None:
        return None
    seconds, _, fraction = moment.removesuffix("Z").partition(".")
    fraction = fraction.rstrip("0")
    return f"{seconds}.{fraction}+00:00" if fraction else f"{seconds}+00:00"


_RENDERERS: dict[Type, Callable[[Update], bytes]] = {
    "INSERT": partial(_change_of, type_="INSERT"),
    "UPDATE": partial(_change_of, type_="UPDATE"),
}
