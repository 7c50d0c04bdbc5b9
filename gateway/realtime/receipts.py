"""Which final results have reached their owners, noted in memory and written into the timelines together."""

import time
from collections import OrderedDict

from gateway.realtime.update import Update
from storage import events
from storage.database.base import Database
from storage.events import Delivery

MAX_NOTED = 5_000
"""Most deliveries that wait to be written down; past it the oldest is forgotten: a timeline may lack it."""

MAX_WRITTEN = 20_000
"""Most deliveries that are remembered as written: polls and snapshots hand the same final result over again and again,
and must not become a statement each time."""

BATCH = 200
"""Most that are written in one transaction."""


class Receipts:
    """The first delivery of each final update by this process."""

    def __init__(self) -> None:
        self._noted: OrderedDict[tuple[str, int], tuple[str, float]] = OrderedDict()
        self._written: OrderedDict[tuple[str, int], None] = OrderedDict()

    def note(self, update: Update, transport: str) -> None:
        """The owner's client has been handed this update. Costs a dictionary's entry, and only for final ones."""
        key = (update.request_id, update.version)
        if not update.status.is_final or key in self._noted or key in self._written:
            return
        self._noted[key] = (transport, time.monotonic())
        if len(self._noted) > MAX_NOTED:
            self._noted.popitem(last=False)

    async def write_down(self, database: Database, actor: str) -> None:
        """Write what was noted into the timelines.

        Raises:
            DatabaseUnavailable: what was not written is kept.
        """
        while batch := list(self._noted.items())[:BATCH]:
            now = time.monotonic()
            deliveries = [Delivery(*key, transport, now - at) for key, (transport, at) in batch]
            await events.record_deliveries(database, deliveries, actor=actor)
            for key, _ in batch:
                self._noted.pop(key, None)
                self._written[key] = None
            while len(self._written) > MAX_WRITTEN:
                self._written.popitem(last=False)
