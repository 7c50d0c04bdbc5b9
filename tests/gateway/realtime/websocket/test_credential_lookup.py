"""A session of `/ws` while somebody else is waited for."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any, cast

import pytest
from starlette.datastructures import Headers

from gateway.auth.tokens import Credential, InvalidToken
from gateway.auth.verified_tokens import User
from gateway.realtime.close_codes import CloseCode
from gateway.realtime.connection import SessionParts, Upgrade
from gateway.realtime.connection_limits import ConnectionLimits
from gateway.realtime.websocket.endpoint import WebSocketEndpoint
from gateway.settings import Settings


class Carrier:
    """Remembers what went out."""

    writable = True

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.closed: list[int] = []

    def write(self, frame: bytes) -> None:
        self.sent.append(json.loads(frame[2 if frame[1] < 126 else 4 :]))

    def close(self, code: int, reason: str) -> None:
        self.closed.append(code)

    def abort(self) -> None:
        raise AssertionError("nobody is refused here")


class Authenticator:
    """Knows one good token at once, and no other one before `looked_up` is set."""

    def __init__(self) -> None:
        self.looked_up = asyncio.Event()

    def credential_of_upgrade(self, headers: Headers) -> Credential | None:
        if "fault" in headers:
            raise OverflowError("a fault in reading it")
        return Credential.bearer(headers["cookie"])

    def user_of_credential_now(self, credential: Credential) -> User | None:
        return self.user_of_token_now(credential.tokens[0].token)

    async def user_of_credential(self, credential: Credential) -> User:
        return await self.user_of_token(credential.tokens[0].token)

    def user_of_token_now(self, token: str) -> User | None:
        return User("ada", False, 4e9) if token == "good" else None

    async def user_of_token(self, token: str) -> User:
        await self.looked_up.wait()
        raise InvalidToken("signed with a key that nobody has published")


@pytest.fixture
async def parts() -> SessionParts:
    hub = SimpleNamespace(join=lambda session: None, leave=lambda session: None)
    limits = ConnectionLimits(per_user=10, per_address=10, in_total=10)
    return SessionParts(
        Settings.load(), cast("Any", Authenticator()), cast("Any", hub), cast("Any", SimpleNamespace()), limits
    )


def upgrade(**headers: str) -> Upgrade:
    return Upgrade("/ws", b"", Headers(headers), "192.0.2.1")


async def look_up(parts: SessionParts) -> None:
    cast("Authenticator", parts.authenticator).looked_up.set()
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_token_that_comes_while_a_stale_cookie_is_looked_at_is_the_first_frame(parts: SessionParts) -> None:
    carrier = Carrier()
    session = WebSocketEndpoint(parts).open(upgrade(cookie="stale"), carrier)
    session.on_text('{"type":"auth","token":"good"}')
    session.on_text('{"type":"ping","ref":1}')
    await look_up(parts)
    assert [message["type"] for message in carrier.sent] == ["authenticated", "welcome", "pong"]
    assert carrier.closed == []
    session.on_closed()
    assert parts.limits.open == 0


@pytest.mark.parametrize(
    "command", ['{"type":"ping"}', '{"type":"subscribe","scope":"mine"}', '{"type":"subscribe","requestIds":["x"]}']
)
async def test_nothing_is_answered_to_who_has_shown_no_token(parts: SessionParts, command: str) -> None:
    """It came while the cookie was looked at, and waited: until it was answered to nobody."""
    carrier = Carrier()
    session = WebSocketEndpoint(parts).open(upgrade(cookie="stale"), carrier)
    session.on_text(command)
    await look_up(parts)
    assert carrier.sent == []
    assert carrier.closed == [CloseCode.UNAUTHORIZED]
    session.on_closed()


async def test_a_fault_while_it_opens_gives_its_place_back(parts: SessionParts) -> None:
    with pytest.raises(OverflowError):
        WebSocketEndpoint(parts).open(upgrade(fault="yes"), Carrier())
    assert parts.limits.open == 0
