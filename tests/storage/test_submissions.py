"""Taking submissions in: who may, how often, and once only."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from storage.costs import Pricing
from storage.database.base import Database, Transaction
from storage.database.open import open_database
from storage.errors import (
    BudgetSpent,
    IdempotencyConflict,
    NoOrganization,
    NotAMember,
    OrganizationRequired,
    RateLimited,
)
from storage.submissions import Submission, Submitted, submit
from tests.people import People


@pytest.fixture
def people(database: Database, users_table: str) -> People:
    return People(database, users_table)


async def take(database: Database, user_id: str, quota: int = 10, **more: Any) -> Submitted:
    submission = Submission(user_id=user_id, product=more.pop("product", "Shoes"), brand="Nike", **more)
    return await submit(database, submission, quota=quota, deadline_seconds=900)


async def rows(database: Database) -> int:
    return len(await database.all("SELECT id FROM ai_image_requests"))


async def test_concurrent_submissions_cannot_slip_past_the_limit(database: Database, people: People) -> None:
    person = await people.person()
    results = await asyncio.gather(*(take(database, person.id) for _ in range(24)), return_exceptions=True)
    assert sum(isinstance(result, Submitted) for result in results) == 10
    assert sum(isinstance(result, RateLimited) for result in results) == 14
    assert await rows(database) == 10


async def test_the_hour_rolls(database: Database, people: People) -> None:
    person = await people.person()
    for _ in range(3):
        await take(database, person.id, quota=3)
    with pytest.raises(RateLimited) as refused:
        await take(database, person.id, quota=3)
    assert 3590 <= refused.value.retry_after <= 3600
    await _age(database, minutes=59)
    with pytest.raises(RateLimited) as refused:
        await take(database, person.id, quota=3)
    assert 50 <= refused.value.retry_after <= 60
    await _age(database, minutes=2)
    assert (await take(database, person.id, quota=3)).remaining == 2


async def test_a_lowered_limit_says_when_there_is_room_again(database: Database, people: People) -> None:
    person = await people.person()
    for _ in range(5):
        await take(database, person.id)
        await _age(database, minutes=10)
    with pytest.raises(RateLimited) as refused:
        await take(database, person.id, quota=2)
    # The second newest was made 20 minutes ago; only when it leaves the window is there a place.
    assert abs(refused.value.retry_after - 40 * 60) <= 2


async def test_what_is_left_is_told(database: Database, people: People) -> None:
    person = await people.person()
    first, second = await take(database, person.id, quota=2), await take(database, person.id, quota=2)
    assert [first.remaining, second.remaining] == [1, 0]
    assert first.reset_seconds == 3600
    assert 3599 <= second.reset_seconds <= 3600


async def test_one_users_hour_is_not_anothers(database: Database, people: People) -> None:
    ada, eve = await people.person(), await people.person()
    await take(database, ada.id, quota=1)
    assert (await take(database, eve.id, quota=1)).remaining == 0


async def test_the_same_key_and_body_is_the_same_request(database: Database, people: People) -> None:
    person = await people.person()
    results = await asyncio.gather(*(take(database, person.id, idempotency_key="k") for _ in range(16)))
    assert len({result.request.id for result in results}) == 1
    assert sum(not result.repeated for result in results) == 1
    assert await rows(database) == 1


async def test_the_key_is_looked_at_before_the_limit(database: Database, people: People) -> None:
    person = await people.person()
    first = await take(database, person.id, quota=1, idempotency_key="k")
    again = await take(database, person.id, quota=1, idempotency_key="k")
    assert (again.request.id, again.repeated) == (first.request.id, True)


async def test_another_body_under_the_same_key_is_refused(database: Database, people: People) -> None:
    person = await people.person()
    await take(database, person.id, idempotency_key="k")
    with pytest.raises(IdempotencyConflict):
        await take(database, person.id, idempotency_key="k", product="Boots")
    assert await rows(database) == 1


async def test_a_key_is_its_users_own(database: Database, people: People) -> None:
    ada, eve = await people.person(), await people.person()
    first = await take(database, ada.id, idempotency_key="k")
    assert (await take(database, eve.id, idempotency_key="k")).request.id != first.request.id


async def test_a_key_is_forgotten_after_a_day(database: Database, people: People) -> None:
    person = await people.person()
    first = await take(database, person.id, idempotency_key="k")
    await _age(database, minutes=24 * 60 + 1)
    second = await take(database, person.id, idempotency_key="k", product="Boots")
    assert second.request.id != first.request.id


async def test_a_refusal_is_not_stored(database: Database, people: People) -> None:
    person = await people.person()
    await take(database, person.id, quota=1)
    with pytest.raises(RateLimited):
        await take(database, person.id, quota=1, idempotency_key="k")
    assert not (await take(database, person.id, quota=2, idempotency_key="k")).repeated


async def test_membership(database: Database, people: People) -> None:
    nobody, member, both = await people.person(0), await people.person(1), await people.person(2)
    with pytest.raises(NoOrganization):
        await take(database, nobody.id)
    with pytest.raises(OrganizationRequired):
        await take(database, both.id)
    with pytest.raises(NotAMember):
        await take(database, member.id, organization_id=both.organizations[0])
    named = await take(database, both.id, organization_id=both.organizations[1])
    assert named.request.organization_id == both.organizations[1]
    assert await rows(database) == 1


async def test_one_that_fails_takes_nobody_with_it(database: Database, people: People) -> None:
    """They share a transaction: the database refuses it, and each goes alone."""
    persons = [await people.person() for _ in range(4)]
    products: list[Any] = ["Shoes", None, "Boots", "Hats"]  # the API lets none through without a product
    results = await asyncio.gather(
        *(take(database, one.id, product=product) for one, product in zip(persons, products, strict=True)),
        return_exceptions=True,
    )
    assert [isinstance(result, Submitted) for result in results] == [True, False, True, True]
    assert await rows(database) == 3


async def test_submissions_of_one_transaction_are_judged_one_after_the_other(
    database: Database, people: People
) -> None:
    ada, eve, nobody = await people.person(), await people.person(), await people.person(0)
    results = await asyncio.gather(
        take(database, ada.id, quota=2),
        take(database, eve.id, quota=2, idempotency_key="k"),
        take(database, ada.id, quota=2, idempotency_key="k"),
        take(database, nobody.id, quota=2),
        take(database, ada.id, quota=2),
        take(database, ada.id, quota=2, idempotency_key="k"),
        take(database, eve.id, quota=2, idempotency_key="k", product="Boots"),
        return_exceptions=True,
    )
    made = [result for result in results if isinstance(result, Submitted)]
    assert [(one.remaining, one.repeated) for one in made] == [(1, False), (1, False), (0, False), (0, True)]
    assert made[3].request == made[2].request
    assert [type(result) for result in results if isinstance(result, Exception)] == [
        NoOrganization,
        RateLimited,
        IdempotencyConflict,
    ]
    events = await database.all("SELECT kind, actor FROM ai_request_events ORDER BY id")
    users = [ada.id, eve.id, ada.id]
    assert [(row["kind"], row["actor"]) for row in events] == [("submitted", f"user:{user}") for user in users]


@pytest.mark.parametrize("backend", ["postgres"], indirect=True)
async def test_a_user_whom_another_process_has_locked_delays_nobody_else(database: Database, people: People) -> None:
    ada, eve = await people.person(), await people.person()
    held, go_on = asyncio.Event(), asyncio.Event()

    async def hold(tx: Transaction) -> None:
        await tx.lock(f"ai_image_requests:user:{ada.id}")
        held.set()
        await go_on.wait()

    holder = asyncio.create_task(database.transaction(hold))
    await held.wait()
    waiting = asyncio.create_task(take(database, ada.id))
    for _ in range(3):
        await take(database, eve.id)
    assert not waiting.done()
    go_on.set()
    await holder
    assert (await waiting).remaining == 9


@pytest.mark.parametrize("backend", ["postgres"], indirect=True)
async def test_two_processes_share_one_limit_and_one_budget(
    database: Database, database_url: str, people: People
) -> None:
    ada, eve = await people.person(), await people.person()
    colleagues = "UPDATE organization_members SET organization_id = :organization_id WHERE user_id = :user_id"
    await database.all(colleagues, organization_id=ada.organizations[0], user_id=eve.id)
    pricing = Pricing(Decimal("0.10"), Decimal("0.50"))
    async with open_database(database_url) as other:
        results = await asyncio.gather(
            *(
                submit(
                    process,
                    Submission(user_id=person.id, product="Shoes", brand="Nike"),
                    quota=3,
                    deadline_seconds=900,
                    pricing=pricing,
                )
                for _ in range(8)
                for person in (ada, eve)
                for process in (database, other)
            ),
            return_exceptions=True,
        )
    assert {type(result) for result in results} == {Submitted, RateLimited, BudgetSpent}
    made = [result.request.user_id for result in results if isinstance(result, Submitted)]
    assert len(made) == await rows(database) == 5
    assert max(made.count(person.id) for person in (ada, eve)) == 3


async def _age(database: Database, *, minutes: int) -> None:
    """Make every request that much older."""
    for row in await database.all("SELECT id, created_at FROM ai_image_requests"):
        created = row["created_at"]
        moment = created if isinstance(created, datetime) else datetime.fromisoformat(created)
        earlier = moment.astimezone(UTC) - timedelta(minutes=minutes)
        await database.all("UPDATE ai_image_requests SET created_at = :at WHERE id = :id", at=earlier, id=row["id"])
