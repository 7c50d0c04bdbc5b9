"""Receipts: one for each final version, in batches, never lost by an outage and never more than memory allows."""

from collections.abc import Sequence
from typing import Any

import pytest

from gateway.realtime import receipts as receipts_module
from gateway.realtime.receipts import Receipts
from storage.database.base import Database
from storage.errors import DatabaseUnavailable
from storage.events import Delivery
from storage.submissions import Submission, submit
from tests.gateway.realtime.doubles import update
from tests.people import People

DATABASE: Any = None
"""Nothing asks it where `written` stands in."""


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[list[Delivery]]:
    """What was written, a list for each transaction."""
    transactions: list[list[Delivery]] = []

    async def record(database: object, deliveries: Sequence[Delivery], *, actor: str) -> None:
        transactions.append(list(deliveries))

    monkeypatch.setattr(receipts_module, "record_deliveries", record)
    return transactions


async def test_each_version_is_written_once_by_its_first_transport(written: list[list[Delivery]]) -> None:
    receipts = Receipts()
    receipts.add(update("a", 3), "websocket")
    receipts.add(update("a", 3), "poll")
    receipts.add(update("a", 4), "poll")  # a failure that turned into a completion
    await receipts.flush(DATABASE, "test")
    receipts.add(update("a", 3), "events")
    await receipts.flush(DATABASE, "test")
    ((first, second),) = written
    assert (first.request_id, first.version, first.transport) == ("a", 3, "websocket")
    assert (second.version, second.transport) == (4, "poll")
    assert first.age >= 0.0


async def test_many_are_written_in_batches(written: list[list[Delivery]]) -> None:
    receipts = Receipts()
    for number in range(2 * receipts_module.BATCH + 1):
        receipts.add(update(str(number)), "websocket")
    await receipts.flush(DATABASE, "test")
    assert [len(batch) for batch in written] == [receipts_module.BATCH, receipts_module.BATCH, 1]


async def test_what_could_not_be_written_is_kept(
    written: list[list[Delivery]], monkeypatch: pytest.MonkeyPatch
) -> None:
    receipts = Receipts()
    receipts.add(update("a"), "websocket")

    async def away(*arguments: object, **options: object) -> None:
        raise DatabaseUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(receipts_module, "record_deliveries", away)
        with pytest.raises(DatabaseUnavailable):
            await receipts.flush(DATABASE, "test")
    await receipts.flush(DATABASE, "test")
    assert [[delivery.request_id for delivery in batch] for batch in written] == [["a"]]


async def test_what_waits_and_what_is_remembered_is_bounded(
    written: list[list[Delivery]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receipts_module, "MAX_PENDING", 3)
    monkeypatch.setattr(receipts_module, "MAX_WRITTEN", 2)
    receipts = Receipts()
    for name in "abcd":
        receipts.add(update(name), "websocket")
    await receipts.flush(DATABASE, "test")
    assert [delivery.request_id for delivery in written[0]] == ["b", "c", "d"], "the oldest was forgotten"
    receipts.add(update("d"), "poll")
    receipts.add(update("b"), "poll")  # no longer remembered: the statement itself writes nothing twice
    await receipts.flush(DATABASE, "test")
    assert [delivery.request_id for delivery in written[1]] == ["b"]


async def test_two_processes_leave_one_line_in_the_timeline(database: Database, users_table: str) -> None:
    person = await People(database, users_table).person()
    submission = Submission(user_id=person.id, product="Shoes", brand="Nike")
    request_id = (await submit(database, submission, quota=10, deadline_seconds=900)).request.id
    for process in ("one", "two"):
        receipts = Receipts()
        receipts.add(update(request_id, 1, user_id=person.id), "websocket")
        await receipts.flush(database, process)
    delivered = "SELECT actor FROM ai_request_events WHERE request_id = :id AND kind = 'delivered'"
    rows = await database.all(delivered, id=request_id)
    assert [row["actor"] for row in rows] == ["one"]
