"""The page in a real browser: type, watch, see the picture, find it in the library."""

from typing import Any

from playwright.async_api import Page, Route, expect

from tests.browser.accessibility import violations
from tests.browser.form import answer, fill, heading, picture, submit


async def test_from_the_form_to_the_picture_and_the_library(page: Page, demo: str) -> None:
    await page.goto(demo)
    await expect(page.locator("#usage")).to_contain_text("of 1,000 images left this hour")
    await submit(page, "Fountain Pen", "Lamy")
    bar = page.locator("ai-image-form section[part=request]").get_by_role("progressbar")
    await expect(heading(page, "Generating your image")).to_be_visible()
    seen: list[int] = []
    while not seen or seen[-1] < 60:
        value = await bar.get_attribute("value")
        if value is not None and (not seen or int(value) != seen[-1]):
            seen.append(int(value))
    assert seen == sorted(seen)
    assert len(seen) > 3, "the bar moves"
    shown = picture(page, "Fountain Pen – Lamy")
    await expect(shown).to_be_visible()
    assert await shown.evaluate("async (img) => { await img.decode(); return img.naturalWidth }") == 1024
    await expect(heading(page, "Image generated successfully!")).to_be_focused()
    await expect(page.locator("#assets img").first).to_have_attribute("alt", "Fountain Pen – Lamy")
    async with page.expect_download() as download:
        await page.get_by_role("link", name="Download image").click()
    assert (await download.value).suggested_filename == "Fountain-Pen-Lamy.png"
    await page.get_by_role("button", name="Generate another").click()
    await expect(page.get_by_label("Product")).to_be_focused()
    await expect(page.get_by_label("Product")).to_have_value("")


async def test_it_is_live_over_the_websocket(page: Page, demo: str) -> None:
    polls: list[str] = []
    sockets: list[str] = []
    page.on("request", lambda request: polls.append(request.url) if "/api/ai-status/" in request.url else None)
    page.on("websocket", lambda socket: sockets.append(socket.url))
    await fill(page, demo)
    await expect(picture(page)).to_be_visible()
    assert set(sockets) == {demo.replace("http", "ws") + "/ws"}
    assert polls == []


async def test_the_library_loads_more_and_says_when_it_is_empty(page: Page, demo: str) -> None:
    def asset(number: int) -> dict[str, Any]:
        return {"id": str(number), "product": f"<i>Product {number}</i>", "brand": "B", "fileUrl": "/static/icon.svg"}

    async def assets(route: Route) -> None:
        first = "cursor=" not in route.request.url
        content = {"assets": [asset(1), asset(2)], "nextCursor": "c"} if first else {"assets": [asset(3)]}
        await route.fulfill(json={"nextCursor": None, **content})

    await answer(page, "/api/assets*", 200, {"assets": [], "nextCursor": None})
    usage = {"limit": {"quota": 1000, "remaining": 1000}, "month": {"spent": "0"}, "organizations": []}
    await answer(page, "/api/usage", 200, {**usage, "typicalSeconds": None})
    await page.goto(demo)
    await expect(page.get_by_text("Nothing here yet")).to_be_visible()
    await expect(page.locator("#usage")).to_have_text("1,000 of 1,000 images left this hour")
    await page.route("**/api/assets*", assets)
    await page.reload()
    pictures = page.locator("#assets").get_by_role("img")
    await expect(pictures).to_have_count(2)
    await expect(pictures.first).to_have_attribute("loading", "lazy")
    assert await violations(page) == []
    await page.get_by_role("button", name="Load more").click()
    await expect(pictures).to_have_count(3)
    await expect(page.get_by_role("link", name="<i>Product 3</i> – B")).to_be_focused()
    await expect(page.get_by_role("button", name="Load more")).to_be_hidden()


async def test_signed_out_visitors_are_told(page: Page, demo: str) -> None:
    page.expected_errors = ("401",)  # type: ignore[attr-defined]
    await answer(page, "/api/*", 401, {"error": "Unauthorized", "code": "unauthorized"})
    await page.goto(demo)
    await expect(page.get_by_role("alert")).to_have_text("Please sign in to generate images.")
    await expect(page.locator("#library")).to_be_hidden()
    assert await violations(page) == []
    await submit(page)
    await expect(page.get_by_label("Product")).to_have_value("Running Shoes")  # nothing typed is lost
    await page.unroute("**/api/*")
    await page.get_by_role("button", name="Generate image").click()
    await expect(heading(page, "Generating your image")).to_be_visible()
    await expect(page.get_by_role("alert")).to_be_hidden()
