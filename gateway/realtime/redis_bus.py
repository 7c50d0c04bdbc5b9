"""The bus over Redis (or Valkey) pub/sub.

Two connections: one publishes, one receives, and neither waits for a client. What a turn of the loop brings goes out in
one write: updates, of each request the newest, and subscriptions; under load, what a millisecond brings.

The receiver proves that it hears: a canary goes out every second on a channel of this process and must come back; when
it does not, the connection is rebuilt, every topic is subscribed anew, and `on_gap` is called, because what was
published meanwhile is lost.

The topic `all` is published only while some process listens to it: such a process says so, every second, on a channel
that all hear. What is missed before all have heard it is read from the database a moment later.
"""

import asyncio
import contextlib
import random
import time
import uuid
from collections import deque
from collections.abc import Sequence
from typing import Any

import msgspec
import structlog
from redis.asyncio import ConnectionPool

from gateway.realtime.bus import ALL, Bus, Listener, user_topic
from gateway.realtime.pace import Pace
from gateway.realtime.redis_link import LinkLost, RedisLink, Reply, packed
from gateway.realtime.update import Update, decode_update, encode_update
from gateway.settings.redis_url import new_pool
from gateway.tasks import keep_running, stop_all
from gateway.telemetry import metrics
from gateway.telemetry.logging import reason_of

log = structlog.get_logger(__name__)

PREFIX = "ai-image-gateway:"
"""Before every channel and key; the database's identity follows, as Redis may serve several environments, and pub/sub
ignores the number in its URL."""
CANARY_SECONDS = 1.0
CANARY_TIMEOUT_SECONDS = 3.0
"""Longest silence of the canary before the receiver is rebuilt."""

LATE_SECONDS = 0.5
"""From which delay of its own on a process does not judge others by the clock."""

COMMAND_SECONDS = 2.0
"""Longest wait for one command or one connection."""

REBUILD_SECONDS = 1.0
"""Longest pause between two attempts to rebuild."""

MAX_UNSENT = 10_000
"""Most requests whose newest update waits to be published; past it the oldest is dropped, which only delays it."""

MAX_UNANSWERED = 5_000
"""Most PUBLISH commands without an answer; what comes meanwhile waits, of each request the newest."""

GATHER_SECONDS = 0.001
"""Shortest time between two writes: what comes sooner gathers. A single message goes out at once; under load a write
for each would cost more than anything else."""

GATHER_CHANGES_SECONDS = 0.01
"""The same for subscriptions: nobody is kept from an update by it, only a client that has just come waits for its first
answer, while thousands come at once."""

ALL_SECONDS = 5.0
"""How long `all` is published after a process has last said that it listens to it."""


def prefix_of(database: str) -> str:
    """What the channels and keys of everyone who shares `database` (an identity) begin with."""
    return f"{PREFIX}{database}:"


class RedisBus(Bus):
    """Pub/sub on the server at `url`."""

    shared = True

    def __init__(self, url: str) -> None:
        self._pool = new_pool(url, COMMAND_SECONDS)
        self.listener: Listener | None = None
        self._prefix = PREFIX.encode()
        self._publisher = _Publisher(self._pool)
        self._receiver: RedisLink | None = None
        self._canary = b""
        self._all_wanted = b""
        self._canary_at = float("-inf")
        self._canary_deadline = 0.0
        """When a receiver that has heard nothing is given up."""
        self._topics: dict[bytes, asyncio.Future[None]] = {}
        """The channels that are wanted; the future is done when messages arrive for sure."""
        self._sent: set[bytes] = set()
        """The channels that the receiver's connection is subscribed to, or soon will be."""
        self._unconfirmed: dict[bytes, int] = {}
        """Subscriptions on their way, by channel: a channel that was given up and taken again counts twice."""
        self._changed: set[bytes] = set()
        self._changes_pace = Pace(GATHER_CHANGES_SECONDS)
        self._live = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def healthy(self) -> bool:
        return time.monotonic() - self._canary_at < CANARY_TIMEOUT_SECONDS

    async def start(self, database: str, listener: Listener) -> None:
        self.listener = listener
        self._prefix = prefix_of(database).encode()
        self._canary = self._prefix + b"canary:%b" % str(uuid.uuid4()).encode()
        self._all_wanted = self._prefix + b"all-wanted"
        self._publisher.start(self._prefix)
        self._tasks = [
            keep_running(self._keep_receiving, "bus-receiver"),
            keep_running(self._keep_canary, "bus-canary"),
        ]
        with contextlib.suppress(TimeoutError):
            # Usually a few milliseconds. Without Redis the process starts all the same: the database alone keeps the
            # promise, more slowly.
            async with asyncio.timeout(COMMAND_SECONDS):
                await self._live.wait()

    async def stop(self) -> None:
        await stop_all(*self._tasks)
        await self._publisher.stop()

    def publish(self, update: Update) -> None:
        self._publisher.publish(update)

    async def _keep_canary(self) -> None:
        """Prove once a second that what is published comes back, and drop connections that have fallen silent."""
        while True:
            due = time.monotonic() + CANARY_SECONDS
            self._send_canary()
            await asyncio.sleep(CANARY_SECONDS)
            if time.monotonic() - due > LATE_SECONDS:
                continue  # this process was late itself: what has come meanwhile is yet to be read
            if self._receiver is not None and time.monotonic() > self._canary_deadline:
                self._receiver.abort()
                self._publisher.drop()  # behind one address, it may be connected to another server
            self._publisher.drop_if_silent()

    def _send_canary(self) -> None:
        self._publisher.send(self._canary, b"")
        if self._channel(ALL) in self._topics:
            self._publisher.send(self._all_wanted, b"")

    # -- receiving ----------------------------------------------------------------------------------------------------

    def _channel(self, topic: str) -> bytes:
        return self._prefix + topic.encode()

    def listen(self, topic: str) -> asyncio.Future[None]:
        channel = self._channel(topic)
        listening: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._topics[channel] = listening
        if self._receiver is None:
            listening.set_result(None)  # the rebuilding subscribes to every topic, and its gap makes up for the rest
        else:
            self._change(channel)
        if topic == ALL:
            self._publisher.send(self._all_wanted, b"")
            asyncio.get_running_loop().call_later(CANARY_SECONDS, self._on_gap)
        return listening

    def ignore(self, topic: str) -> None:
        channel = self._channel(topic)
        if (listening := self._topics.pop(channel, None)) is not None and not listening.done():
            listening.set_result(None)
        if self._receiver is not None:
            self._change(channel)

    def _change(self, channel: bytes) -> None:
        if not self._changed:
            self._changes_pace.soon(self._send_changes)
        self._changed.add(channel)

    def _send_changes(self) -> None:
        """Tell Redis what has changed, in two commands at most."""
        changed, self._changed = self._changed, set()
        if (receiver := self._receiver) is None:
            return
        added = [channel for channel in changed if channel in self._topics and channel not in self._sent]
        removed = [channel for channel in changed if channel in self._sent and channel not in self._topics]
        self._sent.update(added)
        self._sent.difference_update(removed)
        commands = []
        if removed:
            commands.append(packed(b"UNSUBSCRIBE", *removed))
        if added:
            commands.append(packed(b"SUBSCRIBE", *added))
            for channel in added:
                self._unconfirmed[channel] = self._unconfirmed.get(channel, 0) + 1
            asyncio.get_running_loop().call_later(COMMAND_SECONDS, self._give_up_waiting, added)
        receiver.write(commands)
        for channel in changed - set(added):
            self._confirm(channel)

    def _confirm(self, channel: bytes) -> None:
        """Nobody waits any longer, unless a confirmation is still on its way."""
        listening = self._topics.get(channel)
        if listening is not None and not listening.done() and channel not in self._unconfirmed:
            listening.set_result(None)

    def _give_up_waiting(self, channels: list[bytes]) -> None:
        # The canary finds out whether the connection is deaf; its gap makes up for what is missed.
        for channel in channels:
            if (listening := self._topics.get(channel)) is not None and not listening.done():
                listening.set_result(None)

    async def _keep_receiving(self) -> None:
        while True:
            link = RedisLink(self._pool)
            try:
                await link.open()
                self._begin(link)
                await link.read(self._receive)
            except LinkLost as error:
                log.warning("bus_lost", reason=str(error))
            finally:
                self._receiver = None
                self._release_all()
                await link.close()
            await asyncio.sleep(random.uniform(0.1, REBUILD_SECONDS))  # noqa: S311 - spreads processes, hides nothing

    def _begin(self, link: RedisLink) -> None:
        """Subscribe to everything; live when all of it is confirmed."""
        channels = [*self._topics, self._all_wanted, self._canary]  # the canary's comes last: it confirms them all
        self._sent = set(channels)
        self._unconfirmed = dict.fromkeys(channels, 1)
        self._canary_deadline = time.monotonic() + CANARY_TIMEOUT_SECONDS
        link.write([packed(b"SUBSCRIBE", *channels)])
        self._receiver = link

    def _release_all(self) -> None:
        self._changed.clear()
        for listening in self._topics.values():
            if not listening.done():
                listening.set_result(None)

    def _receive(self, reply: Reply) -> None:
        if not isinstance(reply, list):
            if isinstance(reply, Exception):
                log.error("bus_refused", reason=reason_of(reply))
            return
        kind, channel = reply[0], reply[1]
        assert isinstance(channel, bytes), "what pub/sub pushes names its channel"  # noqa: S101
        if kind == b"message":
            if content := reply[2]:
                self._receive_update(content)
            elif channel == self._canary:
                self._canary_at = time.monotonic()
                self._canary_deadline = self._canary_at + CANARY_TIMEOUT_SECONDS
                self._live.set()
            elif channel == self._all_wanted:
                self._publisher.want_all()
            else:
                metrics.BUS_UNREADABLE.inc()
        elif kind == b"subscribe":
            left = self._unconfirmed.get(channel, 0) - 1
            if left > 0:
                self._unconfirmed[channel] = left
            else:
                self._unconfirmed.pop(channel, None)
                self._confirm(channel)
            if channel == self._canary:
                log.info("bus_live", topics=len(self._topics))
                self._send_canary()
                self._on_gap()

    def _receive_update(self, message: Any) -> None:  # noqa: ANN401 - bytes, as all that is published
        try:
            update = decode_update(message)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            metrics.BUS_UNREADABLE.inc()
            return
        if self.listener is not None:
            self.listener.on_update(update)

    def _on_gap(self) -> None:
        if self.listener is not None:
            self.listener.on_gap()


class _Publisher:
    """The connection that publishes."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool
        self._prefix = b""
        self._link: RedisLink | None = None
        self._unsent: dict[str, Update] = {}
        self._sent: deque[Update | None] = deque()
        """What was written and not answered yet, in its order; None for what need not be sent again."""
        self._answered_at = 0.0
        self._flushing = False
        self._pace = Pace(GATHER_SECONDS)
        self._all_until = float("-inf")
        self._task: asyncio.Task[None] | None = None

    def start(self, prefix: bytes) -> None:
        self._prefix = prefix
        self._task = keep_running(self._keep_connected, "bus-publisher")

    async def stop(self) -> None:
        """Send what is left, as far as that needs no waiting, and close."""
        self._flush()
        if self._task is not None:
            await stop_all(self._task)

    def want_all(self) -> None:
        """Some process listens to `all`."""
        self._all_until = time.monotonic() + ALL_SECONDS

    def publish(self, update: Update) -> None:
        """Send the update at the end of this turn of the loop, or its successor."""
        self._keep(update)
        if not self._flushing:
            self._flushing = True
            self._pace.soon(self._flush)

    def _keep(self, update: Update) -> None:
        unsent = self._unsent
        waiting = unsent.pop(update.request_id, None)
        if waiting is not None and waiting.version > update.version:
            update = waiting
        unsent[update.request_id] = update
        if len(unsent) > MAX_UNSENT:
            del unsent[next(iter(unsent))]
            metrics.PUBLISH_FAILURES.inc()

    def send(self, channel: bytes, message: bytes) -> None:
        """Publish at once, if there is a connection."""
        if self._link is not None:
            self._write([packed(b"PUBLISH", channel, message)], [None])

    def drop_if_silent(self) -> None:
        """A server that does not answer is given up."""
        if self._sent and time.monotonic() - self._answered_at > COMMAND_SECONDS:
            self.drop()

    def drop(self) -> None:
        """Make the connection anew."""
        if self._link is not None:
            self._link.abort()

    def _flush(self) -> None:
        self._flushing = False
        if self._link is None or len(self._sent) >= MAX_UNANSWERED or self._link.congested:
            return  # what waits goes when the connection is there, or has room again
        commands, sent = [], []
        everyone = time.monotonic() < self._all_until
        unsent, self._unsent = self._unsent, {}
        for update in unsent.values():
            message = encode_update(update)
            commands.append(packed(b"PUBLISH", self._prefix + user_topic(update.user_id).encode(), message))
            sent.append(update)
            if everyone:
                commands.append(packed(b"PUBLISH", self._prefix + ALL.encode(), message))
                sent.append(update)
        if commands:
            self._write(commands, sent)

    def _write(self, commands: list[bytes], sent: Sequence[Update | None]) -> None:
        assert self._link is not None, "the caller looked"  # noqa: S101
        if not self._sent:
            self._answered_at = time.monotonic()
        self._sent.extend(sent)
        self._link.write(commands)

    async def _keep_connected(self) -> None:
        while True:
            link = RedisLink(self._pool)
            try:
                await link.open()
                self._link = link
                self._flush()
                await link.read(self._answered)
            except LinkLost as error:
                log.warning("bus_publisher_lost", reason=str(error), unanswered=len(self._sent))
            finally:
                self._link = None
                self._send_again()
                await link.close()
            await asyncio.sleep(random.uniform(0.1, REBUILD_SECONDS))  # noqa: S311 - as above

    def _send_again(self) -> None:
        """What was not answered may be lost: it goes out again with the next connection. Versions make repeats
        harmless."""
        lost = [update for update in self._sent if update is not None]
        self._sent.clear()
        metrics.PUBLISH_FAILURES.inc(len(lost))
        for update in lost:
            self._keep(update)

    def _answered(self, reply: Reply) -> None:
        self._sent.popleft()
        self._answered_at = time.monotonic()
        if isinstance(reply, Exception):
            metrics.PUBLISH_FAILURES.inc()
            log.warning("bus_publish_failed", reason=reason_of(reply))
        if self._unsent and not self._flushing:
            self._flush()
