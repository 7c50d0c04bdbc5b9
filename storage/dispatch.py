"""The durable side of dispatch: who may send a request to n8n, and what is known of the sending.

    due ──claim──▶ leased ──mark──▶ sending ──▶ accepted | refused | due again | in doubt

A crash before the mark lets the lease run out and another process claims the row. After the mark it may have been
sent, so nobody sends it again unless n8n itself proved that it did not start.
"""

import contextlib

from storage.database.base import Database, Transaction
from storage.database.turns import urgent
from storage.errors import RowGone
from storage.events import change, record
from storage.queries import sending
from storage.request import Request
from storage.times import instant

LEASE_SECONDS = 30.0
"""How long a claim is held before another process may take the row over."""

IN_DOUBT_SECONDS = 5.0
"""How soon n8n is probed for a request that is in doubt: an execution takes a moment to appear."""


@urgent
async def claim(database: Database, lease: str, limit: int) -> list[Request]:
    """Take up to `limit` due requests under `lease`, a name never used before, for `LEASE_SECONDS`."""
    rows = await database.all(sending.CLAIM, lease=lease, seconds=LEASE_SECONDS, limit=limit)
    return [Request.from_row(row) for row in rows]


@urgent
async def mark_sending(
    database: Database, request_id: str, lease: str, deadline_seconds: float, probe_seconds: float | None = None
) -> Request | None:
    """Record that the request is about to be sent; None if it is no longer the lease's to send.

    The deadline starts anew here, so that time spent waiting for n8n to come back is not the workflow's loss. If after
    `probe_seconds` nothing more is known (the sender died), n8n is to be probed; None where it cannot be.
    """

    steps = {"changed": sending.MARK_SENDING, "event": sending.INSERT_SENDING}
    probe = None if probe_seconds is None else min(probe_seconds, deadline_seconds)
    times = {"deadline": deadline_seconds, "probe": probe}
    row = await database.chain(steps, id=request_id, lease=lease, **times)
    return None if row is None else Request.from_row(row)


@urgent
async def send_again(
    database: Database, request_id: str, lease: str, *, delay: float, reason: str, unregistered: bool
) -> Request | None:
    """End the lease and let the request be due in `delay` seconds: n8n has proved that it did not start."""
    detail = {"reason": reason, "delaySeconds": round(delay, 1)}
    values = {"id": request_id, "lease": lease, "delay": delay, "unregistered": int(unregistered)}
    return await change(database, sending.SEND_AGAIN, "send_again", lease, detail, **values)


@urgent
async def send_disproved(database: Database, request: Request, *, actor: str) -> Request | None:
    """Let a request in doubt be due again: n8n itself says that it has no execution of it.

    None if it is not in doubt any more, or its deadline has passed.
    """

    reason = {"reason": "n8n has no execution of it"}
    values = {"id": request.id, "attempts": request.dispatch_attempts}
    return await change(database, sending.SEND_DISPROVED, "send_again", actor, reason, **values)


@urgent
async def record_in_doubt(database: Database, request: Request, lease: str, reason: str) -> None:
    """Record that nobody knows whether n8n has it. The mark stays, so it is never sent again.

    Where n8n can be probed, it soon is.
    """

    async def work(tx: Transaction) -> None:
        await tx.all(sending.PROBE_SOON, id=request.id, seconds=IN_DOUBT_SECONDS)
        await record(tx, request, "in_doubt", lease, {"reason": reason})

    with contextlib.suppress(RowGone):  # its user was deleted meanwhile, and it with them
        await database.transaction(work)


@urgent
async def release(database: Database, request_id: str, lease: str) -> None:
    """End the lease at once. The caller knows that nothing was sent under it, whether or not it is marked."""
    await database.all(sending.RELEASE, id=request_id, lease=lease)


@urgent
async def seconds_unregistered(database: Database, request_id: str) -> float:
    """Seconds since n8n first answered that it does not know the webhook, by the database's clock; 0 if it does."""
    row = await database.one(sending.UNREGISTERED_SINCE, id=request_id)
    if row is None or row["since"] is None:
        return 0.0
    return (instant(row["now"]) - instant(row["since"])).total_seconds()
