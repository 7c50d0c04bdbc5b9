"""What a browser loads, and what n8n imports: the files as they are, and headers that keep a page to itself."""

from pathlib import Path

import httpx
import pytest

from gateway.settings import Settings
from tests.running import RunningGateway, running_gateway

STATIC = Path(__file__).parents[3] / "static"

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


def policy(answer: httpx.Response) -> dict[str, set[str]]:
    """The Content-Security-Policy's directives (Content Security Policy Level 3, section 2.2)."""
    parts = [part.split() for part in answer.headers["Content-Security-Policy"].split(";")]
    assert len({name for name, *_ in parts}) == len(parts), "a browser drops the second of two"
    return {name: set(sources) for name, *sources in parts}


async def test_pages_run_nothing_but_their_own_files(gateway: RunningGateway) -> None:
    for path in ("/", "/admin", "/static/index.html", "/static/admin.html"):
        answer = await gateway.http.get(path)
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        directives = policy(answer)
        for sources in directives.values():
            assert not {"*", "'unsafe-inline'", "'unsafe-eval'", "'unsafe-hashes'", "http:", "https:"} & sources
        for kind in ("script-src", "style-src", "frame-src", "worker-src"):
            assert directives.get(kind, directives["default-src"]) == {"'self'"}
        host = gateway.url.removeprefix("http://")
        assert directives["connect-src"] == {"'self'", f"ws://{host}", f"wss://{host}"}
        for kind in ("object-src", "base-uri", "frame-ancestors"):
            assert directives.get(kind) == {"'none'"}, kind
        assert directives.get("form-action") == {"'self'"}


async def test_pages_behind_tls_may_open_no_socket_without_it(settings: Settings) -> None:
    """The WebSocket is named: for Safari below 15.4, `'self'` does not include it."""
    async with running_gateway(settings, app_url="https://gateway.example.com") as gateway:
        assert policy(await gateway.http.get("/"))["connect-src"] == {"'self'", "wss://gateway.example.com"}


async def test_every_answer_is_what_it_says_and_tells_no_other_site_where_one_was(gateway: RunningGateway) -> None:
    for path in ("/", "/admin", "/static/page.js", "/static/n8n/ai-image.json", "/healthz", "/api/usage", "/nothing"):
        headers = (await gateway.http.get(path)).headers
        assert headers["X-Content-Type-Options"] == "nosniff", path
        assert headers["Referrer-Policy"] == "strict-origin-when-cross-origin", path


@pytest.mark.parametrize("name", ["ai-image.json", "ai-image-errors.json"])
async def test_n8n_imports_a_workflow_by_its_url(gateway: RunningGateway, name: str) -> None:
    """n8n has no credential of the gateway's when it imports."""
    answer = await gateway.http.get(f"/static/n8n/{name}")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    assert answer.content == (STATIC / "n8n" / name).read_bytes()


async def test_an_unforeseen_error_can_be_read_by_an_allowed_page(
    gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("inside")

    monkeypatch.setattr("gateway.realtime.request_reader.RequestReader.own", broken)
    path = "/api/ai-status/11111111-1111-4111-8111-111111111111"
    headers = {**gateway.bearer("11111111-1111-4111-8111-111111111111"), "Origin": gateway.url}
    answer = await gateway.http.get(path, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert "inside" not in answer.text
    assert answer.headers["Access-Control-Allow-Origin"] == gateway.url
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "ZeroDivisionError" in caplog.text
