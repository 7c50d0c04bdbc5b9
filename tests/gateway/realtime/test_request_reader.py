"""Reads for clients: those that come together share a query, and each gets its own answer or its own error."""

import asyncio
import uuid
from typing import Any

import pytest

from gateway.realtime import request_reader
from gateway.realtime.request_reader import RequestReader
from storage import reads
from storage.database.base import Database
from storage.errors import DatabaseUnavailable
from storage.public_urls import PublicUrls
from storage.request import Request
from storage.submissions import Submission, submit
from tests.people import People

URLS = PublicUrls("https://project.example", "https://gateway.example", frozenset())
DATABASE: Any = None
"""Nothing asks it where `queries` stands in."""


class Queries:
    """Stands in for `reads.read_all`: remembers each query, and answers when it is let."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None

    async def read_all(self, database: object, ids: list[str]) -> dict[str, Request]:
        self.asked.append(ids)
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return {}


@pytest.fixture
def queries(monkeypatch: pytest.MonkeyPatch) -> Queries:
    made = Queries()
    monkeypatch.setattr(reads, "read_all", made.read_all)
    return made


async def test_reads_of_one_turn_are_one_query(queries: Queries) -> None:
    reader = RequestReader(DATABASE, URLS)
    answers = await asyncio.gather(*(reader.own(str(number % 50), "ada") for number in range(200)))
    assert answers == [None] * 200
    assert [len(ids) for ids in queries.asked] == [50]


async def test_what_comes_meanwhile_gathers_for_the_next_query(queries: Queries) -> None:
    queries.gate.clear()
    reader = RequestReader(DATABASE, URLS)
    reading = []
    for number in range(20):
        reading.append(asyncio.create_task(reader.own(str(number), "ada")))
        for _ in range(3):
            await asyncio.sleep(0)
    assert [len(ids) for ids in queries.asked] == [1] * request_reader.CONCURRENCY
    queries.gate.set()
    await asyncio.gather(*reading)
    assert [len(ids) for ids in queries.asked[request_reader.CONCURRENCY :]] == [20 - request_reader.CONCURRENCY]


async def test_a_read_sees_what_was_committed_before_it_was_asked_for(queries: Queries) -> None:
    """Who asks for a key that is being read waits for the next query: the running one may be older."""
    queries.gate.clear()
    reader = RequestReader(DATABASE, URLS)
    first = asyncio.create_task(reader.own("a", "ada"))
    while not queries.asked:
        await asyncio.sleep(0)
    second = asyncio.create_task(reader.own("a", "ada"))
    queries.gate.set()
    await asyncio.gather(first, second)
    assert queries.asked == [["a"], ["a"]]


async def test_many_keys_are_split(queries: Queries) -> None:
    reader = RequestReader(DATABASE, URLS)
    await reader.own_many([str(number) for number in range(request_reader.BATCH + 1)], "ada")
    assert sorted(len(ids) for ids in queries.asked) == [1, request_reader.BATCH]


async def test_an_outage_is_told_to_everyone_who_asked_and_to_nobody_later(queries: Queries) -> None:
    reader = RequestReader(DATABASE, URLS)
    queries.error = DatabaseUnavailable("away")
    errors = await asyncio.gather(*(reader.own(name, "ada") for name in "abc"), return_exceptions=True)
    assert [type(error) for error in errors] == [DatabaseUnavailable] * 3
    queries.error = None
    assert await reader.own("a", "ada") is None


async def test_who_has_gone_disturbs_nobody(queries: Queries) -> None:
    queries.gate.clear()
    reader = RequestReader(DATABASE, URLS)
    gone = asyncio.create_task(reader.own("a", "ada"))
    stays = asyncio.create_task(reader.own("a", "ada"))
    while not queries.asked:
        await asyncio.sleep(0)
    gone.cancel()
    queries.gate.set()
    assert await stays is None
    assert gone.cancelled()


async def test_more_readers_than_may_wait_are_refused_at_once(
    queries: Queries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_reader, "MAX_WAITING", 3)
    queries.gate.clear()
    reader = RequestReader(DATABASE, URLS)
    waiting = [asyncio.create_task(reader.own("a", "ada")) for _ in range(3)]
    while not queries.asked:
        await asyncio.sleep(0)
    with pytest.raises(DatabaseUnavailable, match="more than 3"):
        await reader.own("b", "ada")
    queries.gate.set()
    await asyncio.gather(*waiting)
    assert await reader.own("b", "ada") is None, "there is room again"


async def test_only_ones_own_requests_are_found(database: Database, users_table: str) -> None:
    people = People(database, users_table)
    ada, eve = await people.person(), await people.person()
    submissions = [Submission(user_id=user, product="Shoes", brand="Nike") for user in (ada.id, ada.id, eve.id)]
    first, second, foreign = [
        (await submit(database, submission, quota=10, deadline_seconds=900)).request.id for submission in submissions
    ]
    reader = RequestReader(database, URLS)
    found = await reader.own(first, ada.id)
    assert found is not None
    assert (found.request_id, found.version) == (first, 1)
    assert await reader.own(foreign, ada.id) is None
    assert await reader.own(str(uuid.uuid4()), ada.id) is None
    many = await reader.own_many([second, foreign, first], ada.id)
    assert [update.request_id for update in many] == [second, first]
    mine, everyones = await asyncio.gather(reader.recent(ada.id), reader.recent_of_everyone())
    assert {update.request_id for update in mine or ()} == {first, second}
    assert {update.request_id for update in everyones} == {first, second, foreign}
