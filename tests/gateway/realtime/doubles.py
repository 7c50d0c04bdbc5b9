"""Stand-ins for what the realtime parts work with: a bus and a client that remember what they were told."""

import asyncio
import uuid

import msgspec

from gateway.realtime.bus import Bus, Listener
from gateway.realtime.subscriber import Subscriber
from gateway.realtime.update import Update
from storage.lifecycle import Status


def update(
    request_id: str = "", version: int = 1, *, user_id: str = "ada", status: Status = Status.PROCESSING, at: float = 0.0
) -> Update:
    """An update of a request (of a new one, without an id)."""
    request_id = request_id or str(uuid.uuid4())
    return Update(request_id, user_id, version, status, msgspec.Raw(b'{"n":%d}' % version), at)


class Heard:
    """A listener that keeps what it is told."""

    def __init__(self) -> None:
        self.updates: list[Update] = []
        self.gaps = 0

    def on_update(self, update: Update) -> None:
        self.updates.append(update)

    def on_gap(self) -> None:
        self.gaps += 1


class BusDouble(Bus):
    """A bus that says what it was asked to listen to, and confirms when told to."""

    shared = False

    def __init__(self) -> None:
        self.listener: Listener = Heard()
        self.listened: list[str] = []
        self.ignored: list[str] = []
        self.confirming = True
        """Whether messages of a topic arrive at once; else when its future is resolved."""
        self.pending: dict[str, asyncio.Future[None]] = {}

    @property
    def healthy(self) -> bool:
        return True

    async def start(self, database: str, listener: Listener) -> None:
        self.listener = listener

    async def stop(self) -> None:
        pass

    def publish(self, update: Update) -> None:
        self.listener.on_update(update)

    def listen(self, topic: str) -> asyncio.Future[None]:
        self.listened.append(topic)
        listening: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.confirming:
            listening.set_result(None)
        else:
            self.pending[topic] = listening
        return listening

    def ignore(self, topic: str) -> None:
        self.ignored.append(topic)


class Client(Subscriber):
    """A client that reads at once, unless it is made to pause."""

    def __init__(self, user_id: str = "ada", *, mine: bool = True) -> None:
        super().__init__(user_id, "websocket")
        self.mine = mine
        self.accepting = True
        self.delivered: list[Update] = []
        self.leave_in: list[float] = []

    def deliver(self, update: Update) -> None:
        self.delivered.append(update)

    def leave_within(self, seconds: float) -> None:
        self.leave_in.append(seconds)

    @property
    def versions(self) -> list[tuple[str, int]]:
        """What was delivered, as (id, version)."""
        return [(update.request_id, update.version) for update in self.delivered]
