"""An open page follows what it did not start: other tabs, other devices, the command line; over one socket."""

from collections import Counter

from playwright.async_api import Page, expect

from tests.browser import dashboard
from tests.browser.form import heading, picture, submit


def count_reads(page: Page) -> Counter[str]:
    """How often the page reads each of the gateway's endpoints from now on, and how many sockets it opens."""
    reads: Counter[str] = Counter()
    page.on("request", lambda request: reads.update([request.url.partition("?")[0].rpartition("/api/")[2]]))
    page.on("websocket", lambda _: reads.update(["websocket"]))
    return reads


async def test_a_picture_of_another_client_appears_everywhere(page: Page, demo: str) -> None:
    await page.goto(demo)
    await expect(page.locator("#usage")).to_contain_text("images left this hour")
    left_before = await page.locator("#usage").inner_text()
    brand = dashboard.new_brand()
    await dashboard.submit(page, demo, "Slow Boat", brand)
    running = page.get_by_role("button", name=f"Slow Boat – {brand}, waiting to start")
    progressing = page.get_by_role("button", name=f"Slow Boat – {brand}").filter(has_text="%")
    await expect(running.or_(progressing)).to_be_visible()
    await expect(page.locator("#usage")).not_to_have_text(left_before)
    await dashboard.submit(page, demo, "Quick Boat", brand)
    await expect(page.get_by_role("button", name=f"Quick Boat – {brand}").locator("img")).to_be_visible()
    await expect(page.locator("#assets").get_by_role("img", name=f"Quick Boat – {brand}")).to_be_visible()
    await expect(heading(page, "AI-Powered Image Generation")).to_be_visible()  # who types is not interrupted


async def test_two_tabs_see_the_same(page: Page, demo: str) -> None:
    await page.goto(demo)
    await expect(page.locator("#usage")).to_contain_text("images left this hour")
    async with page.expect_popup() as opened:
        await page.evaluate("window.open(location.href)")
    other = await opened.value
    await expect(heading(other, "AI-Powered Image Generation")).to_be_visible()
    brand = dashboard.new_brand()
    await submit(other, "Slow Train", brand)
    tile = page.get_by_role("button", name=f"Slow Train – {brand}")
    await tile.click()
    await expect(heading(page, "Generating your image")).to_be_visible()
    await other.get_by_role("button", name="Cancel", exact=True).click()
    await expect(heading(page, "Canceled")).to_be_visible()
    await expect(page.get_by_role("button", name=f"Slow Train – {brand}, canceled")).to_be_visible()
    await other.close()


async def test_the_page_opens_with_one_read_of_each_and_one_socket(own_demo: str, page: Page) -> None:
    reads = count_reads(page)
    await page.goto(own_demo)
    await expect(page.locator("#usage")).to_contain_text("images left this hour")
    await expect(page.locator("#assets li").first).to_be_visible()
    assert (reads["usage"], reads["ai-requests"], reads["assets"]) == (1, 1, 1)
    brand = dashboard.new_brand()
    await submit(page, "Kettle", brand)
    await expect(picture(page, f"Kettle – {brand}")).to_be_visible()
    await expect(page.locator("#assets").get_by_role("img", name=f"Kettle – {brand}")).to_be_visible()
    assert reads["websocket"] == 1
    assert reads["ai-requests"] == 1


async def test_the_dashboard_opens_with_one_read_of_each_and_one_socket(own_demo: str, page: Page) -> None:
    reads = count_reads(page)
    await dashboard.open_dashboard(page, own_demo)
    brand = dashboard.new_brand()
    assert (reads["admin/stats"], reads["admin/requests"], reads["websocket"]) == (1, 1, 1)
    await dashboard.submit(page, own_demo, "Kettle", brand)  # its row proves that nothing was missed in between
    await expect(page.locator("#requests").get_by_text(brand)).to_be_visible()
    assert reads["websocket"] == 1
