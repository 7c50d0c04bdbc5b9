"""How a subscription begins, on every transport: **register first, then read, then drop what is not newer.**

Registered, the subscriber misses nothing from now on; the read brings what was before; and versions tell which of the
two is newer wherever they meet. Whatever is read from the database wins over what a client claims to have seen, and
over what it was sent before the read began: then the database was set back, as by a restore.

A subscriber that begins a subscription is not `accepting` meanwhile: what comes is held.
"""

from collections.abc import Awaitable

from gateway.realtime.hub import Hub
from gateway.realtime.request_reader import RequestReader
from gateway.realtime.subscriber import Subscriber
from gateway.realtime.update import Update


class Subscriptions:
    """Begins and ends what subscribers of `hub` have subscribed to.

    Everything that reads raises `DatabaseUnavailable` where it cannot; then nothing has changed.
    """

    def __init__(self, hub: Hub, reader: RequestReader) -> None:
        self._hub = hub
        self._reader = reader

    async def add_ids(self, subscriber: Subscriber, ids: list[str]) -> list[Update]:
        """Subscribe to these requests; those of them that are the user's, as they are."""
        new = set(ids) - subscriber.ids
        subscriber.add_ids(new)
        held = subscriber.held_versions()
        try:
            await self._hub.listening(subscriber)
            updates = await self._read(subscriber, held, self._reader.own_many(ids, subscriber.user_id))
        except BaseException:
            subscriber.remove_ids(new)
            raise
        subscriber.remove_ids(set(ids) - {update.request_id for update in updates})
        return self._seen(subscriber, updates)

    async def add_mine(self, subscriber: Subscriber) -> list[Update]:
        """Subscribe to everything of the user; the newest of it, as it is."""
        before, subscriber.mine = subscriber.mine, True
        held = subscriber.held_versions()
        try:
            await self._hub.listening(subscriber)
            updates = await self._read(subscriber, held, self._reader.recent(subscriber.user_id))
        except BaseException:
            subscriber.mine = before
            raise
        return self._seen(subscriber, updates)

    async def add_all(self, subscriber: Subscriber) -> list[Update]:
        """Subscribe to everything of everyone; the newest of it, as it is. The caller has checked that it may."""
        before = subscriber.all
        held = subscriber.held_versions()
        self._hub.join_all(subscriber)
        try:
            await self._hub.listening(subscriber)
            updates = await self._read(subscriber, held, self._reader.recent_of_everyone())
        except BaseException:
            if not before:
                self._hub.leave_all(subscriber)
            raise
        return self._seen(subscriber, updates)

    def remove(self, subscriber: Subscriber, ids: set[str]) -> None:
        """End the subscription to these requests."""
        subscriber.remove_ids(ids)

    def remove_mine(self, subscriber: Subscriber) -> None:
        """End the subscription to everything of the user."""
        subscriber.mine = False

    def remove_all(self, subscriber: Subscriber) -> None:
        """End the subscription to everything of everyone."""
        self._hub.leave_all(subscriber)

    async def _read(
        self, subscriber: Subscriber, held: dict[str, int], reading: Awaitable[list[Update] | None]
    ) -> list[Update]:
        """What is read; where that is less than the client has, or than `held` before, for certain."""
        updates = await reading or []
        ahead = {
            update.request_id: version
            for update in updates
            if (version := max(subscriber.seen_version(update.request_id), held.get(update.request_id, 0)))
            > update.version
        }
        if not ahead:
            return updates
        certain = await self._hub.read_for_certain(ahead)
        for update in certain.values():
            if update.version < ahead[update.request_id]:
                self._hub.set_back(subscriber, update.request_id)
        return [certain.get(update.request_id, update) for update in updates]

    def _seen(self, subscriber: Subscriber, updates: list[Update]) -> list[Update]:
        for update in updates:
            subscriber.mark_seen(update.request_id, update.version)
            self._hub.mark_known(update)
        return updates
