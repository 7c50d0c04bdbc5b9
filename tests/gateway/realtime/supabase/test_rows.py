"""The row behind an update."""

import json
from typing import Any

import msgspec
import pytest

from gateway.realtime.supabase.rows import change_of
from gateway.realtime.update import Update, decode_update, encode_update
from storage.public_urls import PublicUrls
from storage.times import instant
from tests.gateway.realtime.supabase.test_session import request

URLS = PublicUrls("https://p.supabase.co", "https://app", frozenset())


def record(update: Update) -> dict[str, Any]:
    return dict(json.loads(change_of(update, "UPDATE"))["record"])


@pytest.mark.parametrize(
    ("moment", "written"),
    [
        ("2026-01-31T12:00:00+00:00", "2026-01-31T12:00:00+00:00"),
        ("2026-01-31T12:00:00.120000+00:00", "2026-01-31T12:00:00.12+00:00"),
        ("2026-01-31T12:00:10.000001+00:00", "2026-01-31T12:00:10.000001+00:00"),
        ("2026-01-31T12:00:00.500000+00:00", "2026-01-31T12:00:00.5+00:00"),
    ],
)
def test_times_are_written_as_postgresql_writes_them(moment: str, written: str) -> None:
    row = msgspec.structs.replace(request(1), created_at=instant(moment), completed_at=instant(moment))
    shown = record(Update.of(row, URLS))
    assert (shown["created_at"], shown["completed_at"]) == (written, written)


def test_a_row_survives_the_bus() -> None:
    row = msgspec.structs.replace(request(1), metadata={"a": [1, {"b": "é"}]}, n8n_execution_id="7")
    sent = Update.of(row, URLS)
    assert record(decode_update(encode_update(sent))) == record(sent)
    assert record(sent)["request_metadata"] == {"a": [1, {"b": "é"}]}


def test_an_update_of_an_older_release_has_no_such_columns() -> None:
    sent = Update.of(request(1), URLS)
    old = json.loads(encode_update(sent))
    shown = record(decode_update(json.dumps(old[:-1]).encode()))
    assert (shown["id"], shown["requestId"], shown["organization_id"]) == (sent.request_id, sent.request_id, None)


def test_a_record_keeps_secrets() -> None:
    shown = record(Update.of(request(1), URLS))
    assert not {name for name in shown if name.startswith(("picture_token", "dispatch", "idempotency"))}


def test_a_change_is_made_once() -> None:
    update = Update.of(request(1), URLS)
    assert change_of(update, "UPDATE") is change_of(update, "UPDATE")
    assert b'"old_record"' not in change_of(update, "INSERT")
