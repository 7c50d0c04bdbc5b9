"""What keeps all connections alive, from one timer, so that an idle connection has none of its own."""

import asyncio
from typing import Protocol

SLOTS = 20
"""Into how many moments of an interval the connections are spread."""


class KeptAlive(Protocol):
    """A connection that is kept alive."""

    def keep_alive(self) -> None:
        """Say something to the client, or drop it if it should have been heard of and was not."""


class Keepalive:
    """Calls each connection once every `interval` seconds, a part of them at each moment."""

    def __init__(self, interval: float) -> None:
        self._tick_seconds = interval / SLOTS
        self._slots: list[set[KeptAlive]] = [set() for _ in range(SLOTS)]
        self._next = 0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, connection: KeptAlive) -> int:
        """Call `connection` from now on, first after a whole interval; the slot that `remove` needs."""
        slot = (self._next - 1) % SLOTS
        self._slots[slot].add(connection)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._tick_seconds, self._tick)
        return slot

    def remove(self, connection: KeptAlive, slot: int) -> None:
        """Call it no longer."""
        self._slots[slot].discard(connection)

    def _tick(self) -> None:
        slot, self._next = self._slots[self._next], (self._next + 1) % SLOTS
        any_left = any(self._slots)
        self._timer = asyncio.get_running_loop().call_later(self._tick_seconds, self._tick) if any_left else None
        for connection in tuple(slot):
            connection.keep_alive()
