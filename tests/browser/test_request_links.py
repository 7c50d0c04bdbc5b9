"""A request has an address of its own: it is opened, shared, reloaded, and the browser's “back” works."""

import re
import uuid

from playwright.async_api import Page, expect

from tests.browser.accessibility import violations
from tests.browser.dashboard import new_brand
from tests.browser.dashboard import submit as behind_the_page
from tests.browser.form import answer, heading, open_plain, submit

NOT_FOUND = "This request was not found. It may be another account's, or its link is incomplete."


async def test_the_address_follows_what_is_shown_and_back_returns(page: Page, demo: str) -> None:
    first, second = new_brand(), new_brand()
    one = await behind_the_page(page, demo, "Kettle", first)
    two = await behind_the_page(page, demo, "Toaster", second)
    await page.goto(demo)
    form = page.locator("ai-image-form")
    await form.get_by_role("button", name=re.compile(first)).click()
    await expect(page).to_have_url(f"{demo}/?request={one}")
    await form.get_by_role("button", name=re.compile(second)).click()
    await expect(page).to_have_url(f"{demo}/?request={two}")
    await page.go_back()
    await expect(page).to_have_url(f"{demo}/?request={one}")
    await expect(form.get_by_text(f"Kettle – {first}").first).to_be_visible()
    await page.go_back()
    await expect(page).to_have_url(f"{demo}/")
    await expect(page.get_by_label("Product")).to_be_visible()
    await page.go_forward()
    await expect(form.get_by_role("button", name=re.compile(first))).to_have_attribute("aria-current", "true")
    await page.get_by_role("button", name="Generate another").click()
    await expect(page).to_have_url(f"{demo}/")
    await submit(page, "Slow Boat", new_brand())
    await expect(page).to_have_url(re.compile(r"\?request=[0-9a-f-]{36}$"))


async def test_a_link_shows_its_request_whatever_was_shown_last(page: Page, demo: str) -> None:
    brand, another = new_brand(), new_brand()
    request_id = await behind_the_page(page, demo, "Kettle", brand)
    await behind_the_page(page, demo, "Toaster", another)
    await page.goto(demo)
    await page.locator("ai-image-form").get_by_role("button", name=re.compile(another)).click()
    await page.goto(f"{demo}/?utm=x&request={request_id}")
    await expect(page.locator("ai-image-form").get_by_role("img", name=f"Kettle – {brand}")).to_be_visible()
    await page.goto(demo)  # the tab knows what was shown, and the address says it without a new step back
    await expect(page).to_have_url(f"{demo}/?request={request_id}")
    await page.go_back()
    await expect(page).to_have_url(f"{demo}/?utm=x&request={request_id}")


async def test_a_link_to_nothing_or_to_anothers_says_so_kindly(page: Page, demo: str) -> None:
    page.expected_errors = ("404", "414", "431")  # type: ignore[attr-defined]
    brand = new_brand()
    await behind_the_page(page, demo, "Kettle", brand)
    for wrong in ("abc", str(uuid.uuid4()), "..", "%00", "%3Cimg%20src=x%3E", "x" * 3000):
        await page.goto(f"{demo}/?request={wrong}")
        await expect(page.get_by_text(NOT_FOUND)).to_be_visible()
        await expect(page.get_by_label("Product")).to_be_visible()
        await expect(page.locator("#assets li").first).to_be_visible()
    assert await violations(page) == []
    await page.locator("ai-image-form").get_by_role("button", name=re.compile(brand)).click()
    await expect(page.get_by_text(NOT_FOUND)).to_be_hidden()
    await page.go_back()
    await expect(page.get_by_text(NOT_FOUND)).to_be_visible()
    await submit(page, "Kettle", brand)
    await expect(heading(page, "Generating your image")).to_be_visible()
    await expect(page.get_by_text(NOT_FOUND)).to_be_hidden()


async def test_a_link_is_followed_when_the_gateway_is_back(page: Page, demo: str) -> None:
    """Away is not gone: nobody is told that there is no such request."""
    page.expected_errors = ("503",)  # type: ignore[attr-defined]
    request_id = await behind_the_page(page, demo, "Kettle", new_brand())
    await answer(page, "/api/ai-requests*", 200, {"requests": [], "nextCursor": None})
    await answer(page, f"/api/ai-status/{request_id}", 503, {"error": "Away.", "code": "unavailable"})
    async with page.expect_response(f"**/api/ai-status/{request_id}"):
        await page.goto(f"{demo}/?request={request_id}")
    await expect(page.get_by_text(NOT_FOUND)).to_be_hidden()
    await page.unroute(f"**/api/ai-status/{request_id}")
    await expect(page.locator("ai-image-form section[part=request]")).to_be_visible()


async def test_who_signs_in_gets_what_the_link_says(page: Page, demo: str) -> None:
    page.expected_errors = ("401",)  # type: ignore[attr-defined]
    request_id = await behind_the_page(page, demo, "Kettle", new_brand())
    await answer(page, "/api/*", 401, {"error": "Unauthorized", "code": "unauthorized"})
    await page.goto(f"{demo}/?request={request_id}")
    await expect(page.get_by_role("alert")).to_have_text("Please sign in to generate images.")
    await page.unroute("**/api/*")
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    await expect(page.locator("ai-image-form section[part=request]")).to_be_visible()
    await expect(page).to_have_url(f"{demo}/?request={request_id}")


async def test_a_page_of_ones_own_has_its_own_addresses(page: Page, demo: str) -> None:
    """The element leaves the address alone, and tells what is shown."""
    await open_plain(page, demo)
    await page.evaluate(
        """() => {
            window.shown = [];
            document.addEventListener("ai-image-shown", ({ detail }) => window.shown.push(detail));
        }"""
    )
    await submit(page, "Slow Boat", new_brand())
    await expect(heading(page, "Generating your image")).to_be_visible()
    form = page.locator("ai-image-form")
    request_id = await form.evaluate("(form) => form.requestId")
    await form.evaluate("(form) => { form.requestId = null }")
    await expect(page.get_by_label("Product")).to_be_visible()
    await form.evaluate("(form, id) => { form.requestId = id }", request_id)
    await expect(heading(page, "Generating your image")).to_be_visible()
    await page.get_by_role("button", name="Generate another").click()
    assert await page.evaluate("window.shown") == [
        {"requestId": request_id, "isRestored": False},
        {"requestId": None, "isRestored": False},
    ]
    assert page.url == f"{demo}/plain"
