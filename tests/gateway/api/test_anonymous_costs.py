"""What anyone may ask for costs little: counted in calls, beside `/healthz`, and in memory.

64 anonymous connections that asked for what was dear made callbacks wait for seconds.
"""

import base64
import json
import threading
import tracemalloc
from typing import Any

import pytest
from starlette.routing import Route

from gateway.api import callback, metrics
from gateway.api.application import Application
from gateway.app import create_app
from gateway.n8n.reports import single_report
from gateway.settings import Settings
from gateway.state import State
from tests.counting import calls_of, counted_calls
from tests.gateway.server.raw import UPGRADE, peer
from tests.running import RunningGateway

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)

MOST_CALLS = 15
"""Most calls of an anonymous request, in calls of `/healthz`: a log line, and a read of the database, are dear."""

MOST_CALLS_OF_AN_UPGRADE = 3
"""The same for a WebSocket that nobody may have, with both ends of the connection in one process."""

MOST_BYTES = 400 * 1024

REQUEST = "11111111-1111-4111-8111-111111111111"


def part(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")


HEADER = part(b'{"alg":"HS256","typ":"JWT"}')
TOKENS = {
    "noise": b"x" * 16_000,
    "dots": b"." * 16_000,
    "nested header": part(b"[" * 11_000) + b".e30.x",
    "long header": part(b'{"alg":"HS256","x":"' + b"x" * 11_000 + b'"}') + b".e30.AAAA",
    "long claims": HEADER + b"." + part(b'{"sub":"' + b"x" * 11_000 + b'"}') + b".AAAA",
    "nested claims": HEADER + b"." + part(b"[" * 11_000) + b"." + part(b"x" * 32),
    "long signature": HEADER + b".e30." + part(b"x" * 11_000),
    "foreign key": part(b'{"alg":"RS256","kid":"k"}') + b"." + part(b'{"sub":"' + b"x" * 11_000 + b'"}') + b".AAAA",
    "longer than looked at": b"x" * 47_000,
    "in a session that is longer than looked at": b"x" * 60_000,
}


@pytest.fixture
def application(gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch) -> Application:
    """A second application of the same parts, called without a server, that remembers what it does in production."""
    monkeypatch.setattr(metrics, "FRESH_SECONDS", 60.0)
    return create_app(gateway.settings)


async def cost(
    application: Application, state: State, method: str, path: str, headers: list[tuple[bytes, bytes]]
) -> tuple[int, int]:
    """Calls, and the most bytes held at once, of the second time that this is asked."""
    parts: dict[str, object] = {"gateway": state}
    # The least of three: what else this process does meanwhile is counted too.
    calls = min([await calls_of(application, method, path, headers=headers, state=parts) for _ in range(3)])
    tracemalloc.start()
    try:
        await calls_of(application, method, path, headers=headers, state=parts)
        return calls, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


async def cheap(
    application: Application, gateway: RunningGateway, method: str, path: str, headers: list[tuple[bytes, bytes]]
) -> None:
    base, _ = await cost(application, gateway.state, "GET", "/healthz", [])
    calls, held = await cost(application, gateway.state, method, path, headers)
    assert calls <= MOST_CALLS * base, f"{method} {path}: {calls} calls, {base} for /healthz"
    assert held <= MOST_BYTES, f"{method} {path}: {held} bytes"


async def test_every_endpoint_is_cheap_for_who_has_no_credential(
    gateway: RunningGateway, application: Application
) -> None:
    routes = [route for route in application.routes if isinstance(route, Route)]
    paths = [(method, route.path) for route in routes for method in route.methods or ()]
    assert len(paths) > 30
    for method, path in [*paths, ("GET", "/nothing"), ("BREW", "/healthz")]:
        for name, value in {"request_id": REQUEST, "token": "x", "name": "days", "path:path": "gateway.js"}.items():
            path = path.replace(f"{{{name}}}", value)
        await cheap(application, gateway, method, path, [(b"content-type", b"application/json")])


@pytest.mark.parametrize("kind", TOKENS)
async def test_a_token_that_is_none_is_cheap_however_long(
    gateway: RunningGateway, application: Application, kind: str
) -> None:
    bearer = [(b"authorization", b"Bearer " + TOKENS[kind])]
    await cheap(application, gateway, "GET", f"/api/ai-status/{REQUEST}", bearer)
    session = b'{"access_token":"' + TOKENS[kind] + b'"}'
    cookie = [(b"cookie", b"sb-project-auth-token=base64-" + part(session))]
    await cheap(application, gateway, "GET", f"/api/ai-status/{REQUEST}", cookie)


BODIES: dict[str, list[list[Any]]] = {
    "texts that are no JSON": [["{"] * 1000] * 250,
    "empty objects": [[{}] * 1000] * 250,
    "texts that are empty objects": [["{}"] * 1000] * 200,
}


@pytest.mark.parametrize("kind", BODIES)
async def test_a_large_callback_without_a_good_secret_is_read_beside_the_loop(
    gateway: RunningGateway, application: Application, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One such body kept every other connection of the process waiting for seconds."""
    searched: list[threading.Thread] = []

    def search(content: object) -> dict[str, Any]:
        searched.append(threading.current_thread())
        return single_report(content)

    monkeypatch.setattr(callback, "single_report", search)
    body = json.dumps(BODIES[kind], separators=(",", ":")).encode()
    assert 500_000 < len(body) < callback.MAX_BODY
    headers = [(b"content-type", b"application/json"), (b"x-callback-secret", b"x")]
    parts: dict[str, object] = {"gateway": gateway.state}

    for content, on_the_loop in ((b"[]", True), (body, False)):
        await calls_of(application, "POST", "/api/ai-callback", headers=headers, body=content, state=parts)
        assert (searched.pop() is threading.main_thread()) is on_the_loop


async def test_a_document_is_made_once(settings: Settings, gateway: RunningGateway, application: Application) -> None:
    for path in ("/api/openapi.json", "/api/asyncapi.json"):
        base, _ = await cost(application, gateway.state, "GET", "/healthz", [])
        calls, _ = await cost(application, gateway.state, "GET", path, [])
        assert calls <= 2 * base


async def exchange(gateway: RunningGateway, request: bytes) -> int:
    """The calls that this process makes for `request` on a connection of its own: for the client's side too."""
    async with peer(gateway.url) as client:
        with counted_calls() as calls:
            await client.say(request)
            await client.hear_until(b"\r\n\r\n")
        return calls.n


UPGRADES = {
    "nothing": b"",
    "a foreign page": b"Origin: https://evil.example\r\n",
    "a cookie of many parts": b"Cookie: %b\r\n"
    % b"; ".join(b"sb-project-auth-token.%d=%b" % (index, b"x" * 3000) for index in range(12)),
    **{f"a token that is {kind}": b"Authorization: Bearer %b\r\n" % token for kind, token in TOKENS.items()},
}


@pytest.mark.parametrize("path", [b"/ws", b"/realtime/v1/websocket?vsn=2.0.0", b"/realtime/v1/websocket?vsn=9"])
@pytest.mark.parametrize("kind", UPGRADES)
async def test_an_upgrade_of_nobody_is_cheap(gateway: RunningGateway, path: bytes, kind: str) -> None:
    request = UPGRADE.replace(b"/ws", path) % UPGRADES[kind]
    healthz = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    base = min([await exchange(gateway, healthz) for _ in range(3)])
    calls = min([await exchange(gateway, request) for _ in range(3)])
    assert calls <= MOST_CALLS_OF_AN_UPGRADE * base, f"{calls} calls, {base} for /healthz"


async def test_a_long_path_makes_no_long_line(gateway: RunningGateway, caplog: pytest.LogCaptureFixture) -> None:
    answer = await gateway.http.get("/api/ai-status/" + "%FF" * 20_000, headers={"Authorization": "Bearer x"})
    assert answer.status_code in (401, 404)
    assert max(len(record.getMessage()) for record in caplog.records) < 2000
