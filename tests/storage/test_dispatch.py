"""Leases and the "sending" mark."""

import asyncio

import pytest

from storage import dispatch, reads, transitions
from storage.database.base import Database
from storage.lifecycle import Event
from storage.request import Request
from storage.submissions import Submission, submit
from tests.people import People


@pytest.fixture
async def due(database: Database, users_table: str) -> list[str]:
    """Five requests that are due."""
    person = await People(database, users_table).person()
    submission = Submission(user_id=person.id, product="Shoes", brand="Nike")
    return [(await submit(database, submission, quota=10, deadline_seconds=900)).request.id for _ in range(5)]


async def claimed(database: Database, worker: str, limit: int = 10) -> list[str]:
    return [request.id for request in await dispatch.claim(database, worker, limit)]


async def test_each_is_claimed_once(database: Database, due: list[str]) -> None:
    shares = await asyncio.gather(*(claimed(database, f"worker-{number}", 2) for number in range(8)))
    taken = [request_id for share in shares for request_id in share]
    assert sorted(taken) == sorted(due)


async def test_a_lease_that_ran_out_is_taken_over(
    database: Database, due: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "LEASE_SECONDS", 0.0)
    assert sorted(await claimed(database, "dead")) == sorted(due)
    monkeypatch.setattr(dispatch, "LEASE_SECONDS", 30.0)
    assert sorted(await claimed(database, "alive")) == sorted(due)
    assert await dispatch.mark_sending(database, due[0], "dead", 900) is None, "the dead one wakes up too late"
    assert await dispatch.mark_sending(database, due[0], "alive", 900) is not None


async def test_what_is_marked_is_never_claimed_again(
    database: Database, due: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    await claimed(database, "worker")
    assert await dispatch.mark_sending(database, due[0], "worker", 900) is not None
    assert await dispatch.mark_sending(database, due[0], "worker", 900) is None, "one mark, one sending"
    monkeypatch.setattr(dispatch, "LEASE_SECONDS", 0.0)
    await database.all("UPDATE ai_image_requests SET dispatch_due_at = created_at")
    assert due[0] not in await claimed(database, "other")


async def sent(database: Database, worker: str, request_id: str) -> Request:
    """Claim everything for `worker` and mark one."""
    await claimed(database, worker)
    marked = await dispatch.mark_sending(database, request_id, worker, 900)
    assert marked is not None
    return marked


async def send_again(database: Database, marked: Request, lease: str, delay: float = 0) -> Request | None:
    return await dispatch.send_again(
        database, marked.id, lease, delay=delay, reason="refused connection", unregistered=delay > 0
    )


async def test_what_n8n_did_not_start_is_due_again(database: Database, due: list[str]) -> None:
    assert await send_again(database, await sent(database, "worker", due[0]), "worker") is not None
    (again,) = await dispatch.claim(database, "other", 10)
    assert (again.id, again.dispatch_attempts) == (due[0], 2)


@pytest.mark.parametrize("repeated", ["send_again", "release"])
async def test_what_is_repeated_after_a_lost_answer_does_not_undo_a_later_mark(
    database: Database, due: list[str], repeated: str
) -> None:
    """It was written, but the answer was lost; meanwhile the same process has claimed and sent the request again."""

    async def write() -> None:
        if repeated == "send_again":
            await send_again(database, first, "lease-1")
        else:
            await dispatch.release(database, first.id, "lease-1")

    first = await sent(database, "lease-1", due[0])
    await write()
    await sent(database, "lease-2", due[0])
    await write()
    assert await claimed(database, "lease-3") == [], "the second attempt is still marked"


async def test_a_delay_is_kept(database: Database, due: list[str]) -> None:
    await send_again(database, await sent(database, "worker", due[0]), "worker", delay=60)
    assert await claimed(database, "other") == []
    assert 0 <= await dispatch.seconds_unregistered(database, due[0]) < 60


async def test_what_has_ended_is_neither_marked_nor_sent_again(database: Database, due: list[str]) -> None:
    marked = await sent(database, "worker", due[1])
    for request_id in due[:2]:
        await transitions.fail(database, request_id, Event.FAILED_BY_ADMIN, "Stopped", actor="admin")
    assert await dispatch.mark_sending(database, due[0], "worker", 900) is None
    assert await send_again(database, marked, "worker") is None


@pytest.mark.parametrize("marked", [False, True])
async def test_a_release_gives_back_at_once_and_counts_no_attempt(
    database: Database, due: list[str], marked: bool
) -> None:
    await claimed(database, "worker")
    if marked:
        await dispatch.mark_sending(database, due[0], "worker", 900)
    await dispatch.release(database, due[0], "worker")
    (again,) = await dispatch.claim(database, "other", 10)
    assert (again.id, again.dispatch_attempts) == (due[0], 1)
    await dispatch.release(database, due[0], "worker")
    assert await claimed(database, "third") == [], "a release by one who has lost the row does nothing"


async def test_nothing_of_dispatch_is_a_new_version(database: Database, due: list[str]) -> None:
    await send_again(database, await sent(database, "worker", due[0]), "worker")
    request = await reads.read(database, due[0])
    assert request is not None
    assert (request.version, request.updated_at) == (1, request.created_at)


async def test_a_count_that_can_grow_no_further_holds_up_nothing(database: Database, due: list[str]) -> None:
    """Another tool wrote it: before, whatever was claimed with it was not, by any process, ever."""
    await database.all("UPDATE ai_image_requests SET dispatch_attempts = 2147483647 WHERE id = :id", id=due[0])
    assert sorted(await claimed(database, "worker")) == sorted(due)
    marked = await dispatch.mark_sending(database, due[0], "worker", 900)
    assert marked is not None
    assert marked.dispatch_attempts == 2147483647
