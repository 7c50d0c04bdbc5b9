"""The newest version of each request that this process has offered lately: what a reconcile need not offer again."""

import time

MAX_OFFERED = 500_000
"""Most requests that are remembered; past it the older half is forgotten, and may be offered once more."""


class Offered:
    """A memory of `seconds` to twice as many, if it is told often enough to `age`.

    Args:
        seconds: how far back a reconcile may read.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._began_at = time.monotonic()
        self._versions: dict[str, int] = {}
        self._older: dict[str, int] = {}

    def add(self, request_id: str, version: int) -> None:
        """It is offered to whoever has subscribed. On the way of every delivery, so that an older version simply
        takes a newer one's place: then a reconcile offers once more."""
        self._versions[request_id] = version
        if len(self._versions) > MAX_OFFERED // 2:
            self._begin_anew()

    def age(self) -> None:
        """Forget what is older than a reconcile may read."""
        if time.monotonic() - self._began_at > self._seconds:
            self._begin_anew()

    def _begin_anew(self) -> None:
        self._older, self._versions, self._began_at = self._versions, {}, time.monotonic()

    def newest(self, request_id: str) -> int:
        """The newest version that has been offered; 0 if none is remembered."""
        return max(self._versions.get(request_id, 0), self._older.get(request_id, 0))

    def set_back(self, request_id: str) -> None:
        """The database holds less than was offered: nothing of the request counts any more."""
        self._versions.pop(request_id, None)
        self._older.pop(request_id, None)

    def forget(self) -> None:
        """Nothing counts as offered any more."""
        self._versions, self._older = {}, {}
