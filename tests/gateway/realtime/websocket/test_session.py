"""The state machine of `/ws` without a server: commands in, frames out."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec
import pytest
from starlette.datastructures import Headers

from gateway.auth.tokens import Authenticator, issue_token
from gateway.realtime.bus import InProcessBus
from gateway.realtime.close_codes import CloseCode
from gateway.realtime.connection import SessionParts
from gateway.realtime.connection_limits import ConnectionLimits
from gateway.realtime.frames import FrameReader, text_frame
from gateway.realtime.hub import Hub
from gateway.realtime.request_reader import RequestReader
from gateway.realtime.subscriptions import Subscriptions
from gateway.realtime.update import Update
from gateway.realtime.websocket import session as session_module
from gateway.realtime.websocket.session import MAX_COMMANDS, WebSocketSession
from gateway.settings import Settings
from storage.database.base import Database
from storage.errors import DatabaseUnavailable
from storage.lifecycle import Status
from storage.public_urls import PublicUrls

ADA = "00000000-0000-4000-8000-00000000000a"
EVE = "00000000-0000-4000-8000-00000000000e"
REQUEST = "11111111-1111-4111-8111-111111111111"


def update(version: int, request_id: str = REQUEST, user_id: str = ADA) -> Update:
    body = msgspec.Raw(b'{"requestId":"%b","version":%d}' % (request_id.encode(), version))
    return Update(request_id, user_id, version, Status.PROCESSING, body)


@dataclass
class Carrier:
    """Keeps what a session sends."""

    writable: bool = True
    written: list[bytes] = field(default_factory=list)
    closed: tuple[int, str] | None = None

    def write(self, frame: bytes) -> None:
        assert self.closed is None, "nothing is sent after a close"
        self.written.append(frame)

    def close(self, code: int, reason: str) -> None:
        assert self.closed is None, "closed once"
        self.closed = (code, reason)

    def abort(self) -> None:
        raise AssertionError("nobody is refused here")

    def messages(self) -> list[dict[str, Any]]:
        """What has been sent since the last call."""
        sent, self.written = self.written, []
        return [json.loads(payload(frame)) for frame in sent]


def payload(frame: bytes) -> bytes:
    """What is in a server's text frame: read as a client's with a mask of zeroes."""
    start = 2 if frame[1] < 126 else 4
    return frame[start:]


class Reader:
    """The requests of a database that answers when it is told to."""

    def __init__(self) -> None:
        self.found: list[Update] = []
        self.error: Exception | None = None
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def _answer(self) -> list[Update]:
        await self.may_answer.wait()
        if self.error is not None:
            raise self.error
        return self.found

    async def own_many(self, request_ids: list[str], user_id: str) -> list[Update]:
        return [one for one in await self._answer() if one.request_id in request_ids and one.user_id == user_id]

    async def recent(self, user_id: str) -> list[Update]:
        return [one for one in await self._answer() if one.user_id == user_id]

    async def recent_of_everyone(self) -> list[Update]:
        return await self._answer()


@dataclass
class World:
    parts: SessionParts
    reader: Reader
    hub: Hub
    carrier: Carrier = field(default_factory=Carrier)

    def token(self, user_id: str = ADA, *, admin: bool = False, lifetime: int = 3600) -> str:
        secret = self.parts.settings.supabase_jwt_secret.get_secret_value()
        return issue_token(secret, user_id, admin=admin, lifetime=lifetime)

    def open(self, **headers: str) -> WebSocketSession:
        session = WebSocketSession(self.parts, self.carrier, "192.0.2.1")
        session.begin(Headers(headers))
        return session

    def welcomed(self, *, admin: bool = False) -> WebSocketSession:
        session = self.open(authorization=f"Bearer {self.token(admin=admin)}")
        assert [message["type"] for message in self.carrier.messages()] == ["welcome"]
        return session


async def settle() -> None:
    """Let everything happen that waits for nothing else."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture
async def world() -> World:
    settings = Settings.load()
    nothing = cast("Database", None)  # no reconcile runs here
    hub = Hub(nothing, InProcessBus(), PublicUrls("http://a", "http://b"), 3600)
    reader = Reader()
    parts = SessionParts(
        settings,
        Authenticator(settings),
        hub,
        Subscriptions(hub, cast("RequestReader", reader)),
        ConnectionLimits(per_user=2, per_address=3, in_total=10),
    )
    return World(parts, reader, hub)


def send(session: WebSocketSession, **command: Any) -> None:
    session.on_text(json.dumps(command))


async def test_a_snapshot_comes_before_the_updates_that_follow_it(world: World) -> None:
    session = world.welcomed()
    world.reader.found = [update(3)]
    world.reader.may_answer.clear()
    send(session, type="subscribe", ref=1, scope="mine")
    await settle()
    world.hub.deliver(update(2))
    world.hub.deliver(update(4))
    assert world.carrier.messages() == [], "held while the snapshot is read"
    world.reader.may_answer.set()
    await settle()
    snapshot, later = world.carrier.messages()
    assert (snapshot["type"], [body["version"] for body in snapshot["requests"]]) == ("subscribed", [3])
    assert (later["type"], later["request"]["version"]) == ("update", 4)
    world.hub.deliver(update(4))
    world.hub.deliver(update(5))
    assert [message["request"]["version"] for message in world.carrier.messages()] == [5]


async def test_commands_are_answered_in_their_order(world: World) -> None:
    session = world.welcomed()
    world.reader.may_answer.clear()
    send(session, type="subscribe", ref=1, scope="mine")
    send(session, type="ping", ref=2)
    send(session, type="nonsense", ref=3)
    await settle()
    assert world.carrier.messages() == []
    world.reader.may_answer.set()
    await settle()
    assert [(one["type"], one["ref"]) for one in world.carrier.messages()] == [
        ("subscribed", 1),
        ("pong", 2),
        ("error", 3),
    ]


async def test_a_client_that_does_not_read_holds_the_newest_of_each_request(world: World) -> None:
    session = world.welcomed()
    send(session, type="subscribe", ref=1, scope="mine")
    await settle()
    world.carrier.messages()
    world.carrier.writable = False
    session.on_paused()
    for version in range(1, 100):
        world.hub.deliver(update(version))
    send(session, type="ping", ref=2)
    assert world.carrier.messages() == []
    world.carrier.writable = True
    session.on_writable()
    pong, newest = world.carrier.messages()
    assert (pong["type"], newest["request"]["version"]) == ("pong", 99)


async def test_who_sends_without_reading_is_closed(world: World) -> None:
    session = world.welcomed()
    world.carrier.writable = False
    session.on_paused()
    for number in range(MAX_COMMANDS + 1):
        send(session, type="ping", ref=number)
    assert world.carrier.closed == (CloseCode.TOO_MANY, CloseCode.TOO_MANY.reason)


async def test_a_failed_subscription_takes_nothing_away_and_keeps_the_connection(world: World) -> None:
    session = world.welcomed()
    world.reader.error = DatabaseUnavailable("away")
    send(session, type="subscribe", ref=1, scope="mine")
    send(session, type="subscribe", ref=2, requestIds=[REQUEST])
    await settle()
    assert [(one["ref"], one["code"]) for one in world.carrier.messages()] == [(1, "unavailable"), (2, "unavailable")]
    assert (session.mine, set(session.ids)) == (False, set())
    assert world.carrier.closed is None


async def test_an_unforeseen_error_closes_the_connection(world: World, caplog: pytest.LogCaptureFixture) -> None:
    session = world.welcomed()
    world.reader.error = ZeroDivisionError("inside")
    send(session, type="subscribe", ref=1, scope="mine")
    await settle()
    assert world.carrier.closed == (1011, "")
    session.on_closed()
    assert world.hub.subscribers == 0


async def test_nothing_of_it_is_left_when_it_closes_in_the_middle(world: World) -> None:
    session = world.welcomed()
    world.reader.may_answer.clear()
    send(session, type="subscribe", ref=1, scope="mine")
    await settle()
    session.on_closed()
    await settle()
    assert world.hub.subscribers == 0
    assert world.parts.limits.open == 0
    assert not world.parts.limits._users
    assert len(asyncio.all_tasks()) == 1, "the command's task has ended"


async def test_limits_are_told_by_the_code_and_given_back(world: World) -> None:
    sessions = []
    for code in (None, None, CloseCode.TOO_MANY, CloseCode.TOO_MANY):
        world.carrier = Carrier()
        sessions.append(world.open(authorization=f"Bearer {world.token()}"))
        assert (world.carrier.closed[0] if world.carrier.closed else None) == code
    for session in sessions:
        session.on_closed()
    assert world.parts.limits.open == 0
    assert not world.parts.limits._addresses


async def test_an_administrator_that_is_none_any_more_sees_only_their_own(world: World) -> None:
    session = world.welcomed(admin=True)
    send(session, type="subscribe", ref=1, scope="all")
    await settle()
    world.hub.deliver(update(1, user_id=EVE))
    assert [one["type"] for one in world.carrier.messages()] == ["subscribed", "update"]
    send(session, type="auth", token=world.token())
    await settle()
    assert [one["type"] for one in world.carrier.messages()] == ["authenticated"]
    world.hub.deliver(update(2, user_id=EVE))
    assert world.carrier.messages() == []


async def test_a_token_of_somebody_else_ends_the_connection(world: World) -> None:
    session = world.welcomed()
    send(session, type="auth", token=world.token(EVE))
    await settle()
    assert world.carrier.closed == (CloseCode.UNAUTHORIZED, CloseCode.UNAUTHORIZED.reason)


async def test_it_is_asked_to_leave_and_closed_if_it_stays(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "DRAIN_PATIENCE_SECONDS", 0.0)
    world.welcomed()
    world.hub.drain(0.0)
    assert [one["type"] for one in world.carrier.messages()] == ["drain"]
    async with asyncio.timeout(5):
        while world.carrier.closed is None:
            await asyncio.sleep(0.001)
    assert world.carrier.closed == (CloseCode.RESTART, CloseCode.RESTART.reason)


@pytest.mark.parametrize(
    ("first", "code"),
    [
        ('{"type":"ping"}', CloseCode.UNAUTHORIZED),
        ('{"type":"auth","token":"x"}', CloseCode.UNAUTHORIZED),
        ('{"type":"auth"}', CloseCode.BAD_FRAME),
        ("[", CloseCode.BAD_FRAME),
    ],
)
async def test_the_first_frame_says_who_it_is(world: World, first: str, code: CloseCode) -> None:
    session = world.open()
    session.on_text(first)
    assert world.carrier.closed == (code, code.reason)
    session.on_text(first)  # whatever still comes is not looked at


def test_a_frame_of_ours_is_one_that_can_be_read() -> None:
    frame = text_frame(b"x" * 300)
    masked = frame[:1] + bytes((frame[1] | 0x80,)) + frame[2:4] + bytes(4) + frame[4:]
    reader = FrameReader(1000)
    reader.feed(masked)
    read = reader.next_frame()
    assert read is not None
    assert (read.payload, payload(frame)) == (b"x" * 300, b"x" * 300)
