"""The dashboard at `/admin`: who sees it, what it shows, what changes by itself, and what can be done in it."""

import asyncio
import json
import re
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

from playwright.async_api import Page, Route, ViewportSize, WebSocketRoute, expect

from gateway.demo.session import ORGANIZATION, USER
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

HOSTILE = (
    "<img src=x onerror=alert(1)><b>bold</b>",
    "שלום \u202e gpj.exe",
    "W" * 190,
)


LOOKS: tuple[tuple[ViewportSize, Literal["light", "dark"]], ...] = ((PHONE, "light"), (DESKTOP, "dark"))


def query(page: Page) -> dict[str, list[str]]:
    return query_of(page.url)


def query_of(url: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(url).query)


async def looks_right(page: Page) -> None:
    """No violation and nothing to scroll sideways, on a phone by day and a desktop by night."""
    for viewport, scheme in LOOKS:
        await page.set_viewport_size(viewport)
        await page.emulate_media(color_scheme=scheme)
        assert await violations(page) == [], scheme
        assert await page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]


async def test_signs_in_with_a_token_and_out_again(page: Page, demo: str) -> None:
    page.expected_errors = ("401", "403")  # type: ignore[attr-defined]
    await page.goto(f"{demo}/static/admin.html")  # /admin itself signs in, in the demo
    box = page.get_by_role("region", name="Sign in as an administrator")
    await expect(box).to_contain_text("gateway token --user UUID --admin")
    field = box.get_by_label("Access token")
    await expect(field).to_be_focused()
    await looks_right(page)
    await field.fill("nonsense")
    await field.press("Enter")
    await expect(box.get_by_role("alert")).to_have_text("That token is not valid, or it has expired.")
    await field.fill(await demo_token(page, demo))
    await field.press("Enter")
    await expect(page.locator("#live")).to_have_text("Live")
    await expect(box).to_be_hidden()
    await expect(page.locator("#charts .bars a").first).to_be_visible()
    await page.reload()
    await expect(page.locator("#live")).to_have_text("Live")
    await page.get_by_role("button", name="Sign out").click()
    await expect(box).to_be_visible()
    await expect(page.get_by_role("heading", name="Last 7 days", exact=True)).to_be_hidden()
    refusal = {"error": "Only administrators may do that.", "code": "forbidden"}
    await page.route("**/api/admin/stats*", lambda route: route.fulfill(status=403, json=refusal))
    await field.fill("a member's token")
    await field.press("Enter")
    await expect(box.get_by_role("alert")).to_have_text(
        "You are signed in, but not as an administrator. Ask whoever runs this gateway for a sign-in link."
    )


async def test_numbers_charts_and_costs(page: Page, demo: str) -> None:
    brand = new_brand()
    completed, failed = await submit(page, demo, "Tea", brand), await submit(page, demo, "Tea fail", brand)
    await open_dashboard(page, demo, f"?q={brand}")
    await expect(row(page, failed)).to_contain_text("asked to fail")
    await expect(row(page, completed)).to_contain_text("completed")
    await page.get_by_text("30 days", exact=True).click()  # which nobody has asked for: nothing is remembered of it
    assert query(page)["days"] == ["30"]
    await expect(page.locator("#chart-days figcaption")).to_have_text("Requests by day, last 30 days (UTC)")
    await expect(tile(page, "Requests")).to_have_text(re.compile(r"^([2-9]|\d{2,})$"))
    await expect(tile(page, "Success rate")).to_have_text(re.compile(r"^[1-9][\d.]* %$"))
    await expect(tile(page, "Cost")).to_have_text(re.compile(r"^\d+\.\d\d$"))
    await expect(tile(page, "Median time")).to_have_text(re.compile(r"^[\d.]+ s$"))
    await expect(page.get_by_role("region", name="Errors by code")).to_contain_text("Generation failed")
    costs = page.get_by_role("table", name="Costs by organization")
    await expect(costs.get_by_role("row").nth(1)).to_contain_text("Demo")
    for name, gist in (
        ("hours", r"last 48 hours \(UTC\): [\d,]+ requests, \d+ completed, \d+ failed; most at .+:00 with \d+\."),
        ("days", r"last 30 days \(UTC\): [\d,]+ requests"),
        ("costs", r"last 30 days \(UTC\): [\d.]+ in all, most on .+ with [\d.]+"),
    ):
        await expect(page.locator(f"#chart-{name} .bars")).to_have_attribute("aria-label", re.compile(gist))
    await expect(page.locator("#charts .legend")).to_have_text(["CompletedFailedProcessingPending"] * 2)
    await page.locator("#chart-days summary").click()
    await expect(page.locator("#chart-days table").get_by_role("row")).not_to_have_count(0)
    await page.go_back()
    await expect(page.get_by_role("radio", name="7 days")).to_be_checked()
    await expect(page.locator("#chart-days figcaption")).to_have_text("Requests by day, last 7 days (UTC)")


async def test_alerts_stand_out_until_they_end(page: Page, demo: str) -> None:
    old = {"name": "bus_away", "summary": "Redis is away.", "count": 1, "since": "2026-01-31T12:00:00.000Z"}
    alerts = [
        {**old, "name": "stuck_requests", "summary": "2 requests are stuck.", "count": 7, "endedAt": None},
        {**old, "endedAt": "2026-01-31T12:05:00.000Z"},
    ]
    await with_changed_stats(page, demo, alerts=alerts)
    await open_dashboard(page, demo)
    region = page.get_by_role("alert").filter(has=page.locator("#active-alerts"))
    await expect(region).to_contain_text("2 requests are stuck.")
    await expect(region).to_contain_text("seen 7 times")
    await expect(page.get_by_text("No active alerts.")).to_be_hidden()
    await page.get_by_text("1 alert ended in the last day").click()
    await expect(page.get_by_text("Redis is away.")).to_be_visible()
    assert await violations(page) == []
    await page.unroute_all()
    await with_changed_stats(page, demo, alerts=[])
    await page.reload()
    await expect(page.get_by_text("No active alerts.")).to_be_visible()


async def test_nothing_is_drawn_of_nothing_and_costs_line_up(page: Page, demo: str) -> None:
    shares = [{"userId": USER, "requests": 2, "cost": "1"}, {"userId": ORGANIZATION, "requests": 1, "cost": "0.0375"}]
    nothing: dict[str, Any] = {"byHour": [], "byDay": [], "byOrganization": [], "errors": {}}
    await with_changed_stats(page, demo, **nothing, byUser=shares, callbackFailures=2, dispatchFailures=1)
    await open_dashboard(page, demo)
    await expect(tile(page, "Failed calls, 24 h")).to_have_text("3")
    await expect(page.locator("#now [data-zero]").filter(has_text="Stuck")).to_have_count(1)
    await expect(page.locator("#charts").get_by_text("No requests in this time.")).to_have_count(2)
    await expect(page.get_by_text("No costs in this time.")).to_be_visible()
    await expect(page.locator("figure .bars:visible, figure .legend:visible")).to_have_count(0)
    await expect(page.get_by_role("table", name="Costs by user").locator("td:last-child")).to_have_text(
        ["1.0000", "0.0375"]
    )
    await expect(page.get_by_text("None.")).to_have_count(2)
    assert await violations(page) == []


async def test_what_is_not_read_yet_is_not_told_as_if_it_were(page: Page, demo: str) -> None:
    brand = new_brand()
    request_id = await submit(page, demo, "Slow Tea", brand)

    async def held(pattern: str) -> asyncio.Event:
        """Answer what is asked there no sooner than the event is set."""
        released = asyncio.Event()

        async def wait(route: Route) -> None:
            await released.wait()
            await route.continue_()

        await page.route(pattern, wait)
        return released

    rest = await held("**/api/admin/requests?*")
    await page.goto(f"{demo}/admin?q={brand}")
    await expect(page.locator("#chart-days .bars a").first).to_be_attached()
    await expect(page.locator("#dashboard")).to_be_hidden()
    rest.set()
    await expect(row(page, request_id)).to_be_visible()
    rest = await held("**/api/admin/stats?days=30")
    await page.get_by_text("30 days", exact=True).click()
    numbers = page.locator("#numbers")
    await expect(numbers).to_have_attribute("aria-busy", "true")
    await expect(page.get_by_role("heading", name="Last 7 days", exact=True)).to_be_visible()
    await page.go_back()
    await expect(numbers).not_to_have_attribute("aria-busy", "true")
    await page.go_forward()
    rest.set()
    await expect(page.get_by_role("heading", name="Last 30 days", exact=True)).to_be_visible()
    await expect(numbers).not_to_have_attribute("aria-busy", "true")
    rest = await held(f"**/api/admin/requests/{request_id}")
    await row(page, request_id).click()  # anywhere in it
    await expect(page.get_by_role("dialog", name=f"Slow Tea – {brand}")).to_be_visible()
    await expect(page.locator("#facts")).to_contain_text("processing")
    await expect(page.get_by_role("button", name="Mark as failed…")).to_be_hidden()
    rest.set()
    await expect(page.get_by_role("button", name="Mark as failed…")).to_be_visible()


async def test_rows_change_and_come_and_go_by_themselves(page: Page, demo: str) -> None:
    brand = new_brand()
    await open_dashboard(page, demo, f"?q={brand}&status=processing")
    await expect(page.locator("#found")).to_have_text("No request matches")
    await page.evaluate("window.sameDocument = true")
    counted = await tile(page, "Requests").inner_text()
    request_id = await submit(page, demo, "Tea", brand)
    shown = row(page, request_id)
    await expect(shown).to_contain_text(re.compile(r"processing\s*\d+ %"))
    await expect(shown.get_by_role("progressbar")).to_be_visible()
    await expect(shown).to_have_count(0)
    await expect(tile(page, "Requests")).not_to_have_text(counted)
    await page.get_by_label("Status").select_option("completed")
    await expect(shown).to_contain_text("completed")
    assert await page.evaluate("window.sameDocument")


async def test_a_lost_connection_is_told_and_comes_back(page: Page, demo: str) -> None:
    sockets: list[WebSocketRoute] = []

    def pass_on(socket: WebSocketRoute) -> None:
        sockets.append(socket)
        socket.connect_to_server()

    await page.route_web_socket("**/ws", pass_on)
    brand = new_brand()
    await open_dashboard(page, demo, f"?q={brand}")
    states = await page.evaluate_handle("""() => {
        const states = [];
        const live = document.getElementById("live");
        new MutationObserver(() => states.push(live.textContent)).observe(live, { childList: true });
        return states;
    }""")
    await sockets[0].close(code=1012)
    await page.wait_for_function("(states) => states.at(-1) === 'Live'", arg=states)
    assert "Reconnecting" in (await states.json_value())[0]
    assert len(sockets) > 1
    await page.evaluate("(states) => { states.length = 0; dispatchEvent(new Event('offline')) }", states)
    await page.wait_for_function("(states) => states.at(-1) === 'Live'", arg=states)
    assert (await states.json_value())[0] == "Reconnecting… Updated every 15 s."
    request_id = await submit(page, demo, "Slow Tea", brand)
    await expect(row(page, request_id)).to_be_visible()


async def test_a_database_that_was_set_back_is_followed(page: Page, demo: str) -> None:
    """What the connection brings is the last word, and so is a page that was asked for after it."""
    sockets: list[WebSocketRoute] = []

    def pass_on(socket: WebSocketRoute) -> None:
        sockets.append(socket)
        socket.connect_to_server()

    await page.route_web_socket("**/ws", pass_on)
    brand = new_brand()
    request_id = await submit(page, demo, "Tea", brand)
    dialog = await open_details(page, demo, request_id, brand)
    shown, facts = row(page, request_id), dialog.locator("#facts")
    await expect(shown).to_contain_text("completed")
    await expect(facts).to_contain_text("completed")
    answer = await page.request.get(
        f"{demo}/api/admin/requests/{request_id}", headers={"Authorization": f"Bearer {await demo_token(page, demo)}"}
    )
    made = (await answer.json())["request"]
    for version, status in [(made["version"] + 50, "failed"), (made["version"] - 1, "processing")]:
        sockets[0].send(json.dumps({"type": "update", "request": {**made, "version": version, "status": status}}))
        await expect(shown).to_contain_text(status)
    await expect(facts).to_contain_text("completed")  # what was read after it
    sockets[0].send(json.dumps({"type": "update", "request": {**made, "version": 99, "status": "failed"}}))
    await expect(shown).to_contain_text("failed")
    await page.keyboard.press("Escape")
    await page.get_by_label("Rows").select_option("50")
    await expect(shown).to_contain_text("completed")


async def test_filters_and_pages_live_in_the_address(page: Page, demo: str) -> None:
    page.expected_errors = ("400",)  # type: ignore[attr-defined]

    async def shorter(route: Route) -> None:
        await route.continue_(url=route.request.url.replace("limit=25", "limit=2"))

    await page.route("**/api/admin/requests?*", shorter)
    brand = new_brand()
    ids = [await submit(page, demo, f"Slow Tea {number}", brand) for number in range(3)]
    await open_dashboard(page, demo)
    await page.get_by_label("Search", exact=True).fill(f"  {brand.upper()}  ")
    await page.get_by_role("button", name="Filter").click()
    shown = page.locator("#requests tbody tr")
    await expect(shown.locator("th > a")).to_have_text(["Slow Tea 2", "Slow Tea 1"])
    await expect(page.locator("#found")).to_have_text("2 of 3 requests")
    await page.get_by_role("button", name="Older").click()
    await expect(shown.locator("th > a")).to_have_text(["Slow Tea 0"])
    await expect(page.locator("#found")).to_have_text("1 of 3 requests")
    await expect(page.get_by_role("heading", name="Requests", exact=True)).to_be_focused()
    await expect(page.get_by_role("button", name="Older")).to_be_disabled()
    assert "cursor" in query(page)
    await page.reload()
    await expect(shown.locator("th > a")).to_have_text(["Slow Tea 0"])
    await page.get_by_role("button", name="Newest").click()
    await expect(row(page, ids[2])).to_be_visible()
    assert "cursor" not in query(page)
    await page.get_by_text("More filters").click()
    await page.get_by_label("Since").fill("2001-01-01T00:00")
    await page.get_by_label("Until").fill("2001-01-02T00:00")
    await page.get_by_role("button", name="Filter").click()
    await expect(page.locator("#found")).to_have_text("No request matches")
    await expect(page.get_by_role("navigation", name="Pages of requests")).to_be_hidden()
    assert query(page)["until"][0].endswith(":00.000Z")
    await page.reload()
    await expect(page.get_by_label("Until")).to_be_visible()
    await expect(page.get_by_label("Until")).to_have_value("2001-01-02T00:00")
    await page.go_back()
    await expect(row(page, ids[2])).to_be_visible()
    await expect(page.get_by_label("Until")).to_have_value("")
    await row(page, ids[2]).get_by_role("link", name="only this organization's requests").click()
    await expect(page.get_by_label("Organization", exact=True)).to_have_value(ORGANIZATION)
    await expect(row(page, ids[2])).to_be_visible()
    await page.get_by_label("User", exact=True).fill("nobody")
    await page.get_by_label("User", exact=True).press("Enter")
    await expect(page.get_by_text("userId must be a UUID.")).to_be_visible()
    await page.get_by_role("button", name="Clear filters").click()
    await expect(page.get_by_text("userId must be a UUID.")).to_be_hidden()
    await expect(page.get_by_role("heading", name="Requests", exact=True)).to_be_focused()
    assert query(page) == {}
    await page.get_by_label("Status").select_option("completed")
    await page.get_by_role("button", name="Clear", exact=True).click()
    assert query(page) == {}


async def test_marking_as_failed_is_recorded(page: Page, demo: str) -> None:
    brand = new_brand()
    request_id = await submit(page, demo, "Slow Tea", brand)
    dialog = await open_details(page, demo, request_id, brand)
    await expect(event(page, "Submitted")).to_contain_text(f"user:{USER}")
    await expect(event(page, "Taken by n8n")).to_contain_text("execution")
    await expect(dialog.get_by_role("button", name="Retry")).to_be_hidden()
    await dialog.get_by_role("button", name="Mark as failed…").click()
    reason = dialog.get_by_label("Reason, shown to the user")
    await expect(reason).to_be_focused()
    await dialog.get_by_role("button", name="Go back").click()
    await expect(dialog.get_by_role("button", name="Mark as failed…")).to_be_focused()
    await dialog.get_by_role("button", name="Mark as failed…").press("Enter")
    await reason.fill("The provider <b>hangs</b>")
    await dialog.get_by_role("button", name="Yes, mark as failed").click()
    await expect(dialog.get_by_role("status")).to_have_text("Marked as failed.")
    failure = event(page, "Marked as failed by an administrator")
    await expect(failure).to_contain_text("The provider <b>hangs</b>")
    await expect(failure).to_contain_text(f"admin:{USER}")
    await expect(failure).to_have_attribute("data-level", "error")
    await expect(page.locator("#facts")).to_contain_text("The provider <b>hangs</b> (failed_by_admin)")
    await expect(dialog.get_by_role("button", name="Mark as failed…")).to_be_hidden()
    await expect(dialog.get_by_role("button", name="Retry")).to_be_visible()
    await expect(row(page, request_id)).to_contain_text("failed")


async def test_retrying_is_recorded_and_not_done_twice(page: Page, demo: str) -> None:
    page.expected_errors = ("409",)  # type: ignore[attr-defined]
    brand = new_brand()
    failed = await submit(page, demo, "Tea fail", brand)
    dialog = await open_details(page, demo, failed, brand)
    retry = dialog.get_by_role("button", name="Retry")
    await expect(retry).to_be_visible()
    await expect(page.locator("#facts")).to_contain_text(re.compile(r"failed after \d+ %"))
    await expect(page.locator("#facts")).not_to_contain_text("Deadline")
    await retry.click()
    await expect(dialog.get_by_role("status")).to_have_text("Submitted again as a new request.")
    await expect(event(page, "Submitted again by an administrator")).to_contain_text(f"admin:{USER}")
    await retry.click()
    await expect(dialog.get_by_role("status")).to_have_text("A retry of this request is already under way.")
    await event(page, "Submitted again by an administrator").get_by_role("link", name="as this request").click()
    await expect(event(page, "Submitted")).to_contain_text("of this request")
    assert query(page)["request"] != [failed]
    await expect(page.locator("#facts").get_by_role("link", name=failed)).to_be_visible()


async def test_from_the_keyboard_alone(page: Page, demo: str) -> None:
    brand = new_brand()
    request_id = await submit(page, demo, "Slow Tea", brand)
    await page.emulate_media(reduced_motion="reduce")
    await open_dashboard(page, demo, f"?q={brand}")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the requests")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Requests", exact=True)).to_be_focused()
    link = row(page, request_id).locator("th > a")
    for _ in range(30):
        await page.keyboard.press("Tab")
        if await link.evaluate("(link) => link === document.activeElement"):
            break
    await expect(link).to_be_focused()
    await expect(link).to_have_accessible_name("Slow Tea")
    await page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name=f"Slow Tea – {brand}")
    await expect(dialog.get_by_role("heading", name=f"Slow Tea – {brand}")).to_be_focused()
    assert query(page)["request"] == [request_id]
    await page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    await expect(link).to_be_focused()
    await expect(page).not_to_have_url(re.compile("request="))  # the browser tells of the close a moment later
    assert await page.evaluate("document.getAnimations().length") == 0


async def test_hostile_names_are_text_in_every_look(page: Page, demo: str) -> None:
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    brand = new_brand()
    ids = await asyncio.gather(*(submit(page, demo, f"Slow {name}", brand) for name in HOSTILE))
    await open_dashboard(page, demo, f"?q={brand}")
    for request_id, name in zip(ids, HOSTILE, strict=True):
        await expect(row(page, request_id).locator("th > a")).to_have_text(f"Slow {name}")
    await looks_right(page)
    for request_id, name in zip(ids, HOSTILE, strict=True):
        await row(page, request_id).locator("th > a").click()
        title = page.locator("#detail-title")
        await expect(title).to_have_text(f"Slow {name} – {brand}")
        assert await page.locator("#detail").evaluate("(detail) => detail.scrollWidth <= detail.clientWidth")
        if request_id != ids[-1]:
            await page.get_by_role("button", name="Close").click()
    await expect(event(page, "Being sent to n8n")).to_be_visible()
    await page.get_by_role("button", name="Mark as failed…").click()
    await looks_right(page)
    assert dialogs == []
    assert await page.locator("#requests img, #detail-title img").count() == 0
