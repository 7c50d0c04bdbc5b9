"""The page about deploying: what it says to Next.js is tried in a real Next.js, as `next build` and `next start` do."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.async_api import async_playwright, expect
from starlette.responses import JSONResponse, Response
from websockets.asyncio.client import connect

from gateway.settings import Settings
from tests.browser.conftest import FLAGS
from tests.event_streams import next_status
from tests.nextjs.next_app import built, configuration, next_app
from tests.people import Person
from tests.running import RunningGateway, eventually, receive, running_gateway, send
from tests.scripted_n8n import Received, ScriptedN8n
from tests.servers import free_port
from tests.session_cookies import cookie

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),  # the first to come installs and builds
]

USUAL_TIMEOUT = 30.0
"""After which Next.js cuts a rewrite off, unless it is told otherwise; in seconds."""

SUBMISSION = {"Product": "Shoes", "Your Brand": "Nike"}


@pytest.fixture
def backend() -> str:
    return "sqlite"


@pytest.fixture(scope="session")
def app() -> Path:
    return built(configuration())


@pytest.fixture
async def gateway(settings: Settings, app: Path, tmp_path: Path) -> AsyncIterator[RunningGateway]:
    """A gateway that is the app's: `APP_URL` is the app's address, and n8n calls back there."""
    port = free_port()
    async with (
        running_gateway(settings, app_url=f"http://127.0.0.1:{port}") as running,
        next_app(tmp_path / "app", app, port, urlsplit(running.url).port or 0),
    ):
        yield running


@pytest.fixture
async def http(gateway: RunningGateway, ada: Person) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the app, with the session cookie and the origin that a browser on one of its pages has."""
    url = gateway.settings.app_url
    headers = {"Cookie": cookie(gateway.token(ada.id)), "Origin": url}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60, trust_env=False) as client:
        yield client


async def submitted(http: httpx.AsyncClient, n8n: ScriptedN8n) -> Received:
    """What n8n has received of a submission to the app."""
    answer = await http.post("/api/ai-generate", json=SUBMISSION)
    assert answer.status_code == 202, answer.text
    return await n8n.until_received(answer.json()["requestId"])


def websocket(http: httpx.AsyncClient) -> connect:
    """The app's `/ws`, with the same cookie and origin."""
    headers = {name: http.headers[name] for name in ("Cookie", "Origin")}
    return connect(str(http.base_url.copy_with(scheme="ws", path="/ws")), additional_headers=headers, proxy=None)


async def test_events_arrive_as_they_happen(http: httpx.AsyncClient, n8n: ScriptedN8n) -> None:
    """Next.js compresses what it may, and would keep them to the end."""
    received = await submitted(http, n8n)
    path = f"/api/ai-status/{received.request_id}/events"
    async with http.stream("GET", path, headers={"Accept-Encoding": "gzip"}) as stream:
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        assert "no-transform" in stream.headers["Cache-Control"]
        assert "Content-Encoding" not in stream.headers
        lines = stream.aiter_lines()
        assert await next_status(lines) in ("pending", "processing")
        for progress in (30, 60):
            await n8n.call_back(received, status="processing", progress=progress)
            assert await next_status(lines) == "processing"
        assert (await n8n.call_back(received, status="completed", Key="b/a.png", Id="1")).status_code == 200
        while (status := await next_status(lines)) != "completed":
            assert status == "processing"
    for _ in range(2):
        await submitted(http, n8n)
    listed = await http.get("/api/ai-requests", headers={"Accept-Encoding": "gzip"})
    assert listed.headers["Content-Encoding"] == "gzip", "it does compress, where it may"
    assert len(listed.json()["requests"]) == 3


async def test_who_waits_longer_than_next_does_usually_is_answered(
    gateway: RunningGateway, http: httpx.AsyncClient, ada: Person, n8n: ScriptedN8n
) -> None:
    """A long poll, and a page that waits for its picture: the one test here that waits for a time, since it is one."""
    watched = await submitted(http, n8n)
    version = (await gateway.until(ada.id, watched.request_id, "processing"))["version"]
    loop = asyncio.get_running_loop()
    enough = USUAL_TIMEOUT + 3

    async def slow(received: Received) -> Response:
        await asyncio.sleep(enough)
        return JSONResponse({"Key": "b/a.png", "Id": "1"})

    n8n.script = slow
    began = loop.time()
    polled, generated = await asyncio.gather(
        http.get(f"/api/ai-status/{watched.request_id}", params={"wait": int(enough), "version": version}),
        http.post("/api/ai-generate-sync", json=SUBMISSION),
    )
    assert loop.time() - began > USUAL_TIMEOUT
    assert (polled.status_code, polled.json()["version"]) == (200, version)
    assert generated.status_code == 200, generated.text
    assert (generated.json()["status"], generated.json()["storageKey"]) == ("completed", "b/a.png")


async def test_the_websocket_arrives(http: httpx.AsyncClient, n8n: ScriptedN8n) -> None:
    received = await submitted(http, n8n)
    async with websocket(http) as ws:
        assert (await receive(ws))["type"] == "welcome"
        await send(ws, type="subscribe", requestIds=[received.request_id])
        assert (await receive(ws))["type"] == "subscribed"
        await n8n.call_back(received, status="completed", Key="b/a.png", Id="1")
        while (update := await receive(ws))["request"]["status"] != "completed":
            assert update["type"] == "update"
        await send(ws, type="nonsense")
        assert (await receive(ws))["type"] == "error"


async def test_a_status_that_is_known_costs_nothing(http: httpx.AsyncClient, n8n: ScriptedN8n) -> None:
    """Its ETag goes both ways; a newer version has another, which a long poll waits for."""
    received = await submitted(http, n8n)
    await n8n.call_back(received, status="processing", progress=50)
    path = f"/api/ai-status/{received.request_id}"
    first = await http.get(path)
    assert (first.status_code, first.json()["progress"]) == (200, 50)
    known = {"If-None-Match": first.headers["ETag"]}
    again = await http.get(path, headers=known)
    assert (again.status_code, again.content) == (304, b"")
    query = {"wait": 30, "version": first.json()["version"]}
    waiting = asyncio.create_task(http.get(path, headers=known, params=query))
    await n8n.call_back(received, status="completed", Key="b/a.png", Id="1")
    answer = await waiting
    assert (answer.status_code, answer.json()["status"]) == (200, "completed")
    assert answer.headers["ETag"] != first.headers["ETag"]


async def test_who_leaves_is_no_longer_served(
    gateway: RunningGateway, http: httpx.AsyncClient, n8n: ScriptedN8n
) -> None:
    """Who closes the page leaves neither a stream nor a WebSocket open at the gateway."""
    received = await submitted(http, n8n)
    path = f"/api/ai-status/{received.request_id}"

    async def watched() -> bool:
        return gateway.state.hub.subscribers == 1

    async def left() -> bool:
        return gateway.state.hub.subscribers == 0

    async with http.stream("GET", f"{path}/events") as stream:
        assert await next_status(stream.aiter_lines()) in ("pending", "processing")
        await eventually(watched)
    await eventually(left)
    async with websocket(http) as ws:
        assert (await receive(ws))["type"] == "welcome"
        await send(ws, type="subscribe", requestIds=[received.request_id])
        assert (await receive(ws))["type"] == "subscribed"
        await eventually(watched)
    await eventually(left)


async def test_next_says_500_for_a_gateway_that_is_away(app: Path, tmp_path: Path) -> None:
    """Where other proxies say 502: whoever repeats a submission must know, as `gateway.js` does."""
    port = free_port()
    async with (
        next_app(tmp_path / "app", app, port, free_port()),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http,
    ):
        answer = await http.post("/api/ai-generate", json=SUBMISSION)
        assert (answer.status_code, answer.text) == (500, "Internal Server Error")


async def test_every_path_of_the_gateway_that_a_page_asks_arrives(http: httpx.AsyncClient, n8n: ScriptedN8n) -> None:
    """What does not arrive is answered by Next.js, in HTML."""
    received = await submitted(http, n8n)
    canceled = await http.post(f"/api/ai-requests/{received.request_id}/cancel")
    assert (canceled.status_code, canceled.json()["errorCode"]) == (200, "canceled")
    for path in ("/api/assets", "/api/usage", "/api/ai-requests?limit=1", f"/api/ai-status/{received.request_id}"):
        answer = await http.get(path)
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json"), path
    missing = await http.get("/api/ai-images/b/nothing.png")
    assert missing.headers["Content-Type"] == "application/json", missing.text
    assert (await http.get("/api/healthz")).headers["Content-Type"].startswith("text/html")


async def test_the_client_module_works_in_the_app(
    chromium: str, gateway: RunningGateway, ada: Person, n8n: ScriptedN8n
) -> None:
    """In Chromium, on the app's own origin, signed in by its cookie: over the WebSocket, without an error."""
    url = gateway.settings.app_url
    errors: list[str] = []
    name, _, value = cookie(gateway.token(ada.id)).split("; ")[1].partition("=")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        page = await browser.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        await page.context.add_cookies([{"name": name, "value": value, "url": url}])
        await page.goto(url)
        await page.get_by_role("button", name="Generate").click()
        output = page.locator("output")
        await expect(output).to_have_attribute("data-states", "live")
        await eventually(lambda: asyncio.sleep(0, len(n8n.received) == 1))
        await n8n.call_back(n8n.received[0], status="completed", Key="b/a.png", Id="1")
        await expect(output).to_have_text(f"{url}/storage/v1/object/public/b/a.png")
        await expect(output).to_have_attribute("data-states", "live idle")
        await browser.close()
    assert errors == []
