"""What an administrator may see and do."""

import asyncio
import uuid
from decimal import Decimal

import pytest

from storage import administration, dispatch, transitions
from storage.costs import Pricing
from storage.database.base import Database
from storage.errors import BudgetSpent, NotRetriable
from storage.lifecycle import Event, Status
from storage.quota import remaining_quota
from storage.request import Request
from storage.submissions import Submission, submit
from tests.conftest import People, Person
from tests.storage.test_transitions import PICTURE, URLS

FREE = Pricing()


@pytest.fixture
async def ada(database: Database, users_table: str) -> Person:
    return await People(database, users_table).person()


async def new_request(database: Database, ada: Person) -> Request:
    submission = Submission(user_id=ada.id, product="Shoes", brand="Nike")
    return (await submit(database, submission, quota=10, deadline_seconds=60)).request


async def failed(database: Database, request_id: str) -> None:
    await transitions.fail(database, request_id, Event.FAILED, "It broke", actor="n8n")


async def retry(database: Database, request_id: str, pricing: Pricing = FREE) -> Request | None:
    return await administration.retry(database, request_id, actor="admin:1", deadline_seconds=60, pricing=pricing)


async def test_a_timeline_tells_what_happened_in_its_order(database: Database, ada: Person) -> None:
    request = await new_request(database, ada)
    await dispatch.claim(database, "lease", 1)
    await dispatch.mark_sending(database, request.id, "lease", 60)
    await transitions.start(database, request.id, Event.PROGRESSED, actor="n8n", progress=40, execution_id="7")
    await failed(database, request.id)
    timeline = await administration.timeline(database, request.id)
    assert timeline is not None
    told = [(entry.kind, entry.actor, entry.version) for entry in timeline.events]
    assert told == [
        ("submitted", f"user:{ada.id}", 1),
        ("sending", "lease", 1),
        ("progressed", "n8n", 2),
        ("failed", "n8n", 3),
    ]
    assert timeline.events[2].detail == {"progress": 40, "executionId": "7"}
    assert timeline.events[3].detail["error"] == "It broke"
    assert timeline.sent_at is not None
    assert timeline.deadline_at is not None
    assert timeline.sent_at < timeline.deadline_at
    assert sorted(timeline.events, key=lambda entry: entry.at) == timeline.events
    assert await administration.timeline(database, str(uuid.uuid4())) is None


async def test_a_retry_is_a_request_of_its_own(database: Database, ada: Person) -> None:
    request = await new_request(database, ada)
    await failed(database, request.id)
    quota = await remaining_quota(database, ada.id, 10)
    again = await retry(database, request.id)
    assert again is not None
    assert (again.status, again.version, again.retry_of) == (Status.PENDING, 1, request.id)
    assert (again.user_id, again.organization_id, again.product) == (ada.id, ada.organizations[0], "Shoes")
    assert (await remaining_quota(database, ada.id, 10))[0] == quota[0], "the user did not submit it"
    timeline = await administration.timeline(database, request.id)
    assert timeline is not None
    assert (timeline.events[-1].kind, timeline.events[-1].detail) == ("retried", {"requestId": again.id})


async def test_what_cannot_be_retried(database: Database, ada: Person) -> None:
    request = await new_request(database, ada)

    async def code() -> str:
        with pytest.raises(NotRetriable) as raised:
            await retry(database, request.id)
        return raised.value.code

    assert await code() == "not_failed"
    await failed(database, request.id)
    again = await retry(database, request.id)
    assert again is not None
    assert await code() == "already_retried"
    await failed(database, again.id)
    third = await retry(database, request.id)
    assert third is not None, "the retry has failed too"
    await transitions.complete(database, third.id, PICTURE, URLS, actor="n8n")
    assert await code() == "already_retried"
    assert await retry(database, str(uuid.uuid4())) is None


async def test_two_administrators_retry_at_once(database: Database, ada: Person) -> None:
    request = await new_request(database, ada)
    await failed(database, request.id)
    results = await asyncio.gather(*(retry(database, request.id) for _ in range(5)), return_exceptions=True)
    assert sum(isinstance(result, Request) for result in results) == 1
    assert sum(isinstance(result, NotRetriable) for result in results) == 4


async def test_a_retry_keeps_to_the_budget(database: Database, ada: Person) -> None:
    request = await new_request(database, ada)
    await failed(database, request.id)
    with pytest.raises(BudgetSpent):
        await retry(database, request.id, Pricing(estimate=Decimal(2), budget=Decimal(1)))
    assert await retry(database, request.id, Pricing(estimate=Decimal(1), budget=Decimal(1))) is not None


async def test_the_neighbours_are_the_same_users(database: Database, users_table: str, ada: Person) -> None:
    eve = await People(database, users_table).person()
    first = await new_request(database, ada)
    await new_request(database, eve)
    second = await new_request(database, ada)
    third = await new_request(database, ada)

    async def beside(request: Request) -> list[str | None]:
        timeline = await administration.timeline(database, request.id)
        assert timeline is not None
        return [None if one is None else one.id for one in (timeline.before, timeline.after)]

    assert await beside(first) == [None, second.id]
    assert await beside(second) == [first.id, third.id]
    assert await beside(third) == [second.id, None]
