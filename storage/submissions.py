"""Taking a submission in: membership, idempotency, the rolling hour and the row, in one transaction."""

import hashlib
import json
import math
import uuid
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal

from storage.costs import Pricing, check_budget
from storage.database.base import Database, Transaction
from storage.errors import IdempotencyConflict, NoOrganization, NotAMember, OrganizationRequired, RateLimited
from storage.events import record
from storage.queries import submitting
from storage.request import Request
from storage.times import instant

WINDOW = timedelta(hours=1)
"""The rolling window of the rate limit."""

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

    The user's lock orders concurrent submissions over all processes, so count and insert cannot interleave.

    Raises:
        NoOrganization, OrganizationRequired, NotAMember, IdempotencyConflict, RateLimited, BudgetSpent: nothing was
            written.
    """
    user_id = submission.user_id

    async def work(tx: Transaction) -> Submitted:
        await tx.lock(f"ai_image_requests:user:{user_id}")
        if submission.idempotency_key is not None:
            row = await tx.one(
                submitting.SUBMITTED_WITH_KEY,
                user_id=user_id,
                idempotency_key=submission.idempotency_key,
                minus_day=-KEY_LIFETIME.total_seconds(),
            )
            if row is not None:
                if row["idempotency_hash"] != submission.fingerprint():
                    raise IdempotencyConflict("the key was used with another body")
                remaining, reset = await _remaining(tx, user_id, quota)
                return Submitted(Request.from_row(row), remaining, reset, repeated=True)
            await tx.all(submitting.FORGET_KEY, user_id=user_id, idempotency_key=submission.idempotency_key)
        organization_id = await _organization(tx, submission)
        remaining, reset = await _remaining(tx, user_id, quota)
        if remaining <= 0:
            raise RateLimited(quota, retry_after=reset)
        await check_budget(tx, organization_id, pricing)
        request = await create(
            tx,
            submission,
            organization_id,
            actor=f"user:{user_id}",
            deadline_seconds=deadline_seconds,
            estimate=pricing.estimate,
        )
        full_window = math.ceil(WINDOW.total_seconds())
        return Submitted(request, remaining - 1, reset if remaining < quota else full_window, repeated=False)

    return await database.transaction(work)


async def create(
    tx: Transaction,
    submission: Submission,
    organization_id: str,
    *,
    actor: str,
    deadline_seconds: float,
    estimate: Decimal | None,
) -> Request:
    """Insert the request and its first event. The caller has checked every rule."""
    row = await tx.one(
        submitting.INSERT,
        id=str(uuid.uuid4()),
        user_id=submission.user_id,
        organization_id=organization_id,
        product=submission.product,
        brand=submission.brand,
        metadata=json.dumps(submission.metadata),
        idempotency_key=submission.idempotency_key,
        idempotency_hash=None if submission.idempotency_key is None else submission.fingerprint(),
        retry_of=submission.retry_of,
        picture_token=str(uuid.uuid4()),
        cost_estimate=estimate,
        deadline=deadline_seconds,
    )
    assert row is not None, "INSERT … RETURNING returns its row"  # noqa: S101
    request = Request.from_row(row)
    await record(tx, request, "submitted", actor, {"retryOf": submission.retry_of})
    return request


async def _organization(tx: Transaction, submission: Submission) -> str:
    if submission.organization_id is not None:
        row = await tx.one(
            submitting.MEMBERSHIP, user_id=submission.user_id, organization_id=submission.organization_id
        )
        if row is None:
            raise NotAMember("the user is not a member of that organization")
        return submission.organization_id
    rows = await tx.all(submitting.MEMBERSHIPS, user_id=submission.user_id)
    if not rows:
        raise NoOrganization("the user is a member of no organization")
    if len(rows) > 1:
        raise OrganizationRequired("the user is a member of several organizations")
    return str(rows[0]["organization_id"])


async def remaining_quota(database: Database, user_id: str, quota: int) -> tuple[int, int]:
    """What is left of the user's quota in the window, and the seconds until it grows by one."""
    return await database.transaction(lambda tx: _remaining(tx, user_id, quota))


async def _remaining(tx: Transaction, user_id: str, quota: int) -> tuple[int, int]:
    """What is left of the quota in the window, and the seconds until it grows by one."""
    row = await tx.one(submitting.USED, user_id=user_id, quota=quota, minus_window=-WINDOW.total_seconds())
    assert row is not None, "an aggregate returns a row"  # noqa: S101
    if row["oldest"] is None:
        return quota, 0
    left = instant(row["oldest"]) + WINDOW - instant(row["now"])
    return quota - row["used"], max(1, math.ceil(left.total_seconds()))
