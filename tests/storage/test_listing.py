"""Pages: each says where the next one begins, and the last says that none does."""

from typing import Any

import pytest

from storage import listing, transitions
from storage.database.base import Database
from storage.lifecycle import Event, Status
from storage.listing import START, Page
from storage.public_urls import PublicUrls
from storage.request import Request
from storage.submissions import Submission, submit
from storage.transitions import Completion
from tests.people import People

URLS = PublicUrls("https://store.example.com", "https://gateway.example.com")


@pytest.fixture
async def requests(database: Database, users_table: str) -> list[Request]:
    """Five requests of one user, newest first."""
    person = await People(database, users_table).person()
    submission = Submission(user_id=person.id, product="Shoes", brand="Nike")
    made = [(await submit(database, submission, quota=10, deadline_seconds=900)).request for _ in range(5)]
    return sorted(made, key=lambda request: (request.created_at, request.id), reverse=True)


@pytest.mark.parametrize("limit", [1, 2, 5, 6])
async def test_pages_are_the_whole_list(database: Database, requests: list[Request], limit: int) -> None:
    async def mine(**where: Any) -> Page[Request]:
        return await listing.requests_of(database, requests[0].user_id, None, **where)

    page = await mine(after=START, limit=limit)
    found = page.rows
    while page.next is not None:
        page = await mine(after=page.next, limit=limit)
        found = found + page.rows
        assert len(page.rows) <= limit
    assert found == requests


async def test_a_page_of_one_status(database: Database, requests: list[Request]) -> None:
    await transitions.fail(database, requests[1].id, Event.FAILED, "It broke", actor="test")
    page = await listing.requests_of(database, requests[0].user_id, Status.FAILED, START, 10)
    assert ([request.id for request in page.rows], page.next) == ([requests[1].id], None)


async def test_assets_that_were_deleted_do_not_end_the_list(database: Database, requests: list[Request]) -> None:
    for number, request in enumerate(requests[:3]):
        await transitions.complete(database, request.id, Completion(f"b/{number}.png", str(number)), URLS, actor="n8n")
    await database.all("DELETE FROM assets WHERE file_url LIKE '%/0.png'")
    first = await listing.assets_of(database, requests[0].user_id, START, 1)
    assert first.rows == []
    assert first.next is not None, "what comes after a deleted asset is still reached"
    second = await listing.assets_of(database, requests[0].user_id, first.next, 10)
    assert [asset.request.id for asset in second.rows] == [request.id for request in requests[1:3]]
    assert second.next is None
