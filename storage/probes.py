"""Probes of n8n: which requests it is to be asked about, and what is recorded of its answers."""

from dataclasses import dataclass
from datetime import datetime

from storage.database.base import Database
from storage.database.turns import urgent
from storage.events import change
from storage.queries import sending
from storage.request import Request
from storage.times import instant

LEASE_SECONDS = 60.0
"""How long one process may probe before another one does."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What became of this request? All times are the database's."""

    request: Request
    sent_at: datetime
    deadline_at: datetime
    now: datetime

    @property
    def overdue_seconds(self) -> float:
        """How long the deadline has passed; negative before it."""
        return (self.now - self.deadline_at).total_seconds()


@urgent
async def claim_probes(database: Database, limit: int) -> list[Probe]:
    """Up to `limit` requests that are overdue or in doubt, for `LEASE_SECONDS`."""
    rows = await database.all(sending.CLAIM_PROBES, seconds=LEASE_SECONDS, limit=limit)
    return [
        Probe(
            Request.from_row(row),
            instant(row["dispatch_sending_at"]),
            instant(row["deadline_at"]),
            instant(row["now"]),
        )
        for row in rows
        if row["deadline_at"] is not None
    ]


@urgent
async def postpone_probe(database: Database, request_id: str, seconds: float) -> None:
    """Let the request be probed in `seconds`."""
    await database.all(sending.POSTPONE_PROBE, id=request_id, seconds=seconds)


@urgent
async def extend_deadline(
    database: Database, request_id: str, seconds: float, *, actor: str, execution_id: str
) -> bool:
    """Move the deadline of an overdue request whose execution runs; whether it was still overdue."""
    detail = {"executionId": execution_id, "seconds": round(seconds)}
    query = sending.EXTEND_DEADLINE
    return await change(database, query, "more_time", actor, detail, id=request_id, seconds=seconds) is not None
