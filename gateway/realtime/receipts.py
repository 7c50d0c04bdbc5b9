"""Receipts: which final results have reached their owners, kept in memory and written into the timelines together."""

import time
from collections import OrderedDict
from itertools import islice

from gateway.realtime.update import Update
from storage.database.base import Database
from storage.events import Delivery, record_deliveries

MAX_PENDING = 5_000
"""Most receipts that wait to be written; past it the oldest is forgotten: a timeline may lack it."""

MAX_WRITTEN = 20_000
"""Most receipts that are remembered as written: polls and snapshots hand the same final result over again and again,
and must not become a statement each time."""

BATCH = 200
"""Most that are written in one transaction."""


class Receipts:
    """The first delivery of each final update by this process."""

    def __init__(self) -> None:
        self._pending: OrderedDict[tuple[str, int], tuple[str, float]] = OrderedDict()
        self._written: OrderedDict[tuple[str, int], None] = OrderedDict()

    def add(self, update: Update, transport: str) -> None:
        """The owner's client has been handed this final update. Costs an entry of a dictionary."""
        key = (update.request_id, update.version)
        if key in self._pending or key in self._written:
            return
        self._pending[key] = (transport, time.monotonic())
        if len(self._pending) > MAX_PENDING:
            self._pending.popitem(last=False)

    async def flush(self, database: Database, actor: str) -> None:
        """Write what is pending into the timelines.

        Raises:
            DatabaseUnavailable: what was not written is kept.
        """
        while batch := list(islice(self._pending.items(), BATCH)):
            now = time.monotonic()
            deliveries = [Delivery(*key, transport, now - at) for key, (transport, at) in batch]
            await record_deliveries(database, deliveries, actor=actor)
            for key, _ in batch:
                self._pending.pop(key, None)
                self._written[key] = None
            while len(self._written) > MAX_WRITTEN:
                self._written.popitem(last=False)
