"""Each state of `<ai-image-form>`: what is seen, heard and reached, on a phone and a desktop, by day and by night."""

import re

import pytest
from playwright.async_api import Page, Route, ViewportSize, expect

from tests.browser.accessibility import violations
from tests.browser.form import DESKTOP, PHONE, answer, body, fill, heading, picture, submissions, submit, usage_of

NARROW: ViewportSize = {"width": 320, "height": 640}


async def looks_right(page: Page) -> None:
    """No violation on a phone by day and a desktop by night; it fits into 320 pixels, and thumbs hit every target."""
    await page.set_viewport_size(PHONE)
    await page.emulate_media(color_scheme="light")
    assert await violations(page) == []
    await page.set_viewport_size(DESKTOP)
    await page.emulate_media(color_scheme="dark")
    assert await violations(page) == []
    await page.set_viewport_size(NARROW)
    assert await page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
    targets = page.locator("ai-image-form").locator("button:visible, a:visible, input:visible, select:visible")
    for box in [await target.bounding_box() for target in await targets.all()]:
        assert box is not None
        assert min(box["width"], box["height"]) >= 44


async def test_mistakes_are_tied_to_their_fields(page: Page, demo: str) -> None:
    sent = submissions(page)
    await page.goto(demo)
    await expect(page.get_by_text("Tell us about your product and brand")).to_be_visible()
    await looks_right(page)
    product, brand = page.get_by_label("Product"), page.get_by_label("Your Brand")
    await expect(product).to_have_accessible_description("What product or service are you advertising?")
    await product.fill("   ")
    assert await product.get_attribute("aria-invalid") is None, "nobody is blamed while typing"
    await brand.press("Enter")
    await expect(product).to_be_focused()
    await expect(product).to_have_attribute("aria-invalid", "true")
    await expect(product).to_have_accessible_description(
        "Please fill in both Product and Brand fields What product or service are you advertising?"
    )
    await expect(page.get_by_role("alert")).to_have_text("Please fill in both Product and Brand fields")
    await expect(page.get_by_text("Please enter a")).to_have_count(0)  # one mistake, said once
    await looks_right(page)
    await brand.fill("x" * 201)
    await expect(page.get_by_role("alert")).to_be_hidden()  # there is no saying “both” of the one that is missing
    await product.fill("Tea")
    await page.get_by_role("button", name="Generate image").click()
    await expect(brand).to_be_focused()
    await expect(page.get_by_text("Use at most 200 characters (now 201).")).to_be_visible()
    assert sent == []
    await brand.fill("😀" * 200)
    await expect(page.get_by_text("at most")).to_be_hidden()
    await brand.press("Enter")
    await expect(heading(page, "Generating your image")).to_be_visible()
    assert len(sent) == 1


async def test_from_the_keyboard_with_the_usual_time(page: Page, demo: str) -> None:
    """Only the keyboard; the running and the completed state; what is spoken on the way."""
    await answer(page, "/api/usage", 200, usage_of(typicalSeconds=41.3))
    await page.emulate_media(reduced_motion="reduce")
    await page.goto(f"{demo}/static/page.css")  # a page of the same origin, without the form
    await page.goto(demo)
    await page.keyboard.press("Tab")  # the appearance
    await page.keyboard.press("Tab")
    await page.keyboard.type("Slow Tea")
    await page.keyboard.press("Tab")
    await page.keyboard.type("Twinings")
    await page.keyboard.press("Enter")
    title = heading(page, "Generating your image")
    await expect(title).to_be_visible()
    await expect(title).to_be_focused()
    await expect(page.get_by_text(re.compile(r"usually about 41 s · \d+ s left"))).to_be_visible()
    await expect(page.get_by_text("custom image for Slow Tea")).to_have_attribute("title", re.compile("Twinings"))
    bar = page.locator("ai-image-form").get_by_role("progressbar", name="Generating your image")
    await expect(bar).to_be_visible()
    assert await bar.evaluate("(bar) => getComputedStyle(bar).animationName") == "none"
    spoken = page.locator("ai-image-form .visually-hidden")
    await expect(spoken).to_have_text("Generating your image")
    await looks_right(page)
    place = await page.locator("ai-image-form figure").bounding_box()
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("button", name="Generate another")).to_be_focused()
    await page.keyboard.press("Enter")
    await page.keyboard.type("Tea")
    await page.keyboard.press("Tab")
    await page.keyboard.type("Twinings")
    await page.keyboard.press("Enter")
    await expect(spoken).to_have_text("Generating your image, 50 %")
    await expect(heading(page, "Image generated successfully!")).to_be_visible()
    await expect(spoken).to_have_text("Tea – Twinings: image generated successfully.")
    shown = await picture(page, "Tea – Twinings").bounding_box()
    assert place is not None
    assert shown is not None
    assert shown["height"] == pytest.approx(place["height"], abs=1), "its place was kept: nothing jumps"
    await looks_right(page)


async def test_a_right_to_left_name_leaves_the_sentence_as_it_is(page: Page, demo: str) -> None:
    await page.goto(demo)
    sentence = await page.evaluate(
        """async () => {
            const { fill } = await import("/static/ai-image-form/texts.js");
            return fill("{product} by {brand}.", { product: "Tea", brand: "\u05d7\u05d1\u05e8\u05d4 5" });
        }"""
    )
    assert sentence == "Tea by \u2068\u05d7\u05d1\u05e8\u05d4 5\u2069."
    await expect(page.get_by_label("Product")).to_have_attribute("dir", "auto")


async def test_a_failure_says_why_and_offers_both_ways_on(page: Page, demo: str) -> None:
    sent = submissions(page)
    await fill(page, demo, "Shoes that fail", "Nike")
    await expect(heading(page, "Image generation failed")).to_be_visible()
    await expect(page.get_by_role("alert").filter(visible=True)).to_contain_text("asked to fail")
    await looks_right(page)
    await page.get_by_role("button", name="Change the details").click()
    await expect(page.get_by_label("Product")).to_be_focused()
    await expect(page.get_by_label("Product")).to_have_value("Shoes that fail")
    await page.get_by_role("button", name="Shoes that fail – Nike, failed").first.click()
    await page.get_by_role("button", name="Try again").click()
    await expect(heading(page, "Generating your image")).to_be_focused()
    assert [one.post_data_json for one in sent] == [{"Product": "Shoes that fail", "Your Brand": "Nike"}] * 2
    assert len({one.headers["idempotency-key"] for one in sent}) == 2, "a second request, not the first one again"


@pytest.mark.parametrize(
    ("status", "code", "message", "seconds", "when"),
    [
        (429, "rate_limited", "Maximum 10 requests per hour.", 720, r"at \d\d:\d\d \(in 12 minutes\)"),
        (402, "budget_spent", "Your organization's budget is spent.", 20 * 24 * 3600, r"on \w+ \d+"),
    ],
)
async def test_limits_say_when_to_come_back(
    page: Page, demo: str, status: int, code: str, message: str, seconds: int, when: str
) -> None:
    page.expected_errors = (str(status),)  # type: ignore[attr-defined]
    await page.clock.install()
    await answer(page, "/api/ai-generate", status, {"error": message, "code": code}, **{"Retry-After": str(seconds)})
    await fill(page, demo)
    alert, button = (
        page.get_by_role("alert").filter(visible=True),
        page.get_by_role("button", name="Generate image"),
    )
    await expect(alert).to_have_text(re.compile(rf"{message} You can submit again {when}\."))
    await expect(button).to_be_disabled()
    await expect(button).to_be_focused()
    await looks_right(page)
    if seconds == 720:
        await page.clock.fast_forward(690_000)
        await expect(alert).to_contain_text(re.compile(r"in \d+ seconds"))
    await page.clock.fast_forward(seconds * 1000)
    await expect(button).to_be_enabled()
    await expect(alert).to_be_hidden()


async def test_a_spent_budget_stops_one_organization_only(page: Page, demo: str) -> None:
    page.expected_errors = ("402",)  # type: ignore[attr-defined]
    spent, rich = "22222222-2222-4222-8222-222222222222", "33333333-3333-4333-8333-333333333333"
    message = "Your organization's budget is spent."

    async def generate(route: Route) -> None:
        if (route.request.post_data_json or {})["organizationId"] == spent:
            content = {"error": message, "code": "budget_spent"}
            await route.fulfill(status=402, json=content, headers={"Retry-After": "700000"})
        else:
            await route.fulfill(json=body(status="completed", version=4, publicUrl="/static/icon.svg"))

    usage = usage_of(organizations=[{"organizationId": one} for one in (spent, rich)])
    await answer(page, "/api/usage", 200, usage)
    await page.route("**/api/ai-generate", generate)
    await page.goto(demo)
    choice, button = page.get_by_label("Organization"), page.get_by_role("button", name="Generate image")
    alert = page.locator("ai-image-form").get_by_role("alert").filter(visible=True)
    await choice.select_option(spent)
    await submit(page)
    await expect(alert).to_contain_text(message)
    await expect(button).to_be_disabled()
    await choice.select_option(rich)
    await expect(alert).to_be_hidden()
    await expect(button).to_be_enabled()
    await choice.select_option(spent)
    await expect(alert).to_contain_text(message)
    await expect(button).to_be_disabled()
    await page.evaluate("(id) => document.querySelector('ai-image-form').setAttribute('organization-id', id)", rich)
    await button.click()
    await expect(picture(page)).to_be_visible()
    await page.get_by_role("button", name="Generate another").click()
    await page.evaluate("(id) => document.querySelector('ai-image-form').setAttribute('organization-id', id)", spent)
    await expect(alert).to_contain_text(message)
    await expect(button).to_be_disabled()


async def test_offline_is_told_and_nothing_is_submitted_twice(page: Page, demo: str) -> None:
    page.expected_errors = ("ERR_INTERNET_DISCONNECTED", "WebSocket connection")  # type: ignore[attr-defined]
    sent = submissions(page)
    await page.goto(demo)
    await page.context.set_offline(True)
    await expect(page.get_by_text("You are offline.")).to_be_visible()
    await submit(page, "Slow Boat", "Hull")
    await expect(page.get_by_role("button", name="Submitting…")).to_be_disabled()
    await expect(page.get_by_role("alert").filter(visible=True)).to_contain_text("could not be reached")
    await page.context.set_offline(False)
    await expect(page.get_by_text("You are offline.")).to_be_hidden()
    await page.get_by_role("button", name="Generate image").click()
    await expect(heading(page, "Generating your image")).to_be_visible()
    assert len({one.headers["idempotency-key"] for one in sent}) == 1
    await page.context.set_offline(True)
    await expect(page.get_by_text("You are offline. Your image goes on")).to_be_visible()
    await page.context.set_offline(False)
    await expect(page.get_by_text("You can start another meanwhile")).to_be_visible()


async def test_without_a_websocket_it_polls_and_says_so(page: Page, demo: str) -> None:
    await page.route_web_socket("**/ws", lambda socket: socket.close())
    await fill(page, demo)
    await expect(heading(page, "Generating your image")).to_be_visible()
    await expect(page.get_by_text("Reconnecting…")).to_be_visible()
    await expect(picture(page)).to_be_visible()
