"""The dashboard for the person on call: the list first, found by anything, acted on together, and from the keyboard."""

import csv
import io
import re

import pytest
from playwright.async_api import Page, Route, ViewportSize, expect

from tests.browser.accessibility import violations
from tests.browser.dashboard import (
    event,
    new_brand,
    open_dashboard,
    open_details,
    row,
    submit,
    tile,
    with_changed_stats,
)
from tests.browser.form import DESKTOP, PHONE

TABLET: ViewportSize = {"width": 900, "height": 1100}


@pytest.mark.parametrize("size", [PHONE, TABLET, DESKTOP], ids=["phone", "tablet", "desktop"])
async def test_the_list_is_one_glance_away(page: Page, demo: str, size: ViewportSize) -> None:
    brand = new_brand()
    await submit(page, demo, "Kettle", brand)
    await page.set_viewport_size(size)
    await open_dashboard(page, demo)
    await expect(page.get_by_role("heading", name="Requests", exact=True)).to_be_in_viewport()
    await open_dashboard(page, demo, f"?q={brand}")
    await expect(page.locator("#requests [data-request]").first).to_be_in_viewport()
    assert await violations(page) == []
    width = await page.evaluate("document.documentElement.scrollWidth")
    assert width <= size["width"], "nothing runs off the side"


async def test_tiles_lead_to_the_filtered_list(page: Page, demo: str) -> None:
    await open_dashboard(page, demo)
    await page.get_by_role("link", name="Stuck", exact=True).click()
    await expect(page).to_have_url(re.compile(r"status=stuck"))
    await page.get_by_role("link", name="Failed", exact=True).click()
    await expect(page).to_have_url(re.compile(r"status=failed&since="))
    await expect(page.get_by_label("Status")).to_have_value("failed")
    await page.get_by_role("link", name="Requests", exact=True).click()
    await expect(page).not_to_have_url(re.compile(r"status="))


async def test_rows_say_how_long_and_look_stuck_when_they_are(page: Page, demo: str) -> None:
    brand = new_brand()
    request_id = await submit(page, demo, "Slow Boat", brand)
    await with_changed_stats(page, demo, stuckAfterSeconds=0.5)
    await open_dashboard(page, demo, f"?q={brand}")
    shown = row(page, request_id)
    await expect(shown.locator("td.running")).to_have_text(re.compile(r"^\d+ s$"))
    await expect(shown).to_have_attribute("data-stuck", "")
    await expect(shown.locator("time")).to_have_text(re.compile(r"^(just now|\d+ s ago)$"))
    await expect(shown.locator("time")).to_have_attribute("title", re.compile(r"20\d\d"))
    zone = await page.evaluate("Intl.DateTimeFormat().resolvedOptions().timeZone")
    await expect(page.get_by_role("columnheader", name=f"Submitted ({zone})")).to_be_visible()


async def test_names_stand_for_ids_and_search_finds_them(page: Page, demo: str) -> None:
    brand = new_brand()
    request_id = await submit(page, demo, "Kettle", brand)
    await open_dashboard(page, demo, f"?q={request_id}")
    shown = row(page, request_id)
    await expect(shown.get_by_role("link", name="demo@example.com: only this user's requests")).to_be_visible()
    organization = shown.get_by_role("link", name="Demo: only this organization's requests")
    await expect(organization).to_have_attribute("title", re.compile(r"Demo \(0{8}-"))
    await page.get_by_label("Search", exact=True).fill("demo@example")
    await page.get_by_role("button", name="Filter").click()
    await expect(row(page, request_id)).to_be_visible()


async def test_pages_go_both_ways_and_have_a_size(page: Page, demo: str) -> None:
    brand = new_brand()
    for number in range(3):
        await submit(page, demo, f"Slow Tea {number}", brand)

    async def shorter(route: Route) -> None:
        await route.continue_(url=route.request.url.replace("limit=25", "limit=1"))

    await page.route("**/api/admin/requests?*", shorter)
    await open_dashboard(page, demo, f"?q={brand}")
    names = page.locator("#requests tbody th > a")
    for name in ("Slow Tea 1", "Slow Tea 0"):
        await page.get_by_role("button", name="Older").click()
        await expect(names).to_have_text([name])
    await page.get_by_role("button", name="Newer").click()
    await expect(names).to_have_text(["Slow Tea 1"])
    await page.get_by_label("Rows").select_option("100")
    await expect(names).to_have_text(["Slow Tea 2", "Slow Tea 1", "Slow Tea 0"])
    await expect(page.locator("#found")).to_have_text("3 requests")
    await page.reload()
    await expect(page.get_by_label("Rows")).to_have_value("100")


async def test_all_that_is_selected_is_canceled_after_a_count(page: Page, demo: str) -> None:
    brand = new_brand()
    ids = [await submit(page, demo, f"Slow Tea {number}", brand) for number in range(2)]
    await open_dashboard(page, demo, f"?q={brand}")
    await page.get_by_role("button", name="Cancel all…").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_text("Cancel 2 requests that the filters select?")).to_be_visible()
    assert await violations(page) == []
    await page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    for one in ids:
        await expect(row(page, one)).not_to_contain_text("failed")
    await page.get_by_role("button", name="Cancel all…").click()
    await dialog.get_by_role("button", name="Cancel all").click()
    await expect(page.locator("#selection-result")).to_have_text("2 requests canceled.")
    for one in ids:
        await expect(row(page, one)).to_contain_text("Canceled.")
    await page.get_by_role("button", name="Fail all…").click()
    await expect(dialog.get_by_text("No unfinished request is selected.")).to_be_visible()
    await dialog.get_by_role("button", name="Go back").click()


async def test_the_selection_is_exported(page: Page, demo: str) -> None:
    brand = new_brand()
    request_id = await submit(page, demo, "Kettle", brand)
    await open_dashboard(page, demo, f"?q={brand}")
    async with page.expect_download() as download:
        await page.get_by_role("button", name="Export CSV").click()
    saved = await download.value
    assert saved.suggested_filename == "requests.csv"
    text = (await saved.path()).read_text(encoding="utf-8-sig")
    (exported,) = csv.DictReader(io.StringIO(text, newline=""))
    assert (exported["requestId"], exported["userEmail"]) == (request_id, "demo@example.com")


async def test_it_is_used_from_the_keyboard(page: Page, demo: str) -> None:
    brand = new_brand()
    ids = [await submit(page, demo, f"Slow Tea {number}", brand) for number in range(2)]
    await open_dashboard(page, demo, f"?q={brand}")
    await page.keyboard.press("/")
    await expect(page.get_by_label("Search", exact=True)).to_be_focused()
    await page.keyboard.type("?")
    await expect(page.get_by_label("Search", exact=True)).to_have_value(f"{brand}?")
    await page.get_by_role("heading", name="Requests", exact=True).focus()
    await page.keyboard.press("j")
    await page.keyboard.press("j")
    await expect(row(page, ids[0]).locator("[data-request]")).to_be_focused()
    await page.keyboard.press("k")
    await expect(row(page, ids[1]).locator("[data-request]")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("dialog").get_by_role("heading", name=f"Slow Tea 1 – {brand}")).to_be_visible()
    await page.mouse.click(3, 3)  # outside
    await expect(page.get_by_role("dialog")).to_be_hidden()
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    assert await violations(page) == []
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_be_hidden()


async def test_the_details_say_how_long_each_step_took_and_can_be_copied(page: Page, demo: str) -> None:
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    brand = new_brand()
    request_id = await submit(page, demo, "Kettle", brand)
    details = await open_details(page, demo, request_id, brand)
    await expect(event(page, "Being sent to n8n").locator("small")).to_have_text(re.compile(r"^\+[\d.]+ s$"))
    await details.get_by_role("button", name="Copy id").click()
    await expect(details.get_by_role("status")).to_have_text("Copied.")
    assert await page.evaluate("navigator.clipboard.readText()") == request_id
    await details.get_by_role("button", name="Copy as curl").click()
    copied = await page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("curl -H ")
    assert "Bearer $TOKEN" in copied, "and no token"
    assert f"/api/admin/requests/{request_id}" in copied


async def test_tiles_have_true_names(page: Page, demo: str) -> None:
    await with_changed_stats(page, demo, callbackFailures=2, dispatchFailures=1)
    await open_dashboard(page, demo)
    await expect(tile(page, "Failed calls, 24 h")).to_have_text("3")
    await expect(page.get_by_text("2 callbacks, 1 dispatch")).to_be_visible()
