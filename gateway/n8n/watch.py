"""The watch: fails what has passed its deadline without a word from n8n. Any number of processes may run one."""

import asyncio

import structlog

from gateway.context import Gateway
from storage import requests
from storage.errors import DatabaseUnavailable
from storage.lifecycle import Event

log = structlog.get_logger(__name__)

LOOK_SECONDS = 1.0
"""How often the database is asked for overdue requests."""

BATCH = 100
"""Most requests failed in one look."""


class DeadlineWatch:
    """One process's watch over every request."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                overdue = await self.look()
            except DatabaseUnavailable as error:
                log.warning("watch_failed", reason=str(error)[:200])
                overdue = 0
            if overdue < BATCH:
                await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> int:
        """Fail what is overdue now; how many were found."""
        overdue = await requests.overdue(self._gateway.database, BATCH)
        for request_id in overdue:
            applied = await requests.fail(
                self._gateway.database,
                request_id,
                Event.DEADLINE_PASSED,
                "The image was not ready in time. Please try again.",
                actor="watch",
            )
            self._gateway.announce_change(applied, actor="watch")
        return len(overdue)
