"""What makes waiting bearable and work safe: progress in the picture's place, drafts, titles, limits told before."""

import re
from datetime import UTC, datetime
from urllib.parse import quote

import httpx
import pytest
from playwright.async_api import Page, Route, ViewportSize, expect

from tests.browser.accessibility import violations
from tests.browser.dashboard import new_brand, open_dashboard, tile, with_changed_stats
from tests.browser.dashboard import submit as submit_behind_the_page
from tests.browser.form import DESKTOP, PHONE, answer, body, fill, heading, picture, submissions, submit, usage_of

LAPTOP: ViewportSize = {"width": 1366, "height": 768}
TABLET: ViewportSize = {"width": 900, "height": 1100}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [LAPTOP, TABLET, PHONE], ids=["laptop", "tablet", "phone"])
async def test_progress_and_what_can_be_done_are_in_sight(
    page: Page, demo: str, size: ViewportSize, scheme: str
) -> None:
    await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    await page.set_viewport_size(size)
    await fill(page, demo, "Slow Boat", new_brand())
    await expect(heading(page, "Generating your image")).to_be_visible()
    form = page.locator("ai-image-form section[part=request]")
    await expect(form.get_by_role("progressbar")).to_be_in_viewport()
    inside = "(bar) => { const f = bar.closest('figure').getBoundingClientRect(), b = bar.getBoundingClientRect();"
    inside += " return b.top >= f.top && b.bottom <= f.bottom && b.left >= f.left && b.right <= f.right }"
    assert await form.get_by_role("progressbar").evaluate(inside), "it stands in the picture's place"
    for name in ("Generate another", "Cancel"):
        await expect(page.get_by_role("button", name=name, exact=True)).to_be_in_viewport(ratio=1)
    assert await violations(page) == []


@pytest.mark.parametrize("size", [LAPTOP, TABLET, PHONE], ids=["laptop", "tablet", "phone"])
async def test_what_can_be_done_with_a_picture_is_in_sight(page: Page, demo: str, size: ViewportSize) -> None:
    await page.set_viewport_size(size)
    await fill(page, demo, "Kettle", new_brand())
    await expect(heading(page, "Image generated successfully!")).to_be_visible()
    await picture(page, re.compile("Kettle")).evaluate("(image) => image.decode()")
    for role, name in (("link", "Download image"), ("button", "Same again"), ("button", "Generate another")):
        await expect(page.get_by_role(role, name=name)).to_be_in_viewport(ratio=1)  # type: ignore[arg-type]
    assert await page.evaluate("document.documentElement.scrollWidth") <= size["width"]


async def test_nothing_shimmers_for_who_wants_no_motion(page: Page, demo: str) -> None:
    await page.emulate_media(reduced_motion="reduce")
    await fill(page, demo, "Slow Boat", new_brand())
    await expect(heading(page, "Generating your image")).to_be_visible()
    animation = "(figure) => getComputedStyle(figure, '::before').animationName"
    assert await page.locator("ai-image-form figure").evaluate(animation) == "none"


async def test_the_library_keeps_a_place_for_what_runs(page: Page, demo: str) -> None:
    await page.set_viewport_size(DESKTOP)
    brand = new_brand()
    await page.goto(demo)
    await expect(page.locator("#library")).to_be_visible()
    await submit(page, "Kettle", brand)
    await expect(page.locator("#assets").get_by_role("progressbar", name=f"Kettle – {brand}")).to_be_visible()
    assert await violations(page) == []
    await expect(page.locator("#assets").get_by_role("img", name=f"Kettle – {brand}")).to_be_visible()
    await expect(page.locator("#assets").get_by_role("progressbar", name=f"Kettle – {brand}")).to_have_count(0)


async def test_a_page_that_is_opened_while_something_runs_shows_it(page: Page, demo: str) -> None:
    """Whether or not the workflow ever reports any progress."""
    running = body(status="processing", version=2, progress=35, createdAt=datetime.now(UTC).isoformat())
    await answer(page, "/api/ai-requests*", 200, {"requests": [running], "nextCursor": None})
    await page.route("**/api/ai-status/**", lambda route: None)
    await page.route_web_socket("**/ws", lambda socket: None)
    await page.goto(f"{demo}/?request={running['requestId']}")
    await expect(page).to_have_title("35 % · AI Image Gateway")
    await expect(page.get_by_role("button", name="Notify me when it is ready")).to_be_visible()
    tiles = page.locator("#assets li")
    await expect(tiles.nth(1)).to_be_visible()
    await expect(tiles.first.get_by_role("progressbar", name="Running Shoes – Nike")).to_be_visible()
    await expect(page.locator("#assets").get_by_role("progressbar")).to_have_count(1)


async def test_the_tab_tells_how_far_it_is(page: Page, demo: str) -> None:
    await fill(page, demo, "Slow Boat", new_brand())
    await expect(page).to_have_title(re.compile(r"^\d+ % · AI Image Gateway$"))
    assert (await page.locator("link[rel=icon]").get_attribute("href") or "").startswith("data:image/svg+xml")
    await page.get_by_role("button", name="Cancel", exact=True).click()
    await expect(page).to_have_title("AI Image Gateway")
    assert (await page.locator("link[rel=icon]").get_attribute("href") or "").endswith("/icon.svg")


async def test_the_tab_tells_of_the_end_until_somebody_looks(page: Page, demo: str) -> None:
    # A headless browser knows of no background.
    await page.add_init_script("Object.defineProperty(document, 'hidden', { get: () => window.inBackground })")
    icon = page.locator("link[rel=icon]")
    await page.goto(demo)
    for product, told, color in (("A fail", "✕ A fail", "#b3163b"), ("Kettle", "✓ Kettle", "#0f7a4d")):
        if product == "Kettle":
            await page.get_by_role("button", name="Change the details").click()
        await submit(page, product, new_brand())
        await expect(page).to_have_title(re.compile("%"))
        await page.evaluate("window.inBackground = true")
        await expect(page).to_have_title(f"{told} · AI Image Gateway")
        assert quote(color) in (await icon.get_attribute("href") or "")
        await page.evaluate("inBackground = false; document.dispatchEvent(new Event('visibilitychange'))")
        await expect(page).to_have_title("AI Image Gateway")
        assert (await icon.get_attribute("href") or "").endswith("/icon.svg")


async def test_a_draft_survives_a_reload_and_ends_with_the_submission(page: Page, demo: str) -> None:
    await page.goto(demo)
    await page.get_by_label("Product").fill("Slow Boat")
    await page.get_by_label("Your Brand").fill("Hapag")
    await page.reload()
    await expect(page.get_by_label("Product")).to_have_value("Slow Boat")
    await expect(page.get_by_label("Your Brand")).to_have_value("Hapag")
    await page.get_by_role("button", name="Generate image").click()
    await expect(heading(page, "Generating your image")).to_be_visible()
    await page.get_by_role("button", name="Generate another").click()
    await page.reload()
    await expect(page.locator("#usage")).to_contain_text("images left this hour")
    await expect(page.get_by_label("Your Brand")).to_have_value("Hapag")  # it is kept for the next one
    await expect(page.get_by_label("Product")).to_have_value("")


async def test_the_brand_is_kept_for_the_next_one_and_what_is_typed_is_not_lost(page: Page, demo: str) -> None:
    brand = new_brand()
    await fill(page, demo, "Kettle", brand)
    await page.get_by_role("button", name="Generate another").click()
    await expect(page.get_by_label("Product")).to_be_focused()
    await expect(page.get_by_label("Product")).to_have_value("")
    await expect(page.get_by_label("Your Brand")).to_have_value(brand)
    await page.get_by_label("Product").fill("Toaster")
    await page.get_by_role("button", name=f"Kettle – {brand}").first.click()
    await page.get_by_role("button", name="Generate another").click()
    await expect(page.get_by_label("Product")).to_have_value("Toaster")


async def test_the_same_is_made_again_by_one_click(page: Page, demo: str) -> None:
    brand = new_brand()
    sent = submissions(page)
    await fill(page, demo, "Kettle", brand)
    await page.get_by_role("button", name="Same again").click()
    await expect(page.get_by_role("button", name=f"Kettle – {brand}")).to_have_count(2)
    assert [one.post_data_json for one in sent] == [{"Product": "Kettle", "Your Brand": brand}] * 2
    assert len({one.headers["idempotency-key"] for one in sent}) == 2, "another request, and not the same again"


async def test_a_limit_is_told_before_anybody_submits_in_vain(page: Page, demo: str) -> None:
    limit = {"quota": 10, "remaining": 0, "windowSeconds": 3600, "resetSeconds": 600}
    await answer(page, "/api/usage", 200, usage_of(limit=limit))
    sent = submissions(page)
    await page.goto(demo)
    alert = page.locator("ai-image-form").get_by_role("alert").filter(visible=True)
    await expect(alert).to_contain_text("You have used all 10 images of this hour. You can submit again at")
    await page.get_by_label("Product").fill("Kettle")
    await page.get_by_label("Your Brand").fill("Hearth")
    await page.get_by_label("Your Brand").press("Enter")
    await expect(page.get_by_role("button", name="Generate image")).to_have_attribute("aria-disabled", "true")
    assert sent == []
    assert await violations(page) == []


async def test_a_spent_budget_is_told_before_anybody_submits_in_vain(page: Page, demo: str) -> None:
    ids = ["22222222-2222-4222-8222-222222222222", "33333333-3333-4333-8333-333333333333"]
    poor, rich = ({"organizationId": one, "remaining": left} for one, left in zip(ids, ("0", "2.50"), strict=True))
    await answer(page, "/api/usage", 200, usage_of(organizations=[poor]))
    sent = submissions(page)
    await page.goto(demo)
    alert = page.locator("ai-image-form").get_by_role("alert").filter(visible=True)
    await expect(alert).to_have_text(
        re.compile(r"Your organization's budget for this month is spent\. You can submit again (on \w+ 1|at .*)\.")
    )
    await page.get_by_label("Product").fill("Kettle")
    await page.get_by_label("Your Brand").fill("Hearth")
    await page.get_by_label("Your Brand").press("Enter")
    assert sent == []
    await answer(page, "/api/usage", 200, usage_of(organizations=[poor, rich]))
    await page.reload()
    await page.get_by_label("Organization").select_option(ids[1])
    await expect(alert).to_be_hidden()
    await expect(page.get_by_role("button", name="Generate image")).to_be_enabled()


async def test_an_empty_demo_offers_examples(empty_demo: str, page: Page) -> None:
    await page.goto(empty_demo)
    examples = page.get_by_role("group", name="Or try one of these:")
    await expect(examples.get_by_role("button")).to_have_count(3)
    assert await violations(page) == []
    await examples.get_by_role("button", name="Trail Running Shoes – Northwind").click()
    await expect(page.get_by_label("Product")).to_have_value("Trail Running Shoes")
    await expect(page.get_by_label("Your Brand")).to_have_value("Northwind")
    await expect(page.get_by_role("button", name="Generate image")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(heading(page, "Generating your image")).to_be_visible()
    await page.get_by_role("button", name="Generate another").click()
    await expect(examples).to_be_hidden()
    await page.reload()
    await expect(page.get_by_role("button", name="Trail Running Shoes – Northwind")).to_be_visible()  # in the strip
    await expect(examples).to_be_hidden()


async def test_elsewhere_nothing_is_offered(empty_demo: str, page: Page) -> None:
    await page.goto(empty_demo)
    await expect(page.get_by_role("group", name="Or try one of these:")).to_be_visible()
    await page.context.clear_cookies(name="gateway-demo")  # as on a gateway that is no demo
    await page.route(empty_demo + "/", without_the_demos_cookie)
    await page.reload()
    await expect(page.locator("#usage")).to_contain_text("images left this hour")
    await expect(page.get_by_role("group", name="Or try one of these:")).to_be_hidden()


async def without_the_demos_cookie(route: Route) -> None:
    async with httpx.AsyncClient(trust_env=False) as http:
        page = await http.get(route.request.url)
    await route.fulfill(body=page.content, headers={"Content-Type": page.headers["Content-Type"]})


async def test_only_administrators_are_led_to_the_dashboard(page: Page, demo: str) -> None:
    await page.goto(demo)
    await page.get_by_role("link", name="Dashboard").click()
    await expect(page.locator("#live")).to_have_text("Live")
    await answer(page, "/api/usage", 200, usage_of())
    await page.goto(demo)
    await expect(page.locator("#usage")).to_contain_text("images left this hour")
    await expect(page.get_by_role("link", name="Dashboard")).to_be_hidden()


async def test_a_cost_is_shown_in_its_currency_or_not_at_all(page: Page, demo: str) -> None:
    month = {"spent": "12.5", "reserved": "0"}
    usage = page.locator("#usage")
    for currency, shown in (("USD", "$12.50"), ("JPY", "¥12.5"), ("CHF", "CHF\xa012.50")):
        await answer(page, "/api/usage", 200, usage_of(month=month, currency=currency))
        await page.goto(demo)
        await expect(usage).to_have_text(f"10 of 10 images left this hour · {shown} spent this month")
    await answer(page, "/api/usage", 200, usage_of(month=month))
    await page.reload()
    await expect(usage).to_have_text("10 of 10 images left this hour")


async def test_the_dashboard_names_the_currency(page: Page, demo: str) -> None:
    await submit_behind_the_page(page, demo, "Kettle", new_brand())
    await with_changed_stats(page, demo, currency="USD")
    await open_dashboard(page, demo)
    await expect(tile(page, "Cost")).to_have_text(re.compile(r"^\$\d+\.\d\d$"))
    await expect(page.locator("#requests tbody tr td:nth-child(5)").first).to_have_text(re.compile(r"^\$\d"))


async def test_the_appearance_is_chosen_and_kept(page: Page, demo: str) -> None:
    await page.emulate_media(color_scheme="light")
    background = "getComputedStyle(document.body).backgroundColor"
    await page.goto(demo)
    light = await page.evaluate(background)
    switch = page.get_by_role("button", name="Appearance")
    await switch.click()
    await switch.click()
    await expect(switch).to_have_accessible_name("Appearance: dark")
    dark = await page.evaluate(background)
    assert dark != light
    await page.goto(f"{demo}/admin")
    await expect(page.locator("#live")).to_have_text("Live")
    assert await page.evaluate(background) == dark
    assert await violations(page) == []


async def test_the_pages_lead_to_each_other_and_say_what_they_are(page: Page, demo: str) -> None:
    for path in ("/", "/admin"):
        await page.goto(demo + path)
        assert len(await page.locator("meta[name=description]").get_attribute("content") or "") > 30
    await page.get_by_role("link", name="Generate an image").click()
    await expect(page.get_by_label("Product")).to_be_visible()
