"""The timeline: one row for each thing that happened to a request, written in the transaction that made it happen."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from storage.database.base import Database, Transaction
from storage.queries import life
from storage.request import Request


async def record(tx: Transaction, request: Request, kind: str, actor: str, detail: Mapping[str, object]) -> None:
    """Write one event row: what happened, when, by whom, and the details that are set."""
    await tx.all(
        life.INSERT_EVENT,
        request_id=request.id,
        version=request.version,
        kind=str(kind),
        actor=actor,
        detail=json.dumps({name: value for name, value in detail.items() if value is not None}),
    )


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
