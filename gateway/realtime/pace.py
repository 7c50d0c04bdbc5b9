"""A pace: what comes in quick succession gathers, and what comes alone waits for nothing."""

import asyncio
from collections.abc import Callable


class Pace:
    """Calls something soon: in this turn of the loop, unless it was called less than `seconds` ago.

    Args:
        seconds: shortest time between two calls under load.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._last = 0.0

    def soon(self, do: Callable[[], None]) -> None:
        """Call `do`; the caller asks again only after that."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        wait = self._last + self._seconds - now
        if wait <= 0:
            self._last = now
            loop.call_soon(do)
        else:
            self._last += self._seconds
            loop.call_later(wait, do)
