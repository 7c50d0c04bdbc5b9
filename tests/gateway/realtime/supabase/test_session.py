"""The session as a pure state machine: a carrier that only records, no server, no socket."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.auth.tokens import Authenticator, issue_token
from gateway.realtime.bus import InProcessBus
from gateway.realtime.close_codes import CloseCode
from gateway.realtime.connection import SessionParts
from gateway.realtime.connection_limits import ConnectionLimits
from gateway.realtime.hub import Hub
from gateway.realtime.request_reader import RequestReader
from gateway.realtime.subscriptions import Subscriptions
from gateway.realtime.supabase import session as session_module
from gateway.realtime.supabase.serializers import SERIALIZERS
from gateway.realtime.supabase.session import SupabaseSession
from gateway.realtime.update import Update
from gateway.settings import Settings
from storage import reads
from storage.database.base import Database
from storage.lifecycle import Status
from storage.public_urls import PublicUrls
from storage.request import Request
from storage.times import instant
from tests.channels import binding
from tests.running import eventually

ADA = "11111111-1111-4111-8111-111111111111"
KEY = "sb_publishable_of-the-tests"


def request(number: int, version: int = 2, user_id: str = ADA) -> Request:
    return Request(
        id=f"22222222-2222-4222-8222-{number:012}",
        user_id=user_id,
        organization_id=ADA,
        product="Shoes",
        brand="Nike",
        status=Status.PROCESSING,
        version=version,
        progress=None,
        storage_key=None,
        storage_id=None,
        error_message=None,
        error_code=None,
        cost=None,
        created_at=instant("2026-01-01T00:00:00+00:00"),
        updated_at=instant("2026-01-01T00:00:00+00:00"),
        completed_at=None,
        n8n_execution_id=None,
        metadata={},
        retry_of=None,
        dispatch_attempts=1,
        picture_token=ADA,
    )


class RecordingCarrier:
    """Keeps what is written."""

    def abort(self) -> None:
        raise AssertionError("nobody is refused here")

    def __init__(self) -> None:
        self.writable = True
        self.frames: list[bytes] = []
        self.closed: int | None = None

    def write(self, frame: bytes) -> None:
        assert self.closed is None, "nothing is written after a close"
        self.frames.append(frame)

    def close(self, code: int, reason: str) -> None:
        self.closed = code

    def take(self) -> list[Any]:
        """The messages since the last time."""
        frames, self.frames = self.frames, []
        return [json.loads(_payload(frame)) for frame in frames]


def _payload(frame: bytes) -> bytes:
    start = {126: 4, 127: 10}.get(frame[1], 2)
    return frame[start:]


class World:
    """A session with its hub, on rows that a test lists."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, database: Database) -> None:
        self.rows: list[Request] = []
        self.reading = asyncio.Event()
        self.reading.set()
        settings = Settings.load({"supabase_anon_key": KEY})
        self.secret = settings.supabase_jwt_secret.get_secret_value()
        self.urls = PublicUrls("https://p.supabase.co", "https://app", frozenset())
        self.bus = InProcessBus()
        self.hub = Hub(database, self.bus, self.urls, 15)
        self.limits = ConnectionLimits(per_user=2, per_address=9, in_total=9)
        parts = SessionParts(
            settings,
            Authenticator(settings),
            self.hub,
            Subscriptions(self.hub, RequestReader(database, self.urls)),
            self.limits,
        )
        self.carrier = RecordingCarrier()
        self.session = SupabaseSession(
            parts, self.carrier, SERIALIZERS["2.0.0"], "127.0.0.1", credential=None, api_key=KEY
        )
        monkeypatch.setattr(reads, "read_all", self._read_all)
        monkeypatch.setattr(reads, "recent_of_users", self._recent)

    async def _read_all(self, database: Database, ids: list[str]) -> dict[str, Request]:
        found = {row.id: row for row in self.rows if row.id in ids}
        await self.reading.wait()
        return found

    async def _recent(self, database: Database, users: list[str], limit: int) -> dict[str, list[Request]]:
        found = {user: [row for row in self.rows if row.user_id == user] for user in users}
        await self.reading.wait()
        return found

    def push(self, event: str, payload: Any, topic: str = "realtime:x", ref: str = "1", join_ref: str = "1") -> None:
        self.session.on_text(json.dumps([join_ref, ref, topic, event, payload]))

    def join(self, *bindings: dict[str, Any], topic: str = "realtime:x", ref: str = "1") -> None:
        token = issue_token(self.secret, ADA, admin=False, lifetime=600)
        payload = {"config": {"postgres_changes": list(bindings)}, "access_token": token}
        self.push("phx_join", payload, topic, ref, ref)

    def change(self, row: Request) -> None:
        """The bus brings `row`."""
        self.hub.deliver(Update.of(row, self.urls))

    async def said(self, count: int) -> list[Any]:
        """The next `count` messages."""

        async def enough() -> bool:
            return len(self.carrier.frames) >= count

        await eventually(enough)
        return self.carrier.take()


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch, database: Database) -> AsyncIterator[World]:
    world = World(monkeypatch, database)
    yield world
    world.session.on_closed()
    assert (world.hub.subscribers, world.limits.open) == (0, 0)


pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


def versions(frames: list[Any]) -> list[tuple[str, int]]:
    changes = [frame[4]["data"] for frame in frames if frame[3] == "postgres_changes"]
    return [(change["type"], change["record"]["version"]) for change in changes]


async def test_nothing_is_said_before_nothing_can_be_missed(world: World) -> None:
    """What happens while the rows are read follows them; what the read brought already is dropped."""
    world.rows = [request(1)]
    world.reading.clear()
    world.join(binding("UPDATE"))
    await asyncio.sleep(0.05)
    assert world.carrier.take() == [], "not even SUBSCRIBED"
    world.change(request(1, version=2))
    world.change(request(1, version=3))
    world.reading.set()
    frames = await world.said(4)
    assert [frame[3] for frame in frames[:2]] == ["phx_reply", "system"]
    assert versions(frames) == [("UPDATE", 2), ("UPDATE", 3)]


async def test_an_idle_client_has_no_task(world: World) -> None:
    world.rows = [request(1)]
    before = asyncio.all_tasks()
    world.join(binding("UPDATE"))
    await world.said(3)

    async def none_more() -> bool:
        return asyncio.all_tasks() == before

    await eventually(none_more)


async def test_who_does_not_read_skips_versions_and_holds_one_of_each(world: World) -> None:
    world.rows = [request(number) for number in range(5)]
    world.join(binding("*"))
    await world.said(7)
    world.carrier.writable = False
    world.session.on_paused()
    for version in range(3, 500):
        for number in range(5):
            world.change(request(number, version=version))
    assert world.carrier.frames == []
    world.carrier.writable = True
    world.session.on_writable()
    assert versions(world.carrier.take()) == [("UPDATE", 499)] * 5


async def test_rows_wait_for_a_client_that_does_not_read(world: World) -> None:
    world.rows = [request(number) for number in range(5)]
    world.carrier.writable = False
    world.join(binding("*"))
    world.push("heartbeat", {}, topic="phoenix", ref="9")
    await asyncio.sleep(0.05)
    assert world.carrier.frames == [], "not even the join is looked at"
    world.carrier.writable = True
    world.session.on_writable()
    frames = await world.said(8)
    assert [frame[3] for frame in frames].count("postgres_changes") == 5
    assert frames[0][1] == "9"


async def test_rows_that_were_never_written_come_after_the_next_sign_in(world: World) -> None:
    world.rows = [request(1)]
    world.reading.clear()
    world.join(binding("*"))
    await asyncio.sleep(0.05)
    world.carrier.writable = False
    world.reading.set()
    assert [frame[3] for frame in await world.said(2)] == ["phx_reply", "system"]
    world.carrier.writable = True
    world.push("access_token", {"access_token": KEY})
    assert world.hub.subscribers == 0
    world.push("access_token", {"access_token": issue_token(world.secret, ADA, admin=False, lifetime=600)})
    assert versions(await world.said(2)) == [("UPDATE", 2)]


async def test_who_pushes_and_pushes_without_reading_is_closed(world: World) -> None:
    world.carrier.writable = False
    for number in range(session_module.MAX_PUSHES + 1):
        world.push("heartbeat", {}, topic="phoenix", ref=str(number))
    assert world.carrier.closed == CloseCode.TOO_MANY


async def test_all_channels_may_be_joined_without_reading(world: World) -> None:
    """And their tokens renewed: what comes at once may also wait."""
    world.carrier.writable = False
    for number in range(session_module.MAX_CHANNELS):
        world.push("phx_join", {"config": {}}, topic=f"realtime:{number}", ref=str(number))
        world.push("access_token", {"access_token": KEY}, topic=f"realtime:{number}", ref=f"t{number}")
    assert world.carrier.closed is None
    world.carrier.writable = True
    world.session.on_writable()
    assert len(world.carrier.take()) >= session_module.MAX_CHANNELS


async def test_what_waits_is_bounded_in_characters(world: World) -> None:
    world.carrier.writable = False
    text = "x" * 100_000
    for number in range(session_module.MAX_PUSHED // len(text)):
        world.push("heartbeat", {"text": text}, topic="phoenix", ref=str(number))
    assert world.carrier.closed is None
    world.push("heartbeat", {"text": text}, topic="phoenix", ref="last")
    assert world.carrier.closed == CloseCode.TOO_MANY


async def test_a_leave_during_the_join_ends_it(world: World) -> None:
    world.rows = [request(1)]
    world.reading.clear()
    world.join(binding("UPDATE"))
    await asyncio.sleep(0.05)
    assert world.hub.subscribers == 1
    world.push("phx_leave", {}, ref="2")
    assert [frame[3] for frame in world.carrier.take()] == ["phx_reply", "phx_close"]
    assert world.hub.subscribers == 0
    world.reading.set()
    await asyncio.sleep(0.05)
    assert world.carrier.frames == []


async def test_a_token_that_comes_during_the_join_counts_after_it(world: World) -> None:
    world.rows = [request(1)]
    world.reading.clear()
    world.join(binding("UPDATE"))
    await asyncio.sleep(0)
    world.push("access_token", {"access_token": KEY})
    world.reading.set()
    await world.said(2)

    async def signed_out() -> bool:
        return world.hub.subscribers == 0

    await eventually(signed_out)
    world.carrier.take()
    world.change(request(1, version=9))
    assert world.carrier.frames == []


async def test_a_request_is_inserted_once(world: World) -> None:
    world.join(binding("*"), binding("INSERT"))
    await world.said(2)
    for version in (1, 2, 3):
        world.change(request(1, version=version))
    frames = world.carrier.take()
    assert versions(frames) == [("INSERT", 1), ("UPDATE", 2), ("UPDATE", 3)]
    assert [frame[4]["ids"] for frame in frames] == [[1, 2], [1], [1]]


async def test_old_requests_that_change_are_updated_though_nothing_was_seen_of_them(world: World) -> None:
    world.join(binding("*"), binding("INSERT"))
    await world.said(2)
    world.change(request(1, version=7))  # made long before the join, and in no snapshot
    assert versions(world.carrier.take()) == [("UPDATE", 7)]


async def test_an_insert_alone_makes_no_receipt(world: World) -> None:
    """A final result counts as delivered only where it was."""
    world.rows = [request(1)]
    world.join(binding("INSERT"))
    await world.said(2)
    world.change(request(1, version=3))
    assert world.carrier.frames == []
    assert not world.hub.receipts._pending


async def test_a_user_counts_once_for_a_connection(world: World) -> None:
    for topic in "abc":
        world.join(binding("INSERT"), topic=f"realtime:{topic}")
        await world.said(2)
    assert world.limits._users == {ADA: 1}
    for topic in "abc":
        world.push("phx_leave", {}, topic=f"realtime:{topic}", ref="2")
    assert world.limits._users == {}


async def test_a_draining_hub_closes_the_connection_once(world: World) -> None:
    for topic in "ab":
        world.join(binding("INSERT"), topic=f"realtime:{topic}")
        await world.said(2)
    world.hub.drain(0.05)

    async def closed() -> bool:
        return world.carrier.closed == CloseCode.RESTART

    await eventually(closed)
    assert world.hub.subscribers == 0
