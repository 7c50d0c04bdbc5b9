"""The hub: who gets what in which turn of the loop, what is read again, and how clients are shown out."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.realtime import hub as hub_module
from gateway.realtime.broadcasts import SLICE
from gateway.realtime.hub import OVERLAP, Hub
from gateway.realtime.update import Update
from gateway.telemetry import metrics
from gateway.telemetry.tally import flush_tallies
from storage import reads
from storage.database.base import Database
from storage.errors import DatabaseUnavailable
from storage.lifecycle import Status
from storage.public_urls import PublicUrls
from storage.submissions import Submission, submit
from tests.gateway.realtime.doubles import BusDouble, Client, update
from tests.people import People
from tests.running import eventually

URLS = PublicUrls("https://project.example", "https://gateway.example", frozenset())


class NoDatabase:
    """What fails when it is asked: delivering must not need it."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the database was asked ({name})")


@pytest.fixture
def bus() -> BusDouble:
    return BusDouble()


@pytest.fixture
def hub(bus: BusDouble) -> Hub:
    made = Hub(NoDatabase(), bus, URLS, 3600.0)  # type: ignore[arg-type]
    bus.listener = made
    return made


# -- who has subscribed -----------------------------------------------------------------------------------------------


async def test_clients_of_one_user_share_a_topic(hub: Hub, bus: BusDouble) -> None:
    first, second, eve = Client(), Client(), Client("eve")
    for client in (first, second, eve):
        hub.join(client)
    assert bus.listened == ["user:ada", "user:eve"]
    assert hub.subscribers == 3
    hub.leave(first)
    assert bus.ignored == []
    hub.leave(second)
    hub.leave(eve)
    hub.leave(eve)  # also for one that has left
    assert bus.ignored == ["user:ada", "user:eve"]
    assert hub.subscribers == 0


async def test_who_listens_to_everything_leaves_everything(hub: Hub, bus: BusDouble) -> None:
    admin = Client()
    with hub.joined(admin):
        hub.join_all(admin)
        assert bus.listened == ["user:ada", "all"]
        assert hub.subscribers == 1
    assert sorted(bus.ignored) == ["all", "user:ada"]
    hub.join(admin)
    hub.join_all(admin)
    hub.leave_all(admin)
    assert not admin.all
    assert bus.ignored[-1] == "all"


async def test_who_comes_back_is_found_again(hub: Hub) -> None:
    """Subscribers are remembered with the request, and change: the last one leaves, another one comes."""
    for version in range(1, 5):
        hub.join(client := Client("ada"))
        hub.deliver(update("a", version))
        hub.leave(client)
        hub.deliver(update("a", version))
        assert client.versions == [("a", version)]
    hub.join(first := Client("ada"))
    hub.deliver(update("a", 5))
    hub.join(second := Client("ada"))
    hub.deliver(update("a", 6))
    hub.leave(first)
    hub.deliver(update("a", 7))
    assert first.versions == [("a", 5), ("a", 6)]
    assert second.versions == [("a", 6), ("a", 7)]


async def test_listening_waits_for_the_bus_and_for_no_longer(hub: Hub, bus: BusDouble) -> None:
    client = Client()
    bus.confirming = False
    hub.join(client)
    waiting = asyncio.create_task(hub.listening(client))
    await asyncio.sleep(0)
    assert not waiting.done()
    bus.pending["user:ada"].set_result(None)
    await waiting
    await hub.listening(client)  # at once


async def test_a_topic_that_is_left_and_taken_again_is_waited_for_anew(hub: Hub, bus: BusDouble) -> None:
    bus.confirming = False
    hub.join(client := Client())
    before = bus.pending["user:ada"]
    hub.leave(client)
    hub.join(client)
    before.set_result(None)  # late, and for the subscription that was given up
    await asyncio.sleep(0)
    waiting = asyncio.create_task(hub.listening(client))
    await asyncio.sleep(0)
    assert not waiting.done()
    bus.pending["user:ada"].set_result(None)
    await waiting


# -- delivering -------------------------------------------------------------------------------------------------------


async def test_an_update_is_delivered_in_the_turn_that_brought_it(hub: Hub, bus: BusDouble) -> None:
    ada, other, eve, admin = Client(), Client(mine=False), Client("eve"), Client("admin")
    for client in (ada, other, eve, admin):
        hub.join(client)
    other.add_ids({"wanted"})
    hub.join_all(admin)
    bus.publish(update("wanted", 1))
    bus.publish(update("unwanted", 1))
    assert ada.versions == admin.versions == [("wanted", 1), ("unwanted", 1)]
    assert other.versions == [("wanted", 1)]
    assert eve.versions == []


async def test_repeated_and_late_updates_are_dropped(hub: Hub, bus: BusDouble) -> None:
    hub.join(client := Client())
    for version in (2, 1, 2, 3, 2):
        bus.publish(update("a", version))
    assert client.versions == [("a", 2), ("a", 3)]


async def test_a_client_that_cannot_take_it_holds_the_newest(hub: Hub, bus: BusDouble) -> None:
    hub.join(slow := Client())
    hub.join(quick := Client())
    slow.accepting = False
    for version in (1, 3, 2):
        bus.publish(update("a", version))
    assert quick.versions == [("a", 1), ("a", 3)]
    assert slow.versions == []
    assert [held.version for held in slow.take_pending()] == [3]


async def test_a_broadcast_yields_to_the_loop_after_each_slice(hub: Hub, bus: BusDouble) -> None:
    clients = [Client() for _ in range(2 * SLICE + 1)]
    for client in clients:
        hub.join(client)

    def served(version: int) -> int:
        return sum(("a", version) in client.versions for client in clients)

    bus.publish(update("a", 1))
    turns = [served(1)]
    while turns[-1] < len(clients):
        await asyncio.sleep(0)
        turns.append(served(1))
    assert turns == [0, SLICE, 2 * SLICE, 2 * SLICE + 1]


async def test_a_newer_update_that_overtakes_a_broadcast_wins(hub: Hub, bus: BusDouble) -> None:
    clients = [Client() for _ in range(3 * SLICE)]
    for client in clients:
        hub.join(client)
    bus.publish(update("a", 1))
    bus.publish(update("a", 2))
    hub.leave(clients[0])

    async def all_served() -> bool:
        return all(("a", 2) in client.versions for client in clients[1:])

    await eventually(all_served)
    for client in clients:
        versions = [version for _, version in client.versions]
        assert versions == sorted(set(versions))


async def test_deliveries_and_their_age_are_counted(hub: Hub, bus: BusDouble) -> None:
    def counted() -> tuple[float, float]:
        flush_tallies()
        deliveries = metrics.REGISTRY.get_sample_value("gateway_deliveries_total", {"transport": "websocket"})
        latencies = metrics.REGISTRY.get_sample_value("gateway_callback_to_client_seconds_count")
        return deliveries or 0.0, latencies or 0.0

    hub.join(Client())
    hub.join(Client())
    before = counted()
    bus.publish(update("a", 1, at=1.0))
    bus.publish(update("a", 1, at=1.0))  # nobody gets it twice
    bus.publish(update("b", 1))  # read for somebody who came: as old as it is
    after = counted()
    assert (after[0] - before[0], after[1] - before[1]) == (4.0, 1.0)


async def test_only_what_is_final_and_ones_own_leaves_a_receipt(hub: Hub, bus: BusDouble) -> None:
    hub.join(Client())
    admin = Client("admin")
    hub.join(admin)
    hub.join_all(admin)
    bus.publish(update("a", 1))
    bus.publish(update("b", 2, user_id="eve", status=Status.COMPLETED))  # seen by the administrator alone
    assert list(hub.receipts._pending) == []
    bus.publish(update("a", 2, status=Status.COMPLETED))
    hub.record_answer(update("c", 3, status=Status.FAILED), "poll")
    hub.record_answer(update("d", 3), "poll")
    assert list(hub.receipts._pending) == [("a", 2), ("c", 3)]


# -- leaving ----------------------------------------------------------------------------------------------------------


async def test_a_drain_asks_everyone_who_is_here_and_who_still_comes(hub: Hub) -> None:
    clients = [Client(user) for user in ("ada", "eve", "eve")]
    for client in clients:
        hub.join(client)
    hub.drain(60.0)
    hub.join(late := Client())
    for client in (*clients, late):
        (seconds,) = client.leave_in
        assert 0.0 <= seconds <= 60.0
    assert len({client.leave_in[0] for client in clients}) == 3, "each at a moment of its own"


# -- reading again ----------------------------------------------------------------------------------------------------


async def started(database: Database, bus: BusDouble) -> Hub:
    hub = Hub(database, bus, URLS, 3600.0)
    bus.listener = hub
    hub._since = datetime.now(UTC) - timedelta(minutes=5)
    return hub


async def requested(database: Database, users_table: str, number: int) -> tuple[str, list[str]]:
    """A user with that many requests: the user's id, and theirs."""
    person = await People(database, users_table).person()
    submission = Submission(user_id=person.id, product="Shoes", brand="Nike")
    made = [await submit(database, submission, quota=100, deadline_seconds=900) for _ in range(number)]
    return person.id, [submitted.request.id for submitted in made]


async def test_a_reconcile_offers_what_changed_to_those_who_are_here(
    database: Database, users_table: str, bus: BusDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "PAGE", 2)  # several pages
    monkeypatch.setattr(hub_module, "USERS", 1)  # and several queries
    ada, of_ada = await requested(database, users_table, 5)
    eve, of_eve = await requested(database, users_table, 1)
    _, _of_nobody_here = await requested(database, users_table, 1)
    hub = await started(database, bus)
    hub.join(first := Client(ada))
    hub.join(second := Client(eve))
    for _ in range(2):
        await hub.reconcile()
        assert sorted(first.versions) == sorted((request_id, 1) for request_id in of_ada)
        assert sorted(second.versions) == sorted((request_id, 1) for request_id in of_eve)


async def test_a_database_that_was_set_back_is_followed(database: Database, users_table: str, bus: BusDouble) -> None:
    """By those who are ahead, whether they read or not; then versions rise again, also those that were seen before."""
    ada, (request_id,) = await requested(database, users_table, 1)
    hub = await started(database, bus)
    hub.join(reading := Client(ada))
    hub.join(slow := Client(ada))
    slow.accepting = False
    bus.publish(update(request_id, 6, user_id=ada))
    await hub.reconcile()
    assert reading.versions == [(request_id, 6), (request_id, 1)]
    assert [held.version for held in slow.take_pending()] == [1]
    await database.all("UPDATE ai_image_requests SET version = 2 WHERE id = :id", id=request_id)
    await hub.reconcile()
    await hub.reconcile()
    assert reading.versions == [(request_id, 6), (request_id, 1), (request_id, 2)]
    assert [held.version for held in slow.take_pending()] == [2]


async def test_a_page_that_is_older_than_what_the_bus_brought_sets_nobody_back(
    database: Database, users_table: str, bus: BusDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada, (request_id,) = await requested(database, users_table, 1)
    hub = await started(database, bus)
    hub.join(client := Client(ada))
    hub.join(slow := Client(ada))
    slow.accepting = False
    read = reads.changed_since

    async def overtaken(*asked: Any) -> list[Any]:
        page = await read(*asked)
        await database.all("UPDATE ai_image_requests SET version = 7 WHERE id = :id", id=request_id)
        bus.publish(update(request_id, 7, user_id=ada))
        return page

    monkeypatch.setattr(reads, "changed_since", overtaken)
    for _ in range(2):
        await hub.reconcile()
    assert client.versions == [(request_id, 7)]
    assert [held.version for held in slow.take_pending()] == [7]


async def test_who_hears_something_newer_while_it_is_asked_for_certain_keeps_that(
    database: Database, users_table: str, bus: BusDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada, (request_id,) = await requested(database, users_table, 1)
    hub = await started(database, bus)
    hub.join(client := Client(ada))
    read = reads.read_for_certain

    async def overtaken(*asked: Any) -> dict[str, Any]:
        found = await read(*asked)
        bus.publish(update(request_id, 7, user_id=ada))
        return found

    monkeypatch.setattr(reads, "read_for_certain", overtaken)
    bus.publish(update(request_id, 6, user_id=ada))
    await hub.reconcile()
    assert client.versions == [(request_id, 6), (request_id, 7)]


async def test_a_server_that_may_know_less_sets_nobody_back(
    database: Database, users_table: str, bus: BusDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was demoted answers reads; asked for certain it refuses, and the reconcile is tried again."""
    ada, (request_id,) = await requested(database, users_table, 1)
    hub = await started(database, bus)
    hub.join(client := Client(ada))

    async def refused(*_: object) -> dict[str, Any]:
        raise DatabaseUnavailable("demoted")

    monkeypatch.setattr(reads, "read_for_certain", refused)
    bus.publish(update(request_id, 6, user_id=ada))
    with pytest.raises(DatabaseUnavailable):
        await hub.reconcile()
    assert client.versions == [(request_id, 6)]


async def test_after_a_gap_what_was_offered_before_is_offered_again(
    database: Database, users_table: str, bus: BusDouble
) -> None:
    """A memory of this process may be wrong about who was reached; only a gap is a reason to doubt it."""
    ada, (request_id,) = await requested(database, users_table, 1)
    hub = await started(database, bus)
    hub.join(first := Client(ada))
    await hub.reconcile()
    assert first.versions == [(request_id, 1)]
    hub.join(second := Client(ada))
    await hub.reconcile()
    assert second.versions == [], "nothing new has come, and its snapshot is its own"
    await hub.start()
    hub.on_gap()

    async def seen() -> list[Update]:
        return second.delivered

    await eventually(seen)
    await hub.stop()
    assert second.versions == [(request_id, 1)]
    assert first.versions == [(request_id, 1)], "once"


async def test_a_reconcile_for_an_administrator_reads_everyones(
    database: Database, users_table: str, bus: BusDouble
) -> None:
    made = [(await requested(database, users_table, 1))[1][0] for _ in range(2)]
    hub = await started(database, bus)
    admin = Client("admin", mine=False)
    hub.join(admin)
    hub.join_all(admin)
    await hub.reconcile()
    assert {request_id for request_id, _ in admin.versions} == set(made)


async def test_a_reconcile_reads_back_far_enough_and_no_further(
    database: Database, users_table: str, bus: BusDouble
) -> None:
    ada, (early, lately) = await requested(database, users_table, 2)
    for request_id, seconds in ((early, -2 * OVERLAP.total_seconds()), (lately, -OVERLAP.total_seconds() / 2)):
        await database.all(
            "UPDATE ai_image_requests SET updated_at = AFTER(:seconds) WHERE id = :id", id=request_id, seconds=seconds
        )
    hub = await started(database, bus)
    hub._since = None  # as at the start, when the last reconcile is now
    hub.join(client := Client(ada))
    await hub.reconcile()
    assert [request_id for request_id, _ in client.versions] == [lately]


async def test_a_reconcile_that_failed_reads_from_the_same_point_again(
    bus: BusDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[datetime] = []
    times = iter(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=10 * number) for number in range(9))

    async def now(database: object) -> datetime:
        return next(times)

    async def changed_since(database: object, since: datetime, *rest: object) -> list[Any]:
        asked.append(since)
        if len(asked) == 2:
            raise DatabaseUnavailable("away")
        return []

    monkeypatch.setattr(reads, "now", now)
    monkeypatch.setattr(reads, "changed_since", changed_since)
    hub = Hub(NoDatabase(), bus, URLS, 3600.0)  # type: ignore[arg-type]
    bus.listener = hub
    hub.join(Client())
    await hub.reconcile()
    with pytest.raises(DatabaseUnavailable):
        await hub.reconcile()
    await hub.reconcile()
    await hub.reconcile()
    assert asked[0] == asked[1] == asked[2]
    assert asked[3] == asked[0] + timedelta(minutes=20), "the third time was the next that was read"


async def test_a_gap_in_the_bus_is_closed_at_once_and_a_failure_tried_again(
    database: Database, users_table: str, bus: BusDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada, (request_id,) = await requested(database, users_table, 1)
    hub = Hub(database, bus, URLS, 3600.0)
    bus.listener = hub
    hub.join(client := Client(ada))
    failures = 0
    reconcile = hub.reconcile

    async def failing_once() -> None:
        nonlocal failures
        failures += 1
        if failures == 1:
            raise DatabaseUnavailable("away")
        await reconcile()

    monkeypatch.setattr(hub, "reconcile", failing_once)
    await hub.start()
    hub.on_gap()

    async def seen() -> list[Update]:
        return client.delivered

    await eventually(seen)
    await hub.stop()
    assert client.versions == [(request_id, 1)]
    assert failures == 2
