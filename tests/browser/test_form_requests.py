"""Requests that outlive a view: after a reload, and several at once; and submissions whose answer is late or lost."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import Page, Route, WebSocketRoute, expect

from tests.browser.accessibility import violations
from tests.browser.form import body, fill, heading, open_plain, picture, submissions, submit, told


async def test_a_reload_goes_on_with_the_running_request(page: Page, demo: str) -> None:
    await open_plain(page, demo)
    await submit(page, "Night Train", "Nightjet")
    await expect(heading(page, "Generating your image")).to_be_visible()
    await page.reload()
    await expect(heading(page, "Generating your image")).to_be_visible()
    await expect(picture(page, "Night Train – Nightjet")).to_be_visible()
    assert [kind for kind, _ in await told(page)] == ["ai-image-success"]


async def test_several_at_once(page: Page, demo: str) -> None:
    """One runs while another is submitted; each is live in the strip, and choosing one shows it."""
    await fill(page, demo, "Slow Cooker", "Hearth")
    await expect(heading(page, "Generating your image")).to_be_visible()
    await page.get_by_role("button", name="Generate another").click()
    await submit(page, "Kettle", "Hearth")
    slow = page.get_by_role("button", name="Slow Cooker – Hearth, 10 %")
    kettle = page.get_by_role("button", name="Kettle – Hearth")
    await expect(kettle).to_have_attribute("aria-current", "true")
    await page.get_by_role("button", name="Slow Cooker – Hearth").click()
    await expect(heading(page, "Generating your image")).to_be_focused()
    await expect(page.get_by_text("a custom image for Slow Cooker by Hearth")).to_be_visible()
    await expect(slow).to_have_attribute("aria-current", "true")
    spoken = page.locator("ai-image-form .visually-hidden")
    await expect(spoken).to_have_text("Kettle – Hearth: image generated successfully.")
    await expect(kettle.locator("img")).to_be_visible()
    await expect(page.get_by_text("a custom image for Slow Cooker by Hearth")).to_be_visible()
    assert await violations(page) == []
    await kettle.click()
    await expect(picture(page, "Kettle – Hearth")).to_be_visible()


async def test_an_answer_lost_in_a_proxy_is_not_submitted_twice(page: Page, demo: str) -> None:
    """The gateway accepted, and what came of it was a 501: the next click asks for the same request again."""
    page.expected_errors = ("501",)  # type: ignore[attr-defined]
    accepted: list[str] = []

    async def lossy(route: Route) -> None:
        response = await route.fetch()
        accepted.append((await response.json())["requestId"])
        if len(accepted) == 1:
            await route.fulfill(status=501, body="<html>501</html>", headers={"Retry-After": "600"})
        else:
            await route.fulfill(response=response)

    await page.route("**/api/ai-generate", lossy)
    sent = submissions(page)
    await open_plain(page, demo)
    await submit(page, "Lamp", "Artemide")
    await expect(page.get_by_role("alert").filter(visible=True)).to_have_text("The gateway answered 501.")
    await page.get_by_role("button", name="Generate image").click()
    await expect(heading(page, "Generating your image")).to_be_visible()
    assert len({one.headers["idempotency-key"] for one in sent}) == 1
    assert len(accepted) == 2
    assert len(set(accepted)) == 1


async def test_a_database_that_was_set_back_is_followed(page: Page, demo: str) -> None:
    """By what the request's own subscription brings: the picture comes with a lower version than the form has seen."""

    def gateway(socket: WebSocketRoute) -> None:
        def receive(text: str | bytes) -> None:
            command = json.loads(text)
            if command["type"] != "subscribe" or "requestIds" not in command:
                return
            made = body(requestId=command["requestIds"][0], product="Lamp", brand="Artemide", status="processing")
            messages: list[dict[str, object]] = [
                {
                    "type": "subscribed",
                    "ref": None,
                    "requests": [{**made, "version": 8, "progress": 80}],
                    "missing": [],
                },
                {"type": "update", "request": {**made, "version": 2}},
                {
                    "type": "update",
                    "request": {**made, "version": 3, "status": "completed", "publicUrl": "/static/icon.svg"},
                },
            ]
            for message in messages:
                socket.send(json.dumps(message))

        socket.on_message(receive)
        socket.send(json.dumps({"type": "welcome", "pingIntervalMs": 600_000}))

    await page.route_web_socket("**/ws", gateway)
    await page.route("**/api/ai-requests*", lambda route: route.fulfill(json={"requests": [], "nextCursor": None}))
    await page.route("**/api/ai-status/**", lambda route: route.abort())
    await open_plain(page, demo)
    await submit(page, "Lamp", "Artemide")
    await expect(picture(page, "Lamp – Artemide")).to_be_visible()
    assert [kind for kind, _ in await told(page)] == ["ai-image-submitted", "ai-image-success"]


@pytest.mark.parametrize("age", [timedelta(minutes=30), timedelta()], ids=["older", "now"])
async def test_a_request_of_another_tab_hides_no_refusal(page: Page, demo: str, age: timedelta) -> None:
    """The answer is late. An equal request that is older is not taken for this one; one that may be it is given up."""
    page.expected_errors = ("429",)  # type: ignore[attr-defined]
    listed: list[dict[str, object]] = []
    refusing = asyncio.Event()

    async def refuse(route: Route) -> None:
        await refusing.wait()
        content = {"error": "Maximum 10 requests per hour.", "code": "rate_limited"}
        await route.fulfill(status=429, json=content, headers={"Retry-After": "600"})

    await page.clock.install()
    await page.route_web_socket("**/ws", lambda socket: None)
    await page.route("**/api/ai-requests*", lambda route: route.fulfill(json={"requests": listed, "nextCursor": None}))
    await page.route("**/api/ai-generate", refuse)
    async with page.expect_response("**/api/ai-requests*"):
        await open_plain(page, demo)
    async with page.expect_request("**/api/ai-generate"):
        await submit(page, "Lamp", "Artemide")
    created = (datetime.now(UTC) - age).isoformat()
    others = body(product="Lamp", brand="Artemide", status="completed", version=4, publicUrl="/static/icon.svg")
    listed.append({**others, "createdAt": created, "updatedAt": created})
    async with page.expect_response("**/api/ai-requests*"):
        await page.clock.fast_forward(2000)
    await expect(page.get_by_role("button", name="Lamp – Artemide")).to_be_visible()
    await expect(picture(page, "Lamp – Artemide")).to_be_visible(visible=not age)
    refusing.set()
    await expect(page.get_by_role("alert").filter(visible=True)).to_contain_text("Maximum 10 requests per hour.")
    await expect(page.get_by_label("Product")).to_have_value("Lamp")
    taken = [] if age else ["ai-image-submitted"]
    assert [kind for kind, _ in await told(page)] == [*taken, "ai-image-error"]
