"""Leases and the "sending" mark."""

import asyncio

import pytest

from storage import dispatching, requests
from storage.database import Database
from storage.lifecycle import Event
from storage.submissions import Submission, submit
from tests.conftest import People


@pytest.fixture
async def due(database: Database, users_table: str) -> list[str]:
    """Five requests that are due."""
    person = await People(database, users_table).person()
    submission = Submission(user_id=person.id, product="Shoes", brand="Nike")
    return [(await submit(database, submission, quota=10, deadline_seconds=900)).request.id for _ in range(5)]


async def claimed(database: Database, worker: str, limit: int = 10) -> list[str]:
    return [request.id for request in await dispatching.claim(database, worker, limit)]


async def test_each_is_claimed_once(database: Database, due: list[str]) -> None:
    shares = await asyncio.gather(*(claimed(database, f"worker-{number}", 2) for number in range(8)))
    taken = [request_id for share in shares for request_id in share]
    assert sorted(taken) == sorted(due)


async def test_a_lease_that_ran_out_is_taken_over(
    database: Database, due: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatching, "LEASE_SECONDS", 0.0)
    assert sorted(await claimed(database, "dead")) == sorted(due)
    monkeypatch.setattr(dispatching, "LEASE_SECONDS", 30.0)
    assert sorted(await claimed(database, "alive")) == sorted(due)
    assert await dispatching.mark_sending(database, due[0], "dead", 900) is None, "the dead one wakes up too late"
    assert await dispatching.mark_sending(database, due[0], "alive", 900) is not None


async def test_what_is_marked_is_never_claimed_again(
    database: Database, due: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    await claimed(database, "worker")
    assert await dispatching.mark_sending(database, due[0], "worker", 900) is not None
    assert await dispatching.mark_sending(database, due[0], "worker", 900) is None, "one mark, one sending"
    monkeypatch.setattr(dispatching, "LEASE_SECONDS", 0.0)
    await database.all("UPDATE ai_image_requests SET dispatch_due_at = created_at")
    assert due[0] not in await claimed(database, "other")


async def test_what_n8n_did_not_start_is_due_again(database: Database, due: list[str]) -> None:
    await claimed(database, "worker")
    await dispatching.mark_sending(database, due[0], "worker", 900)
    returned = await dispatching.send_again(database, due[0], "worker", delay=0, reason="refused", unregistered=False)
    assert returned is not None
    (again,) = await dispatching.claim(database, "other", 10)
    assert (again.id, again.dispatch_attempts) == (due[0], 2)


async def test_a_delay_is_kept(database: Database, due: list[str]) -> None:
    await claimed(database, "worker")
    await dispatching.mark_sending(database, due[0], "worker", 900)
    await dispatching.send_again(database, due[0], "worker", delay=60, reason="refused", unregistered=True)
    assert await claimed(database, "other") == []
    assert 0 <= await dispatching.seconds_unregistered(database, due[0]) < 60


async def test_what_has_ended_is_neither_marked_nor_sent_again(database: Database, due: list[str]) -> None:
    await claimed(database, "worker")
    await requests.fail(database, due[0], Event.FAILED_BY_ADMIN, "Stopped", actor="admin")
    assert await dispatching.mark_sending(database, due[0], "worker", 900) is None
    await dispatching.mark_sending(database, due[1], "worker", 900)
    await requests.fail(database, due[1], Event.FAILED_BY_ADMIN, "Stopped", actor="admin")
    assert (
        await dispatching.send_again(database, due[1], "worker", delay=0, reason="refused", unregistered=False) is None
    )


async def test_a_release_gives_back_at_once_and_counts_no_attempt(database: Database, due: list[str]) -> None:
    await claimed(database, "worker")
    await dispatching.release(database, due[0], "worker")
    (again,) = await dispatching.claim(database, "other", 10)
    assert (again.id, again.dispatch_attempts) == (due[0], 1)


async def test_nothing_of_dispatch_is_a_new_version(database: Database, due: list[str]) -> None:
    await claimed(database, "worker")
    await dispatching.mark_sending(database, due[0], "worker", 900)
    await dispatching.send_again(database, due[0], "worker", delay=0, reason="refused", unregistered=False)
    request = await requests.read(database, due[0])
    assert request is not None
    assert (request.version, request.updated_at) == (1, request.created_at)
