"""Deliveries to very many: some in each turn of the loop, so that nobody else waits for the end of them."""

import asyncio
from collections.abc import Callable, Sequence

from gateway.realtime.subscriber import Subscriber
from gateway.realtime.update import Update

SLICE = 256
"""Most deliveries of one turn."""


class Broadcasts:
    """What waits to be delivered, of each request the newest, to each of those whom a topic holds.

    Args:
        deliver: delivers an update to a few subscribers.
    """

    def __init__(self, deliver: Callable[[Update, Sequence[Subscriber]], None]) -> None:
        self._deliver = deliver
        self._waiting: dict[tuple[str, str], tuple[Update, list[Subscriber]]] = {}

    def start(self, update: Update, to: str, subscribers: list[Subscriber]) -> None:
        """Deliver `update` in this turn and the next ones. A newer update takes the place of one that still waits: all
        get that one then, and versions only rise.

        Args:
            update: the request as it is now.
            to: who they are: the owner's id, or `ALL`.
            subscribers: all of them.
        """
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._go_on)
        key = (update.request_id, to)
        waiting = self._waiting.pop(key, None)
        if waiting is not None and waiting[0].version > update.version:
            update = waiting[0]
        self._waiting[key] = (update, subscribers)

    def _go_on(self) -> None:
        left = SLICE
        while self._waiting and left > 0:
            key = next(iter(self._waiting))
            update, subscribers = self._waiting[key]
            part = subscribers[-left:]
            del subscribers[-left:]
            if not subscribers:
                del self._waiting[key]
            left -= len(part)
            self._deliver(update, part)
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._go_on)
