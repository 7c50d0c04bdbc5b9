"""Budgets: exact, by the month, and never overrun, whoever submits at once."""

import asyncio
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from storage import costs
from storage.costs import Committed, Pricing
from storage.database.base import Database
from storage.errors import BudgetSpent
from storage.submissions import Submission, submit
from tests.people import People

JANUARY = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("amount", "estimate", "fits"),
    [("0.20", "0.10", True), ("0.21", "0.10", False), ("0.29", None, True), ("0.30", None, False)],
)
def test_what_fits(amount: str, estimate: str | None, fits: bool) -> None:
    pricing = Pricing(None if estimate is None else Decimal(estimate), Decimal("0.30"))
    committed = Committed(Decimal(amount), JANUARY.replace(day=31, hour=23), JANUARY)
    if fits:
        committed.check(pricing)
        return
    with pytest.raises(BudgetSpent) as refused:
        committed.check(pricing)
    assert (refused.value.renews_at, refused.value.retry_after) == (datetime(2026, 2, 1, tzinfo=UTC), 3600)


def test_without_a_budget_everything_fits() -> None:
    Committed(Decimal(10**9), JANUARY, JANUARY).check(Pricing(Decimal("0.10"), None))


@pytest.mark.parametrize("at_once", [True, False])
async def test_one_users_budget_is_never_overrun(database: Database, users_table: str, at_once: bool) -> None:
    person = await People(database, users_table).person()
    submission = Submission(user_id=person.id, product="Shoes", brand="Nike")
    pricing = Pricing(Decimal("0.10"), Decimal("0.30"))

    async def one() -> object:
        try:
            return await submit(database, submission, quota=100, deadline_seconds=900, pricing=pricing)
        except BudgetSpent as refusal:
            return refusal

    results = await asyncio.gather(*(one() for _ in range(8))) if at_once else [await one() for _ in range(8)]
    assert [isinstance(result, BudgetSpent) for result in results] == [False] * 3 + [True] * 5
    committed = await costs.committed_by_organization(database, person.id)
    assert committed == {person.organizations[0]: Decimal("0.30")}
    spending = await costs.spending_of_user(database, person.id)
    assert (spending.spent, spending.reserved) == (Decimal(0), Decimal("0.30"))
