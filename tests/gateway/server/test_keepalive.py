"""One timer for all connections."""

import asyncio

import pytest

from gateway.server import keepalive
from gateway.server.keepalive import SLOTS, Keepalive
from tests.running import eventually


class Connection:
    def __init__(self) -> None:
        self.pings = 0

    def keep_alive(self) -> None:
        self.pings += 1


class Broken(Connection):
    def keep_alive(self) -> None:
        super().keep_alive()
        raise RuntimeError("a connection's own trouble")


def ticks(alive: Keepalive, count: int) -> None:
    for _ in range(count):
        if alive._timer is not None:
            alive._timer.cancel()
        alive._tick()


def timers(alive: Keepalive) -> int:
    return 0 if alive._timer is None else 1


async def test_each_is_called_once_an_interval_and_first_after_a_whole_one() -> None:
    alive = Keepalive(3600.0)
    connection = Connection()
    alive.add(connection)
    ticks(alive, SLOTS - 1)
    assert connection.pings == 0
    ticks(alive, 1)
    assert connection.pings == 1
    ticks(alive, 3 * SLOTS)
    assert connection.pings == 4


async def test_they_are_spread_over_the_interval() -> None:
    alive = Keepalive(3600.0)
    connections = []
    for _ in range(SLOTS):
        connections.append(Connection())
        alive.add(connections[-1])
        ticks(alive, 1)
    for number in range(SLOTS):
        before = sum(connection.pings for connection in connections)
        ticks(alive, 1)
        assert sum(connection.pings for connection in connections) - before <= 2, number


async def test_who_was_removed_is_called_no_more_and_the_timer_ends() -> None:
    alive = Keepalive(3600.0)
    first, second = Connection(), Connection()
    slots = alive.add(first), alive.add(second)
    alive.remove(first, slots[0])
    ticks(alive, SLOTS)
    assert (first.pings, second.pings) == (0, 1)
    alive.remove(second, slots[1])
    ticks(alive, 1)
    assert timers(alive) == 0, "a process without connections has nothing to do"
    third = Connection()
    alive.add(third)
    assert timers(alive) == 1
    ticks(alive, SLOTS)
    assert third.pings == 1


async def test_one_that_breaks_does_not_end_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
    monkeypatch.setattr(keepalive, "SLOTS", 1)
    alive = Keepalive(0.01)
    broken, other = Broken(), Connection()
    alive.add(broken)

    async def twice(connection: Connection) -> bool:
        return connection.pings >= 2

    await eventually(lambda: twice(broken))
    alive.remove(broken, 0)
    alive.add(other)
    await eventually(lambda: twice(other))
    alive.remove(other, 0)
