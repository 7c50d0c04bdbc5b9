"""The bus: "this request has changed", from the process that changed it to those whose clients have subscribed.

A bus is a hint and may lose messages; what it must do is say so. The interface, and the in-process reference:

* `publish` returns at once and never raises: a callback must neither wait for the bus nor fail with it;
* `listen` returns a future that is done when messages of the topic arrive for sure, or after a short wait when the bus
  is away; neither it nor `ignore` waits, so a topic may be listened to and ignored again in one turn of the loop;
* after any time in which messages may have been lost, `on_gap` is called: the listener reads the database again.

Topics are ``user:<id>``, for everything of one user, and ``all``.
"""

import asyncio
from abc import ABC, abstractmethod
from typing import Protocol

from gateway.realtime.update import Update

ALL = "all"
"""The topic that carries every update."""


def user_topic(user_id: str) -> str:
    """The topic of one user's requests."""
    return f"user:{user_id}"


class Listener(Protocol):
    """Who is told of what arrives. Neither method may block."""

    def on_update(self, update: Update) -> None:
        """A message of a topic that is listened to."""

    def on_gap(self) -> None:
        """Messages may have been lost."""


class Bus(ABC):
    """What the hub needs of a bus."""

    shared: bool
    """Whether others than this process may be heard."""

    @property
    @abstractmethod
    def healthy(self) -> bool:
        """Whether what is published comes back through the receive path."""

    @abstractmethod
    async def start(self, database: str, listener: Listener) -> None:
        """Begin.

        Args:
            database: the identity of the database that is spoken of, where it is served; what is said of another one is
                not heard.
            listener: told of what arrives.
        """

    @abstractmethod
    async def stop(self) -> None: ...

    @abstractmethod
    def publish(self, update: Update) -> None:
        """Hand the update to everyone who listens to its user's topic or to `ALL`."""

    @abstractmethod
    def listen(self, topic: str) -> asyncio.Future[None]:
        """Begin to receive `topic`; the caller keeps count and calls once."""

    @abstractmethod
    def ignore(self, topic: str) -> None:
        """Cease to receive `topic`."""


class InProcessBus(Bus):
    """The bus of a single process: a function call."""

    shared = False

    def __init__(self) -> None:
        self._topics: set[str] = set()
        self.listener: Listener | None = None

    @property
    def healthy(self) -> bool:
        return True

    async def start(self, database: str, listener: Listener) -> None:
        self.listener = listener

    async def stop(self) -> None:
        self._topics.clear()

    def publish(self, update: Update) -> None:
        if ALL in self._topics or user_topic(update.user_id) in self._topics:
            assert self.listener is not None, "it has subscribed"  # noqa: S101
            self.listener.on_update(update)

    def listen(self, topic: str) -> asyncio.Future[None]:
        self._topics.add(topic)
        listening: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        listening.set_result(None)
        return listening

    def ignore(self, topic: str) -> None:
        self._topics.discard(topic)
