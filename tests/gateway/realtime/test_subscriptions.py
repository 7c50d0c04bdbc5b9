"""Register first, then read, then drop what is not newer: with a reader and a bus that can be held up or fail."""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest

from gateway.realtime.hub import Hub
from gateway.realtime.subscriptions import Subscriptions
from gateway.realtime.update import Update
from storage.errors import DatabaseUnavailable
from storage.public_urls import PublicUrls
from tests.gateway.realtime.doubles import BusDouble, Client, update


class Reader:
    """Stands in for `RequestReader`; `bus` may bring an update while it reads."""

    def __init__(self, bus: BusDouble) -> None:
        self._bus = bus
        self.rows: list[Update] = []
        self.meanwhile: list[Update] = []
        self.error: BaseException | None = None

    async def _read(self) -> list[Update]:
        for one in self.meanwhile:
            self._bus.publish(one)
        if self.error is not None:
            raise self.error
        return self.rows

    async def own_many(self, ids: Iterable[str], user_id: str) -> list[Update]:
        wanted = set(ids)
        return [one for one in await self._read() if one.request_id in wanted and one.user_id == user_id]

    async def recent(self, user_id: str) -> list[Update]:
        return [one for one in await self._read() if one.user_id == user_id]

    async def recent_of_everyone(self) -> list[Update]:
        return await self._read()


class Room:
    """A hub with one client of ada's, and the subscriptions under test."""

    def __init__(self) -> None:
        nothing: Any = None
        self.bus = BusDouble()
        self.hub = Hub(nothing, self.bus, PublicUrls("https://s.example", "https://g.example", frozenset()), 3600.0)
        self.bus.listener = self.hub
        self.reader = Reader(self.bus)
        reader: Any = self.reader
        self.subscriptions = Subscriptions(self.hub, reader)
        self.certain: dict[str, Update] | None = None
        """What the database holds for certain; None where it cannot be asked."""
        self.hub.read_for_certain = self._read_for_certain  # type: ignore[method-assign]
        self.client = Client(mine=False)
        self.hub.join(self.client)

    async def _read_for_certain(self, request_ids: Iterable[str]) -> dict[str, Update]:
        if self.certain is None:
            raise DatabaseUnavailable("demoted")
        return {request_id: self.certain[request_id] for request_id in request_ids}

    async def subscribing(self, kind: str, ids: list[str]) -> list[Update]:
        """Subscribe the client to `ids`, `mine` or `all`."""
        if kind == "ids":
            return await self.subscriptions.add_ids(self.client, ids)
        return await (self.subscriptions.add_mine if kind == "mine" else self.subscriptions.add_all)(self.client)


@pytest.fixture
async def room() -> Room:
    return Room()


async def test_only_what_exists_and_is_ones_own_is_subscribed_to(room: Room) -> None:
    room.reader.rows = [update("a", 4), update("eves", 2, user_id="eve")]
    found = await room.subscriptions.add_ids(room.client, ["a", "eves", "unknown"])
    assert [one.request_id for one in found] == ["a"]
    assert room.client.ids == {"a"}
    for one in (update("a", 5), update("unknown", 1), update("eves", 3, user_id="eve")):
        room.bus.publish(one)
    assert room.client.versions == [("a", 5)]


async def test_what_was_read_is_not_delivered_again(room: Room) -> None:
    room.reader.rows = [update("a", 4)]
    await room.subscriptions.add_ids(room.client, ["a"])
    for version in (3, 4):
        room.bus.publish(update("a", version))
    assert room.client.versions == []


async def test_what_comes_while_it_is_read_is_not_missed(room: Room) -> None:
    """Registered first: the row was read, then it changed, and the bus said so before the answer was there."""
    room.client.accepting = False  # as a session is, until the snapshot is written
    room.reader.rows, room.reader.meanwhile = [update("a", 4)], [update("a", 5)]
    await room.subscriptions.add_ids(room.client, ["a"])
    assert [one.version for one in room.client.take_pending()] == [5]


async def test_what_came_meanwhile_and_is_older_than_the_row_is_dropped(room: Room) -> None:
    room.client.accepting = False
    room.reader.rows, room.reader.meanwhile = [update("a", 4)], [update("a", 3), update("a", 4)]
    await room.subscriptions.add_ids(room.client, ["a"])
    assert list(room.client.take_pending()) == []


@pytest.mark.parametrize("kind", ["ids", "mine", "all"])
@pytest.mark.parametrize("reads", [True, False])
async def test_a_database_that_was_set_back_is_followed(room: Room, kind: str, reads: bool) -> None:
    """What was sent, or held, before the read began, and is not in the database any more, counts no longer."""
    room.reader.rows = [update("a", 5)]
    await room.subscribing(kind, ["a"])
    room.client.accepting = reads
    room.bus.publish(update("a", 6))
    room.client.accepting = False  # as a session is, until the snapshot is written
    room.reader.rows = [update("a", 2)]
    room.certain = {"a": update("a", 2)}
    assert [one.version for one in await room.subscribing(kind, ["a"])] == [2]
    room.client.accepting = True
    assert list(room.client.take_pending()) == []
    before = len(room.client.versions)
    room.bus.publish(update("a", 3))
    assert room.client.versions[before:] == [("a", 3)]


@pytest.mark.parametrize("kind", ["ids", "mine", "all"])
async def test_a_read_of_a_server_that_knew_less_is_made_good(room: Room, kind: str) -> None:
    room.reader.rows = [update("a", 6)]
    await room.subscribing(kind, ["a"])
    room.reader.rows = [update("a", 4)]
    room.certain = {"a": update("a", 6)}
    assert [one.version for one in await room.subscribing(kind, ["a"])] == [6]
    room.bus.publish(update("a", 5))
    room.bus.publish(update("a", 7))
    assert room.client.versions == [("a", 7)]


@pytest.mark.parametrize("kind", ["ids", "mine", "all"])
async def test_where_nothing_can_be_read_for_certain_nothing_is_subscribed_to(room: Room, kind: str) -> None:
    room.reader.rows = [update("a", 6)]
    await room.subscribing("ids", ["a"])
    room.reader.rows = [update("a", 4)]
    with pytest.raises(DatabaseUnavailable):
        await room.subscribing(kind, ["a"])
    assert (room.client.ids, room.client.mine, room.client.all) == ({"a"}, False, False)


@pytest.mark.parametrize("error", [DatabaseUnavailable("away"), asyncio.CancelledError()])
@pytest.mark.parametrize("kind", ["ids", "mine", "all"])
async def test_a_subscription_that_fails_leaves_nothing_behind(room: Room, kind: str, error: BaseException) -> None:
    room.reader.error = error
    with pytest.raises(type(error)):
        await room.subscribing(kind, ["a"])
    assert (room.client.ids, room.client.mine, room.client.all) == (frozenset(), False, False)
    room.bus.publish(update("a", 1))
    assert room.client.versions == []
    assert ("all" in room.bus.ignored) is (kind == "all")


@pytest.mark.parametrize("kind", ["ids", "mine", "all"])
async def test_a_repeated_subscription_that_fails_takes_nothing_away(room: Room, kind: str) -> None:
    room.reader.rows = [update("a", 1)]
    for each in ("ids", "mine", "all"):
        await room.subscribing(each, ["a"])
    room.reader.error = DatabaseUnavailable("away")
    with pytest.raises(DatabaseUnavailable):
        await room.subscribing(kind, ["a", "b"])
    assert (room.client.ids, room.client.mine, room.client.all) == ({"a"}, True, True)


async def test_scopes_see_what_is_theirs(room: Room) -> None:
    room.reader.rows = [update("a", 1), update("eves", 1, user_id="eve")]
    assert [one.request_id for one in await room.subscriptions.add_mine(room.client)] == ["a"]
    room.bus.publish(update("new", 1))
    room.bus.publish(update("eves", 2, user_id="eve"))
    assert room.client.versions == [("new", 1)]
    assert len(await room.subscriptions.add_all(room.client)) == 2
    room.bus.publish(update("eves", 3, user_id="eve"))
    assert room.client.versions[-1] == ("eves", 3)
    room.subscriptions.remove_all(room.client)
    room.subscriptions.remove_mine(room.client)
    room.bus.publish(update("eves", 4, user_id="eve"))
    room.bus.publish(update("new", 2))
    assert room.client.versions[-1] == ("eves", 3)


async def test_what_is_unsubscribed_is_not_delivered(room: Room) -> None:
    room.reader.rows = [update("a", 1), update("b", 1)]
    await room.subscriptions.add_ids(room.client, ["a", "b"])
    room.subscriptions.remove(room.client, {"a", "unknown"})
    room.bus.publish(update("a", 2))
    room.bus.publish(update("b", 2))
    assert room.client.versions == [("b", 2)]
