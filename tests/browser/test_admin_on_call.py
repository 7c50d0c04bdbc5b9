"""The dashboard for the person on call: the list first, found by anything, acted on together, and from the keyboard."""

import csv
import io
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Literal
from unittest.mock import ANY
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from playwright.async_api import Browser, Page, Route, ViewportSize, expect

from tests.browser.accessibility import violations
from tests.browser.dashboard import (
    demo_token,
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


async def test_the_opening_asks_for_everything_once(page: Page, own_demo: str) -> None:
    """Where nothing changes meanwhile: a picture that comes late is news, and asked for."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(urlsplit(request.url).path))
    await open_dashboard(page, own_demo)
    await page.evaluate("fetch('/healthz')")  # what would be asked again, now that it is live, has been asked by then
    assert sorted(path for path in asked if path.startswith("/api/")) == ["/api/admin/requests", "/api/admin/stats"]
    assert len({path for path in asked if path.startswith("/static/")}) <= 21


async def test_tiles_lead_to_the_filtered_list(page: Page, demo: str) -> None:
    await open_dashboard(page, demo)
    await page.get_by_role("link", name="Stuck", exact=True).click()
    await expect(page).to_have_url(re.compile(r"status=stuck"))
    await expect(page.get_by_role("heading", name="Requests", exact=True)).to_be_focused()
    await page.get_by_role("link", name="Failed", exact=True).click()
    await expect(page).to_have_url(re.compile(r"status=failed&since="))
    await expect(page.get_by_role("heading", name="Requests", exact=True)).to_be_in_viewport()
    await expect(page.get_by_label("Status")).to_have_value("failed")
    await page.get_by_role("link", name="Requests", exact=True).click()
    await expect(page).not_to_have_url(re.compile(r"status="))


@pytest.mark.parametrize(
    ("tile_name", "query", "sort"),
    [
        ("Waiting", {"status": "waiting"}, "newest first"),
        ("Sending", {"status": "sending"}, "newest first"),
        ("Processing", {"status": "processing"}, "newest first"),
        ("Failed calls, 24 h", {"status": "not_taken", "since": ANY}, "newest first"),
        ("Success rate", {"status": "completed", "since": ANY}, "newest first"),
        ("Cost", {"sort": "cost", "since": ANY}, "dearest first"),
        ("Median time", {"status": "completed", "sort": "duration", "since": ANY}, "slowest first"),
        ("95th percentile", {"status": "completed", "sort": "duration", "since": ANY}, "slowest first"),
    ],
)
async def test_each_tile_leads_to_what_it_counts(
    page: Page, demo: str, tile_name: str, query: dict[str, str], sort: str
) -> None:
    await open_dashboard(page, demo, "?q=something+else&sort=duration&order=asc")
    await page.get_by_role("link", name=tile_name, exact=True).click()
    assert dict(parse_qsl(urlsplit(page.url).query)) == query
    await expect(page.locator("caption").filter(has_text=f"Requests, {sort}.")).to_have_count(1)
    await expect(page.get_by_label("Search", exact=True)).to_have_value("")


@pytest.mark.parametrize(
    ("alert", "query"),
    [
        ("stuck_requests", r"\?status=stuck$"),
        ("assets_refused", r"\?status=not_in_library$"),
        ("dispatch_failed", r"\?status=not_taken$"),
        ("callback_refused", r"\?status=unfinished$"),
        ("database_away", r"\?since=2026-01-31T12%3A00%3A00\.000Z$"),
    ],
)
async def test_an_alert_leads_to_the_requests_it_is_about(page: Page, demo: str, alert: str, query: str) -> None:
    now = {"name": alert, "summary": "It is so.", "count": 1, "since": "2026-01-31T12:00:00.000Z", "endedAt": None}
    past = {**now, "summary": "It was so.", "endedAt": "2026-01-31T12:05:00.000Z"}
    await with_changed_stats(page, demo, alerts=[now, past])
    await open_dashboard(page, demo)
    await page.get_by_role("link", name="Show requests: It is so.").click()
    await expect(page).to_have_url(re.compile(query))
    await expect(page.locator("#list-problem")).to_be_hidden()
    await page.get_by_text("1 alert ended in the last day").click()
    await page.get_by_role("link", name="Show requests: It was so.").click()
    await expect(page).to_have_url(re.compile(r"\?since=.*12%3A00%3A00.*&until=.*12%3A05%3A00"))
    await expect(page.get_by_label("Until (UTC)")).to_have_value("2026-01-31T12:05")


@pytest.mark.parametrize("size", [PHONE, TABLET, DESKTOP], ids=["phone", "tablet", "desktop"])
async def test_bars_lead_to_the_requests_they_count(page: Page, demo: str, size: ViewportSize) -> None:
    brand = new_brand()
    request_id = await submit(page, demo, "Kettle", brand)
    await page.set_viewport_size(size)
    await open_dashboard(page, demo)
    hours = page.get_by_role("list", name=re.compile("Requests by hour, last 48 hours .UTC.: .+ The arrow keys"))
    name = re.compile(rf"^{datetime.now(UTC):%Y-%m-%d} \d\d:00: \d+ requests?, ")
    bar = hours.get_by_role("link", name=name).last
    await bar.click()
    since, until = [
        datetime.fromisoformat(value[0])
        for key, value in parse_qs(urlsplit(page.url).query).items()
        if "since" in key or "until" in key
    ]
    assert until - since == timedelta(hours=1)
    assert since.minute == 0
    await expect(row(page, request_id)).to_be_in_viewport()
    headers = {"Authorization": f"Bearer {await demo_token(page, demo)}"}
    listed = await page.request.get(f"{demo}/api/admin/requests?{urlsplit(page.url).query}", headers=headers)
    total = (await listed.json())["total"]
    await expect(page.locator("#found")).to_have_text(re.compile(rf"\b{total} requests?$"))
    await page.locator("#chart-days summary").click()
    await page.locator("#chart-days table").get_by_role("link", name=re.compile("completed$")).first.click()
    await expect(page).to_have_url(re.compile("since=.*T00%3A00%3A00.*&until=.*&status=completed"))
    await page.locator("#chart-costs .bars").get_by_role("link").first.click()
    await expect(page).to_have_url(re.compile("sort=cost"))
    assert await violations(page) == []


async def test_bars_are_reached_from_the_keyboard(page: Page, demo: str) -> None:
    hours = [
        {
            "hour": f"2026-01-31T0{hour}",
            "requests": number,
            "cost": "0",
            "completed": number,
            "failed": 0,
            "pending": 0,
            "processing": 0,
        }
        for hour, number in enumerate((3, 0, 2, 1))
    ]
    await with_changed_stats(page, demo, byHour=hours)
    await open_dashboard(page, demo)
    await page.get_by_role("radio", name="7 days").focus()
    bars = page.locator("#chart-hours .bars").get_by_role("link")
    await expect(bars).to_have_count(3)  # an empty hour leads nowhere
    for _ in range(10):
        await page.keyboard.press("Tab")
        if await bars.last.evaluate("(bar) => bar === document.activeElement"):
            break
    await expect(bars.last).to_be_focused()
    await expect(bars.last).to_have_accessible_name("2026-01-31 03:00: 1 request, 1 completed")
    for key, at in (("ArrowLeft", 1), ("Home", 0), ("ArrowLeft", 0), ("ArrowRight", 1), ("End", 2)):
        await page.keyboard.press(key)
        await expect(bars.nth(at)).to_be_focused()
    await page.keyboard.press("Tab")
    await expect(page.locator("#chart-hours summary")).to_be_focused()  # a chart is one stop
    await page.keyboard.press("Shift+Tab")
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile("since=2026-01-31T03%3A00%3A00.000Z&until=2026-01-31T04%3A00%3A00.000Z"))


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
async def test_the_list_is_sorted_by_time_duration_and_cost(page: Page, demo: str, size: ViewportSize) -> None:
    brand = new_brand()
    quick = await submit(page, demo, "Tea fail", brand)
    slow = await submit(page, demo, "Tea", brand)
    running = await submit(page, demo, "Slow Boat", brand)
    await page.set_viewport_size(size)
    await open_dashboard(page, demo, f"?q={brand}")
    await expect(row(page, quick)).to_contain_text("failed")
    await expect(row(page, slow)).to_contain_text("completed")
    names = page.locator("#requests tbody th > a")

    async def sort(words: str, column: str) -> None:
        if size is PHONE:
            await page.locator("#sort").select_option(words)
        else:
            await page.get_by_role("button", name=column, exact=True).click()

    for words, column, products, direction in (
        ("slowest first", "Took", ["Tea", "Tea fail", "Slow Boat"], "descending"),
        ("quickest first", "Took", ["Tea fail", "Tea", "Slow Boat"], "ascending"),
        ("dearest first", "Cost", ["Tea", "Slow Boat", "Tea fail"], "descending"),
        ("cheapest first", "Cost", ["Tea", "Tea fail", "Slow Boat"], "ascending"),
        ("newest first", "Submitted (UTC)", ["Slow Boat", "Tea", "Tea fail"], "descending"),
        ("oldest first", "Submitted (UTC)", ["Tea fail", "Tea", "Slow Boat"], "ascending"),
    ):
        await sort(words, column)
        await expect(names).to_have_text(products)
        if size is DESKTOP:
            await expect(page.locator(f"th[aria-sort={direction}]")).to_have_text([column])
        await expect(page.get_by_role("table", name=f"Requests, {words}.")).to_be_visible()
        assert await violations(page) == [], words
    await page.reload()
    await expect(names).to_have_text(["Tea fail", "Tea", "Slow Boat"])
    await page.go_back()
    await expect(names).to_have_text(["Slow Boat", "Tea", "Tea fail"])
    assert await page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    assert await row(page, running).count() == 1


async def test_a_sorted_list_is_paged_both_ways_and_kept_in_order(page: Page, demo: str) -> None:
    brand = new_brand()
    for product in ("Tea fail", "Tea", "Slow Boat"):
        await submit(page, demo, product, brand)
    await open_dashboard(page, demo, f"?q={brand}&sort=duration&limit=1")
    names = page.locator("#requests tbody th > a")
    await expect(names).to_have_text(["Tea"], timeout=60_000)  # when it has taken longest, by itself
    for button, product in (("Next", "Tea fail"), ("Next", "Slow Boat"), ("Previous", "Tea fail"), ("First", "Tea")):
        await page.get_by_role("button", name=button, exact=True).click()
        await expect(names).to_have_text([product])
    await expect(page.get_by_role("button", name="Previous", exact=True)).to_be_disabled()
    await page.get_by_role("button", name="Clear", exact=True).click()
    await expect(page.get_by_role("button", name="Newest", exact=True)).to_be_visible()


async def test_rows_and_charts_are_in_one_time_zone(browser: Browser, page: Page, demo: str) -> None:
    brand = new_brand()
    request_id = await submit(page, demo, "Kettle", brand)
    context = await browser.new_context(timezone_id="Asia/Kolkata", locale="en-GB")
    far = await context.new_page()
    await open_dashboard(far, demo, f"?q={brand}&since=2026-01-31T23:30:00Z")
    await expect(far.get_by_role("columnheader", name="Submitted (UTC)")).to_be_visible()
    await expect(far.locator("#chart-days figcaption")).to_have_text(re.compile(r"\(UTC\)$"))
    await expect(far.get_by_label("Since (UTC)")).to_have_value("2026-01-31T23:30")
    told = await row(far, request_id).locator("time").get_attribute("title") or ""
    assert re.fullmatch(r"\d+ \w+ 20\d\d, [\d:]+ UTC \(\d+ \w+ 20\d\d, [\d:]+ in Asia/(Kolkata|Calcutta)\)", told), told
    await far.get_by_role("button", name="Filter").click()
    await expect(far).to_have_url(re.compile("since=2026-01-31T23%3A30%3A00.000Z"))
    await context.close()


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


async def test_time_in_the_queue_does_not_make_a_row_stuck(page: Page, demo: str) -> None:
    brand = new_brand()
    request_id = await submit(page, demo, "Slow Boat", brand)

    async def submitted_long_ago(route: Route) -> None:
        answer = await route.fetch()
        content = await answer.json()
        for one in content["requests"]:
            assert one["sentAt"], "it is processing"
            one["createdAt"] = (datetime.now(UTC) - timedelta(hours=3)).isoformat()
        await route.fulfill(response=answer, json=content)

    await page.route("**/api/admin/requests?*", submitted_long_ago)
    await with_changed_stats(page, demo, stuckAfterSeconds=1800)
    await open_dashboard(page, demo, f"?q={brand}&status=processing")
    shown = row(page, request_id)
    await expect(shown.locator("td.running")).to_have_text("3 h")
    await expect(shown).not_to_have_attribute("data-stuck", "")


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


@pytest.mark.parametrize(("size", "scheme"), [(PHONE, "dark"), (TABLET, "light"), (DESKTOP, "dark")])
async def test_the_details_tell_what_n8n_was_sent_and_said(
    page: Page, demo: str, size: ViewportSize, scheme: Literal["light", "dark"]
) -> None:
    brand = new_brand()
    request_id = await submit(page, demo, "Tea fail", brand)
    await page.set_viewport_size(size)
    await page.emulate_media(color_scheme=scheme)
    details = await open_details(page, demo, request_id, brand)
    await expect(event(page, "Failed at n8n")).to_be_visible()
    await details.get_by_text("What was sent to n8n").click()
    sent = json.loads(await details.locator("#sent pre").inner_text())
    assert (sent["requestId"], sent["Product"], sent["Your Brand"]) == (request_id, "Tea fail", brand)
    assert "callbackSecret" not in sent
    await details.get_by_text(re.compile(r"What n8n reported: \d+ reports")).click()
    last = details.locator("#reported li").last
    await expect(last).to_contain_text('"status": "failed"')
    await expect(last).to_contain_text("The stand-in was asked to fail")
    assert await violations(page) == []
    assert await page.locator("#detail").evaluate("(detail) => detail.scrollWidth <= detail.clientWidth")


async def test_the_details_lead_to_the_same_users_requests_before_and_after(page: Page, demo: str) -> None:
    brand = new_brand()
    ids = [await submit(page, demo, f"Kettle {number}", brand) for number in range(3)]
    details = await open_details(page, demo, ids[1], brand)
    beside = details.get_by_role("navigation", name="Requests of the same user")
    await beside.get_by_role("link", name=f"Kettle 0 – {brand}").click()
    await expect(details.get_by_role("heading", name=f"Kettle 0 – {brand}")).to_be_focused()
    await beside.get_by_role("link", name=f"Kettle 1 – {brand}").press("Enter")
    await beside.get_by_role("link", name=f"Kettle 2 – {brand}").click()
    await expect(details.get_by_text("After it: none of this user")).to_be_visible()
    assert await violations(page) == []
    await page.go_back()
    await expect(details.get_by_role("heading", name=f"Kettle 1 – {brand}")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(row(page, ids[1]).locator("[data-request]")).to_be_focused()


async def test_the_execution_opens_in_n8n_where_that_is_known(page: Page, demo: str) -> None:
    brand = new_brand()
    request_id = await submit(page, demo, "Kettle", brand)
    details = await open_details(page, demo, request_id, brand)
    facts = page.locator("#facts dd").filter(has_text=re.compile(r"^\d+$"))
    await expect(facts).to_have_count(1)  # a demo's n8n has no editor
    await expect(details.get_by_role("link", name="open in n8n")).to_have_count(0)
    await page.keyboard.press("Escape")

    async def with_editor(route: Route) -> None:
        answer = await route.fetch()
        content = await answer.json()
        content["request"]["executionUrl"] = f"{demo}/workflow/a/executions/{content['request']['executionId']}"
        await route.fulfill(response=answer, json=content)

    await page.route(f"**/api/admin/requests/{request_id}", with_editor)
    await row(page, request_id).locator("[data-request]").click()
    link = details.get_by_role("link", name="open in n8n, in a new tab")
    await expect(link).to_have_attribute("rel", "noopener noreferrer")
    async with page.expect_popup() as opened:
        await link.click()
    tab = await opened.value
    assert re.fullmatch(rf"{demo}/workflow/a/executions/\d+", tab.url)
    assert await tab.evaluate("window.opener") is None
    await tab.close()
