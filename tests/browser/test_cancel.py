"""Cancel on the form and on the dashboard; whoever watches sees it without a reload."""

from playwright.async_api import Page, expect

from tests.browser import dashboard
from tests.browser.accessibility import violations
from tests.browser.form import PLAIN_PAGE, fill, heading, open_plain, submit, told


async def test_on_the_form(page: Page, demo: str) -> None:
    await open_plain(page, demo, PLAIN_PAGE)
    await submit(page, "Slow Fan", "Hearth")
    await expect(heading(page, "Generating your image")).to_be_visible()
    await page.get_by_role("button", name="Cancel", exact=True).press("Enter")
    await expect(heading(page, "Canceled")).to_be_focused()
    await expect(page.get_by_text("Slow Fan – Hearth was canceled.")).to_be_visible()
    await expect(page.get_by_role("alert").filter(visible=True)).to_have_count(0)
    await expect(page.locator("ai-image-form .visually-hidden")).to_have_text("Slow Fan – Hearth: canceled.")
    await expect(page.get_by_role("button", name="Slow Fan – Hearth, canceled")).to_be_visible()
    kind, detail = (await told(page))[-1]
    assert (kind, detail["code"]) == ("ai-image-error", "canceled")
    assert await violations(page) == []
    await page.get_by_role("button", name="Change the details").click()
    await expect(page.get_by_label("Product")).to_have_value("Slow Fan")


async def test_what_cannot_be_canceled_goes_on_and_can_be_tried_again(page: Page, demo: str) -> None:
    page.expected_errors = ("503",)  # type: ignore[attr-defined]
    await fill(page, demo, "Slow Lamp", "Hearth")
    await expect(heading(page, "Generating your image")).to_be_visible()
    refusal = {"error": "Briefly unavailable.", "code": "unavailable"}
    await page.route("**/cancel", lambda route: route.fulfill(status=503, json=refusal))
    await page.get_by_role("button", name="Cancel", exact=True).click()
    await expect(page.get_by_text("It could not be canceled. Please try again.")).to_be_visible()
    await expect(heading(page, "Generating your image")).to_be_visible()
    await page.unroute("**/cancel")
    await page.get_by_role("button", name="Cancel", exact=True).click()
    await expect(heading(page, "Canceled")).to_be_visible()


async def test_on_the_dashboard(page: Page, demo: str) -> None:
    brand = dashboard.new_brand()
    request_id = await dashboard.submit(page, demo, "Slow Cooker", brand)
    details = await dashboard.open_details(page, demo, request_id, brand)
    await details.get_by_role("button", name="Cancel request").click()
    await expect(details.get_by_role("status")).to_have_text("Canceled.")
    await expect(dashboard.event(page, "Canceled")).to_be_visible()
    await expect(details.get_by_role("button", name="Cancel request")).to_be_hidden()
    await expect(dashboard.row(page, request_id)).to_contain_text("failed")
