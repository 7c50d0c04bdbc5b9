"""A real Chromium, driven by Playwright; every console message and every failed load is an error."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.debian import program
from tests.processes.spawning import GatewayProcess
from tests.servers import free_port

# A machine that is busy with other tests is no failure.
expect.set_options(timeout=20_000)

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

# Sandboxing needs rights that containers lack; the rest keeps Chromium from calling home.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # A page that a test answers itself has no address, and would be kept from the demo's as a stranger's.
    "--disable-features=LocalNetworkAccessChecks",
)


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of Chromium."""
    return program(NAMES, ("chromium", "fonts-dejavu-core"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One event loop for all tests of this folder, because their browser lives in it: starting one takes a second."""
    for item in items:
        if item.path.parent == Path(__file__).parent and pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(chromium: str) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A page with cookies and storage of its own, that must stay free of errors."""
    context = await browser.new_context()  # in which a test may open more tabs
    page = await context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type in ("error", "warning") else None)
    yield page
    for opened in context.pages:
        await opened.unroute_all(behavior="ignoreErrors")  # a page may ask while it goes
    await context.close()
    expected = getattr(page, "expected_errors", ())
    assert [error for error in errors if not any(text in error for text in expected)] == []


def signed_in(url: str) -> httpx.Client:
    """A client of the demo's user."""
    session = httpx.get(f"{url}/demo/session", trust_env=False).json()
    headers = {"Authorization": f"Bearer {session['access_token']}"}
    return httpx.Client(base_url=url, headers=headers, trust_env=False)


@pytest.fixture
def demo(running_demo: str) -> str:
    """The address of a demo in which nothing runs: what an earlier test has left would be told to this one's page."""
    with signed_in(running_demo) as http:
        for status in ("pending", "processing"):
            for request in http.get("/api/admin/requests", params={"status": status}).json()["requests"]:
                http.post(f"/api/admin/requests/{request['requestId']}/fail")
    return running_demo


@pytest.fixture(scope="session")
def running_demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running demo with a past, as it has after any other test."""
    with demo_with_a_past(tmp_path_factory.mktemp("demo")) as url:
        yield url


@pytest.fixture
def own_demo(tmp_path: Path) -> Iterator[str]:
    """The address of a demo that no other test has used: nothing that one sent may still be on its way to it."""
    with demo_with_a_past(tmp_path) as url:
        yield url


@pytest.fixture
def empty_demo(tmp_path: Path) -> Iterator[str]:
    """The address of a demo in which nothing has been made yet."""
    with demo_of(tmp_path) as url:
        yield url


@contextlib.contextmanager
def demo_with_a_past(folder: Path, **environment: str) -> Iterator[str]:
    """A running demo that has made a picture: its address."""
    with demo_of(folder, **environment) as url:
        with signed_in(url) as http:
            submitted = http.post("/api/ai-generate", json={"Product": "Tea", "Your Brand": "Past"}).raise_for_status()
            wait_until_completed(http, submitted.json()["requestId"])
        yield url


@contextlib.contextmanager
def demo_of(folder: Path, **environment: str) -> Iterator[str]:
    """A running demo with these settings: its address."""
    port = free_port()
    process = GatewayProcess("demo", "--port", str(port), folder=folder, environment=environment)
    try:
        process.wait_for("The gateway's demo runs at")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()  # nothing of it is needed again, and a polite end would wait for its workflows
        process.close()


def wait_until_completed(http: httpx.Client, request_id: str) -> None:
    body = http.get(f"/api/ai-status/{request_id}").raise_for_status().json()
    while body["status"] != "completed":
        assert body["status"] in ("pending", "processing"), body
        query = {"wait": 20, "version": body["version"]}
        body = http.get(f"/api/ai-status/{request_id}", params=query, timeout=60).raise_for_status().json()
