"""Money: what requests have cost, and what they are expected to cost while they are unfinished.

There are no counters. A request's row says what it cost (`cost`), or what it may cost (`cost_estimate`) as long as it
is unfinished; so the change that ends a request settles or releases its reservation in itself, and sums cannot drift.
A request belongs to the month in which it was submitted. Amounts are decimals all the way.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from storage import queries
from storage.database import Database, Row, Transaction
from storage.errors import BudgetSpent
from storage.request import instant

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


async def check_budget(tx: Transaction, organization_id: str, pricing: Pricing) -> None:
    """Return if one more request fits into the organization's month. The lock is held to the transaction's end, so
    concurrent submissions, over all processes, cannot overrun the budget together.

    Raises:
        BudgetSpent: it does not.
    """
    if pricing.budget is None:
        return
    await tx.lock(f"ai_image_requests:organization:{organization_id}")
    committed = total(await tx.all(queries.COMMITTED, organization_id=organization_id))
    if committed >= pricing.budget or committed + (pricing.estimate or 0) > pricing.budget:
        row = await tx.one(queries.MONTH_ENDS)
        assert row is not None, "the clock always answers"  # noqa: S101
        renews_at = next_month(instant(row["month"]))
        raise BudgetSpent(renews_at, max(1, round((renews_at - instant(row["now"])).total_seconds())))


def total(rows: Iterable[Row]) -> Decimal:
    """The sum of `amount` times `times`."""
    return sum((Decimal(row["amount"]) * row["times"] for row in rows), Decimal(0))


def next_month(month: datetime) -> datetime:
    """The beginning of the month after the one that begins at `month`."""
    return (month + timedelta(days=32)).replace(day=1)


async def spending_of_user(database: Database, user_id: str) -> Spending:
    """What the user's requests of this month cost."""
    rows = await database.all(queries.SPENT_BY_USER, user_id=user_id)
    return Spending(total(row for row in rows if row["is_spent"]), total(row for row in rows if not row["is_spent"]))


async def committed_by_organization(database: Database, user_id: str) -> dict[str, Decimal]:
    """What is gone of the month's budget of each organization that the user belongs to."""
    rows = await database.all(queries.ORGANIZATIONS_OF_USER, user_id=user_id, limit=MAX_ORGANIZATIONS)
    ids = [str(row["organization_id"]) for row in rows]
    return {one: total(await database.all(queries.COMMITTED, organization_id=one)) for one in ids}
