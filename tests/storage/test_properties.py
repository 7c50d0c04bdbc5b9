"""Whatever happens to a request, in any order and however often: one final status, one asset, a version that rises."""

import asyncio
from decimal import Decimal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage import cancellations, dispatch, reads, transitions
from storage.database.base import Database
from storage.database.open import open_database
from storage.lifecycle import Event, Status, target
from storage.public_urls import PublicUrls
from storage.request import Request
from storage.submissions import Submission, submit
from storage.transitions import Applied, Completion, Outcome
from tests.conftest import People

URLS = PublicUrls("https://store.example.com", "https://gateway.example.com")

ACTS = st.one_of(
    st.sampled_from(["accepted", "claim", "mark", "send_again", "in_doubt", "release", "deadline", "admin", "refused"]),
    st.sampled_from(["exhausted", "failed", "canceled"]),
    st.tuples(st.just("progress"), st.one_of(st.none(), st.integers(0, 100))),
    st.tuples(st.just("completed"), st.sampled_from(["a", "b"])),
)

FAILURES = {
    "deadline": Event.DEADLINE_PASSED,
    "admin": Event.FAILED_BY_ADMIN,
    "refused": Event.REFUSED,
    "exhausted": Event.EXHAUSTED,
    "failed": Event.FAILED,
    "canceled": Event.CANCELED,
}


async def now(database: Database, request_id: str) -> Request:
    request = await reads.read(database, request_id)
    assert request is not None
    return request


async def act(database: Database, request_id: str, what: object) -> Applied | None:
    """Do one thing that a callback, n8n's answer, the watch, an administrator or a dispatcher may do."""
    match what:
        case ("progress", progress):
            assert progress is None or isinstance(progress, int)
            return await transitions.start(database, request_id, Event.PROGRESSED, actor="n8n", progress=progress)
        case ("completed", picture):
            completion = Completion(f"ai-images/{picture}.png", str(picture), Decimal("0.04"))
            return await transitions.complete(database, request_id, completion, URLS, actor="n8n")
        case "accepted":
            return await transitions.start(database, request_id, Event.ACCEPTED, actor="dispatcher")
        case "claim":
            await dispatch.claim(database, "worker", 10)
        case "mark":
            before = await now(database, request_id)
            marked = await dispatch.mark_sending(database, request_id, "worker", -1)
            assert marked is None or before.status is Status.PENDING, "what has ended is never sent"
        case "send_again":
            await dispatch.send_again(database, request_id, "worker", delay=0, reason="refused", unregistered=False)
        case "in_doubt":
            await dispatch.record_in_doubt(database, await now(database, request_id), "worker", "reset")
        case "release":
            await dispatch.release(database, request_id, "worker")
        case "canceled":
            return await cancellations.cancel(database, request_id, actor="test")
        case str():
            return await transitions.fail(database, request_id, FAILURES[what], "It broke", actor="test")
    return None


async def check_life(database: Database, users_table: str, acts: list[object], *, at_once: bool) -> None:
    person = await People(database, users_table).person()
    submission = Submission(user_id=person.id, product="Shoes", brand="Nike")
    request_id = (await submit(database, submission, quota=10**6, deadline_seconds=-1)).request.id
    versions, statuses = [1], [Status.PENDING]
    if at_once:
        applied = await asyncio.gather(*(act(database, request_id, what) for what in acts))
        changes = [one for one in applied if one is not None and one.outcome is Outcome.CHANGED]
        versions += sorted(one.request.version for one in changes if one.request is not None)
    else:
        for what in acts:
            one = await act(database, request_id, what)
            request = await reads.read(database, request_id)
            assert request is not None
            changed = one is not None and one.outcome is Outcome.CHANGED
            assert (request.version > versions[-1]) == changed
            legal = {target(statuses[-1], event) for event in Event} | {statuses[-1]}
            assert request.status in legal
            versions.append(request.version)
            statuses.append(request.status)
        versions = sorted(set(versions))
    final = await reads.read(database, request_id)
    assert final is not None
    assert versions == list(range(1, final.version + 1)), "the version rises by one at every change"
    completed = [what for what in acts if isinstance(what, tuple) and what[0] == "completed"]
    failed = [what for what in acts if isinstance(what, str) and what in FAILURES]
    if completed:
        assert final.status is Status.COMPLETED, "a picture that exists always wins"
        assert f"ai-images/{final.storage_id}.png" == final.storage_key
        assert (final.error_message, final.error_code, final.progress) == (None, None, 100)
    elif [what for what in failed if what not in ("refused", "exhausted")]:
        assert final.status is Status.FAILED
        assert final.error_code is not None
    elif failed:
        assert final.status in (Status.FAILED, Status.PROCESSING), "a late refusal does not undo what a callback said"
    else:
        assert not final.status.is_final
    if final.error_code == "canceled":
        assert final.cost is None, "its reservation is released"
    assets = await database.all("SELECT id FROM assets WHERE user_id = :user_id", user_id=person.id)
    assert len(assets) == (1 if completed else 0)


EXAMPLES = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@EXAMPLES
@given(acts=st.lists(ACTS, max_size=12), at_once=st.booleans())
def test_any_order_and_repetition(acts: list[object], at_once: bool, database_url: str, users_table: str) -> None:
    async def run() -> None:
        async with open_database(database_url) as database:
            await check_life(database, users_table, acts, at_once=at_once)

    asyncio.run(run())
