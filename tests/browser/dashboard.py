"""The dashboard as the browser tests use it."""

import re
import secrets
from typing import Any

from playwright.async_api import Locator, Page, expect


def new_brand() -> str:
    """A brand of a test's own: the requests of the others are filtered out by it."""
    return f"Brand {secrets.token_hex(4)}"


async def demo_token(page: Page, demo: str) -> str:
    """An administrator's access token, without the cookie."""
    answer = await page.request.get(f"{demo}/demo/session")
    token: str = (await answer.json())["access_token"]
    return token


async def submit(page: Page, demo: str, product: str, brand: str) -> str:
    """Submit a request behind the page's back; its id."""
    answer = await page.request.post(
        f"{demo}/api/ai-generate",
        data={"Product": product, "Your Brand": brand},
        headers={"Authorization": f"Bearer {await demo_token(page, demo)}"},
    )
    assert answer.status == 202, await answer.text()
    request_id: str = (await answer.json())["requestId"]
    return request_id


async def open_dashboard(page: Page, demo: str, query: str = "") -> None:
    """Show the dashboard, and wait until it is live."""
    await page.goto(f"{demo}/admin{query}")
    await expect(page.locator("#live")).to_have_text("Live")


async def open_details(page: Page, demo: str, request_id: str, brand: str) -> Locator:
    """Show one request's details."""
    await open_dashboard(page, demo, f"?q={brand}&request={request_id}")
    await expect(page.locator("#timeline tbody tr").first).to_be_visible()
    return page.get_by_role("dialog")


def row(page: Page, request_id: str) -> Locator:
    """A request's row."""
    return page.locator("#requests tbody tr").filter(has=page.locator(f'[data-request="{request_id}"]'))


def tile(page: Page, name: str) -> Locator:
    """The number with that name."""
    return page.locator(".tiles div").filter(has=page.locator("dt", has_text=_whole(name))).locator("dt + dd")


def event(page: Page, what: str) -> Locator:
    """The timeline's row that says `what`."""
    return page.locator("#timeline tbody tr").filter(has=page.locator("td:nth-child(2)", has_text=_whole(what)))


def _whole(text: str) -> re.Pattern[str]:
    return re.compile(f"^{re.escape(text)}$")


async def with_changed_stats(page: Page, demo: str, **changes: Any) -> None:
    """Answer with the gateway's statistics of now, some of them changed."""
    headers = {"Authorization": f"Bearer {await demo_token(page, demo)}"}
    answer = await page.request.get(f"{demo}/api/admin/stats", headers=headers)
    content = {**await answer.json(), **changes}
    await page.route("**/api/admin/stats*", lambda route: route.fulfill(json=content))
