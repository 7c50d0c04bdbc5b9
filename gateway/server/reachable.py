"""The database at a process's start."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import structlog

from gateway.telemetry.logging import reason_of
from storage.database.base import Database
from storage.database.schema import check_schema
from storage.errors import DatabaseUnavailable

log = structlog.get_logger(__name__)

WAIT_SECONDS = 1.0
"""How long after one attempt the next one is made."""


@contextlib.asynccontextmanager
async def reachable(database: Database) -> AsyncIterator[None]:
    """Keep the database open, and wait for it first if it is away: whoever starts meanwhile is needed afterwards.

    Raises:
        StorageError: it is there, and cannot be used.
    """
    async with contextlib.AsyncExitStack() as stack:
        while True:
            try:
                await stack.enter_async_context(database)
                await check_schema(database)
                break
            except DatabaseUnavailable as error:
                log.warning("waiting_for_database", reason=reason_of(error))
                await stack.aclose()
                await asyncio.sleep(WAIT_SECONDS)
        yield
