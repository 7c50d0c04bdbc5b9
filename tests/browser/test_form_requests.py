"""Requests that outlive a view: after a reload, and several at once."""

from playwright.async_api import Page, expect

from tests.browser.accessibility import violations
from tests.browser.form import fill, heading, open_plain, picture, submit, told


async def test_a_reload_goes_on_with_the_running_request(page: Page, demo: str) -> None:
    await open_plain(page, demo)
    await submit(page, "Night Train", "Nightjet")
    await expect(heading(page, "Generating your image")).to_be_visible()
    await page.reload()
    await expect(heading(page, "Generating your image")).to_be_visible()
    await expect(picture(page, "Night Train – Nightjet")).to_be_visible()
    assert [kind for kind, _ in await told(page)] == ["ai-image-success"]


async def test_several_at_once(page: Page, demo: str) -> None:
    """One runs while another is submitted; each is live in the strip, and choosing one shows it."""
    await fill(page, demo, "Slow Cooker", "Hearth")
    await expect(heading(page, "Generating your image")).to_be_visible()
    await page.get_by_role("button", name="Generate another").click()
    await submit(page, "Kettle", "Hearth")
    slow = page.get_by_role("button", name="Slow Cooker – Hearth, 10 %")
    kettle = page.get_by_role("button", name="Kettle – Hearth")
    await expect(kettle).to_have_attribute("aria-current", "true")
    await page.get_by_role("button", name="Slow Cooker – Hearth").click()
    await expect(heading(page, "Generating your image")).to_be_focused()
    await expect(page.get_by_text("a custom image for Slow Cooker by Hearth")).to_be_visible()
    await expect(slow).to_have_attribute("aria-current", "true")
    spoken = page.locator("ai-image-form .heard")
    await expect(spoken).to_have_text("Kettle – Hearth: image generated successfully.")
    await expect(kettle.locator("img")).to_be_visible()
    await expect(page.get_by_text("a custom image for Slow Cooker by Hearth")).to_be_visible()
    assert await violations(page) == []
    await kettle.click()
    await expect(picture(page, "Kettle – Hearth")).to_be_visible()
