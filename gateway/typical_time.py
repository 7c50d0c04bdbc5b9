"""How long a picture usually takes: what people who wait want to know."""

import time

from storage import listing
from storage.database.base import Database

WINDOW_SECONDS = 7 * 24 * 3600.0
"""Completions older than this say nothing of today."""

SAMPLE = 100
"""How many completions are looked at."""

FRESH_SECONDS = 30.0
"""How long an answer is good: every open page asks."""


class TypicalTime:
    """The median of the last completions, remembered for a moment."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._asked_at = -FRESH_SECONDS
        self._seconds: float | None = None

    async def seconds(self) -> float | None:
        """Seconds from submission to picture; None when there is nothing to go by."""
        if time.monotonic() - self._asked_at >= FRESH_SECONDS:
            self._asked_at = time.monotonic()
            found = await listing.typical_seconds(self._database, WINDOW_SECONDS, SAMPLE)
            self._seconds = None if found is None else round(found, 1)
        return self._seconds
