"""The hourly quota: how many requests a user may submit in a rolling hour, and what is left of it."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from storage.database.base import Database, Row
from storage.queries import submitting
from storage.times import instant, instant_or_none

WINDOW = timedelta(hours=1)
"""The rolling window of the rate limit."""


@dataclass(slots=True)
class QuotaWindow:
    """A user's rolling window, as this transaction found it and goes on to fill it."""

    used: int
    oldest: datetime | None
    now: datetime

    @classmethod
    def of(cls, row: Row) -> "QuotaWindow":
        """The window in a row of `submitting.USED` or `submitting.RULES`."""
        return cls(row["used"], instant_or_none(row["oldest"]), instant(row["now"]))

    def remaining(self, quota: int) -> tuple[int, int]:
        """What is left of `quota`, and the seconds until it grows by one."""
        if self.oldest is None:
            return quota, 0
        left = min(self.oldest, self.now) + WINDOW - self.now  # it may be dated later
        return quota - self.used, max(1, math.ceil(left.total_seconds()))

    def add(self) -> None:
        """One more request is submitted."""
        self.used += 1
        self.oldest = self.oldest or self.now


async def remaining_quota(database: Database, user_id: str, quota: int) -> tuple[int, int]:
    """What is left of the user's quota in the window, and the seconds until it grows by one."""
    row = await database.one(submitting.USED, user_id=user_id, quota=quota, minus_window=-WINDOW.total_seconds())
    assert row is not None, "an aggregate returns a row"  # noqa: S101
    return QuotaWindow.of(row).remaining(quota)
