"""What makes waiting bearable and work safe: progress in the picture's place, drafts, titles, limits told before."""

import re

import pytest
from playwright.async_api import Page, ViewportSize, expect

from tests.browser.accessibility import violations
from tests.browser.dashboard import new_brand
from tests.browser.form import DESKTOP, PHONE, answer, fill, heading, submissions, submit, usage_of

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
    if size is not PHONE:
        await expect(page.get_by_role("button", name="Cancel", exact=True)).to_be_in_viewport()
    assert await violations(page) == []


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


async def test_the_tab_tells_how_far_it_is(page: Page, demo: str) -> None:
    await fill(page, demo, "Slow Boat", new_brand())
    await expect(page).to_have_title(re.compile(r"^\d+ % · AI Image Gateway$"))
    assert (await page.locator("link[rel=icon]").get_attribute("href") or "").startswith("data:image/svg+xml")
    await page.get_by_role("button", name="Cancel", exact=True).click()
    await expect(page).to_have_title("AI Image Gateway")
    assert (await page.locator("link[rel=icon]").get_attribute("href") or "").endswith("/icon.svg")


async def test_a_draft_survives_a_reload_and_ends_with_the_submission(page: Page, demo: str) -> None:
    await page.goto(demo)
    await page.get_by_label("Product").fill("Slow Boat")
    await page.get_by_label("Your Brand").fill("Hapag")
    await page.reload()
    await expect(page.get_by_label("Product")).to_have_value("Slow Boat")
    await expect(page.get_by_label("Your Brand")).to_have_value("Hapag")
    await page.get_by_role("button", name="Generate AI Images").click()
    await expect(heading(page, "Generating your image")).to_be_visible()
    await page.get_by_role("button", name="Generate another").click()
    await page.reload()
    await expect(page.locator("#usage")).to_contain_text("images left this hour")
    await expect(page.get_by_label("Product")).to_have_value("")


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
    await expect(page.get_by_role("button", name="Generate AI Images")).to_have_attribute("aria-disabled", "true")
    assert sent == []
    assert await violations(page) == []


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
