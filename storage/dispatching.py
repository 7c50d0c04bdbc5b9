"""The durable side of dispatch: who may send a request to n8n, and what is known of the sending.

    due ──claim──▶ leased ──mark──▶ sending ──▶ accepted | refused | due again | in doubt

A crash before the mark lets the lease run out and another process claims the row. After the mark it may have been
sent, so nobody sends it again unless n8n itself proved that it did not start.
"""

from storage import queries
from storage.database import Database, Transaction
from storage.request import Request, instant
from storage.requests import record

LEASE_SECONDS = 30.0
"""How long a claim is held before another process may take the row over."""


async def claim(database: Database, worker: str, limit: int) -> list[Request]:
    """Take up to `limit` due requests for `worker`; each stays its own for `LEASE_SECONDS`."""
    rows = await database.all(queries.CLAIM, worker=worker, lease=LEASE_SECONDS, limit=limit)
    return [Request.from_row(row) for row in rows]


async def mark_sending(database: Database, request_id: str, worker: str, deadline_seconds: float) -> Request | None:
    """Write down that the request is about to be sent; None if it is no longer `worker`'s to send.

    The deadline starts anew here, so that time spent waiting for n8n to come back is not the workflow's loss.
    """

    async def work(tx: Transaction) -> Request | None:
        row = await tx.one(queries.MARK_SENDING, id=request_id, worker=worker, deadline=deadline_seconds)
        if row is None:
            return None
        request = Request.from_row(row)
        await record(tx, request, "sending", worker, {"attempt": request.dispatch_attempts})
        return request

    return await database.transaction(work)


async def send_again(
    database: Database, sent: Request, worker: str, *, delay: float, reason: str, unregistered: bool
) -> Request | None:
    """Give the request back, due again in `delay` seconds: n8n has proved that it did not start.

    Only the attempt that `sent` was: repeated after a lost answer, it must not undo the mark of a later one.
    """

    async def work(tx: Transaction) -> Request | None:
        row = await tx.one(
            queries.SEND_AGAIN,
            id=sent.id,
            worker=worker,
            attempt=sent.dispatch_attempts,
            delay=delay,
            unregistered=int(unregistered),
        )
        if row is None:
            return None
        request = Request.from_row(row)
        await record(tx, request, "send_again", worker, {"reason": reason, "delaySeconds": round(delay, 1)})
        return request

    return await database.transaction(work)


async def note_in_doubt(database: Database, request: Request, worker: str, reason: str) -> None:
    """Record that nobody knows whether n8n has it. The mark stays, so it is never sent again."""

    async def work(tx: Transaction) -> None:
        await record(tx, request, "in_doubt", worker, {"reason": reason})

    await database.transaction(work)


async def release(database: Database, claimed: Request, worker: str) -> None:
    """Give a claimed request back at once. The caller knows that it was not sent, whether or not it is marked."""
    await database.all(queries.RELEASE, id=claimed.id, worker=worker, attempt=claimed.dispatch_attempts)


async def seconds_unregistered(database: Database, request_id: str) -> float:
    """Seconds since n8n first answered that it does not know the webhook, by the database's clock; 0 if it does."""
    row = await database.one(queries.UNREGISTERED_SINCE, id=request_id)
    if row is None or row["since"] is None:
        return 0.0
    return (instant(row["now"]) - instant(row["since"])).total_seconds()
