"""The asset writer: tries again what the app's library has refused. Any number of processes may run one."""

import asyncio

import structlog

from gateway.telemetry.logging import reason_of
from storage import owed_assets
from storage.database.base import Database
from storage.errors import DatabaseUnavailable

log = structlog.get_logger(__name__)

INTERVAL_SECONDS = 5.0

BATCH = 20
"""Most assets tried in one look."""


class AssetWriter:
    """One process's share of the assets that are owed.

    Args:
        database: where they are owed, and where the library is.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            try:
                found = await self.write_due()
            except DatabaseUnavailable as error:
                log.warning("owed_assets_not_tried", reason=reason_of(error))
                found = 0
            if found < BATCH:
                await asyncio.sleep(INTERVAL_SECONDS)

    async def write_due(self) -> int:
        """Try what is due; how many were."""
        due = await owed_assets.claim(self._database, BATCH)
        for owed in due:
            refusal = await owed_assets.write(self._database, owed, actor="asset-writer")
            if refusal is None:
                log.info("asset_written", request_id=owed.request_id, attempts=owed.attempts)
            else:
                log.warning("asset_refused", request_id=owed.request_id, attempts=owed.attempts, reason=refusal)
        return len(due)
