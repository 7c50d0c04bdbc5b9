"""The page in a real browser: type, watch, see the picture."""

import re

from playwright.async_api import Page, expect

SLOW = 20_000


async def fill(page: Page, demo: str, product: str = "Running Shoes", brand: str = "Nike") -> None:
    await page.goto(demo)
    await page.get_by_label("Product").fill(product)
    await page.get_by_label("Your Brand").fill(brand)
    await page.get_by_role("button", name="Generate AI Images").click()


async def test_from_the_form_to_the_picture(page: Page, demo: str) -> None:
    await fill(page, demo)
    bar = page.get_by_role("progressbar")
    await expect(page.get_by_role("heading", name="Generating your image")).to_be_visible(timeout=SLOW)
    seen: list[int] = []
    while not seen or seen[-1] < 60:
        value = await bar.get_attribute("value")
        if value is not None and (not seen or int(value) != seen[-1]):
            seen.append(int(value))
    assert seen == sorted(seen)
    assert len(seen) > 3, "the bar moves"
    picture = page.get_by_role("img", name="Running Shoes – Nike")
    await expect(picture).to_be_visible(timeout=SLOW)
    assert await picture.evaluate("async (img) => { await img.decode(); return img.naturalWidth }") == 1024
    assert await page.evaluate("document.activeElement.id") == "completed-title"
    await page.get_by_role("button", name="Generate another").click()
    await expect(page.get_by_label("Product")).to_be_focused()
    await expect(page.get_by_label("Product")).to_have_value("")


async def test_it_is_live_over_the_websocket(page: Page, demo: str) -> None:
    polls: list[str] = []
    sockets: list[str] = []
    page.on("request", lambda request: polls.append(request.url) if "/api/ai-status/" in request.url else None)
    page.on("websocket", lambda socket: sockets.append(socket.url))
    await fill(page, demo)
    await expect(page.get_by_role("img")).to_be_visible(timeout=SLOW)
    assert sockets == [demo.replace("http", "ws") + "/ws"]
    assert polls == []


async def test_without_a_websocket_it_polls(page: Page, demo: str) -> None:
    await page.route_web_socket("**/ws", lambda socket: socket.close())
    await fill(page, demo)
    await expect(page.get_by_role("heading", name="Generating your image")).to_be_visible(timeout=SLOW)
    await expect(page.get_by_text("Reconnecting")).to_be_visible()
    await expect(page.get_by_role("img")).to_be_visible(timeout=SLOW)


async def test_a_failure_is_told_and_can_be_tried_again(page: Page, demo: str) -> None:
    await fill(page, demo, "Shoes that fail")
    await expect(page.get_by_text("asked to fail")).to_be_visible(timeout=SLOW)
    await page.get_by_role("button", name="Try again").click()
    await expect(page.get_by_role("button", name="Generate AI Images")).to_be_visible()


async def test_a_reload_goes_on_with_the_running_request(page: Page, demo: str) -> None:
    await fill(page, demo)
    await expect(page.get_by_role("heading", name="Generating your image")).to_be_visible(timeout=SLOW)
    await page.reload()
    await expect(page.get_by_role("img", name="Running Shoes – Nike")).to_be_visible(timeout=SLOW)


async def test_markup_in_a_name_is_only_text(page: Page, demo: str) -> None:
    await fill(page, demo, "<img src=x onerror=alert(1)>", "<b>Brand</b>")
    await expect(page.get_by_text("<b>Brand</b>").first).to_be_visible(timeout=SLOW)
    await expect(page.get_by_text(re.compile("Product: <img src=x"))).to_be_visible(timeout=SLOW)


async def test_the_keyboard_is_enough(page: Page, demo: str) -> None:
    await page.goto(demo)
    await page.keyboard.press("Tab")
    await page.keyboard.type("Tea")
    await page.keyboard.press("Tab")
    await page.keyboard.type("Twinings")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Your image is ready")).to_be_visible(timeout=SLOW)


async def test_an_unusable_name_is_told(page: Page, demo: str) -> None:
    page.expected_errors = ("400",)  # type: ignore[attr-defined]
    await page.goto(demo)
    await page.get_by_label("Product").evaluate("(input) => { input.removeAttribute('maxlength') }")
    await page.get_by_label("Product").fill("x" * 201)
    await page.get_by_label("Your Brand").fill("Nike")
    await page.get_by_role("button", name="Generate AI Images").click()
    await expect(page.get_by_role("alert")).to_have_text("Product must have at most 200 characters.")
