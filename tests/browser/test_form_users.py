"""What one user has seen and typed is nobody else's: users that come, go and come back in one page."""

import base64
import json
from typing import Any

import pytest
from playwright.async_api import Page, Route, WebSocketRoute, expect

from tests.browser.form import answer, body, heading, open_plain, picture, submit, usage_of

PAGE = (
    '<!doctype html><html lang="en"><head><title>Shop</title><link rel="icon" href="data:,">'
    '<script type="module" src="/static/ai-image-form.js"></script></head><body></body></html>'
)

SECRET = "Secret launch – A Corp"


def jwt(sub: str, issued_at: int = 0) -> str:
    parts = ({"alg": "HS256"}, {"sub": sub, "iat": issued_at})
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + ".x"


async def open_as(page: Page, demo: str, token: str) -> None:
    """A page whose `getToken` gives `window.token`; only A and opaque tokens of A's have a picture."""
    secret = body(
        requestId="4" * 8,
        status="completed",
        product="Secret launch",
        brand="A Corp",
        version=4,
        publicUrl="/static/icon.svg",
    )

    async def requests(route: Route) -> None:
        bearer = route.request.headers.get("authorization", "").removeprefix("Bearer ")
        if not bearer or bearer == "expired":
            await route.fulfill(status=401, json={"error": "Unauthorized", "code": "unauthorized"})
        else:
            mine = bearer.startswith("opaque-a") or bearer in (jwt("a"), jwt("a", 1))
            await route.fulfill(json={"requests": [secret] if mine else [], "nextCursor": None})

    await page.route("**/api/ai-requests*", requests)
    await answer(page, "/api/usage", 200, usage_of())
    await page.route_web_socket("**/ws", lambda socket: None)  # the gateway itself knows none of these tokens
    await open_plain(page, demo, PAGE)
    await page.evaluate(
        """(token) => {
            window.token = token;
            window.form = document.createElement("ai-image-form");
            form.getToken = async () => window.token;
            document.body.append(form);
        }""",
        token,
    )


async def look_at_the_picture(page: Page) -> None:
    await page.get_by_role("button", name=SECRET).click()
    await expect(picture(page, SECRET)).to_be_visible()


async def nothing_is_left(page: Page) -> None:
    await expect(page.get_by_label("Product")).to_be_visible()
    inside: Any = await page.evaluate("form.shadowRoot.innerHTML")
    assert "Secret" not in inside
    assert await page.get_by_label("Product").input_value() == ""


async def test_without_its_token_the_form_knows_nobody(page: Page, demo: str) -> None:
    page.expected_errors = ("401",)  # type: ignore[attr-defined]
    await open_as(page, demo, jwt("a"))
    await look_at_the_picture(page)
    await page.get_by_role("button", name="Generate another").click()
    await page.get_by_label("Product").fill("Secret sequel")
    await page.get_by_role("button", name=SECRET).click()
    await page.evaluate("form.getToken = null")
    await expect(page.get_by_role("alert").filter(visible=True)).to_have_text("Please sign in to generate images.")
    await nothing_is_left(page)
    async with page.expect_response("**/api/ai-requests*"):
        await page.evaluate("(token) => { form.getToken = async () => token }", jwt("b"))
    await expect(page.get_by_role("alert")).to_be_hidden()
    await nothing_is_left(page)
    await page.evaluate("form.getToken = null")
    await page.evaluate("(token) => { form.getToken = async () => token }", jwt("a"))
    await expect(picture(page, SECRET)).to_be_visible()  # who comes back finds what was there


@pytest.mark.parametrize(("before", "after"), [(jwt("a"), jwt("b")), ("opaque-a", "opaque-b")], ids=["jwt", "opaque"])
async def test_a_submission_of_another_user_begins_with_nothing(page: Page, demo: str, before: str, after: str) -> None:
    """`getToken` is the same function, but somebody else is signed in by then."""
    await open_as(page, demo, before)
    await answer(page, "/api/ai-generate", 200, body(status="completed", version=4, publicUrl="/static/icon.svg"))
    await expect(page.get_by_role("button", name=SECRET)).to_be_visible()
    await page.evaluate("(token) => { window.token = token }", after)
    await submit(page)
    await expect(picture(page)).to_be_visible()
    assert "Secret" not in await page.evaluate("form.shadowRoot.innerHTML")


async def test_a_fresh_token_of_the_same_user_changes_nothing(page: Page, demo: str) -> None:
    await open_as(page, demo, jwt("a"))
    await answer(page, "/api/ai-generate", 200, body(status="completed", version=4, publicUrl="/static/icon.svg"))
    await look_at_the_picture(page)
    await page.get_by_role("button", name="Generate another").click()
    await page.evaluate("(token) => { window.token = token }", jwt("a", 1))
    await submit(page)
    await expect(page.get_by_role("button", name="Running Shoes – Nike")).to_be_visible()
    await expect(page.get_by_role("button", name=SECRET)).to_be_visible()


async def test_who_is_here_is_asked_again_when_the_page_is_seen_again(page: Page, demo: str) -> None:
    """In another tab A signed out, or B signed in: both before anything is submitted here."""
    page.expected_errors = ("401",)  # type: ignore[attr-defined]
    await open_as(page, demo, jwt("a"))
    await look_at_the_picture(page)
    for token in (jwt("b"), None):
        async with page.expect_response("**/api/ai-requests*"):
            await page.evaluate(
                "(token) => { window.token = token; document.dispatchEvent(new Event('visibilitychange')) }", token
            )
        await nothing_is_left(page)


async def test_an_ended_session_hides_all_and_a_new_one_watches_again(page: Page, demo: str) -> None:
    """The token ends while a request runs, and again at a submission; the user signs in again, and nothing is stuck."""
    page.expected_errors = ("401",)  # type: ignore[attr-defined]
    running = body(product="Boots", status="processing", version=2, progress=30)
    state: dict[str, Any] = {"signed_in": True, "body": running}

    async def gateway(route: Route) -> None:
        if not state["signed_in"]:
            await route.fulfill(status=401, json={"error": "Unauthorized", "code": "unauthorized"})
        elif "/ai-requests" in route.request.url:
            await route.fulfill(json={"requests": [running], "nextCursor": None})
        else:
            await route.fulfill(json=state["body"])

    async def closing(socket: WebSocketRoute) -> None:
        await socket.close(code=4401, reason="")

    async def signed_out() -> None:
        await expect(page.get_by_role("alert").filter(visible=True)).to_have_text("Please sign in to generate images.")
        assert "Boots" not in await page.evaluate("document.querySelector('ai-image-form').shadowRoot.innerHTML")

    await page.add_init_script("Math.random = () => 0.01")  # pauses are short
    for path in ("ai-requests*", "ai-status/*", "ai-generate"):
        await page.route(f"**/api/{path}", gateway)
    await answer(page, "/api/usage", 200, usage_of())
    await page.route_web_socket("**/ws", closing)
    await open_plain(page, demo)
    boots = page.get_by_role("button", name="Boots – Nike")
    await expect(boots).to_be_visible()
    state["signed_in"] = False
    await signed_out()
    state["signed_in"] = True
    await page.evaluate("dispatchEvent(new Event('online'))")
    await boots.click()
    await expect(heading(page, "Generating your image")).to_be_visible()
    await page.get_by_role("button", name="Generate another").click()
    state["signed_in"] = False
    await submit(page)
    await signed_out()
    state.update(signed_in=True, body={**running, "status": "completed", "version": 4, "publicUrl": "/static/icon.svg"})
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    await boots.click()
    await expect(picture(page, "Boots – Nike")).to_be_visible()
