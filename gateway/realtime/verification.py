"""Between the bus and the hub: a request is shown only if this database has it.

The bus may be shared with others, and what it says is a hint. So the first message about a request that this process
has not read is answered by a read of the row, many in one query; from then on the hub believes the bus, as far as
versions rise.
"""

import asyncio
from collections.abc import Callable
from itertools import islice

import structlog

from gateway.ids import parse_id
from gateway.realtime.update import Update
from gateway.telemetry import metrics
from gateway.telemetry.logging import reason_of
from storage import reads
from storage.database.base import Database
from storage.errors import DatabaseUnavailable
from storage.public_urls import PublicUrls

log = structlog.get_logger(__name__)

MAX_WAITING = 10_000
"""Most requests that wait to be read; past it the oldest is dropped: the next reconcile brings it."""

BATCH = 500
"""Most requests that are read in one query."""


class Verification:
    """Reads the requests of which the bus speaks for the first time.

    Args:
        database: where requests are.
        urls: how their pictures are shown.
        deliver: takes what the database has.
    """

    def __init__(self, database: Database, urls: PublicUrls, deliver: Callable[[Update], None]) -> None:
        self._database = database
        self._urls = urls
        self._deliver = deliver
        self._waiting: dict[str, float] = {}
        """Requests to be read, and when the oldest change that was heard of them was made."""
        self._reading: asyncio.Task[None] | None = None

    def read_soon(self, update: Update) -> None:
        """Read the request that the bus speaks of, and hand on what the database has."""
        if parse_id(update.request_id) != update.request_id:
            metrics.BUS_UNREADABLE.inc()
            return
        self._waiting.setdefault(update.request_id, update.at)
        if len(self._waiting) > MAX_WAITING:
            del self._waiting[next(iter(self._waiting))]
        if self._reading is None:
            self._reading = asyncio.create_task(self._read(), name="verification")

    async def _read(self) -> None:
        try:
            while self._waiting:
                batch = {request_id: self._waiting.pop(request_id) for request_id in list(islice(self._waiting, BATCH))}
                found = await reads.read_all(self._database, list(batch))
                for request in found.values():
                    self._deliver(Update.of(request, self._urls, batch[request.id]))
                if len(found) < len(batch):
                    log.warning("bus_unknown_requests", requests=len(batch) - len(found))
        except DatabaseUnavailable as error:
            log.warning("verification_failed", reason=reason_of(error))  # the next reconcile brings what was missed
        finally:
            self._reading = None
