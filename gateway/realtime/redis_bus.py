"""The bus over Redis (or Valkey) pub/sub.

One task reads, one writes, and neither waits for a client. The reader proves that it hears: a canary message goes out
every second on a channel of this process and must come back; when it does not, the connection is rebuilt, every topic
is subscribed anew, and `on_gap` is called. redis-py would reconnect by itself, but silently, and what was published
meanwhile would be missed; so its retries are off and the rebuilding is here.
"""

import asyncio
import contextlib
import random
import time
import uuid

import msgspec
import structlog
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from gateway.realtime.bus import ALL, Bus, user_topic
from gateway.realtime.update import Update, decode_update, encode_update
from gateway.tasks import keep_running, stop_all
from gateway.telemetry import metrics

log = structlog.get_logger(__name__)

PREFIX = "ai-image-gateway:"
CANARY_SECONDS = 1.0
DEAF_SECONDS = 3.0
"""Longest silence of the canary before the reader is rebuilt."""

COMMAND_SECONDS = 2.0
"""Longest wait for one command or one connection."""
REBUILD_SECONDS = 1.0
"""Longest pause between two attempts to rebuild."""
MAX_UNSENT = 10_000
"""Most requests whose newest update waits to be published; past it the oldest is dropped, which only delays it."""
BATCH = 200
"""Most updates published in one round trip."""


class RedisBus(Bus):
    """Pub/sub on the server at `url`."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._redis: Redis = Redis.from_url(
            url,
            retry=Retry(NoBackoff(), 0),
            socket_connect_timeout=COMMAND_SECONDS,
            socket_timeout=COMMAND_SECONDS,
            health_check_interval=0,
        )
        self._canary = f"{PREFIX}canary:{uuid.uuid4()}"
        self._heard = 0.0
        self._topics: set[str] = set()
        self._confirmations: dict[str, asyncio.Event] = {}
        self._pubsub: PubSub | None = None
        self._commanding = asyncio.Lock()
        """redis-py opens a second connection when two tasks issue the first commands at once."""
        self._unsent: dict[str, Update] = {}
        self._wake = asyncio.Event()
        self._live = asyncio.Event()
        self._sing_now = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def healthy(self) -> bool:
        return time.monotonic() - self._heard < DEAF_SECONDS

    async def start(self) -> None:
        self._tasks = [
            keep_running(self._read, "bus-reader"),
            keep_running(self._write, "bus-writer"),
            keep_running(self._sing, "bus-canary"),
        ]
        with contextlib.suppress(TimeoutError):
            # Usually a few milliseconds. Without Redis the process starts all the same: it is not ready, and the
            # database alone keeps the promise, more slowly.
            async with asyncio.timeout(COMMAND_SECONDS):
                await self._live.wait()

    async def stop(self) -> None:
        await stop_all(*self._tasks)
        with contextlib.suppress(RedisError, OSError):
            await self._redis.aclose()

    # -- out ----------------------------------------------------------------------------------------------------------

    def publish(self, update: Update) -> None:
        waiting = self._unsent.pop(update.request_id, None)
        if waiting is not None and waiting.version > update.version:
            update = waiting
        self._unsent[update.request_id] = update
        if len(self._unsent) > MAX_UNSENT:
            del self._unsent[next(iter(self._unsent))]
        self._wake.set()

    async def _write(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._unsent:
                batch = [self._unsent.pop(request_id) for request_id in list(self._unsent)[:BATCH]]
                try:
                    async with asyncio.timeout(COMMAND_SECONDS):
                        await self._publish(batch)
                except (RedisError, OSError) as error:
                    metrics.PUBLISH_FAILURES.inc(len(batch))
                    log.warning("bus_publish_failed", updates=len(batch), reason=type(error).__name__)

    async def _publish(self, batch: list[Update]) -> None:
        async with self._redis.pipeline(transaction=False) as pipeline:
            for update in batch:
                message = encode_update(update)
                pipeline.publish(PREFIX + user_topic(update.user_id), message)
                pipeline.publish(PREFIX + ALL, message)
            await pipeline.execute()

    async def _sing(self) -> None:
        while True:
            self._sing_now.clear()
            with contextlib.suppress(RedisError, OSError):
                async with asyncio.timeout(COMMAND_SECONDS):
                    await self._redis.publish(self._canary, b"")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CANARY_SECONDS):
                    await self._sing_now.wait()

    # -- in -----------------------------------------------------------------------------------------------------------

    async def listen(self, topic: str) -> None:
        self._topics.add(topic)
        confirmed = self._confirmations.setdefault(PREFIX + topic, asyncio.Event())
        if (pubsub := self._pubsub) is None:
            return  # the rebuilding subscribes to every topic, and its gap makes up for what was missed
        with contextlib.suppress(RedisError, OSError):
            async with asyncio.timeout(COMMAND_SECONDS):
                async with self._commanding:
                    if self._pubsub is not pubsub:
                        return  # lost meanwhile; a closed PubSub would open a connection that nobody reads
                    await pubsub.subscribe(PREFIX + topic)
                if self.healthy:
                    await confirmed.wait()

    async def ignore(self, topic: str) -> None:
        self._topics.discard(topic)
        self._confirmations.pop(PREFIX + topic, None)
        if (pubsub := self._pubsub) is None:
            return
        with contextlib.suppress(RedisError, OSError):
            async with asyncio.timeout(COMMAND_SECONDS), self._commanding:
                if self._pubsub is pubsub:
                    await pubsub.unsubscribe(PREFIX + topic)

    async def _read(self) -> None:
        while True:
            try:
                await self._hear()
            except (RedisError, OSError) as error:
                log.warning("bus_lost", reason=type(error).__name__)
            await asyncio.sleep(random.uniform(0.1, REBUILD_SECONDS))  # noqa: S311 - spreads processes, hides nothing

    async def _hear(self) -> None:
        """Subscribe to everything and read until the connection breaks or falls silent."""
        for confirmation in self._confirmations.values():
            confirmation.clear()
        pubsub = self._redis.pubsub(ignore_subscribe_messages=False)
        try:
            await self._hear_with(pubsub)
        finally:
            self._pubsub = None
            with contextlib.suppress(RedisError, OSError):
                async with self._commanding:
                    await pubsub.aclose()  # type: ignore[no-untyped-call]

    async def _hear_with(self, pubsub: PubSub) -> None:
        outstanding = {self._canary, *(PREFIX + topic for topic in self._topics)}
        async with asyncio.timeout(COMMAND_SECONDS):
            await pubsub.subscribe(*outstanding)
            # Nobody waited for that connection. What came to be listened to meanwhile:
            while added := {PREFIX + topic for topic in self._topics} - outstanding:
                outstanding |= added
                await pubsub.subscribe(*added)
        self._pubsub = pubsub  # from here on, `listen` subscribes by itself
        deaf_at = time.monotonic() + DEAF_SECONDS
        while time.monotonic() < deaf_at:
            message = await pubsub.get_message(timeout=CANARY_SECONDS)
            if message is None:
                continue
            channel = message["channel"].decode()
            if message["type"] == "subscribe":
                if (confirmed := self._confirmations.get(channel)) is not None:
                    confirmed.set()
                if outstanding:
                    outstanding.discard(channel)
                    if not outstanding:
                        log.info("bus_live", topics=len(self._topics))
                        self._sing_now.set()
                        self.on_gap()
            elif message["type"] == "message":
                if channel == self._canary:
                    self._heard = time.monotonic()
                    self._live.set()
                    deaf_at = self._heard + DEAF_SECONDS
                else:
                    self._receive(message["data"])
        raise TimeoutError("the canary did not come back")

    def _receive(self, message: bytes) -> None:
        try:
            update = decode_update(message)
        except msgspec.DecodeError:
            log.warning("bus_message_unreadable", bytes=len(message))
            return
        self.on_update(update)
