"""Between the bus and the hub: a request is shown only if this database has it.

The bus may be shared with others, and what it says is a hint. So the first message about a request that this process
has not read is answered by a read of the row, many in one query; from then on the bus is believed, as far as versions
rise.
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

MAX_VERIFIED = 100_000
"""Most requests that are remembered as the database's own; past it the one verified first is read again."""

MAX_WAITING = 10_000
"""Most requests that wait to be read; past it the oldest is dropped: the next reconcile brings it."""

BATCH = 500
"""Most requests that are read in one query."""


class Verification:
    """Hands on what the bus says of requests that have been read, and reads the others first.

    Args:
        database: where requests are.
        urls: how their pictures are shown.
        deliver: takes what is true.
    """

    def __init__(self, database: Database, urls: PublicUrls, deliver: Callable[[Update], None]) -> None:
        self._database = database
        self._urls = urls
        self._deliver = deliver
        self._verified: dict[str, str] = {}
        """The owner of each request that has been read."""
        self._waiting: dict[str, float] = {}
        """Requests to be read, and when the oldest change that was heard of them was made."""
        self._reading: asyncio.Task[None] | None = None

    def mark_verified(self, request_id: str, user_id: str) -> None:
        """The request has been read from the database, and is that user's."""
        if request_id not in self._verified:
            self._verified[request_id] = user_id
            if len(self._verified) > MAX_VERIFIED:
                del self._verified[next(iter(self._verified))]

    def receive(self, update: Update) -> None:
        """Take what the bus says."""
        if self._verified.get(update.request_id) == update.user_id:
            self._deliver(update)
            return
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
                    self.mark_verified(request.id, request.user_id)
                    self._deliver(Update.of(request, self._urls, batch[request.id]))
                if len(found) < len(batch):
                    log.warning("bus_unknown_requests", requests=len(batch) - len(found))
        except DatabaseUnavailable as error:
            log.warning("verification_failed", reason=reason_of(error))  # the next reconcile brings what was missed
        finally:
            self._reading = None
