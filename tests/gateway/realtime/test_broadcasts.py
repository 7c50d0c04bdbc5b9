"""Deliveries to very many, and leaving once."""

import asyncio
from typing import cast

import msgspec

from gateway.realtime.broadcasts import SLICE
from gateway.realtime.bus import InProcessBus
from gateway.realtime.hub import Hub
from gateway.realtime.subscriber import Subscriber
from gateway.realtime.update import Update
from storage.database.base import Database
from storage.lifecycle import Status
from storage.public_urls import PublicUrls


class Client(Subscriber):
    """Accepts everything and remembers it."""

    def __init__(self, user_id: str = "ada") -> None:
        super().__init__(user_id, "websocket")
        self.mine = self.accepting = True
        self.seen: list[int] = []
        self.asked_to_leave: list[float] = []

    def deliver(self, update: Update) -> None:
        self.seen.append(update.version)

    def leave_within(self, seconds: float) -> None:
        self.asked_to_leave.append(seconds)


def update(version: int, request_id: str = "a") -> Update:
    return Update(request_id, "ada", version, Status.PROCESSING, msgspec.Raw(b"{}"))


def new_hub() -> Hub:
    return Hub(cast("Database", None), InProcessBus(), PublicUrls("http://a", "http://b"), 3600)


async def test_a_broadcast_takes_turns_and_versions_only_rise() -> None:
    hub = new_hub()
    clients = [Client() for _ in range(3 * SLICE)]
    for client in clients:
        hub.join(client)
    for version in range(1, 6):
        hub.deliver(update(version))
        hub.deliver(update(version, "b"))
    turns = 0
    while sum(len(client.seen) for client in clients) < 2 * len(clients):
        before = sum(len(client.seen) for client in clients)
        await asyncio.sleep(0)
        turns += 1
        assert sum(len(client.seen) for client in clients) - before <= SLICE
    assert turns >= 6
    assert all(client.seen == [5, 5] for client in clients), "of each request the newest, once"


async def test_a_broadcast_to_owners_and_to_administrators_reaches_both() -> None:
    hub = new_hub()
    owners, administrators = ([Client(user_id) for _ in range(SLICE + 1)] for user_id in ("ada", "root"))
    for client in owners:
        hub.join(client)
    for client in administrators:
        hub.join_all(client)
    hub.deliver(update(1))
    hub.deliver(update(2))
    for _ in range(6):
        await asyncio.sleep(0)
    assert all(client.seen == [2] for client in (*owners, *administrators))


async def test_an_administrator_is_asked_to_leave_once() -> None:
    hub = new_hub()
    client = Client()
    hub.join(client)
    hub.join_all(client)
    hub.drain(10)
    assert len(client.asked_to_leave) == 1


class Broken(Client):
    """One whose connection fails in the middle."""

    def deliver(self, update: Update) -> None:
        raise RuntimeError("the handler is closed")


async def test_one_that_is_broken_costs_the_others_nothing() -> None:
    hub = new_hub()
    clients = [Client(), Broken(), Client()]
    for client in clients:
        hub.join(client)
    hub.deliver(update(1))
    hub.deliver(update(2))
    assert [client.seen for client in clients] == [[1, 2], [], [1, 2]]
