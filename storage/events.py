"""The timeline: one row for each thing that happened to a request, written in the transaction that made it happen."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from storage.changes import change_row
from storage.database.base import Database, Transaction
from storage.queries import life
from storage.request import Request


async def record(tx: Transaction, request: Request, kind: str, actor: str, detail: Mapping[str, object]) -> None:
    """Write one event row: what happened, when, by whom, and the details that are set."""
    values = event_values(kind, actor, detail)
    await tx.all(life.INSERT_EVENT, request_id=request.id, version=request.version, **values)


async def change(
    database: Database, update: str, kind: str, actor: str, detail: Mapping[str, object], **values: object
) -> Request | None:
    """Run the guarded `update` of the row ``id`` and write its event; None when the guard did not hold."""
    steps = {"changed": update, "event": life.INSERT_EVENT_OF_CHANGE}
    return await change_row(database, steps, **values, **event_values(kind, actor, detail))


def event_values(kind: str, actor: str, detail: Mapping[str, object]) -> dict[str, object]:
    """The parameters of an event: what happened, by whom, and the details that are set."""
    known = {name: value for name, value in detail.items() if value is not None}
    return {"kind": str(kind), "actor": actor, "detail": json.dumps(known)}


@dataclass(frozen=True, slots=True)
class Delivery:
    """A final version that has been handed to a client of its owner."""

    request_id: str
    version: int
    transport: str
    age: float
    """How long ago, in seconds."""


async def record_deliveries(database: Database, deliveries: Sequence[Delivery], *, actor: str) -> None:
    """Write them into the timelines, each once over all processes.

    Raises:
        DatabaseUnavailable: none of them was written.
    """

    async def work(tx: Transaction) -> None:
        for delivery in deliveries:
            await tx.all(
                life.INSERT_DELIVERED,
                request_id=delivery.request_id,
                version=delivery.version,
                minus_age=-delivery.age,
                actor=actor,
                detail=json.dumps({"transport": delivery.transport}),
            )

    await database.transaction(work)
