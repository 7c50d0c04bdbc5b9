"""One client that watches, on whatever transport: what it wants, what it has seen, what it has not been sent yet."""

import asyncio

from gateway.realtime.update import Update
from gateway.telemetry import metrics

MAX_SEEN = 20_000
"""Most requests whose last version is remembered for one client; past it the one seen longest ago is forgotten:
far more than can change while an old message or a reconcile may still bring an old version."""


class Subscriber:
    """The state of one client, without any I/O.

    It has no queue. Of each request it holds at most the newest update that has not been handed out, so a client that
    reads slowly skips versions, and its memory is bounded by what it watches.

    Attributes:
        ids: the requests watched one by one.
        mine: whether everything of the user is watched.
        all: whether everything of everyone is watched (administrators).
        drain_in: set when the process stops: the seconds after which this client should be elsewhere.
    """

    __slots__ = ("_ready", "_seen", "_unsent", "all", "drain_in", "ids", "mine", "user_id")

    def __init__(self, user_id: str) -> None:
        self.user_id = user_id
        self.ids: set[str] = set()
        self.mine = False
        self.all = False
        self.drain_in: float | None = None
        self._seen: dict[str, int] = {}
        self._unsent: dict[str, Update] = {}
        self._ready = asyncio.Event()

    def wants(self, update: Update) -> bool:
        """Whether this client watches the update's request."""
        if self.all:
            return True
        return update.user_id == self.user_id and (self.mine or update.request_id in self.ids)

    def offer(self, update: Update) -> None:
        """Take the update for delivery, unless something at least as new has been seen or waits."""
        if update.version <= self._seen.get(update.request_id, 0):
            return
        waiting = self._unsent.get(update.request_id)
        if waiting is not None:
            if update.version <= waiting.version:
                return
            metrics.COALESCED.inc()
        self._unsent[update.request_id] = update
        self._ready.set()

    def seen(self, request_id: str, version: int) -> None:
        """Remember that the client has this version; what waits and is not newer is dropped."""
        version = max(version, self._seen.pop(request_id, 0))
        self._seen[request_id] = version
        if len(self._seen) > MAX_SEEN:
            del self._seen[next(iter(self._seen))]
        waiting = self._unsent.get(request_id)
        if waiting is not None and waiting.version <= version:
            del self._unsent[request_id]

    def take(self) -> Update | None:
        """The next update to send, oldest first, now counted as seen; None when nothing waits."""
        while self._unsent:
            request_id = next(iter(self._unsent))
            update = self._unsent.pop(request_id)
            if self.wants(update):  # it may have been unsubscribed meanwhile
                self.seen(request_id, update.version)
                return update
        return None

    def wake(self) -> None:
        """Let `ready` return."""
        self._ready.set()

    async def ready(self) -> None:
        """Wait until something was offered, or `wake` was called, since the last return."""
        await self._ready.wait()
        self._ready.clear()
