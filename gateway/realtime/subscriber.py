"""One client that has subscribed, on whatever transport: to what, what it has seen, what it has not been sent yet."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterator

from gateway.realtime.update import Update
from gateway.telemetry import metrics
from gateway.telemetry.tally import Tally

_COALESCED = Tally(metrics.COALESCED)

MAX_SEEN = 20_000
"""Most requests whose last version is remembered for one client; past it the one seen longest ago is forgotten:
far more than can change while an old message or a reconcile may still bring an old version."""

IN_ORDER = MAX_SEEN // 2
"""From how many on it matters in which order they were seen: as many are seen before the first is forgotten."""


class Subscriber(ABC):
    """The state of one client, without any I/O.

    It has no queue. Of each request it holds at most the newest update that could not be delivered, so a client that
    reads slowly skips versions, and its memory is bounded by what it has subscribed to.

    Attributes:
        user_id: whose requests it may see.
        transport: the transport's name in metrics and timelines.
        ids: the requests subscribed to one by one.
        mine: whether everything of the user is subscribed to.
        all: whether everything of everyone is (administrators).
        accepting: whether an update can be delivered at this moment; what comes while it cannot is held.
    """

    __slots__ = ("_pending", "_seen", "accepting", "all", "ids", "mine", "transport", "user_id")

    def __init__(self, user_id: str, transport: str) -> None:
        self.user_id = user_id
        self.transport = transport
        self.ids: set[str] | frozenset[str] = _NONE  # most clients subscribe to a scope
        self.mine = False
        self.all = False
        self.accepting = False
        self._seen: dict[str, int] = {}
        self._pending: dict[str, Update] | None = None

    @abstractmethod
    def deliver(self, update: Update) -> None:
        """Hand the update to the client. Called while `accepting`, in the turn of the loop that brought the update."""

    @abstractmethod
    def leave_within(self, seconds: float) -> None:
        """Ask the client to be elsewhere after `seconds`: this process stops."""

    def on_pending(self) -> None:  # noqa: B027 - most transports look at what is held by themselves
        """Called when an update is held."""

    def wants(self, update: Update) -> bool:
        """Whether this client has subscribed to the update's request."""
        if self.all:
            return True
        return update.user_id == self.user_id and (self.mine or update.request_id in self.ids)

    def offer(self, update: Update) -> bool:
        """Deliver the update, or hold it, unless something at least as new has been seen; whether it was delivered."""
        request_id, version, seen = update.request_id, update.version, self._seen
        if version <= seen.get(request_id, 0):
            return False
        if self.accepting:
            if self._pending is None and len(seen) < IN_ORDER:  # as `mark_seen`, on the way of every delivery
                seen[request_id] = version
            else:
                self.mark_seen(request_id, version)
            self.deliver(update)
            return True
        if self._pending is None:
            self._pending = {}
        held = self._pending.get(request_id)
        if held is not None:
            if version <= held.version:
                return False
            _COALESCED.n += 1
        self._pending[request_id] = update
        self.on_pending()
        return False

    def mark_seen(self, request_id: str, version: int) -> None:
        """Remember that the client has this version; what is held and not newer is dropped."""
        seen = self._seen
        version = max(version, seen.pop(request_id, 0))
        seen[request_id] = version
        if len(seen) > MAX_SEEN:
            del seen[next(iter(seen))]
        if (
            self._pending is not None
            and (held := self._pending.get(request_id)) is not None
            and held.version <= version
        ):
            del self._pending[request_id]

    def seen_version(self, request_id: str) -> int:
        """The version that the client has; 0 for none."""
        return self._seen.get(request_id, 0)

    def newest(self, request_id: str) -> int:
        """The newest version that the client has, or that is held for it; 0 for none."""
        held = self._pending.get(request_id) if self._pending else None
        return self.seen_version(request_id) if held is None else max(self.seen_version(request_id), held.version)

    def held_versions(self) -> dict[str, int]:
        """The version that is held of each request."""
        return {} if self._pending is None else {held.request_id: held.version for held in self._pending.values()}

    def set_back(self, request_id: str) -> None:
        """What the client has, and what is held for it, is not in the database any more: whatever comes is newer."""
        self.forget(request_id)
        if self._pending is not None:
            self._pending.pop(request_id, None)

    def forget(self, request_id: str) -> None:
        """The client was never sent what was marked as seen: whatever comes of the request is newer."""
        self._seen.pop(request_id, None)

    def take_pending(self) -> Iterator[Update]:
        """What was held and is still wanted, oldest first; each is counted as seen when it is taken."""
        while self._pending:
            request_id = next(iter(self._pending))
            update = self._pending.pop(request_id)
            if self.wants(update):  # it may have been unsubscribed meanwhile
                self.mark_seen(request_id, update.version)
                yield update
        self._pending = None

    def add_ids(self, ids: set[str]) -> None:
        """Subscribe to these requests too."""
        if ids:
            self.ids = self.ids | ids

    def remove_ids(self, ids: set[str]) -> None:
        """Subscribe to these no longer."""
        if ids:
            self.ids = self.ids - ids or _NONE


_NONE: frozenset[str] = frozenset()


class Inbox(Subscriber):
    """The subscriber of a coroutine that waits for one update after another: long polls.

    Attributes:
        leave_in: set when the process stops: the seconds after which this client should be elsewhere.
    """

    __slots__ = ("_ready", "leave_in")

    def __init__(self, user_id: str, transport: str) -> None:
        super().__init__(user_id, transport)
        self.leave_in: float | None = None
        self._ready = asyncio.Event()

    def deliver(self, update: Update) -> None:
        """Nothing comes here: an inbox holds everything until it is taken."""
        raise AssertionError("an inbox is never accepting")

    def on_pending(self) -> None:
        self._ready.set()

    def leave_within(self, seconds: float) -> None:
        self.leave_in = seconds
        self.wake()

    def take(self) -> Update | None:
        """The next update to send, oldest first; None when nothing is held."""
        return next(self.take_pending(), None)

    def wake(self) -> None:
        """Let `ready` return."""
        self._ready.set()

    async def ready(self) -> None:
        """Wait until something is held, or `wake` was called, since the last return."""
        await self._ready.wait()
        self._ready.clear()
