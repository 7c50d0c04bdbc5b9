"""Money: what requests have cost, and what they are expected to cost while they are unfinished.

There are no counters. A request's row says what it cost (`cost`), or what it may cost (`cost_estimate`) as long as it
is unfinished; so the change that ends a request settles or releases its reservation in itself, and sums cannot drift.
A request belongs to the month in which it was submitted. Amounts are decimals all the way.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from storage.amounts import amount_of
from storage.database.base import Database, Transaction
from storage.errors import BudgetSpent
from storage.queries import spending
from storage.times import instant

MAX_ORGANIZATIONS = 100
"""Most organizations of one user that are summed."""


@dataclass(frozen=True, slots=True)
class Pricing:
    """What requests are expected to cost, and what an organization may spend in a month (UTC); None: no matter."""

    estimate: Decimal | None = None
    budget: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Spending:
    """A month's costs so far."""

    spent: Decimal
    reserved: Decimal
    """What unfinished requests may still cost."""


@dataclass(slots=True)
class Committed:
    """What is gone of an organization's month, by the database's clock."""

    amount: Decimal
    now: datetime
    month: datetime

    def check(self, pricing: Pricing) -> None:
        """Return if one more request fits.

        Raises:
            BudgetSpent: it does not.
        """
        budget, estimate = pricing.budget, pricing.estimate or Decimal(0)
        if budget is not None and (self.amount >= budget or self.amount + estimate > budget):
            renews_at = next_month(self.month)
            raise BudgetSpent(renews_at, max(1, round((renews_at - self.now).total_seconds())))


async def check_budget(tx: Transaction, organization_id: str, pricing: Pricing) -> None:
    """Return if one more request fits into the organization's month. The lock is held to the transaction's end, so
    concurrent submissions, over all processes, cannot overrun the budget together.

    Raises:
        BudgetSpent: it does not.
    """
    if pricing.budget is not None:
        await tx.lock(budget_lock(organization_id))
        (await committed_by(tx, [organization_id]))[organization_id].check(pricing)


def budget_lock(organization_id: str) -> str:
    """The lock under which the organization's budget is read and spent."""
    return f"ai_image_requests:organization:{organization_id}"


async def committed_by(tx: Transaction, organization_ids: Sequence[str]) -> dict[str, Committed]:
    """What each of these organizations has committed."""
    rows = await tx.many(spending.COMMITTED, [{"organization_id": one} for one in organization_ids])
    return {
        one: Committed(amount_of(row["total"]), instant(row["now"]), instant(row["month"]))
        for one, row in zip(organization_ids, rows, strict=True)
    }


def hour_of(value: datetime | str) -> str:
    """What the word `HOUR_OF` returns, as ``2026-01-31T12`` (UTC)."""
    return value[:13] if isinstance(value, str) else value.isoformat()[:13]


def next_month(month: datetime) -> datetime:
    """The beginning of the month after the one that begins at `month`."""
    return (month + timedelta(days=32)).replace(day=1)


async def spending_of_user(database: Database, user_id: str) -> Spending:
    """What the user's requests of this month cost."""
    row = await database.one(spending.SPENT_BY_USER, user_id=user_id)
    assert row is not None, "an aggregate returns a row"  # noqa: S101
    return Spending(amount_of(row["spent"]), amount_of(row["reserved"]))


async def committed_by_organization(database: Database, user_id: str) -> dict[str, Decimal]:
    """What is gone of the month's budget of each organization that the user belongs to."""
    rows = await database.all(spending.ORGANIZATIONS_OF_USER, user_id=user_id, limit=MAX_ORGANIZATIONS)
    ids = [str(row["organization_id"]) for row in rows]
    committed = await database.transaction(lambda tx: committed_by(tx, ids))
    return {one: found.amount for one, found in committed.items()}
