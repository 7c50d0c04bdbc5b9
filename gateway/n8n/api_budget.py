"""How much asking n8n may cost: calls and bytes over time, whatever there is to ask."""

import time
from collections.abc import Callable

CALLS_PER_MINUTE = 120
BYTES_PER_MINUTE = 32 * 1024 * 1024

_MINUTE = 60.0


class ApiBudget:
    """A bucket of calls and one of bytes, each filled anew within a minute.

    Bytes are known only after they came: one answer may overdraw its bucket, and is paid off before the next one.
    """

    def __init__(self, calls: float, received: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = calls, received
        self._calls, self._bytes = calls, received
        self._clock = clock
        self._filled_at = clock()

    @property
    def is_worth_a_search(self) -> bool:
        """Whether a search may begin: one that could only list would learn nothing, again and again."""
        self._fill()
        return self._calls >= self._most[0] / 3 and self._bytes > 0

    @property
    def is_spent(self) -> bool:
        """Whether nothing may be asked now."""
        self._fill()
        return self._calls < 1 or self._bytes <= 0

    def spend(self, received: int) -> None:
        """Count one call that brought `received` bytes."""
        self._fill()
        self._calls -= 1
        self._bytes -= received

    def _fill(self) -> None:
        now = self._clock()
        share = (now - self._filled_at) / _MINUTE
        self._filled_at = now
        calls, received = self._most
        self._calls = min(calls, self._calls + share * calls)
        self._bytes = min(received, self._bytes + share * received)
