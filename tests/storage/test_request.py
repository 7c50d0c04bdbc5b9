"""A row as a value, and the Body that is made of it."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from storage.database.base import Database
from storage.lifecycle import Status
from storage.public_urls import PublicUrls
from storage.reads import read
from storage.request import Request, body_of, encode_body, trace_id_of
from storage.submissions import Submission, submit
from tests.conftest import People

URLS = PublicUrls("https://store.example.com", "https://gateway.example.com", {"private"})
ID = "11111111-1111-4111-8111-111111111111"
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
ROW: dict[str, Any] = {
    "id": ID,
    "user_id": "u",
    "organization_id": "o",
    "product": "Schuhe",
    "brand": "Nike",
    "status": "completed",
    "version": 3,
    "progress": 100,
    "storage_key": "ai-images/a.png",
    "storage_id": "s",
    "error_message": None,
    "error_code": None,
    "cost": Decimal("0.10"),
    "created_at": NOON,
    "updated_at": NOON,
    "completed_at": NOON,
    "n8n_execution_id": "7",
    "request_metadata": "{}",
    "retry_of": None,
    "dispatch_attempts": 1,
    "picture_token": "t",
}
SQLITES = ROW | {
    "cost": "0.10",
    "created_at": "2026-01-31T12:00:00.000Z",
    "updated_at": "2026-01-31 12:00:00",
    "completed_at": "2026-01-31T12:00:00Z",
}


def test_both_databases_rows_are_the_same_request() -> None:
    assert Request.from_row(ROW) == Request.from_row(SQLITES)


@pytest.mark.parametrize(
    "cost",
    [
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("-Infinity"),
        "NaN",
        "inf",
        "free",
        "",
        "1e999999",
        "1e999999999",
        "1e-999999",
        b"1",
    ],
)
def test_a_cost_that_is_no_amount_counts_as_none(cost: object) -> None:
    """Other tools write there. It never stands in a Body, nor costs a megabyte to write out."""
    assert Request.from_row(ROW | {"cost": cost}).cost is None


def test_the_body_has_the_contracts_fields_in_their_form() -> None:
    assert json.loads(encode_body(Request.from_row(ROW), URLS)) == {
        "requestId": ID,
        "status": "completed",
        "product": "Schuhe",
        "brand": "Nike",
        "storageKey": "ai-images/a.png",
        "storageId": "s",
        "errorMessage": None,
        "errorCode": None,
        "publicUrl": "https://store.example.com/storage/v1/object/public/ai-images/a.png",
        "createdAt": "2026-01-31T12:00:00.000Z",
        "updatedAt": "2026-01-31T12:00:00.000Z",
        "completedAt": "2026-01-31T12:00:00.000Z",
        "version": 3,
        "progress": 100,
        "cost": "0.10",
    }


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.COMPLETED])
def test_a_picture_is_shown_when_it_is_complete(status: Status) -> None:
    request = msgspec.structs.replace(Request.from_row(ROW), status=status)
    assert body_of(request, URLS).public_url is None


def test_a_private_picture_is_shown_by_the_requests_own_token() -> None:
    request = msgspec.structs.replace(Request.from_row(ROW), storage_key="private/a.png")
    assert body_of(request, URLS).public_url == f"https://gateway.example.com/api/ai-images/{ID}/t"


@pytest.mark.parametrize("cost", ["1E-7", "0.000000000001", "1000000", "0"])
def test_a_cost_has_no_exponent(cost: str) -> None:
    told = body_of(Request.from_row(ROW | {"cost": Decimal(cost)}), URLS).cost
    assert told is not None
    assert "E" not in told.upper()
    assert Decimal(told) == Decimal(cost)


TRACE = "0af7651916cd43dd8448eb211c80319c"
OWN = ID.replace("-", "")


@pytest.mark.parametrize(
    ("metadata", "trace_id"),
    [
        (json.dumps({"traceId": TRACE}), TRACE),
        (json.dumps({"traceId": TRACE.upper()}), OWN),
        (json.dumps({"traceId": "0" * 32}), OWN),
        (json.dumps({"traceId": f"{TRACE}\r\nX-Evil: 1"}), OWN),
        (json.dumps({"traceId": 7}), OWN),
        *((text, OWN) for text in ("[]", "null", '"text"', "7", "", "not JSON", "[" * 100_000)),
        (None, OWN),
    ],
)
def test_metadata_of_other_tools(metadata: str | None, trace_id: str) -> None:
    assert trace_id_of(Request.from_row(ROW | {"request_metadata": metadata})) == trace_id


@pytest.mark.parametrize("metadata", ["[]", "null", '"text"', "7"])
async def test_metadata_of_other_tools_in_the_table(database: Database, users_table: str, metadata: str) -> None:
    person = await People(database, users_table).person()
    submission = Submission(user_id=person.id, product="Shoes", brand="Nike")
    submitted = await submit(database, submission, quota=10, deadline_seconds=60)
    sql = "UPDATE ai_image_requests SET request_metadata = :metadata WHERE id = :id"
    await database.all(sql, metadata=metadata, id=submitted.request.id)
    found = await read(database, submitted.request.id)
    assert found is not None
    assert found.metadata == {}
