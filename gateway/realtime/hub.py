"""The hub: who has subscribed to what in this process, and how they come to see the newest version.

The promise is that for each subscribed request a client sees versions that only rise, and that it sees the newest one.
Only where the database itself was set back (a restore) do clients follow it.

* The bus brings changes as they happen; `deliver` hands them to the subscribers of that user in the same turn of the
  event loop: no task, no queue, no query.
* `reconcile` reads what has changed lately, in a few queries for everyone together: every `reconcile_seconds`, and
  at once when the bus says that it may have lost something. So a lost message delays and never misleads.

How a subscription begins is `subscriptions`' affair.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from gateway.realtime.broadcasts import SLICE, Broadcasts
from gateway.realtime.bus import ALL, Bus, user_topic
from gateway.realtime.known_requests import KnownRequest, KnownRequests
from gateway.realtime.receipts import Receipts
from gateway.realtime.subscriber import Subscriber
from gateway.realtime.update import Update
from gateway.realtime.verification import Verification
from gateway.tasks import keep_running, stop_all
from gateway.telemetry import metrics
from gateway.telemetry.logging import reason_of
from gateway.telemetry.tally import HistogramTally, Tally
from storage import reads
from storage.database.base import Database
from storage.errors import DatabaseUnavailable
from storage.public_urls import PublicUrls
from storage.request import Request

log = structlog.get_logger(__name__)

OVERLAP = timedelta(seconds=60)
"""How far a reconcile reads back before the last one: longer than any transaction can stay open before it commits a
change whose `updated_at` it took earlier."""

PAGE = 500
"""Requests read in one query."""

USERS = 1000
"""Users named in one query."""


class Writable(Protocol):
    """What carries a subscriber's updates."""

    @property
    def writable(self) -> bool:
        """Whether the client reads what is sent."""


class _Deliveries(dict[str, Tally]):
    """A tally for each transport, made when it first delivers."""

    def __missing__(self, transport: str) -> Tally:
        self[transport] = Tally(metrics.DELIVERIES.labels(transport))
        return self[transport]


_DELIVERED = _Deliveries()
_LATENCY = HistogramTally(metrics.CALLBACK_TO_CLIENT)


def _done(pending: asyncio.Future[None]) -> asyncio.Future[None]:
    """Done when `pending` is, for which several may wait: who is cancelled meanwhile cancels this alone.

    What `asyncio.shield` does for any awaitable, at a part of the cost.
    """
    waiter: asyncio.Future[None] = pending.get_loop().create_future()

    def wake(_: asyncio.Future[None]) -> None:
        if not waiter.done():
            waiter.set_result(None)

    pending.add_done_callback(wake)
    return waiter


_LOWEST_ID = "00000000-0000-0000-0000-000000000000"


class Hub:
    """The subscribers of this process."""

    def __init__(self, database: Database, bus: Bus, urls: PublicUrls, reconcile_seconds: float) -> None:
        self._database = database
        self._bus = bus
        self._urls = urls
        self._reconcile_seconds = reconcile_seconds
        self._topics: dict[str, set[Subscriber]] = {}
        self._listening: dict[str, asyncio.Future[None]] = {}
        """The topics whose first messages may still be missed."""
        self._gap = asyncio.Event()
        self._since: datetime | None = None
        self.receipts = Receipts()
        self._known = KnownRequests()
        self._broadcasts = Broadcasts(self._deliver_to)
        self._drain_until: float | None = None
        self._task: asyncio.Task[None] | None = None
        self._verification = Verification(database, urls, self.deliver)

    async def start(self) -> None:
        """Begin to reconcile, from now on: whoever subscribes later reads what was before."""
        self._since = await reads.now(self._database)
        self._task = keep_running(self._keep_reconciling, "hub-reconcile")

    async def stop(self) -> None:
        """Cease to reconcile."""
        if self._task is not None:
            await stop_all(self._task)

    # -- who has subscribed -------------------------------------------------------------------------------------------

    @property
    def subscribers(self) -> int:
        """How many clients have subscribed here."""
        return len(self._everyone())

    def _everyone(self) -> set[Subscriber]:
        return set[Subscriber]().union(*self._topics.values())

    def join(self, subscriber: Subscriber) -> None:
        """Let `subscriber` have its user's updates; `listening` tells when none can be missed any more."""
        self._add(user_topic(subscriber.user_id), subscriber)
        if self._drain_until is not None:
            self._ask_to_leave(subscriber)

    def join_all(self, subscriber: Subscriber) -> None:
        """Let `subscriber` have everyone's updates. The caller has checked that it may."""
        subscriber.all = True
        self._add(ALL, subscriber)

    def leave_all(self, subscriber: Subscriber) -> None:
        """Undo `join_all`."""
        subscriber.all = False
        self._remove(ALL, subscriber)

    def leave(self, subscriber: Subscriber) -> None:
        """Undo everything; also for one that never joined."""
        self._remove(user_topic(subscriber.user_id), subscriber)
        if subscriber.all:
            self._remove(ALL, subscriber)

    @contextlib.contextmanager
    def joined(self, subscriber: Subscriber) -> Iterator[None]:
        """Join for the time of the block."""
        self.join(subscriber)
        try:
            yield
        finally:
            self.leave(subscriber)

    async def listening(self, subscriber: Subscriber) -> None:
        """Return when the bus brings every update that `subscriber` has joined for, or is away for now."""
        topics = (user_topic(subscriber.user_id), ALL) if subscriber.all else (user_topic(subscriber.user_id),)
        for topic in topics:
            pending = self._listening.get(topic)
            if pending is None:
                continue
            if not pending.done():
                await _done(pending)
            if self._listening.get(topic) is pending:
                del self._listening[topic]

    def _add(self, topic: str, subscriber: Subscriber) -> None:
        subscribers = self._topics.get(topic)
        if subscribers is not None:
            subscribers.add(subscriber)
            return
        self._topics[topic] = {subscriber}
        pending = self._bus.listen(topic)
        if not pending.done():
            self._listening[topic] = pending

    def _remove(self, topic: str, subscriber: Subscriber) -> None:
        subscribers = self._topics.get(topic)
        if subscribers is None:
            return
        subscribers.discard(subscriber)
        if not subscribers:
            del self._topics[topic]
            self._listening.pop(topic, None)
            self._bus.ignore(topic)

    def mark_known(self, update: Update) -> None:
        """The update has been read from the database: what the bus says of its request is believed."""
        self._known.add(update.request_id, update.user_id)

    # -- what the bus says --------------------------------------------------------------------------------------------

    def on_update(self, update: Update) -> None:
        """A message has come, which only a bus of this process's own need not prove."""
        known = self._known.get(update.request_id)
        if known is not None and known.user_id == update.user_id:
            self._offer(update, known)
        elif self._bus.shared:
            self._verification.read_soon(update)
        else:
            self.deliver(update)

    def on_gap(self) -> None:
        """Messages may have been lost: read what has changed, now."""
        self._gap.set()

    # -- delivering ---------------------------------------------------------------------------------------------------

    def deliver(self, update: Update) -> None:
        """Offer the update, which is true, to those who have subscribed to its request."""
        self._offer(update, self._known.add(update.request_id, update.user_id))

    def _offer(self, update: Update, known: KnownRequest) -> None:
        # An older version simply takes a newer one's place: then a reconcile offers once more.
        known.offered = update.version
        if not known.subscribers:
            known.subscribers = self._topics.get(user_topic(update.user_id), ())
        if known.subscribers:
            self._spread(update, known.user_id, known.subscribers)
        if ALL in self._topics:
            self._spread(update, ALL, self._topics[ALL])
        if update.status.is_final:
            known.subscribers = ()  # little follows, and a set that is empty by then would be held in vain

    def _spread(self, update: Update, to: str, subscribers: Collection[Subscriber]) -> None:
        if len(subscribers) <= SLICE:
            self._deliver_to(update, [*subscribers])
        else:
            self._broadcasts.start(update, to, list(subscribers))

    def _deliver_to(self, update: Update, subscribers: Sequence[Subscriber]) -> None:
        delivered = False
        for subscriber in subscribers:
            try:
                if subscriber.wants(update) and subscriber.offer(update):
                    delivered = True
                    _DELIVERED[subscriber.transport].n += 1
                    if update.status.is_final:
                        self._record_receipt(subscriber, update)
            except Exception:  # one that is broken must cost the others nothing
                log.exception("delivery_failed", transport=subscriber.transport, request_id=update.request_id)
        if delivered and update.at:
            _LATENCY.observe_since(update.at)

    def deliver_held(self, subscriber: Subscriber, carrier: Writable) -> None:
        """Hand on what was held for the subscriber, as far as its client reads."""
        for update in subscriber.take_pending():
            subscriber.deliver(update)
            self.record_delivery(subscriber, update)
            if not carrier.writable:
                break

    def record_delivery(self, subscriber: Subscriber, update: Update) -> None:
        """The update's bytes have been handed to the subscriber's connection, later than it came or as a snapshot."""
        _DELIVERED[subscriber.transport].n += 1
        if update.status.is_final:
            self._record_receipt(subscriber, update)
        if update.at:
            _LATENCY.observe_since(update.at)

    def record_answer(self, update: Update, transport: str) -> None:
        """The update has been handed to its owner, who has subscribed to nothing."""
        _DELIVERED[transport].n += 1
        if update.status.is_final:
            self.receipts.add(update, transport)

    def _record_receipt(self, subscriber: Subscriber, update: Update) -> None:
        if update.user_id == subscriber.user_id:
            self.receipts.add(update, subscriber.transport)

    # -- leaving ------------------------------------------------------------------------------------------------------

    def drain(self, seconds: float) -> None:
        """Ask every subscriber, and whoever still comes, to be elsewhere within `seconds`, each at its own moment.

        Spread over the whole time, so that the processes that take them over see no spike.
        """
        self._drain_until = time.monotonic() + seconds
        for subscriber in self._everyone():
            self._ask_to_leave(subscriber)

    def _ask_to_leave(self, subscriber: Subscriber) -> None:
        assert self._drain_until is not None, "asked while draining only"  # noqa: S101
        left = max(0.0, self._drain_until - time.monotonic())
        subscriber.leave_within(random.uniform(0, left))  # noqa: S311 - spreads load, hides nothing

    # -- reading again ------------------------------------------------------------------------------------------------

    async def _keep_reconciling(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._reconcile_seconds):
                    await self._gap.wait()
            if self._gap.is_set():
                self._known.set_all_back()  # take nothing for granted: each subscriber knows what it has seen
            self._gap.clear()
            try:
                await self.reconcile()
                metrics.RECONCILES.inc()
            except DatabaseUnavailable as error:
                metrics.RECONCILE_FAILURES.inc()
                log.warning("reconcile_failed", reason=reason_of(error))
                await asyncio.sleep(1)
                self._gap.set()  # the gap is still open
            except Exception:
                self._gap.set()
                raise

    async def reconcile(self) -> None:
        """Read every subscribed request that changed since the last time, and offer it.

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
            offered = {request.id: self._known.offered(request.id) for request in page}
            for request in page:
                self._known.add(request.id, request.user_id)
                if request.version > offered[request.id]:
                    self.deliver(Update.of(request, self._urls, arrived - (now - request.updated_at).total_seconds()))
            await self._follow_back(page, offered)
            last = (page[-1].updated_at, page[-1].id) if len(page) == PAGE else (since, after_id)
            if last <= (since, after_id):  # it may also stand for a time that the database has in another place
                return
            since, after_id = last

    # -- a database that was set back ---------------------------------------------------------------------------------

    async def _follow_back(self, page: list[Request], offered: dict[str, int]) -> None:
        """Offer what of `page` is older than what was seen, if the database holds no more for certain.

        A page is as old as its query, and the bus may have brought something newer meanwhile. So a second query asks,
        which begins after that was seen: what it does not find has never been there, or was taken back by a restore.
        """
        ahead: dict[str, list[tuple[Subscriber, int]]] = {}
        looked_at = 0
        for request in page:
            here: list[tuple[Subscriber, int]] = []
            for topic in (user_topic(request.user_id), ALL):
                for subscriber in tuple(self._topics.get(topic, ())):
                    if (newest := subscriber.newest(request.id)) > request.version:
                        here.append((subscriber, newest))
                    looked_at += 1
                    if looked_at % SLICE == 0:
                        await asyncio.sleep(0)
            if here or offered[request.id] > request.version:
                ahead[request.id] = here
        if not ahead:
            return
        for update in (await self.read_for_certain(ahead)).values():
            if update.version < offered[update.request_id]:
                self._known.set_back(update.request_id)
            for subscriber, newest in ahead[update.request_id]:
                if update.version < newest == subscriber.newest(update.request_id):
                    self.set_back(subscriber, update.request_id)
            self.deliver(update)

    async def read_for_certain(self, request_ids: Iterable[str]) -> dict[str, Update]:
        """The requests as the database has them, by id, whoever owns them.

        Raises:
            DatabaseUnavailable: they cannot be read now, or the server may know less than another one.
        """
        found = await reads.read_for_certain(self._database, list(request_ids))
        return {request.id: Update.of(request, self._urls) for request in found.values()}

    def set_back(self, subscriber: Subscriber, request_id: str) -> None:
        """The database holds less of the request, for certain, than the subscriber has: what comes next is newer."""
        log.warning("version_set_back", request_id=request_id, seen=subscriber.newest(request_id))
        subscriber.set_back(request_id)
        self._known.set_back(request_id)
