"""A picture of the library, large: by mouse and keyboard, on a phone and a desktop, by day and by night."""

import pytest
from playwright.async_api import Page, Route, ViewportSize, expect

from tests.browser.accessibility import violations
from tests.browser.form import DESKTOP, PHONE

TABLET: ViewportSize = {"width": 820, "height": 1180}

LINK = "/storage/v1/object/public/ai-images/"


async def open_library(page: Page, demo: str, *, missing: bool = False) -> None:
    """A library of three pictures of different days, the second of which may be gone."""

    def asset(number: int, url: str) -> dict[str, str]:
        made = f"2026-01-0{number}T12:00:00.000Z"
        return {"id": str(number), "product": f"Kettle {number}", "brand": "Hearth", "fileUrl": url, "createdAt": made}

    content = await (await page.request.get(f"{demo}/api/assets?limit=1", headers=await bearer(page, demo))).json()
    url = content["assets"][0]["fileUrl"]
    urls = [url, url.replace(".png", "-gone.png") if missing else url, url]
    shown = {"assets": [asset(at, one) for at, one in enumerate(urls, 1)], "nextCursor": None, "thumbnails": False}

    async def assets(route: Route) -> None:
        await route.fulfill(json=shown)

    await page.route("**/api/assets*", assets)
    await page.goto(demo)
    await expect(page.locator("#assets a")).to_have_count(3)


async def bearer(page: Page, demo: str) -> dict[str, str]:
    session = await (await page.request.get(f"{demo}/demo/session")).json()
    return {"Authorization": f"Bearer {session['access_token']}"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, TABLET, PHONE], ids=["desktop", "tablet", "phone"])
async def test_a_picture_is_shown_large_with_all_that_can_be_done(
    page: Page, demo: str, size: ViewportSize, scheme: str
) -> None:
    await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    await page.set_viewport_size(size)
    await open_library(page, demo)
    await page.locator("#assets a").nth(1).click()
    dialog = page.get_by_role("dialog", name="Kettle 2 – Hearth")
    shown = dialog.get_by_role("img", name="Kettle 2 – Hearth")
    await expect(shown).to_be_in_viewport(ratio=1)
    assert await shown.evaluate("async (img) => { await img.decode(); return img.naturalWidth }") == 1024
    await expect(dialog.locator("time")).to_have_text("Made on January 2, 2026 at 12:00 PM")
    for name in ("Close", "Previous image", "Next image", "Copy link"):
        button = dialog.get_by_role("button", name=name)
        await expect(button).to_be_in_viewport(ratio=1)
        box = await button.bounding_box()
        assert box is not None
        assert min(box["width"], box["height"]) >= 44
    assert await violations(page) == []
    async with page.expect_download() as download:
        await dialog.get_by_role("link", name="Download image").click()
    assert (await download.value).suggested_filename == "Kettle-2-Hearth.png"
    assert len(page.context.pages) == 1, "nothing was opened beside it"


async def test_by_the_keyboard(page: Page, demo: str) -> None:
    await open_library(page, demo)
    await page.locator("#assets a").first.focus()
    await page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_role("button", name="Close")).to_be_focused()
    await expect(dialog).to_have_accessible_name("Kettle 1 – Hearth")
    await expect(dialog.get_by_role("button", name="Previous image")).to_be_disabled()
    await page.keyboard.press("ArrowLeft")
    await expect(dialog).to_have_accessible_name("Kettle 1 – Hearth")
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("ArrowRight")
    await expect(dialog).to_have_accessible_name("Kettle 3 – Hearth")
    await expect(dialog.get_by_role("button", name="Next image")).to_be_disabled()
    await page.keyboard.press("ArrowRight")
    await expect(dialog).to_have_accessible_name("Kettle 3 – Hearth")
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.getElementById('lightbox').contains(document.activeElement)")
    await page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    await expect(page.locator("#assets a").nth(2)).to_be_focused()  # the one that was looked at last


async def test_a_click_beside_it_closes_it_and_a_click_in_it_does_not(page: Page, demo: str) -> None:
    await page.set_viewport_size(DESKTOP)
    await open_library(page, demo)
    await page.locator("#assets a").first.click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_role("heading").click()
    await expect(dialog).to_be_visible()
    await page.mouse.click(5, 5)
    await expect(dialog).to_be_hidden()
    await expect(page.locator("#assets a").first).to_be_focused()


async def test_the_link_is_copied_and_told(page: Page, demo: str) -> None:
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await open_library(page, demo)
    await page.locator("#assets a").first.click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_role("button", name="Copy link").click()
    await expect(dialog.get_by_role("status")).to_have_text("Link copied.")
    copied = await page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith(demo + LINK)
    assert (await page.request.get(copied)).headers["content-type"] == "image/png"
    await page.keyboard.press("ArrowRight")
    await expect(dialog.get_by_role("status")).to_have_text("")
    await page.evaluate("void (navigator.clipboard.writeText = () => Promise.reject(new Error('no')))")
    await dialog.get_by_role("button", name="Copy link").click()
    await expect(dialog.get_by_role("status")).to_contain_text("could not be copied")


async def test_a_picture_that_is_gone_says_so(page: Page, demo: str) -> None:
    page.expected_errors = ("404",)  # type: ignore[attr-defined]
    await open_library(page, demo, missing=True)
    await page.locator("#assets a").first.click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_be_visible()
    await page.keyboard.press("ArrowRight")
    await expect(dialog.get_by_text("The picture could not be loaded.")).to_be_visible()
    await page.keyboard.press("ArrowRight")
    await expect(dialog.get_by_text("The picture could not be loaded.")).to_be_hidden()
    await expect(dialog.get_by_role("img", name="Kettle 3 – Hearth")).to_be_visible()


async def test_who_wants_a_tab_of_its_own_gets_one(page: Page, demo: str) -> None:
    """The link stays a link: with a modifier, or when the script of the large view cannot be had."""
    page.expected_errors = ("ERR_FAILED",)  # type: ignore[attr-defined]
    await open_library(page, demo)
    async with page.context.expect_page() as tab:
        await page.locator("#assets a").first.click(modifiers=["ControlOrMeta"])
    assert LINK in (await tab.value).url
    await page.route("**/lightbox.js", lambda route: route.abort())
    async with page.context.expect_page() as another:
        await page.locator("#assets a").first.click()
    await (await another.value).wait_for_url(f"**{LINK}*")
    await expect(page.get_by_role("dialog")).to_have_count(0)
