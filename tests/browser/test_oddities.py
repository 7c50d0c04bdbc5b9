"""What a stranger stumbles over in the first minutes: dead links, broken pictures, a network that is away."""

import json
import re

from playwright.async_api import Page, Route, expect

from tests.browser import dashboard
from tests.browser.accessibility import violations
from tests.browser.form import PLAIN_PAGE, open_plain


async def test_a_page_that_does_not_exist_leads_back(page: Page, demo: str) -> None:
    page.expected_errors = ("404",)  # type: ignore[attr-defined]
    answer = await page.goto(f"{demo}/no-such-page")
    assert answer is not None
    assert answer.status == 404
    await expect(page.get_by_role("heading", name="There is no such page")).to_be_visible()
    assert await violations(page) == []
    await page.get_by_role("link", name="Generate an image").click()
    await expect(page.get_by_label("Product")).to_be_visible()


async def test_a_program_gets_json_for_what_does_not_exist(page: Page, demo: str) -> None:
    for path, accept in (("/no-such-page", "*/*"), ("/api/no-such-thing", "text/html"), ("/static/x.js", "text/html")):
        answer = await page.request.get(demo + path, headers={"Accept": accept})
        assert (answer.status, (await answer.json())["code"]) == (404, "not_found"), path


async def test_without_javascript_the_pages_say_so(page: Page, demo: str) -> None:
    for path in ("/", "/admin"):
        html = await (await page.request.get(demo + path)).text()
        assert "This page needs JavaScript" in html.partition("<noscript>")[2].partition("</noscript>")[0]


async def test_a_link_to_a_request_that_is_none_says_so(page: Page, demo: str) -> None:
    page.expected_errors = ("404",)  # type: ignore[attr-defined]
    await dashboard.open_dashboard(page, demo, "?request=abc")
    await expect(page.get_by_role("dialog").get_by_role("heading", name="No such request")).to_be_visible()
    await expect(page.get_by_role("alert").filter(has_text="There is no request “abc”")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_be_hidden()
    await expect(page).not_to_have_url(re.compile("request="))


async def test_a_filter_chosen_offline_shows_no_rows_of_another(page: Page, demo: str) -> None:
    page.expected_errors = ("ERR_INTERNET_DISCONNECTED", "WebSocket")  # type: ignore[attr-defined]
    brand = dashboard.new_brand()
    await dashboard.submit(page, demo, "Kettle", brand)
    await dashboard.open_dashboard(page, demo)
    await expect(page.locator("#requests").get_by_text(brand)).to_be_visible()
    await page.context.set_offline(True)
    await page.get_by_label("Status").select_option("failed")
    await expect(page.get_by_text("The requests could not be loaded; it is tried again.")).to_be_visible()
    await expect(page.locator("#requests [data-request]")).to_have_count(0)
    await page.context.set_offline(False)
    await expect(page.locator("#live")).to_have_text("Live")
    await expect(page.get_by_text("The requests could not be loaded")).to_be_hidden()
    await page.get_by_label("Status").select_option("")
    await expect(page.locator("#requests").get_by_text(brand)).to_be_visible()


async def test_a_picture_that_does_not_load_keeps_its_place(page: Page, demo: str) -> None:
    page.expected_errors = ("404",)  # type: ignore[attr-defined]
    asset = {"id": "1", "product": "Kettle " * 20, "brand": "Hearth", "fileUrl": "/static/no-such.png"}
    fine = {"id": "2", "product": "Tea", "brand": "Hearth", "fileUrl": "/static/icon.svg"}
    content = {"assets": [asset, fine], "nextCursor": None}
    await page.route("**/api/assets*", lambda route: route.fulfill(json=content))
    await page.goto(demo)
    missing = page.locator("#assets").get_by_text("The picture could not be loaded.")
    await expect(missing).to_be_visible()
    box, other = await missing.bounding_box(), await page.locator("#assets img").bounding_box()
    assert box is not None
    assert other is not None
    assert abs(box["width"] - other["width"]) < 1
    assert abs(box["height"] - other["height"]) < 1
    assert await violations(page) == []


async def test_a_token_that_comes_a_moment_later_is_waited_for(page: Page, demo: str) -> None:
    """The page's own script sets `getToken` after the element's module has run: nothing is asked without it."""
    anonymous: list[str] = []
    token = await dashboard.demo_token(page, demo)
    script = f"document.querySelector('ai-image-form').getToken = async () => {json.dumps(token)};"

    async def script_of_the_page(route: Route) -> None:
        await route.fulfill(body=script, headers={"Content-Type": "text/javascript"})

    def look(request: object) -> None:
        headers, url = request.headers, request.url  # type: ignore[attr-defined]
        if "/api/" in url and "authorization" not in headers:
            anonymous.append(url)

    await page.route("**/own.js", script_of_the_page)
    html = PLAIN_PAGE.replace("</head>", '<script type="module" src="/own.js"></script></head>')
    page.on("request", look)
    async with page.expect_response("**/api/usage"):
        await open_plain(page, demo, html)
    assert anonymous == []


async def test_the_dashboard_counts_its_own_connection(page: Page, demo: str) -> None:
    await dashboard.with_changed_stats(page, demo, connections=0)
    await dashboard.open_dashboard(page, demo)
    await expect(dashboard.tile(page, "Connections")).to_have_text("1")
