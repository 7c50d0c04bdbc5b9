"""Reads of requests for clients: those that come together go to the database together.

A poll, a subscription or a snapshot costs its share of a query. While `CONCURRENCY` queries are under way, what comes
meanwhile gathers for the next one: the more is asked, the less each costs. Snapshots of a user, which come when
thousands connect at once, gather for longer.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from itertools import islice
from typing import Generic, TypeVar

from gateway.realtime.pace import Pace
from gateway.realtime.update import Update
from storage import reads
from storage.database.base import Database
from storage.errors import DatabaseUnavailable
from storage.public_urls import PublicUrls
from storage.request import Request

BATCH = 500
"""Most ids or users named in one query."""

CONCURRENCY = 1
"""Most queries of each kind at once: what comes meanwhile makes the next one cheaper, and connections are left to those
who write."""

GATHER_SNAPSHOTS_SECONDS = 0.005
"""Shortest time between two queries for snapshots. Who has just come waits for its first answer by it, under load."""

MAX_WAITING = 20_000
"""Most readers that wait for a query; more are refused at once."""

T = TypeVar("T")


class RequestReader:
    """Reads requests as the updates that clients are sent."""

    def __init__(self, database: Database, urls: PublicUrls) -> None:
        self._database = database
        self._urls = urls
        self._by_id = _Batches(self._read_all, 0.0)
        self._of_user = _Batches(self._read_recent, GATHER_SNAPSHOTS_SECONDS)

    async def own(self, request_id: str, user_id: str) -> Update | None:
        """The request, if it is `user_id`'s.

        Raises:
            DatabaseUnavailable: it cannot be read now.
        """
        update = await self._by_id.get(request_id)
        return update if update is not None and update.user_id == user_id else None

    async def own_many(self, request_ids: Iterable[str], user_id: str) -> list[Update]:
        """Those of the requests that are `user_id`'s, in the order asked for.

        Raises:
            DatabaseUnavailable: they cannot be read now.
        """
        found = await asyncio.gather(*[self._by_id.get(request_id) for request_id in request_ids])
        return [update for update in found if update is not None and update.user_id == user_id]

    def recent(self, user_id: str) -> Awaitable[list[Update] | None]:
        """The user's newest requests, unfinished ones first; at most `SNAPSHOT`. None if there are none.

        Raises:
            DatabaseUnavailable: they cannot be read now.
        """
        return self._of_user.get(user_id)

    async def recent_of_everyone(self) -> list[Update]:
        """The newest requests of everyone, unfinished ones first; at most `SNAPSHOT`.

        Raises:
            DatabaseUnavailable: they cannot be read now.
        """
        return [self._update(request) for request in await reads.recent(self._database, None, SNAPSHOT)]

    def _update(self, request: Request) -> Update:
        return Update.of(request, self._urls)

    async def _read_all(self, ids: list[str]) -> dict[str, Update]:
        found = await reads.read_all(self._database, ids)
        return {request_id: self._update(request) for request_id, request in found.items()}

    async def _read_recent(self, users: list[str]) -> dict[str, list[Update]]:
        found = await reads.recent_of_users(self._database, users, SNAPSHOT)
        return {user: [self._update(request) for request in requests] for user, requests in found.items()}


SNAPSHOT = 100
"""Most requests in a scope's snapshot."""


class _Batches(Generic[T]):
    """Keys that wait for a query which answers many of them.

    Args:
        read: reads the values of up to `BATCH` keys; a key without a value is left out.
        gather_seconds: shortest time between the beginnings of two queries.
    """

    def __init__(self, read: Callable[[list[str]], Awaitable[dict[str, T]]], gather_seconds: float) -> None:
        self._read = read
        self._pace = Pace(gather_seconds)
        self._waiting: dict[str, list[asyncio.Future[T | None]]] = {}
        self._waiters = 0
        self._running: set[asyncio.Task[None]] = set()
        self._scheduled = False

    def get(self, key: str) -> asyncio.Future[T | None]:
        """The value of `key`, read after this call; a `DatabaseUnavailable` where it cannot be."""
        loop = asyncio.get_running_loop()
        reading: asyncio.Future[T | None] = loop.create_future()
        if self._waiters >= MAX_WAITING:
            reading.set_exception(DatabaseUnavailable(f"more than {MAX_WAITING} reads wait for the database"))
            return reading
        self._waiters += 1
        self._waiting.setdefault(key, []).append(reading)
        self._schedule()
        return reading

    def _schedule(self) -> None:
        if self._waiting and not self._scheduled and len(self._running) < CONCURRENCY:
            self._scheduled = True
            self._pace.soon(self._start)

    def _start(self) -> None:
        self._scheduled = False
        while self._waiting and len(self._running) < CONCURRENCY:
            if len(self._waiting) <= BATCH:
                batch, self._waiting = self._waiting, {}
            else:
                batch = {key: self._waiting.pop(key) for key in list(islice(self._waiting, BATCH))}
            task = asyncio.create_task(self._answer(batch), name="request-reader")
            self._running.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._schedule()

    async def _answer(self, batch: dict[str, list[asyncio.Future[T | None]]]) -> None:
        error: BaseException | None = None
        found: dict[str, T] = {}
        try:
            found = await self._read(list(batch))
        except Exception as failure:  # noqa: BLE001 - whoever asked is told
            error = failure
        for key, readings in batch.items():
            self._waiters -= len(readings)
            for reading in readings:
                if reading.done():
                    continue  # its caller has gone
                if error is not None:
                    reading.set_exception(error)
                else:
                    reading.set_result(found.get(key))
