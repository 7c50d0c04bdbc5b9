"""The database obeys the table of states: every change that is not listed is tried and changes nothing."""

import asyncio
from datetime import timedelta
from decimal import Decimal

import pytest

from storage import cancellations, reads, transitions
from storage.database.base import Database, Transaction
from storage.errors import StatementRefused
from storage.lifecycle import Event, Status, target
from storage.public_urls import PublicUrls
from storage.queries import life
from storage.submissions import Submission, submit
from storage.transitions import Applied, Completion, Outcome
from tests.conftest import People

URLS = PublicUrls("https://store.example.com", "https://gateway.example.com")
PICTURE = Completion("ai-images/a.png", "object-a", Decimal("0.10"))


async def apply(database: Database, request_id: str, event: Event) -> Applied:
    """Apply `event` as the gateway would."""
    if event in (Event.ACCEPTED, Event.PROGRESSED):
        progress = 50 if event is Event.PROGRESSED else None
        return await transitions.start(database, request_id, event, actor="test", progress=progress)
    if event is Event.COMPLETED:
        return await transitions.complete(database, request_id, PICTURE, URLS, actor="test")
    if event is Event.CANCELED:
        return await cancellations.cancel(database, request_id, actor="test")
    return await transitions.fail(database, request_id, event, "It broke", actor="test")


WAY_TO: dict[Status, tuple[Event, ...]] = {
    Status.PENDING: (),
    Status.PROCESSING: (Event.ACCEPTED,),
    Status.COMPLETED: (Event.ACCEPTED, Event.COMPLETED),
    Status.FAILED: (Event.FAILED,),
}


@pytest.fixture
async def new_request(database: Database, users_table: str) -> str:
    """A pending request whose deadline has passed."""
    person = await People(database, users_table).person()
    submitted = await submit(
        database, Submission(user_id=person.id, product="Shoes", brand="Nike"), quota=10, deadline_seconds=-1
    )
    return submitted.request.id


@pytest.mark.parametrize("event", Event)
@pytest.mark.parametrize("status", Status)
async def test_each_event_in_each_status(database: Database, new_request: str, status: Status, event: Event) -> None:
    for step in WAY_TO[status]:
        assert (await apply(database, new_request, step)).outcome is Outcome.CHANGED
    earlier = "UPDATE ai_image_requests SET updated_at = AFTER(:seconds) WHERE id = :id"
    await database.all(earlier, id=new_request, seconds=-60)
    before = await reads.read(database, new_request)
    assert before is not None
    assert before.status is status
    applied = await apply(database, new_request, event)
    after = await reads.read(database, new_request)
    assert after is not None
    expected = target(status, event)
    if expected is None:
        assert applied.outcome is not Outcome.CHANGED
        assert after == before, "an illegal change must leave every column alone"
    else:
        assert applied.outcome is Outcome.CHANGED
        assert (after.status, after.version) == (expected, before.version + 1)
        assert after.updated_at - before.updated_at >= timedelta(seconds=60)
    events = await database.all("SELECT version FROM ai_request_events WHERE request_id = :id", id=new_request)
    assert sorted(row["version"] for row in events) == list(range(1, after.version + 1)), "one event row a change"


@pytest.mark.parametrize("event", [event for event in Event if target(Status.PENDING, event) is not None])
async def test_versions_begin_anew_after_the_greatest(database: Database, new_request: str, event: Event) -> None:
    """Only another tool writes it. A picture that was paid for must not be refused for it."""
    await database.all("UPDATE ai_image_requests SET version = 2147483647 WHERE id = :id", id=new_request)
    applied = await apply(database, new_request, event)
    assert applied.outcome is Outcome.CHANGED
    assert applied.request is not None
    assert (applied.request.status, applied.request.version) == (target(Status.PENDING, event), 1)
    assert (await apply(database, new_request, event)).outcome is not Outcome.CHANGED
    assert await reads.read(database, new_request) == applied.request


async def test_a_deadline_that_has_not_passed_fails_nothing(database: Database, users_table: str) -> None:
    person = await People(database, users_table).person()
    submission = Submission(user_id=person.id, product="Shoes", brand="Nike")
    submitted = await submit(database, submission, quota=10, deadline_seconds=60)
    assert await reads.overdue(database, 10) == []
    applied = await transitions.fail(database, submitted.request.id, Event.DEADLINE_PASSED, "Late", actor="watch")
    assert applied.outcome is not Outcome.CHANGED


async def test_progress_never_falls(database: Database, new_request: str) -> None:
    seen = []
    for progress in (10, 40, 20, 40, 90, 0, None):
        applied = await transitions.start(database, new_request, Event.PROGRESSED, actor="n8n", progress=progress)
        assert applied.request is not None
        seen.append((applied.request.progress, applied.outcome))
    assert [progress for progress, _ in seen] == [10, 40, 40, 40, 90, 90, 90]
    changed, duplicate, ignored = Outcome.CHANGED, Outcome.DUPLICATE, Outcome.IGNORED
    assert [outcome for _, outcome in seen] == [changed, changed, ignored, duplicate, changed, ignored, duplicate]


async def test_completion_and_its_asset_are_one_transaction(database: Database, new_request: str) -> None:
    """Whatever ends it later takes the asset back; what the library refuses is told in `test_owed_assets`."""
    await database.all("ALTER TABLE ai_request_events RENAME TO events_away")
    with pytest.raises(StatementRefused, match="ai_request_events"):
        await transitions.complete(database, new_request, PICTURE, URLS, actor="n8n")
    await database.all("ALTER TABLE events_away RENAME TO ai_request_events")
    request = await reads.read(database, new_request)
    assert request is not None
    assert (request.status, request.version) == (Status.PENDING, 1)
    assert await database.all("SELECT id FROM assets") == []
    assert (await transitions.complete(database, new_request, PICTURE, URLS, actor="n8n")).outcome is Outcome.CHANGED
    assert len(await database.all("SELECT id FROM assets")) == 1


async def test_a_cost_keeps_its_decimals(database: Database, new_request: str) -> None:
    applied = await transitions.complete(database, new_request, PICTURE, URLS, actor="n8n")
    assert applied.request is not None
    assert str(applied.request.cost) == "0.10"


async def test_a_late_completion_keeps_the_cost_that_the_failure_told(database: Database, new_request: str) -> None:
    await transitions.fail(database, new_request, Event.FAILED, "It broke", actor="n8n", cost=Decimal("0.04"))
    applied = await transitions.complete(database, new_request, Completion("b/a.png", "1"), URLS, actor="n8n")
    assert applied.request is not None
    assert applied.request.cost == Decimal("0.04")


async def test_a_completion_that_waited_for_another_change_still_has_its_asset(
    database: Database, backend: str, new_request: str
) -> None:
    """Its statement began before the progress was committed, and is judged again by what was."""
    inside, go_on = asyncio.Event(), asyncio.Event()

    async def progress(tx: Transaction) -> None:
        values = {"id": new_request, "progress": 50, "execution_id": None, "probe": None}
        assert await tx.one(life.START[Event.PROGRESSED], **values) is not None
        inside.set()
        await go_on.wait()

    holder = asyncio.create_task(database.transaction(progress))
    await inside.wait()
    completions = [
        asyncio.create_task(transitions.complete(database, new_request, PICTURE, URLS, actor="n8n")) for _ in range(4)
    ]
    if backend == "postgres":
        waiting = (
            "SELECT count(*) AS waiting FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = 'shared'"
        )
        while (row := await database.one(waiting)) is None or row["waiting"] < len(completions):
            await asyncio.sleep(0.01)
    go_on.set()
    await holder
    outcomes = [(await one).outcome for one in completions]
    assert sorted(outcome.value for outcome in outcomes) == ["changed", "duplicate", "duplicate", "duplicate"]
    (asset,) = await database.all("SELECT CAST(id AS text) AS id, name FROM assets")
    row = await database.one("SELECT asset_id, version FROM ai_image_requests WHERE id = :id", id=new_request)
    assert row is not None
    assert (row["asset_id"], row["version"], asset["name"]) == (asset["id"], 3, "AI Generated: Shoes - Nike")


async def test_the_asset_of_a_private_bucket_has_the_requests_own_url(database: Database, new_request: str) -> None:
    urls = PublicUrls("https://store.example.com", "https://gateway.example.com", {"ai-images"})
    applied = await transitions.complete(database, new_request, PICTURE, urls, actor="n8n")
    assert applied.request is not None
    (asset,) = await database.all("SELECT file_url FROM assets")
    assert asset["file_url"] == urls.of(PICTURE.storage_key, new_request, applied.request.picture_token)


async def test_a_key_that_looks_like_our_placeholder_stays_as_it_is(database: Database, new_request: str) -> None:
    key = f"ai-images/{life.TOKEN_PLACE}.png"
    await transitions.complete(database, new_request, Completion(key, "1"), URLS, actor="n8n")
    (asset,) = await database.all("SELECT file_url FROM assets")
    assert asset["file_url"] == URLS.of(key, new_request, "")
