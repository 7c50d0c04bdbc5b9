"""One client of an event stream, without a socket: what is sent when, and how it ends."""

import time

import pytest

from gateway.realtime.connection_limits import ConnectionLimits, TooManyConnections
from gateway.realtime.event_stream import EventStream
from gateway.realtime.hub import Hub
from gateway.realtime.update import Update
from storage.lifecycle import Status
from tests.gateway.realtime.doubles import BusDouble, update
from tests.gateway.realtime.test_hub import URLS, NoDatabase
from tests.running import eventually

PREFACE = b"retry: 2000\n"


class Carrier:
    """Remembers what is written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.writable = True
        self.finished = 0

    def write(self, content: bytes) -> None:
        assert content
        if not self.finished:
            self.written.append(content)

    def finish(self) -> None:
        self.finished += 1
        self.writable = False


class World:
    """A stream that has joined the hub for a request of ada's."""

    def __init__(self) -> None:
        self.hub = Hub(NoDatabase(), BusDouble(), URLS, 3600.0)  # type: ignore[arg-type]
        self.carrier = Carrier()
        self.limits = ConnectionLimits(per_user=1, per_address=1, in_total=1)
        self.stream = EventStream("ada", "192.0.2.1", self.hub, self.limits)
        self.stream.add_ids({"a"})
        self.stream.join()

    def begin(self, first: Update | None, lifetime: float = 3600.0) -> None:
        self.stream.begin(self.carrier, first, time.time() + lifetime)


@pytest.fixture
async def world() -> World:
    return World()


def event(version: int) -> bytes:
    return b'id: %d\nevent: update\ndata: {"n":%d}\n\n' % (version, version)


async def test_it_begins_with_what_was_read_and_goes_on_with_what_comes(world: World) -> None:
    world.begin(update("a", 1))
    world.hub.deliver(update("a", 2))
    world.hub.deliver(update("b", 3))
    world.hub.deliver(update("a", 2))
    assert world.carrier.written == [PREFACE + event(1), event(2)]


async def test_what_came_before_it_began_is_sent_after_what_was_read(world: World) -> None:
    world.hub.deliver(update("a", 3))
    assert world.carrier.written == []
    world.begin(update("a", 2))
    assert world.carrier.written == [PREFACE + event(2), event(3)]


async def test_who_has_seen_it_hears_of_the_next_version(world: World) -> None:
    world.begin(None)
    assert world.carrier.written == []
    world.hub.deliver(update("a", 2))
    assert world.carrier.written == [PREFACE + event(2)]


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.FAILED])
async def test_it_ends_after_a_final_status(world: World, status: Status) -> None:
    world.begin(update("a", 1))
    world.hub.deliver(update("a", 2, status=status))
    assert world.carrier.finished == 1
    world.hub.deliver(update("a", 3))
    world.stream.on_closed()
    assert world.carrier.written == [PREFACE + event(1), event(2)]
    assert world.hub.subscribers == 0


async def test_one_that_is_final_already_is_sent_and_ends(world: World) -> None:
    world.hub.deliver(update("a", 3))
    world.begin(update("a", 2, status=Status.COMPLETED))
    assert world.carrier.written == [PREFACE + event(2)]
    assert world.carrier.finished


async def test_of_many_that_came_while_it_did_not_read_it_gets_the_newest(world: World) -> None:
    world.begin(update("a", 1))
    world.carrier.writable = False
    world.stream.on_paused()
    for version in range(2, 100):
        world.hub.deliver(update("a", version))
    assert world.carrier.written == [PREFACE + event(1)]
    world.carrier.writable = True
    world.stream.on_writable()
    assert world.carrier.written[1:] == [event(99)]


async def test_it_ends_with_its_token(world: World) -> None:
    world.begin(update("a", 1), lifetime=0.02)

    async def ended() -> bool:
        return world.carrier.finished == 1

    assert await eventually(ended)
    assert world.carrier.written == [PREFACE + event(1)]


async def test_a_comment_keeps_it_alive(world: World) -> None:
    world.begin(update("a", 1))
    world.stream.keep_alive()
    assert world.carrier.written[1:] == [b":\n\n"]


async def test_a_restart_says_when_to_come_back(world: World) -> None:
    world.begin(update("a", 1))
    world.hub.drain(0.0)
    assert world.carrier.written[1:] == [b"retry: 0\n"]
    assert world.carrier.finished


async def test_who_comes_during_a_restart_gets_what_there_is_and_goes(world: World) -> None:
    world.hub.drain(0.0)
    world.begin(update("a", 1))
    assert world.carrier.written == [PREFACE + event(1), b"retry: 0\n"]
    assert world.carrier.finished


async def test_who_comes_during_a_restart_gets_what_came_meanwhile(world: World) -> None:
    world.hub.drain(0.0)
    world.hub.deliver(update("a", 2, status=Status.COMPLETED))
    world.begin(update("a", 1))
    assert world.carrier.written == [PREFACE + event(1), event(2)]
    assert world.carrier.finished


async def test_what_it_held_is_given_back_once(world: World) -> None:
    world.begin(update("a", 1))
    assert (world.limits.open, world.hub.subscribers) == (1, 1)
    with pytest.raises(TooManyConnections):
        EventStream("ada", "192.0.2.1", world.hub, world.limits).join()
    world.stream.on_closed()
    world.stream.on_closed()
    assert (world.limits.open, world.hub.subscribers) == (0, 0)
    assert world.stream._timer is None
