"""The hub: who watches what in this process, and how they come to see the newest version.

The promise is that for each watched request a client sees versions that only rise, and that it sees the newest one.
It is kept by one rule, whatever breaks: **register first, then read the database, then drop what is not newer.**

* The bus brings changes as they happen; `deliver` hands them to the subscribers of that user.
* `reconcile` reads what has changed lately, in a few queries for everyone together: every `reconcile_seconds`, and
  at once when the bus says that it may have lost something. So a lost message delays and never misleads.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import structlog

from gateway.realtime.bus import ALL, Bus, user_topic
from gateway.realtime.receipts import Receipts
from gateway.realtime.subscriber import Subscriber
from gateway.realtime.update import Update
from gateway.tasks import keep_running, stop_all
from gateway.telemetry import metrics
from storage import reads
from storage.database.base import Database
from storage.errors import DatabaseUnavailable
from storage.public_urls import PublicUrls

log = structlog.get_logger(__name__)

OVERLAP = timedelta(seconds=60)
"""How far a reconcile reads back before the last one: longer than any transaction can stay open before it commits a
change whose `updated_at` it took earlier."""

PAGE = 500
"""Requests read in one query."""

USERS = 1000
"""Users named in one query."""

# Looked up once: a label's lookup at every delivery would cost as much as the counting.
_DELIVERIES = {name: metrics.DELIVERIES.labels(name) for name in ("websocket", "events", "poll")}

_LOWEST_ID = "00000000-0000-0000-0000-000000000000"


class Hub:
    """The subscribers of this process."""

    def __init__(self, database: Database, bus: Bus, urls: PublicUrls, reconcile_seconds: float) -> None:
        self._database = database
        self._bus = bus
        self._urls = urls
        self._reconcile_seconds = reconcile_seconds
        self._topics: dict[str, set[Subscriber]] = {}
        self._changing = asyncio.Lock()
        self._gap = asyncio.Event()
        self._since: datetime | None = None
        self.delivered = Receipts()
        self._drain_until: float | None = None
        self._task: asyncio.Task[None] | None = None
        bus.on_update = self.deliver
        bus.on_gap = self._gap.set

    async def start(self) -> None:
        """Begin to reconcile, from now on: whoever registers later reads what was before."""
        self._since = await reads.now(self._database)
        self._task = keep_running(self._keep_reconciling, "hub-reconcile")

    async def stop(self) -> None:
        """Cease to reconcile."""
        if self._task is not None:
            await stop_all(self._task)

    @property
    def subscribers(self) -> int:
        """How many clients watch here."""
        return len(set().union(*self._topics.values())) if self._topics else 0

    @contextlib.asynccontextmanager
    async def registered(self, subscriber: Subscriber) -> AsyncIterator[None]:
        """Keep `subscriber` registered for its user's updates; inside, what changes from now on reaches it."""
        try:
            await self._join(user_topic(subscriber.user_id), subscriber)  # it may be cancelled half-way
            self._ask_to_leave(subscriber)
            yield
        finally:
            await self._leave(user_topic(subscriber.user_id), subscriber)
            if subscriber.all:
                await self._leave(ALL, subscriber)

    async def watch_all(self, subscriber: Subscriber) -> None:
        """Let `subscriber` see everyone's requests. The caller has checked that it may."""
        subscriber.all = True
        await self._join(ALL, subscriber)

    async def unwatch_all(self, subscriber: Subscriber) -> None:
        """Undo `watch_all`."""
        subscriber.all = False
        await self._leave(ALL, subscriber)

    async def _join(self, topic: str, subscriber: Subscriber) -> None:
        # One lock for all topics: two first subscribers must not race each other, or the last one leaving.
        subscribers = self._topics.get(topic)
        if subscribers is not None and subscriber not in subscribers and not self._changing.locked():
            subscribers.add(subscriber)
            return
        async with self._changing:
            subscribers = self._topics.setdefault(topic, set())
            subscribers.add(subscriber)
            if len(subscribers) == 1:
                await self._bus.listen(topic)

    async def _leave(self, topic: str, subscriber: Subscriber) -> None:
        subscribers = self._topics.get(topic, set())
        subscribers.discard(subscriber)
        if subscribers:
            return
        async with self._changing:
            if topic in self._topics and not self._topics[topic]:
                del self._topics[topic]
                await self._bus.ignore(topic)

    def drain(self, seconds: float) -> None:
        """Ask every subscriber, and whoever still comes, to be elsewhere within `seconds`, each at its own moment.

        Spread over the whole time, so that the processes that take them over see no spike.
        """
        self._drain_until = asyncio.get_running_loop().time() + seconds
        for subscribers in self._topics.values():
            for subscriber in subscribers:
                self._ask_to_leave(subscriber)

    def _ask_to_leave(self, subscriber: Subscriber) -> None:
        if self._drain_until is not None:
            left = max(0.0, self._drain_until - asyncio.get_running_loop().time())
            subscriber.drain_in = random.uniform(0, left)  # noqa: S311 - spreads load, hides nothing
            subscriber.wake()

    def deliver(self, update: Update) -> None:
        """Offer the update to those who watch its request."""
        for topic in (user_topic(update.user_id), ALL):
            for subscriber in self._topics.get(topic, ()):
                if subscriber.wants(update):
                    subscriber.offer(update)

    def record_delivery(self, subscriber: Subscriber, update: Update, transport: str) -> None:
        """The update's bytes have been handed to the subscriber's connection."""
        _DELIVERIES[transport].inc()
        if update.at:
            metrics.CALLBACK_TO_CLIENT.observe(max(0.0, time.time() - update.at))
        if update.user_id == subscriber.user_id:
            self.delivered.note(update, transport)

    async def _keep_reconciling(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._reconcile_seconds):
                    await self._gap.wait()
            self._gap.clear()
            try:
                await self.reconcile()
                metrics.RECONCILES.inc()
            except DatabaseUnavailable as error:
                metrics.RECONCILE_FAILURES.inc()
                log.warning("reconcile_failed", reason=str(error)[:200])
                await asyncio.sleep(1)
                self._gap.set()  # the gap is still open

    async def reconcile(self) -> None:
        """Read every watched request that changed since the last time, and offer it.

        Raises:
            DatabaseUnavailable: the next call reads from the same point again.
        """
        now = await reads.now(self._database)
        since = (self._since or now) - OVERLAP
        if ALL in self._topics:
            await self._offer_changes(now, since, None)
        else:
            users = [topic.partition(":")[2] for topic in self._topics]
            for start in range(0, len(users), USERS):
                await self._offer_changes(now, since, users[start : start + USERS])
        self._since = now

    async def _offer_changes(self, now: datetime, since: datetime, user_ids: list[str] | None) -> None:
        arrived = time.time()  # what the bus lost counts as late from its change on, by the database's clock
        after_id = _LOWEST_ID
        while True:
            page = await reads.changed_since(self._database, since, after_id, user_ids, PAGE)
            for request in page:
                self.deliver(Update.of(request, self._urls, arrived - (now - request.updated_at).total_seconds()))
            if len(page) < PAGE:
                return
            since, after_id = page[-1].updated_at, page[-1].id
