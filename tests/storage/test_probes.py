"""Probes: each question is one process's, and more time is for what is overdue alone."""

import asyncio

import pytest

from storage import dispatch, probes, transitions
from storage.database.base import Database
from storage.lifecycle import Event
from storage.submissions import Submission, submit
from storage.times import instant
from storage.transitions import SILENCE_SECONDS, Outcome
from tests.people import People


async def sent(database: Database, users_table: str, deadline: float, probe: float | None = None) -> str:
    """A request that was sent, whose deadline is in `deadline` seconds."""
    person = await People(database, users_table).person()
    submission = Submission(user_id=person.id, product="Shoes", brand="Nike")
    request = (await submit(database, submission, quota=10, deadline_seconds=900)).request
    await dispatch.claim(database, "lease", 10)
    assert await dispatch.mark_sending(database, request.id, "lease", deadline, probe) is not None
    return request.id


@pytest.mark.parametrize(("deadline", "probe", "due"), [(-1, None, True), (900, -1, True), (900, None, False)])
async def test_what_is_to_be_probed(
    database: Database, users_table: str, deadline: float, probe: float | None, due: bool
) -> None:
    request_id = await sent(database, users_table, deadline, probe)
    claims = await asyncio.gather(*(probes.claim_probes(database, 10) for _ in range(4)))
    found = [one for claimed in claims for one in claimed]
    assert [one.request.id for one in found] == ([request_id] if due else [])
    assert all((one.overdue_seconds > 0) == (deadline < 0) for one in found)


async def test_a_probe_that_was_postponed_comes_again(database: Database, users_table: str) -> None:
    request_id = await sent(database, users_table, -1)
    assert await probes.claim_probes(database, 10) != []
    assert await probes.claim_probes(database, 10) == [], "it is leased"
    await probes.postpone_probe(database, request_id, -1)
    assert await probes.claim_probes(database, 10) != []


@pytest.mark.parametrize("deadline", [-1, 900])
async def test_more_time_is_for_what_is_overdue(database: Database, users_table: str, deadline: float) -> None:
    request_id = await sent(database, users_table, deadline)
    extended = [await probes.extend_deadline(database, request_id, 60, actor="n8n", execution_id="7") for _ in range(2)]
    assert extended == [deadline < 0, False]


@pytest.mark.parametrize("deadline", [-1, 20, 900])
async def test_no_pause_outlasts_the_deadline(database: Database, users_table: str, deadline: float) -> None:
    """Neither the wait for an answer nor the silence after a report; past the deadline the lease counts."""
    request_id = await sent(database, users_table, deadline, probe=300)
    assert await _probed_in(database) == pytest.approx(min(deadline, 300), abs=10)
    for progress in (None, 5):
        event = Event.ACCEPTED if progress is None else Event.PROGRESSED
        applied = await transitions.start(database, request_id, event, actor="n8n", progress=progress)
        assert applied.outcome is Outcome.CHANGED
        pause = min(deadline, SILENCE_SECONDS) if deadline > 0 else SILENCE_SECONDS
        assert await _probed_in(database) == pytest.approx(pause, abs=10)


async def _probed_in(database: Database) -> float:
    """Seconds until n8n is asked about the only request."""
    (row,) = await database.all("SELECT probe_at, NOW() AS now FROM ai_image_requests")
    return (instant(row["probe_at"]) - instant(row["now"])).total_seconds()
