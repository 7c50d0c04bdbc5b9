"""Everyone's requests in every order: pages forwards and backwards are the whole list, whatever is null or equal."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from storage import selection
from storage.database.base import Database
from storage.request import Request
from storage.selection import NEWEST_FIRST, Order, Page, Sort
from storage.submissions import Submission, submit
from tests.people import People

BEGAN = datetime(2026, 1, 31, 12, tzinfo=UTC)

# When it was submitted (seconds after the first), how long it took, what it cost; some twice, some unknown.
ROWS: tuple[tuple[int, float | None, str | None], ...] = (
    (0, 12.345, "0.04"),
    (0, 12.345, "0.04"),
    (1, 12.346, "0.1"),
    (2, None, None),
    (3, 0.0, "0"),
    (4, 86_400.5, "1000000000000"),
    (5, None, None),
    (5, 7.0, None),
    (6, 7.0, "0.040000001"),
    (7, 7.0, "0.123456789012"),
    (8, 12.345, "0.04"),
)


@pytest.fixture
async def requests(database: Database, users_table: str) -> list[Request]:
    """One for each of `ROWS`."""
    person = await People(database, users_table).person()
    submission = Submission(user_id=person.id, product="Shoes", brand="Nike")
    for seconds, took, cost in ROWS:
        made = (await submit(database, submission, quota=100, deadline_seconds=900)).request
        begun = BEGAN + timedelta(seconds=seconds)
        await database.all(
            "UPDATE ai_image_requests SET created_at = :begun, completed_at = :ended, cost = :cost WHERE id = :id",
            id=made.id,
            begun=begun,
            ended=None if took is None else begun + timedelta(seconds=took),
            cost=None if cost is None else Decimal(cost),
        )
    page = await selection.page(database, {}, NEWEST_FIRST, 100)
    assert len(page.rows) == len(ROWS)
    return page.rows


KEYS: dict[Sort, Callable[[Request], Any]] = {
    Sort.TIME: lambda request: request.created_at - BEGAN,
    Sort.DURATION: lambda request: None if request.completed_at is None else request.completed_at - request.created_at,
    Sort.COST: lambda request: request.cost,
}

ORDERS = [Order(sort, ascending) for sort in Sort for ascending in (False, True)]


def expected(requests: list[Request], order: Order) -> list[str]:
    """The ids in that order, as Python sorts them: what has no key comes last."""
    key = KEYS[order.sort]
    known = [request for request in requests if key(request) is not None]
    unknown = [request for request in requests if key(request) is None]
    known.sort(key=lambda one: (key(one), one.created_at, one.id), reverse=not order.ascending)
    unknown.sort(key=lambda one: (one.created_at, one.id), reverse=not order.ascending)
    return [request.id for request in (*known, *unknown)]


def ids(page: Page) -> list[str]:
    return [request.id for request in page.rows]


@pytest.mark.parametrize("order", ORDERS, ids=str)
async def test_pages_forwards_are_the_whole_list(database: Database, requests: list[Request], order: Order) -> None:
    whole = expected(requests, order)
    for limit in (1, 2, 3, len(ROWS), 100):
        page = await selection.page(database, {}, order, limit)
        assert page.previous is None
        found = ids(page)
        while page.next is not None:
            page = await selection.page(database, {}, order, limit, after=page.next)
            assert 0 < len(page.rows) <= limit
            found += ids(page)
        assert found == whole, limit


@pytest.mark.parametrize("order", ORDERS, ids=str)
async def test_pages_backwards_are_the_same_pages(database: Database, requests: list[Request], order: Order) -> None:
    for limit in (1, 2, 3):
        pages = [await selection.page(database, {}, order, limit)]
        while (after := pages[-1].next) is not None:
            pages.append(await selection.page(database, {}, order, limit, after=after))
        for page, following in pairwise(pages):
            assert following.previous is not None
            before = await selection.page(database, {}, order, limit, before=following.previous)
            assert before.rows == page.rows
            assert before.next is not None
            assert before.next == page.next
            assert (before.previous is None) == (page is pages[0])


@pytest.mark.parametrize("order", ORDERS, ids=str)
async def test_what_comes_in_meanwhile_moves_no_page(
    database: Database, requests: list[Request], order: Order, users_table: str
) -> None:
    whole = expected(requests, order)
    first = await selection.page(database, {}, order, 4)
    person = await People(database, users_table).person()
    submission = Submission(user_id=person.id, product="Hats", brand="Ilo")
    late = (await submit(database, submission, quota=100, deadline_seconds=900)).request
    rest = await selection.page(database, {}, order, 100, after=first.next)
    found = [one for one in (*ids(first), *ids(rest)) if one != late.id]
    assert found == whole


async def test_where_no_whole_page_is_before_the_first_one_is_meant(
    database: Database, requests: list[Request]
) -> None:
    second = await selection.page(
        database, {}, NEWEST_FIRST, 2, after=(await selection.page(database, {}, NEWEST_FIRST, 2)).next
    )
    page = await selection.page(database, {}, NEWEST_FIRST, 5, before=second.previous)
    assert page.rows == requests[:5], "half a page would hide what is newest"
    assert page.previous is None


async def test_filters_and_orders_together(database: Database, requests: list[Request]) -> None:
    filters: dict[str, object] = {"since": BEGAN + timedelta(seconds=3), "until": BEGAN + timedelta(seconds=8)}
    chosen = [one for one in requests if 3 <= (one.created_at - BEGAN).total_seconds() < 8]
    for order in ORDERS:
        assert ids(await selection.page(database, filters, order, 100)) == expected(chosen, order)
    assert await selection.count(database, filters, 100) == len(chosen)
    assert await selection.count(database, filters, 3) == 3


@pytest.mark.parametrize(
    ("text", "pattern"),
    [("Nike", "%Nike%"), ("100%", "%100!%%"), ("a_b", "%a!_b%"), ("wow!", "%wow!!%"), ("", "%%")],
)
def test_a_search_finds_signs_as_they_are(text: str, pattern: str) -> None:
    assert selection.like(text) == pattern
