"""Taking submissions in: membership, idempotency, the rolling hour and the row, in one transaction.

Those that arrive together share a transaction: one round trip locks all their users, one reads what they are judged by,
one writes what came of them. `_Intake.take` holds the order of the rules.
"""

import hashlib
import json
import math
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal

from storage.costs import Committed, Pricing, budget_lock, committed_by
from storage.database.base import Database, Row, Transaction
from storage.errors import (
    DatabaseUnavailable,
    IdempotencyConflict,
    NoOrganization,
    NotAMember,
    OrganizationRequired,
    RateLimited,
    Refusal,
    RowGone,
    UserGone,
)
from storage.events import event_values
from storage.queries import life, submitting
from storage.quota import WINDOW, QuotaWindow
from storage.request import Request

FREE = Pricing()

KEY_LIFETIME = timedelta(hours=24)
"""How long an idempotency key is remembered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What a user asks for."""

    user_id: str
    product: str
    brand: str
    organization_id: str | None = None
    idempotency_key: str | None = None
    retry_of: str | None = None
    cancel_after: int | None = None
    """Seconds after which it is canceled by itself, if it has not ended."""
    metadata: dict[str, str] = field(default_factory=dict)

    def fingerprint(self) -> str:
        """What must be equal for an idempotency key to mean the same submission."""
        asked = [self.product, self.brand, self.organization_id]
        return hashlib.sha256(json.dumps(asked).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Submitted:
    """A request that exists now, and what is left of the user's quota."""

    request: Request
    remaining: int
    reset_seconds: int
    """Seconds until what remains grows by one."""
    repeated: bool
    """Whether it existed before: an idempotency key was used again."""


async def submit(
    database: Database,
    submission: Submission,
    *,
    quota: int,
    deadline_seconds: float,
    pricing: Pricing = FREE,
) -> Submitted:
    """Create the request, or return the one that its idempotency key already made.

    The user's lock orders concurrent submissions over all processes, so count and insert cannot interleave. A shared
    transaction never waits for a lock: whom it cannot lock, and whoever shared it with one that failed, goes alone.

    Raises:
        UserGone, NoOrganization, OrganizationRequired, NotAMember, IdempotencyConflict, RateLimited, BudgetSpent:
            nothing was written.
    """
    intake = _Intake(database, quota, deadline_seconds, pricing)
    try:
        result = await database.together(intake, submission)
    except DatabaseUnavailable:
        raise
    except Exception:  # noqa: BLE001 - perhaps another's fault; if it is this one's, it comes again
        result = None
    if result is None:
        try:
            (result,) = await database.transaction(lambda tx: intake.take(tx, [submission], wait=True))
        except RowGone as gone:
            raise await _gone(database, submission, gone) from gone
    assert result is not None, "who waits for the locks gets them"  # noqa: S101
    if isinstance(result, Refusal):
        raise result
    return result


async def _gone(database: Database, submission: Submission, gone: RowGone) -> Refusal:
    """The refusal of a submission whose user or organization was deleted, though the members' table has them."""
    values = {"user_id": submission.user_id, "organization_id": submission.organization_id}
    if gone.place is None:  # SQLite does not say which
        row = await database.one(submitting.ORGANIZATIONS, **values)
        user = row is not None and row["organizations"] > 0
    else:
        user = gone.place == "user_id"
    if user:
        return UserGone("the user has been deleted")
    if submission.organization_id is not None:
        return NotAMember("the organization has been deleted")
    return NoOrganization("the user's organization has been deleted")


@dataclass(slots=True)
class New:
    """A request that keeps every rule and is to be written."""

    submission: Submission
    organization_id: str
    actor: str
    request: Request | None = None
    """Once it is written."""


async def create(
    tx: Transaction, each: Sequence[New], *, deadline_seconds: float, estimate: Decimal | None
) -> list[Request]:
    """Insert the requests and their first events, in one round trip. The caller has checked every rule."""
    steps = {"changed": submitting.INSERT, "event": life.INSERT_EVENT_OF_CHANGE}
    rows = await tx.chain(
        steps,
        [
            {
                "id": str(uuid.uuid4()),
                "user_id": new.submission.user_id,
                "organization_id": new.organization_id,
                "product": new.submission.product,
                "brand": new.submission.brand,
                "metadata": json.dumps(new.submission.metadata),
                "idempotency_key": new.submission.idempotency_key,
                "idempotency_hash": None if new.submission.idempotency_key is None else new.submission.fingerprint(),
                "retry_of": new.submission.retry_of,
                "picture_token": str(uuid.uuid4()),
                "cost_estimate": estimate,
                "deadline": deadline_seconds,
                "cancel_after": new.submission.cancel_after,
                **event_values("submitted", new.actor, {"retryOf": new.submission.retry_of}),
            }
            for new in each
        ],
    )
    for new, row in zip(each, rows, strict=True):
        new.request = Request.from_row(row)
    return [new.request for new in each if new.request is not None]


@dataclass(frozen=True, slots=True)
class _Accepted:
    """A request that was made before, or one that is to be written, and what its submitter is told."""

    made: New | Request
    remaining: int
    reset_seconds: int
    repeated: bool

    def submitted(self) -> Submitted:
        request = self.made.request if isinstance(self.made, New) else self.made
        assert request is not None, "it has been written"  # noqa: S101
        return Submitted(request, self.remaining, self.reset_seconds, self.repeated)


@dataclass(slots=True)
class _Found:
    """What the database said about a batch, and what the batch has added since."""

    by_key: dict[tuple[str, str], tuple[str, New | Request]]
    """The fingerprint and the request of each user's key."""
    windows: dict[str, QuotaWindow]
    budgets: dict[str, Committed]
    """Of the organizations whose budget this transaction has locked."""
    new: list[New] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Intake:
    """Takes submissions in, all on the same terms."""

    database: Database
    quota: int
    deadline_seconds: float
    pricing: Pricing

    async def __call__(self, submissions: Sequence[Submission]) -> list[Submitted | Refusal | None]:
        return await self.database.transaction(lambda tx: self.take(tx, submissions, wait=False))

    async def take(
        self, tx: Transaction, submissions: Sequence[Submission], *, wait: bool
    ) -> list[Submitted | Refusal | None]:
        """What becomes of each; None if a lock it needs is held elsewhere (never with `wait`)."""
        locked = await _locked(tx, {_user_lock(one.user_id) for one in submissions}, wait=wait)
        mine = [one for one in submissions if _user_lock(one.user_id) in locked]
        by_key = await _made_with_keys(tx, mine)
        rules = await tx.many(
            submitting.RULES,
            [
                {
                    "user_id": one.user_id,
                    "organization_id": one.organization_id,
                    "quota": self.quota,
                    "minus_window": -WINDOW.total_seconds(),
                }
                for one in mine
            ],
        )
        windows = {one.user_id: QuotaWindow.of(row) for one, row in zip(mine, rules, strict=True)}
        organizations = {str(row["organization_id"]) for row in rules if row["memberships"] == 1}
        found = _Found(by_key, windows, await self._budgets(tx, organizations, wait=wait))
        judged = iter([self._judged(one, row, found) for one, row in zip(mine, rules, strict=True)])
        await create(tx, found.new, deadline_seconds=self.deadline_seconds, estimate=self.pricing.estimate)
        results = [next(judged) if _user_lock(one.user_id) in locked else None for one in submissions]
        return [result.submitted() if isinstance(result, _Accepted) else result for result in results]

    async def _budgets(self, tx: Transaction, organizations: set[str], *, wait: bool) -> dict[str, Committed]:
        if self.pricing.budget is None:
            return {}
        locked = await _locked(tx, {budget_lock(one) for one in organizations}, wait=wait)
        return await committed_by(tx, [one for one in organizations if budget_lock(one) in locked])

    def _judged(self, submission: Submission, row: Row, found: _Found) -> _Accepted | Refusal | None:
        try:
            return self._judge(submission, row, found)
        except Refusal as refusal:
            return refusal

    def _judge(self, submission: Submission, row: Row, found: _Found) -> _Accepted | None:
        """The rules, in their order; None if another transaction holds the organization's budget."""
        user_id, key = submission.user_id, submission.idempotency_key
        window = found.windows[user_id]
        remaining, reset = window.remaining(self.quota)
        if key is not None and (known := found.by_key.get((user_id, key))) is not None:
            fingerprint, made = known
            if fingerprint != submission.fingerprint():
                raise IdempotencyConflict("the key was used with another body")
            return _Accepted(made, remaining, reset, repeated=True)
        organization_id = _organization(submission, row)
        if remaining <= 0:
            raise RateLimited(self.quota, retry_after=reset)
        if self.pricing.budget is not None:
            committed = found.budgets.get(organization_id)
            if committed is None:
                return None
            committed.check(self.pricing)
            committed.amount += self.pricing.estimate or 0
        new = New(submission, organization_id, actor=f"user:{user_id}")
        found.new.append(new)
        if key is not None:
            found.by_key[user_id, key] = (submission.fingerprint(), new)
        window.add()
        full_window = math.ceil(WINDOW.total_seconds())
        return _Accepted(new, remaining - 1, reset if remaining < self.quota else full_window, repeated=False)


def _user_lock(user_id: str) -> str:
    return f"ai_image_requests:user:{user_id}"


async def _locked(tx: Transaction, names: Iterable[str], *, wait: bool) -> set[str]:
    """The locks of `names` that are held now."""
    if not wait:
        return await tx.lock_free(sorted(names))
    for name in sorted(names):
        await tx.lock(name)
    return set(names)


async def _made_with_keys(
    tx: Transaction, submissions: Sequence[Submission]
) -> dict[tuple[str, str], tuple[str, New | Request]]:
    """What the submissions' keys have made. Keys that have grown old are forgotten."""
    lifetime = -KEY_LIFETIME.total_seconds()
    keys = {(one.user_id, one.idempotency_key) for one in submissions if one.idempotency_key is not None}
    values = [{"user_id": user_id, "idempotency_key": key, "minus_day": lifetime} for user_id, key in keys]
    rows = await tx.many(submitting.SUBMITTED_WITH_KEY, values)
    old = [row for row in rows if not row["remembered"]]
    await tx.many(
        submitting.FORGET_KEY,
        [{"user_id": str(row["user_id"]), "idempotency_key": row["idempotency_key"]} for row in old],
    )
    return {
        (str(row["user_id"]), row["idempotency_key"]): (row["idempotency_hash"], Request.from_row(row))
        for row in rows
        if row["remembered"]
    }


def _organization(submission: Submission, row: Row) -> str:
    if submission.organization_id is not None:
        if row["memberships"] == 0:
            raise NotAMember("the user is not a member of that organization")
        return submission.organization_id
    if row["memberships"] == 0:
        raise NoOrganization("the user is a member of no organization")
    if row["memberships"] > 1:
        raise OrganizationRequired("the user is a member of several organizations")
    return str(row["organization_id"])
