"""Notifications: for who has asked for them, when nobody looks, and once however many tabs are open."""

import re

from playwright.async_api import BrowserContext, Page, expect

from tests.browser.accessibility import violations
from tests.browser.dashboard import new_brand
from tests.browser.form import fill, heading, submit
from tests.running import eventually

# The browser's own notifications, written down; and a tab that can be sent to the background, which headless ones know
# nothing of.
RECORD = """
    window.told = [];
    window.asked = 0;
    window.inBackground = false;
    const Native = Notification;
    window.Notification = class extends Native {
        constructor(title, options) {
            if (window.isUnable) throw new TypeError("Illegal constructor");
            super(title, options);
            window.told.push({ title, body: options.body, tag: options.tag, shown: this });
        }
        static requestPermission() {
            window.asked++;
            return Native.requestPermission();
        }
    };
    Object.defineProperty(document, "hidden", { get: () => window.inBackground });
"""
TRIAL = ["AI Image Gateway", "This is how you will be told."]
BUTTON = "Notify me when it is ready"


async def recorded(context: BrowserContext, *, allowed: bool = True) -> None:
    await context.add_init_script(RECORD)
    if allowed:
        await context.grant_permissions(["notifications"])


async def told(*pages: Page) -> list[list[str]]:
    """What all of the pages have told, without the trial."""
    lists = [await page.evaluate("told.map(({ title, body }) => [title, body])") for page in pages]
    return [one for found in lists for one in found if one != TRIAL]


async def send_to_background(page: Page, *, away: bool = True) -> None:
    await page.evaluate(
        "(away) => { inBackground = away; document.dispatchEvent(new Event('visibilitychange')) }", away
    )


async def have_decided(*pages: Page) -> None:
    """The end has come to each page, and each has had its turn to tell of it."""
    for page in pages:
        await expect(page.locator("#assets").get_by_role("progressbar")).to_have_count(0)
        await page.evaluate("navigator.locks.request('gateway telling', () => {})")


async def test_nobody_is_asked_or_told_unprompted(page: Page, demo: str) -> None:
    await recorded(page.context)
    brand = new_brand()
    await fill(page, demo, "Kettle", brand)
    await expect(page.get_by_role("button", name=BUTTON)).to_have_attribute("aria-pressed", "false")
    await send_to_background(page)
    await expect(page).to_have_title(re.compile("✓ Kettle"))
    await have_decided(page)
    await expect(page.get_by_role("button", name=BUTTON)).to_be_hidden()  # nothing runs
    assert await page.evaluate("[asked, told.length]") == [0, 0]


async def test_who_has_asked_is_told_once_by_all_tabs(page: Page, demo: str) -> None:
    await recorded(page.context)
    other = await page.context.new_page()
    await other.goto(demo)
    await expect(other.locator("#assets li").first).to_be_visible()
    brand = new_brand()
    await fill(page, demo, "Kettle", brand)
    await page.get_by_role("button", name=BUTTON).click()
    await expect(page.get_by_role("button", name=BUTTON)).to_have_attribute("aria-pressed", "true")
    await expect(page.get_by_text("You will be notified")).to_be_visible()
    assert await page.evaluate("[asked, told[0].title, told[0].body]") == [1, *TRIAL]
    await page.get_by_role("button", name="Generate another").click()
    for tab in (page, other):
        await send_to_background(tab)
    await expect(page).to_have_title(re.compile("✓ Kettle"))
    await expect(other).to_have_title(re.compile("✓ Kettle"))
    await have_decided(page, other)
    await eventually(lambda: is_told(page, other))
    assert await told(page, other) == [["Your image is ready", f"Kettle – {brand}"]]
    teller = page if await told(page) else other
    await teller.evaluate("told.at(-1).shown.dispatchEvent(new Event('click'))")
    await expect(heading(teller, "Image generated successfully!")).to_be_visible()
    await expect(teller.locator("ai-image-form").get_by_role("img", name=f"Kettle – {brand}")).to_be_visible()
    await expect(teller).to_have_url(re.compile(r"\?request="))


async def is_told(*pages: Page) -> bool:
    return await told(*pages) != []


async def test_who_looks_at_another_tab_is_not_told(page: Page, demo: str) -> None:
    await recorded(page.context)
    other = await page.context.new_page()
    await other.goto(demo)
    await expect(other.locator("#assets li").first).to_be_visible()
    await fill(page, demo, "Kettle", new_brand())
    await page.get_by_role("button", name=BUTTON).click()
    await expect(page.get_by_text("You will be notified")).to_be_visible()
    await expect(other.locator("#assets").get_by_role("progressbar")).to_have_count(1)
    await send_to_background(page)
    await expect(page).to_have_title(re.compile("✓ Kettle"))
    await have_decided(page, other)
    assert await told(page, other) == []


async def test_a_failure_is_told_and_ones_own_cancellation_is_not(page: Page, demo: str) -> None:
    await recorded(page.context)
    brand = new_brand()
    await fill(page, demo, "Slow Boat", brand)
    await page.get_by_role("button", name=BUTTON).click()
    await expect(page.get_by_text("You will be notified")).to_be_visible()
    await send_to_background(page)
    await page.get_by_role("button", name="Cancel", exact=True).click()
    await expect(heading(page, "Canceled")).to_be_visible()
    await page.reload()  # the wish outlives the page
    await page.get_by_role("button", name="Change the details").click()
    await submit(page, "Shoes that fail", brand)
    await expect(page.get_by_role("button", name=BUTTON)).to_have_attribute("aria-pressed", "true")
    await send_to_background(page)
    await expect(page).to_have_title(re.compile("✕ Shoes that fail"))
    await eventually(lambda: is_told(page))
    assert await told(page) == [["Your image could not be generated", f"Shoes that fail – {brand}"]]


async def test_it_is_turned_off_by_another_click_in_all_tabs(page: Page, demo: str) -> None:
    await recorded(page.context)
    await fill(page, demo, "Slow Boat", new_brand())
    await expect(page).to_have_url(re.compile("request="))
    other = await page.context.new_page()
    await other.goto(page.url)
    first, second = (tab.get_by_role("button", name=BUTTON) for tab in (page, other))
    await first.click()
    await expect(second).to_have_attribute("aria-pressed", "true")
    await first.click()
    for button in (first, second):
        await expect(button).to_have_attribute("aria-pressed", "false")
    await expect(page.get_by_text("You will be notified")).to_be_hidden()


async def test_a_browser_that_says_no_is_explained_kindly(page: Page, demo: str) -> None:
    await recorded(page.context, allowed=False)
    await fill(page, demo, "Slow Boat", new_brand())
    await page.get_by_role("button", name=BUTTON).click()
    await expect(page.get_by_text("Your browser blocks notifications from this page.")).to_be_visible()
    await expect(page.get_by_role("button", name=BUTTON)).to_have_attribute("aria-pressed", "false")
    assert await violations(page) == []


async def test_a_browser_that_cannot_is_explained_kindly(page: Page, demo: str) -> None:
    """Android allows notifications, and then has none for pages."""
    await recorded(page.context)
    await fill(page, demo, "Slow Boat", new_brand())
    await page.evaluate("isUnable = true")
    await page.get_by_role("button", name=BUTTON).click()
    await expect(page.get_by_text("This browser cannot show notifications from here.")).to_be_visible()
    await expect(page.get_by_role("button", name=BUTTON)).to_have_attribute("aria-pressed", "false")


async def test_what_is_remembered_of_the_told_is_bounded(page: Page, demo: str) -> None:
    await recorded(page.context)
    await page.goto(demo)
    await page.evaluate("localStorage.setItem('gateway-notified', [...Array(500).keys()].join(' '))")
    await fill(page, demo, "Kettle", new_brand())
    await page.get_by_role("button", name=BUTTON).click()
    await send_to_background(page)
    await eventually(lambda: is_told(page))
    remembered = await page.evaluate("localStorage.getItem('gateway-notified').split(' ')")
    assert len(remembered) == 100
    assert remembered[-1] == await page.evaluate("told.at(-1).tag")
