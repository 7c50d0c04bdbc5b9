"""Timelines: every change has its line, and a delivery is recorded once."""

import json

import pytest

from storage import events
from storage.database.base import Database, Transaction
from storage.events import Delivery
from storage.queries import sending
from storage.request import Request
from storage.submissions import Submission, submit
from tests.people import People


@pytest.fixture
async def request_(database: Database, users_table: str) -> Request:
    person = await People(database, users_table).person()
    submission = Submission(user_id=person.id, product="Shoes", brand="Nike")
    return (await submit(database, submission, quota=10, deadline_seconds=-1)).request


async def lines(database: Database) -> list[tuple[str, str, int, object]]:
    rows = await database.all("SELECT kind, actor, version, detail FROM ai_request_events ORDER BY id")
    return [(row["kind"], row["actor"], row["version"], json.loads(row["detail"])) for row in rows]


async def test_a_line_without_what_is_not_known(database: Database, request_: Request) -> None:
    async def work(tx: Transaction) -> None:
        await events.record(tx, request_, "seen", "test", {"known": 1, "unknown": None})

    await database.transaction(work)
    assert (await lines(database))[1:] == [("seen", "test", 1, {"known": 1})]


@pytest.mark.parametrize("holds", [True, False])
async def test_a_change_and_its_line_are_one(database: Database, request_: Request, holds: bool) -> None:
    if not holds:
        await database.all("UPDATE ai_image_requests SET deadline_at = AFTER(:seconds)", seconds=60)
    values = {"id": request_.id, "seconds": 60}
    changed = await events.change(database, sending.EXTEND_DEADLINE, "more_time", "test", {}, **values)
    assert (changed is not None) == holds
    assert (await lines(database))[1:] == ([("more_time", "test", 1, {})] if holds else [])


async def test_a_delivery_is_recorded_once_for_each_version(database: Database, request_: Request) -> None:
    for version in (1, 1, 2):
        delivery = Delivery(request_.id, version, "websocket", age=1.0)
        await events.record_deliveries(database, [delivery, delivery], actor="process")
    delivered = [("delivered", "process", version, {"transport": "websocket"}) for version in (1, 2)]
    assert (await lines(database))[1:] == delivered
