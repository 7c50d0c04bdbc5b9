"""Small variants of pictures in the strip and the library, and the picture itself where there is none."""

import re

from playwright.async_api import Page, Request, expect

from gateway.static_folder import FOLDER
from tests.browser.form import answer, body

PICTURE = "/storage/v1/object/public/"
VARIANT = "/storage/v1/render/image/public/"


def pictures(page: Page) -> list[Request]:
    """The pictures that the page asks the object store for from now on."""
    asked: list[Request] = []
    page.on("request", lambda request: asked.append(request) if "/storage/v1/" in request.url else None)
    return asked


async def test_strip_and_library_load_one_small_variant_of_each(page: Page, own_demo: str) -> None:
    asked = pictures(page)
    await page.goto(own_demo)
    for image in (page.locator("#assets img").last, page.locator("ai-image-form ul img").last):
        await image.scroll_into_view_if_needed()
        assert await image.evaluate("async (img) => { await img.decode(); return img.naturalWidth }") == 320
    assert asked != []
    assert all(VARIANT in request.url for request in asked), "nothing large is loaded to be shown small"
    last = await page.locator("#assets img").last.get_attribute("src")
    assert [request.url for request in asked].count(last or "") == 1, "it is one for both"
    response = await asked[0].response()
    assert response is not None
    assert response.headers["content-type"] == "image/webp"
    assert len(await response.body()) < 40_000
    await page.reload()
    await page.locator("#assets img").last.evaluate("(img) => img.decode()")
    loaded = await page.evaluate("performance.getEntriesByType('resource').map((one) => [one.name, one.transferSize])")
    sizes = [size for name, size in loaded if VARIANT in name]
    assert sizes != []
    assert sum(sizes) == 0, "a second visit loads no picture again"


async def test_a_variant_that_cannot_be_had_gives_way_to_the_picture(page: Page, own_demo: str) -> None:
    page.expected_errors = ("403",)  # type: ignore[attr-defined]
    await answer(page, f"{VARIANT}**", 403, {"error": "FeatureNotEnabled"})  # as a project on Supabase's free plan
    await page.goto(own_demo)
    for image in (page.locator("#assets img").last, page.locator("ai-image-form ul img").last):
        await image.scroll_into_view_if_needed()
        await expect(image).to_have_attribute("src", re.compile(PICTURE))
        assert await image.evaluate("async (img) => { await img.decode(); return img.naturalWidth }") == 1024


async def test_where_none_are_made_none_are_asked_for(page: Page, demo: str) -> None:
    """A gateway without the setting, or an older one, says nothing of them."""
    own = body(status="completed", version=4, publicUrl=f"{demo}/static/icon.svg")
    asset = {"id": "1", "product": "Tea", "brand": "Past", "fileUrl": f"{demo}{PICTURE}x/y.png"}
    await answer(page, "/api/ai-requests*", 200, {"requests": [own], "nextCursor": None, "thumbnails": False})
    await answer(page, "/api/assets*", 200, {"assets": [asset], "nextCursor": None})
    await page.route_web_socket("**/ws", lambda socket: None)
    asked = pictures(page)
    await page.route(f"**{PICTURE}**", lambda route: route.fulfill(path=FOLDER / "icon.svg"))
    await page.goto(demo)
    await expect(page.locator("#assets img")).to_have_attribute("src", f"{demo}{PICTURE}x/y.png")
    await page.locator("#assets img").evaluate("(img) => img.decode()")
    assert [request.url for request in asked] == [f"{demo}{PICTURE}x/y.png"]


async def test_where_each_kind_of_picture_has_its_variant(page: Page, demo: str) -> None:
    await page.goto(demo)
    urls = ["https://p.supabase.co/storage/v1/object/public/b/my%20tea.png", "/api/ai-images/1/2", "/static/icon.svg"]
    script = "async (urls) => urls.map((await import('/static/ai-image-form/thumbnail.js')).thumbnailUrl)"
    assert await page.evaluate(script, urls) == [
        "https://p.supabase.co/storage/v1/render/image/public/b/my%20tea.png?width=320&height=400&resize=cover",
        f"{demo}/api/ai-images/1/2?size=small",
        "/static/icon.svg",
    ]
