"""The form as the browser tests use it."""

import re
from typing import Any

from playwright.async_api import Locator, Page, Request, ViewportSize

SLOW = 20_000

PHONE: ViewportSize = {"width": 390, "height": 844}
DESKTOP: ViewportSize = {"width": 1280, "height": 900}

# A page of somebody else's: no gateway's page around, and as strict a policy as can be.
PLAIN_PAGE = """<!doctype html><html lang="en"><head><title>Shop</title><link rel="icon" href="data:,">
<script type="module" src="/static/ai-image-form.js"></script></head>
<body><main><h1>Shop</h1><div id="one"><ai-image-form></ai-image-form></div><div id="two"></div></main></body></html>"""
POLICY = "default-src 'self'; img-src 'self' data:; style-src 'self'; require-trusted-types-for 'script'"

_LISTEN = """
    window.notified = [];
    for (const type of ["ai-image-submitted", "ai-image-success", "ai-image-error"]) {
        document.addEventListener(type, ({ detail }) => window.notified.push([type, detail]));
    }
"""


async def open_plain(page: Page, demo: str, html: str = PLAIN_PAGE) -> None:
    """Show the element in a page of somebody else's, and keep what it tells in `window.notified`."""
    await page.add_init_script(_LISTEN)
    headers = {"Content-Type": "text/html", "Content-Security-Policy": POLICY}
    await page.route("**/plain", lambda route: route.fulfill(body=html, headers=headers))
    await page.context.add_cookies(await _session(page, demo))
    await page.goto(f"{demo}/plain")


async def _session(page: Page, demo: str) -> Any:
    await page.context.request.get(demo)
    return await page.context.cookies()


async def told(page: Page) -> list[tuple[str, dict[str, Any]]]:
    """The element's events, oldest first."""
    return [(kind, detail) for kind, detail in await page.evaluate("window.notified")]


async def submit(page: Page, product: str = "Running Shoes", brand: str = "Nike") -> None:
    await page.get_by_label("Product").fill(product)
    await page.get_by_label("Your Brand").fill(brand)
    await page.get_by_role("button", name="Generate image").click()


async def fill(page: Page, demo: str, product: str = "Running Shoes", brand: str = "Nike") -> None:
    await page.goto(demo)
    await submit(page, product, brand)


def heading(page: Page, name: str) -> Locator:
    return page.locator("ai-image-form").get_by_role("heading", name=name)


def picture(page: Page, name: str | re.Pattern[str] = "Running Shoes – Nike") -> Locator:
    """The picture that the form shows; the library has others of the same name."""
    return page.locator("ai-image-form").get_by_role("img", name=name)


def body(**changes: object) -> dict[str, object]:
    """A Body as the gateway would answer it."""
    return {
        "requestId": "11111111-1111-4111-8111-111111111111",
        "status": "pending",
        "product": "Running Shoes",
        "brand": "Nike",
        "storageKey": None,
        "storageId": None,
        "publicUrl": None,
        "errorMessage": None,
        "createdAt": "2026-01-31T12:00:00.000Z",
        "completedAt": None,
        "version": 1,
        "progress": None,
        "errorCode": None,
        "updatedAt": "2026-01-31T12:00:00.000Z",
        "cost": None,
        **changes,
    }


def usage_of(**changes: object) -> dict[str, object]:
    """A usage as the gateway would answer it."""
    return {
        "limit": {"quota": 10, "remaining": 10, "windowSeconds": 3600, "resetSeconds": 0},
        "month": {"spent": "0", "reserved": "0"},
        "organizations": [],
        "typicalSeconds": None,
        "currency": None,
        "isAdmin": False,
        **changes,
    }


def submissions(page: Page) -> list[Request]:
    """The submissions that the page sends from now on."""
    sent: list[Request] = []
    page.on("request", lambda request: sent.append(request) if request.url.endswith("/api/ai-generate") else None)
    return sent


async def answer(page: Page, path: str, status: int, content: object, **headers: str) -> None:
    """Answer `path` in the gateway's place."""
    await page.route(f"**{path}", lambda route: route.fulfill(status=status, json=content, headers=headers))
