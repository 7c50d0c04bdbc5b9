"""The page that a sign-in link leads to, and what is said to who is not signed in."""

import re

from playwright.async_api import Page, expect

from tests.browser.accessibility import violations
from tests.browser.form import answer


async def test_a_link_is_used_by_a_click_and_leaves_the_address_bar(page: Page, demo: str) -> None:
    await page.route("**/api/sign-in", lambda route: route.fulfill(json={"isAdmin": True}))
    await page.goto(f"{demo}/sign-in#the-code")
    await expect(page.get_by_role("button", name="Sign in here")).to_be_visible()
    await expect(page).not_to_have_url(re.compile("the-code"))
    assert await violations(page) == []
    async with page.expect_request("**/api/sign-in") as sent:
        await page.get_by_role("button", name="Sign in here").click()
    assert (await sent.value).post_data_json == {"code": "the-code"}
    await expect(page).to_have_url(f"{demo}/admin")


async def test_a_link_that_was_used_says_how_to_get_another(page: Page, demo: str) -> None:
    page.expected_errors = ("401",)  # type: ignore[attr-defined]
    await page.goto(f"{demo}/sign-in#no-code")
    await page.get_by_role("button", name="Sign in here").click()
    await expect(page.get_by_role("heading", name="This link does not work")).to_be_visible()
    await expect(page.get_by_role("status")).to_contain_text("gateway token --user UUID --link")


async def test_who_is_no_administrator_is_told_kindly(page: Page, demo: str) -> None:
    page.expected_errors = ("403",)  # type: ignore[attr-defined]
    refusal = {"error": "Only administrators may do that.", "code": "forbidden"}
    await page.route("**/api/admin/**", lambda route: route.fulfill(status=403, json=refusal))
    await page.goto(f"{demo}/admin")
    await expect(page.get_by_role("alert").filter(visible=True)).to_contain_text(
        "You are signed in, but not as an administrator."
    )


async def test_a_session_that_ends_says_so(page: Page, demo: str) -> None:
    page.expected_errors = ("401",)  # type: ignore[attr-defined]
    await page.goto(f"{demo}/admin")
    await expect(page.locator("#live")).to_have_text("Live")
    refusal = {"error": "Unauthorized", "code": "unauthorized"}
    await page.route("**/api/admin/**", lambda route: route.fulfill(status=401, json=refusal))
    await page.get_by_label("Status").select_option("failed")
    await expect(page.get_by_role("alert").filter(visible=True)).to_have_text(
        "Your session has ended. Please sign in again."
    )


async def test_who_is_not_signed_in_learns_how(page: Page, demo: str) -> None:
    page.expected_errors = ("401",)  # type: ignore[attr-defined]
    await answer(page, "/api/*", 401, {"error": "Unauthorized", "code": "unauthorized"})
    await page.goto(demo)
    await expect(page.get_by_text("gateway token --user UUID --link")).to_be_visible()
    assert await violations(page) == []
