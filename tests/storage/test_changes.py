"""Changes that come together share a transaction, and nobody waits for another's row, library or user."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import pytest

from storage import owed_assets, reads, transitions
from storage.database.base import Database, Row, Transaction, Values
from storage.database.open import open_database
from storage.errors import DatabaseUnavailable
from storage.lifecycle import Event, Status
from storage.queries import canceling, life, sending
from storage.queries.rows import if_free
from storage.submissions import Submission, submit
from storage.transitions import Applied, Completion, Outcome
from tests.conftest import People
from tests.running import SECONDS
from tests.storage.test_transitions import URLS

MANY = 16


class Counted:
    """A database whose chains are counted."""

    def __init__(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sizes: list[int] = []
        self.breaking: Callable[[int], Exception | None] = lambda _: None
        chain_each = database._chain_each

        async def counted(steps: Mapping[str, str], each: Sequence[Values]) -> list[Row]:
            self.sizes.append(len(each))
            rows = await chain_each(steps, each)
            if (error := self.breaking(len(self.sizes))) is not None:
                raise error
            return rows

        monkeypatch.setattr(database, "_chain_each", counted)


@pytest.fixture
def counted(database: Database, monkeypatch: pytest.MonkeyPatch) -> Counted:
    return Counted(database, monkeypatch)


@pytest.fixture
async def requests(database: Database, users_table: str) -> list[str]:
    people = [await People(database, users_table).person() for _ in range(MANY)]
    made = [
        await submit(
            database, Submission(user_id=one.id, product="Shoes", brand="Nike"), quota=10, deadline_seconds=600
        )
        for one in people
    ]
    return [one.request.id for one in made]


@pytest.fixture
async def other(database_url: str, backend: str) -> AsyncIterator[Database]:
    """Another process on the same database."""
    assert backend == "postgres", "SQLite has one writer"
    async with open_database(database_url) as opened:
        yield opened


def complete(database: Database, request_id: str) -> Any:
    picture = Completion(f"ai-images/{request_id}.png", request_id)
    return transitions.complete(database, request_id, picture, URLS, actor="n8n")


def progress(database: Database, request_id: str, percent: int) -> Any:
    return transitions.start(database, request_id, Event.PROGRESSED, actor="n8n", progress=percent)


async def all_of(*changes: Any) -> list[Applied]:
    async with asyncio.timeout(SECONDS):
        return list(await asyncio.gather(*changes))


async def test_those_that_come_together_share_a_transaction(
    database: Database, requests: list[str], counted: Counted
) -> None:
    applied = await all_of(*(progress(database, one, 10 + index) for index, one in enumerate(requests)))
    assert [(one.outcome, one.request and one.request.id) for one in applied] == [
        (Outcome.CHANGED, one) for one in requests
    ]
    assert [one.request.progress for one in applied if one.request] == list(range(10, 10 + MANY))
    assert counted.sizes == [MANY]
    counted.sizes.clear()
    applied = await all_of(*(complete(database, one) for one in requests))
    assert {one.outcome for one in applied} == {Outcome.CHANGED}
    assert counted.sizes == [MANY]
    rows = await database.all("SELECT file_url FROM assets")
    assert sorted(row["file_url"].rpartition("/")[2] for row in rows) == sorted(f"{one}.png" for one in requests)
    events = await database.all("SELECT request_id, kind, version FROM ai_request_events ORDER BY id")
    for one in requests:
        assert [(row["kind"], row["version"]) for row in events if str(row["request_id"]) == one] == [
            ("submitted", 1),
            ("progressed", 2),
            ("completed", 3),
        ]


async def test_two_of_one_request_are_two_changes(database: Database, requests: list[str]) -> None:
    one, other, *_ = requests
    applied = await all_of(progress(database, one, 10), progress(database, other, 10), progress(database, one, 20))
    assert [found.request.version for found in applied if found.request] == [2, 2, 3]
    assert [found.outcome for found in applied] == [Outcome.CHANGED] * 3


async def test_whose_guard_does_not_hold_is_told_so(database: Database, requests: list[str]) -> None:
    done, new, *_ = requests
    await progress(database, done, 50)
    applied = await all_of(progress(database, done, 50), progress(database, new, 50), progress(database, done, 10))
    assert [one.outcome for one in applied] == [Outcome.DUPLICATE, Outcome.CHANGED, Outcome.IGNORED]


async def test_a_library_that_refuses_one_takes_the_others(database: Database, requests: list[str]) -> None:
    await database.all("UPDATE ai_image_requests SET product = 'Bad' WHERE id = :id", id=requests[3])
    await database.all("ALTER TABLE assets ADD COLUMN extra text CHECK (name NOT LIKE '%Bad%')")
    try:
        applied = await all_of(*(complete(database, one) for one in requests))
    finally:
        await database.all("ALTER TABLE assets DROP COLUMN extra")
    assert {one.outcome for one in applied} == {Outcome.CHANGED}
    assert len(await database.all("SELECT id FROM assets")) == MANY - 1
    owed = await owed_assets.outstanding(database)
    assert owed is not None
    assert owed.count == 1


@pytest.mark.parametrize("lost", [True, False], ids=["in the commit", "all of it"])
async def test_a_transaction_that_is_lost_is_lost_for_all(
    database: Database, requests: list[str], counted: Counted, lost: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaking(count: int) -> Exception | None:
        return DatabaseUnavailable("gone") if count == 1 else None

    counted.breaking = breaking
    if not lost:

        async def away(*_: object) -> list[Row]:
            raise DatabaseUnavailable("gone")

        with monkeypatch.context() as patched:
            patched.setattr(database, "_chain_each", away)
            results = await asyncio.gather(*(complete(database, one) for one in requests), return_exceptions=True)
    else:
        results = await asyncio.gather(*(complete(database, one) for one in requests), return_exceptions=True)
    assert {type(one) for one in results} == {DatabaseUnavailable}
    counted.breaking = lambda _: None
    applied = await all_of(*(complete(database, one) for one in requests))
    assert {one.outcome for one in applied} == {Outcome.DUPLICATE if lost else Outcome.CHANGED}
    assert len(await database.all("SELECT id FROM assets")) == MANY


@pytest.mark.parametrize("backend", ["postgres"], indirect=True)
@pytest.mark.parametrize("change", [complete, lambda database, one: progress(database, one, 10)])
async def test_nobody_waits_for_a_row_that_somebody_holds(
    database: Database, other: Database, requests: list[str], change: Callable[[Database, str], Any]
) -> None:
    lock = "SELECT id FROM ai_image_requests WHERE id = :id FOR UPDATE"
    await only_the_first_waits(other, lock, requests, lambda one: change(database, one))


async def only_the_first_waits(other: Database, lock: str, requests: list[str], change: Callable[[str], Any]) -> None:
    """While another process holds the first one's `lock`, the others are changed; then it is, too."""
    held, release = asyncio.Event(), asyncio.Event()

    async def hold(tx: Transaction) -> None:
        await tx.all(lock, id=requests[0])
        held.set()
        await release.wait()

    holding = asyncio.create_task(other.transaction(hold))
    await held.wait()
    first = asyncio.create_task(change(requests[0]))
    applied = await all_of(*(change(one) for one in requests[1:]))
    assert {one.outcome for one in applied} == {Outcome.CHANGED}
    assert not first.done()
    release.set()
    assert (await first).outcome is Outcome.CHANGED
    await holding


@pytest.mark.parametrize("backend", ["postgres"], indirect=True)
@pytest.mark.parametrize(
    "lock",
    [
        "SELECT 1 FROM organizations AS it JOIN ai_image_requests AS r ON it.id = organization_id WHERE r.id = :id",
        "SELECT 1 FROM auth.users AS it JOIN ai_image_requests AS r ON it.id = user_id WHERE r.id = :id",
    ],
)
async def test_nobody_waits_for_what_an_asset_refers_to(
    database: Database, other: Database, requests: list[str], lock: str
) -> None:
    """Whoever deletes a user or an organization holds it; the others go on."""
    await only_the_first_waits(other, f"{lock} FOR UPDATE OF it", requests, lambda one: complete(database, one))
    assert len(await database.all("SELECT id FROM assets")) == MANY


@pytest.mark.parametrize("backend", ["postgres"], indirect=True)
async def test_two_processes_with_the_same_requests_in_other_orders(
    database: Database, other: Database, requests: list[str]
) -> None:
    for percent in range(1, 21, 2):
        applied = await all_of(
            *(progress(database, one, percent) for one in requests),
            *(progress(other, one, percent + 1) for one in reversed(requests)),
        )
        assert {one.outcome for one in applied} <= {Outcome.CHANGED, Outcome.IGNORED}
    found = [await reads.read(database, one) for one in requests]
    assert {(one.progress, one.status) for one in found if one} == {(20, Status.PROCESSING)}


CHANGES = {
    **{f"start {event}": sql for event, sql in life.START.items()},
    **{f"fail {event}": sql for event, sql in life.FAIL.items()},
    "complete": life.COMPLETE,
    "complete, owing": life.COMPLETE_OWING,
    "asset": life.INSERT_ASSET,
    "cancel": canceling.CANCEL,
    "end of a stop": canceling.END_STOP,
    "send again": sending.SEND_AGAIN,
    "send, disproved": sending.SEND_DISPROVED,
}


@pytest.mark.parametrize("name", CHANGES)
def test_each_step_that_names_the_row_asks_whether_it_is_free(name: str) -> None:
    steps = if_free((("changed", CHANGES[name]),))
    assert list(steps) == ["free", "changed"]
    assert "SKIP LOCKED" in steps["free"]
    assert ":id" not in steps["changed"]
