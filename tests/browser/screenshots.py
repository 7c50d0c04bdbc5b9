"""`python -m tests.browser.screenshots`: pictures of the pages in their main states, for people to look at.

Each function below `SHOTS` brings a fresh page into one state; the demo behind it is the real one.
"""

import asyncio
import io
import random
import shutil
import sqlite3
import tempfile
import uuid
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, NamedTuple

from PIL import Image
from playwright.async_api import Browser, Page, Route, ViewportSize, async_playwright, expect

from storage.times import rfc3339
from tests.browser.conftest import FLAGS, NAMES
from tests.browser.dashboard import submit as behind_the_page
from tests.browser.dashboard import tile
from tests.browser.form import DESKTOP, PHONE, fill, submit
from tests.processes.spawning import GatewayProcess
from tests.servers import free_port

FOLDER = Path(__file__).parent / "screenshots"

SLOW = 60_000

MOST_BYTES = 150_000
"""Largest picture: the repository stays small."""

# Lazy pictures below the fold never come, and nobody misses them.
PAINTED = """async () => {
    const forms = [...document.querySelectorAll("ai-image-form")].map((form) => form.shadowRoot);
    const images = [document, ...forms].flatMap((root) => [...root.querySelectorAll("img[src]")]);
    const seen = images.filter((image) => {
        const { top, left } = image.getBoundingClientRect();
        return image.checkVisibility() && top < innerHeight && left < innerWidth;
    });
    await Promise.all(seen.map((image) => image.decode()));
}"""


class Shot(NamedTuple):
    """One picture: a file's name, how the page is looked at, and what brings it into the state."""

    name: str
    viewport: ViewportSize
    scheme: Literal["light", "dark"]
    prepare: Callable[[Page, str], Awaitable[None]]


async def has_reached(page: Page, percent: int) -> None:
    await page.wait_for_function(
        "percent => document.querySelector('ai-image-form').shadowRoot.querySelector('progress').value >= percent",
        arg=percent,
    )


async def idle(page: Page, url: str) -> None:
    await page.goto(url)
    await page.locator("#assets li").first.wait_for()


async def mistakes(page: Page, url: str) -> None:
    await fill(page, url, "", "")


async def generating(page: Page, url: str) -> None:
    await fill(page, url, "Trail Running Shoes", "Northwind")
    await has_reached(page, 45)


async def several(page: Page, url: str) -> None:
    await fill(page, url, "Slow Cooker that fails", "Hearth")
    await page.get_by_role("button", name="Generate another").click()
    await submit(page, "Green Tea", "Twinings")
    await has_reached(page, 60)


async def completed(page: Page, url: str) -> None:
    await fill(page, url, "Coffee Maker", "Aroma")
    await expect(page.get_by_role("link", name="Download image")).to_be_visible(timeout=SLOW)


async def failed(page: Page, url: str) -> None:
    await fill(page, url, "Shoes that fail", "Northwind")
    await expect(page.get_by_role("button", name="Try again")).to_be_visible(timeout=SLOW)


async def limited(page: Page, url: str) -> None:
    refusal = {"error": "Rate limit exceeded. Maximum 10 requests per hour.", "code": "rate_limited"}
    await page.route(
        "**/api/ai-generate", lambda route: route.fulfill(status=429, json=refusal, headers={"Retry-After": "720"})
    )
    await fill(page, url, "Espresso Machine", "Aroma")
    await expect(page.get_by_role("alert").first).to_contain_text("in 12 minutes")


async def dashboard(page: Page, url: str) -> None:
    for product in ("Slow Cooker", "Desk Lamp", "Shoes that fail", "Green Tea"):
        await behind_the_page(page, url, product, "Hearth")
    await page.route("**/api/admin/stats*", with_an_alert)
    await page.goto(f"{url}/admin")
    await expect(page.locator("#charts .bars a").first).to_be_visible(timeout=SLOW)
    await expect(page.locator("#requests .badge[data-status=failed]").first).to_be_visible(timeout=SLOW)
    await expect(tile(page, "Processing")).not_to_have_text("0", timeout=SLOW)
    await expect(page.locator("#live")).to_have_text("Live")


async def with_an_alert(route: Route) -> None:
    """The demo's statistics, and two stuck requests that would take a quarter of an hour to come by."""
    answer = await route.fetch()
    stats = await answer.json()
    alert = {
        "name": "stuck_requests",
        "summary": "2 requests have been in processing for more than 15 minutes.",
        "count": 3,
        "since": (datetime.now(UTC) - timedelta(minutes=7)).isoformat(),
        "endedAt": None,
    }
    await route.fulfill(response=answer, json={**stats, "queue": {**stats["queue"], "stuck": 2}, "alerts": [alert]})


async def dashboard_requests(page: Page, url: str) -> None:
    await dashboard(page, url)
    await page.locator("#requests-title").evaluate("(title) => title.scrollIntoView()")


async def dashboard_request(page: Page, url: str) -> None:
    await page.goto(f"{url}/admin?status=failed")
    await page.locator("#requests tbody a").first.click()
    await page.locator("#timeline [data-level=error]").wait_for()


FORM = (
    Shot("form-completed-desktop-light", DESKTOP, "light", completed),
    Shot("form-generating-phone-dark", PHONE, "dark", generating),
    Shot("form-failed-phone-light", PHONE, "light", failed),
    Shot("form-several-desktop-dark", {**DESKTOP, "height": 1080}, "dark", several),
    Shot("form-completed-phone-dark", PHONE, "dark", completed),
    Shot("form-idle-desktop-light", DESKTOP, "light", idle),
    Shot("form-mistakes-phone-light", PHONE, "light", mistakes),
    Shot("form-limited-phone-dark", PHONE, "dark", limited),
)

DASHBOARD = (
    Shot("dashboard-desktop-light", DESKTOP, "light", dashboard),
    Shot("dashboard-request-desktop-dark", DESKTOP, "dark", dashboard_request),
    Shot("dashboard-phone-dark", PHONE, "dark", dashboard_requests),
)


async def take(browser: Browser, url: str, shots: Sequence[Shot]) -> None:
    """Bring a page of its own into each state, and keep what it looks like."""
    for shot in shots:
        page = await browser.new_page(viewport=shot.viewport, color_scheme=shot.scheme)
        await shot.prepare(page, url)
        await page.mouse.move(0, 0)
        await page.evaluate(PAINTED)
        keep(await page.screenshot(), FOLDER / f"{shot.name}.png")
        await page.unroute_all(behavior="ignoreErrors")  # the page may ask while it goes
        await page.close()


def keep(picture: bytes, path: Path) -> None:
    """Write a PNG, with fewer colours where it would be large."""
    with Image.open(io.BytesIO(picture)) as image:
        image.convert("RGB").save(path, optimize=True)
        if path.stat().st_size > MOST_BYTES:
            image.convert("RGB").quantize(256, method=Image.Quantize.MEDIANCUT).save(path, optimize=True)


def remember(database: Path) -> None:
    """Fill the demo's past week with others' requests: charts of one hour tell nothing."""
    chance = random.Random(1)
    people = [str(uuid.UUID(int=chance.getrandbits(128), version=4)) for _ in range(8)]
    with sqlite3.connect(database, timeout=30) as connection:
        for one in people:
            connection.execute("INSERT INTO auth_users (id, email) VALUES (?, ?)", (one, f"{one}@example.com"))
            connection.execute("INSERT INTO organizations (id, name) VALUES (?, 'Shop')", (one,))
        for _ in range(400):
            begun = datetime.now(UTC) - timedelta(hours=chance.triangular(1, 160, 20))
            ended = begun + timedelta(seconds=chance.uniform(4, 50))
            has_failed = chance.random() < 0.06
            error = ("failed", "The model is overloaded.", "generation_failed", None)
            connection.execute(
                "INSERT INTO ai_image_requests (user_id, organization_id, product, brand, status, error_message, "
                "error_code, cost, created_at, updated_at, completed_at) VALUES (?, ?, 'Desk Lamp', 'Hearth', "
                "?, ?, ?, ?, ?, ?, ?)",
                (
                    chance.choice(people),
                    chance.choice(people[:4]),
                    *(error if has_failed else ("completed", None, None, "0.04")),
                    *(rfc3339(when) for when in (begun, ended, ended)),
                ),
            )


async def main() -> None:
    """Start a demo, and take every picture."""
    chromium = next(found for name in NAMES if (found := shutil.which(name)))
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        demo = GatewayProcess("demo", "--port", str(port), folder=Path(folder), environment={})
        try:
            demo.wait_for("The gateway's demo runs at")
            remember(Path(folder) / ".gateway-demo" / "gateway.sqlite3")
            async with async_playwright() as playwright:
                browser = await playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
                await take(browser, f"http://127.0.0.1:{port}", (*FORM, *DASHBOARD))
                await browser.close()
        finally:
            demo.close()


if __name__ == "__main__":
    asyncio.run(main())
