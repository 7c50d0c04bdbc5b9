"""`<ai-image-form>` as other people's pages use it: its events, texts, attributes, and life in and out of the page."""

import asyncio
import re
from datetime import UTC, datetime
from typing import Any

from playwright.async_api import Page, Route, WebSocket, expect

from gateway.static_folder import FOLDER as STATIC
from tests.browser.accessibility import violations
from tests.browser.form import answer, body, fill, heading, open_plain, picture, submissions, submit, told
from tests.running import eventually


async def test_it_lives_in_a_plain_page_and_may_be_moved(page: Page, demo: str) -> None:
    """Moved while it runs, nothing is interrupted; taken out, it lets go; put back, it goes on. Events come once."""
    sockets: list[WebSocket] = []
    page.on("websocket", lambda socket: sockets.append(socket))
    await open_plain(page, demo)
    await submit(page, "Garden Chair", "Fermob")
    await expect(heading(page, "Generating your image")).to_be_visible()
    await page.evaluate(
        """async () => {
            const form = document.querySelector("ai-image-form");
            for (let time = 0; time < 3; time++) document.getElementById("two").append(form);
            form.remove();
            await new Promise(requestAnimationFrame); // long enough to let go of everything
            document.getElementById("two").append(form);
        }"""
    )
    await expect(picture(page, "Garden Chair – Fermob")).to_be_visible()
    assert await violations(page) == []
    await eventually(lambda: asyncio.sleep(0, [socket.is_closed() for socket in sockets] == [True, False]))
    (submitted, first), (success, last) = await told(page)
    assert (submitted, success) == ("ai-image-submitted", "ai-image-success")
    assert first["requestId"] == last["requestId"]
    assert last["publicUrl"].startswith(demo)
    await page.reload()
    await expect(picture(page, "Garden Chair – Fermob")).to_be_visible()
    assert await told(page) == [], "what ended before is no news"


async def test_a_failure_is_told_once_and_a_refusal_too(page: Page, demo: str) -> None:
    page.expected_errors = ("400",)  # type: ignore[attr-defined]
    await open_plain(page, demo)
    await submit(page, "A fail", "Nike")
    await expect(heading(page, "Image generation failed")).to_be_visible()
    await page.get_by_role("button", name="Change the details").click()
    await answer(page, "/api/ai-generate", 400, {"error": "Control characters.", "code": "invalid_field"})
    await page.get_by_role("button", name="Generate image").click()
    await expect(page.get_by_role("alert").filter(visible=True)).to_have_text("Control characters.")
    submitted, failed, refused = await told(page)
    assert submitted[0] == "ai-image-submitted"
    assert failed[0] == refused[0] == "ai-image-error"
    assert (failed[1]["code"], failed[1]["request"]["status"]) == ("generation_failed", "failed")
    assert refused[1] == {"error": "Control characters.", "code": "invalid_field"}


async def test_markup_in_a_name_is_only_text(page: Page, demo: str) -> None:
    product, brand = "<img src=x onerror=alert(1)>{brand}", "$& <b>Brand</b>"
    await fill(page, demo, product, brand)
    await expect(page.get_by_text(f"a custom image for {product} by {brand}.")).to_be_visible()
    await expect(picture(page, f"{product} – {brand}")).to_be_visible()
    await expect(page.get_by_role("button", name=f"{product} – {brand}")).to_be_visible()
    await expect(page.locator("#assets img").first).to_have_attribute("alt", f"{product} – {brand}")
    assert await page.locator("ai-image-form b, ai-image-form img[onerror], #assets b").count() == 0


async def test_texts_can_be_replaced_before_and_while_it_stands(page: Page, demo: str) -> None:
    html = (
        '<!doctype html><html lang="de"><head><title>Laden</title><link rel="icon" href="data:,"></head><body></body>'
    )
    await open_plain(page, demo, html)
    await page.evaluate(
        """async () => {
            const form = document.createElement("ai-image-form");
            form.texts = { product: "Produkt", generate: "Bild erzeugen", recent: "Letzte Bilder" };
            document.body.append(form);
            await import("/static/ai-image-form.js"); // known only now: the property was there before
        }"""
    )
    await expect(page.get_by_label("Produkt")).to_be_visible()
    await page.get_by_label("Produkt").fill("Stuhl")
    await page.evaluate("document.querySelector('ai-image-form').texts = { brand: 'Marke' }")
    await expect(page.get_by_label("Marke")).to_be_visible()
    await expect(page.get_by_role("button", name="Generate image")).to_be_visible()
    await expect(page.get_by_label("Product")).to_have_value("Stuhl")


async def test_a_token_that_comes_late_signs_in(page: Page, demo: str) -> None:
    """React sets properties of a custom element after it stands in the page."""
    page.expected_errors = ("401",)  # type: ignore[attr-defined]
    await open_plain(page, demo)
    session = (await (await page.context.request.get(f"{demo}/demo/session")).json())["access_token"]
    await page.context.clear_cookies()
    await page.reload()
    await expect(page.get_by_role("alert")).to_have_text("Please sign in to generate images.")
    await page.evaluate("(token) => { document.querySelector('ai-image-form').getToken = async () => token }", session)
    await expect(page.get_by_role("alert")).to_be_hidden()
    await submit(page, "Lamp", "Artemide")
    await expect(heading(page, "Generating your image")).to_be_visible()


async def test_members_of_several_organizations_choose_one(page: Page, demo: str) -> None:
    page.expected_errors = ("400",)  # type: ignore[attr-defined]
    ids = ["22222222-2222-4222-8222-222222222222", "33333333-3333-4333-8333-333333333333"]
    organizations: list[dict[str, str | None]] = []

    async def usage(route: Route) -> None:
        await route.fulfill(json={"typicalSeconds": None, "organizations": organizations})

    await page.route("**/api/usage", usage)
    await answer(page, "/api/ai-generate", 400, {"error": "Name one.", "code": "organization_required"})
    sent = submissions(page)
    alert = page.locator("ai-image-form").get_by_role("alert").filter(visible=True)
    await open_plain(page, demo)
    choice = page.get_by_label("Organization")
    await expect(page.get_by_label("Product")).to_be_visible()
    await expect(choice).to_be_hidden()
    await submit(page, "Lamp", "Artemide")
    await expect(alert).to_have_text("Name one.")
    await expect(choice).to_be_hidden()
    organizations += [{"organizationId": ids[0], "name": "Acme"}, {"organizationId": ids[1], "name": None}]
    await page.get_by_role("button", name="Generate image").click()
    await expect(choice).to_be_visible()
    await expect(alert).to_have_text("Please choose an organization.")
    await expect(page.get_by_text("Please choose an organization.")).to_have_count(1)
    await expect(choice).to_have_accessible_description(re.compile(r"Please choose an organization\. .* who is"))
    await expect(choice.get_by_role("option")).to_have_text(["Choose an organization", "Acme", ids[1]])
    assert await violations(page) == []
    await page.get_by_role("button", name="Generate image").click()
    await expect(choice).to_be_focused()
    await expect(choice).to_have_attribute("aria-invalid", "true")
    await choice.select_option("Acme")
    await expect(alert).to_be_hidden()
    await choice.select_option(ids[1])
    await page.get_by_role("button", name="Generate image").click()
    await expect(page.get_by_role("button", name="Generate image")).to_be_enabled()
    await page.evaluate("document.querySelector('ai-image-form').setAttribute('organization-id', 'preset')")
    await expect(choice).to_be_hidden()
    await page.get_by_role("button", name="Generate image").click()
    await expect(page.get_by_role("button", name="Generate image")).to_be_enabled()
    assert [(one.post_data_json or {}).get("organizationId") for one in sent] == [None, None, ids[1], "preset"]


async def test_a_gateway_in_sync_mode(page: Page, demo: str) -> None:
    """It answers with the picture, with a failure, or late: then the request is found while it still waits."""
    page.expected_errors = ("500",)  # type: ignore[attr-defined]
    done = body(status="completed", version=4, publicUrl=f"{demo}/static/icon.svg")
    await page.route_web_socket("**/ws", lambda socket: None)
    await open_plain(page, demo)
    await answer(page, "/api/ai-generate", 200, done)
    await submit(page)
    await expect(picture(page)).to_be_visible()
    await page.get_by_role("button", name="Generate another").click()
    failed = body(
        requestId="2" * 8, status="failed", version=4, errorMessage="Too dark.", errorCode="generation_failed"
    )
    await answer(page, "/api/ai-generate", 500, {"error": "Too dark.", "code": "generation_failed", "request": failed})
    await submit(page)
    await expect(page.get_by_role("alert").filter(visible=True)).to_have_text("Too dark.")
    await page.get_by_role("button", name="Change the details").click()

    late: asyncio.Event = asyncio.Event()
    running = body(requestId="3" * 8, product="Boots", status="processing", version=2, progress=30)

    async def answer_late(route: Route) -> None:
        running["createdAt"] = datetime.now(UTC).isoformat()
        await late.wait()
        await route.fulfill(json={**running, "status": "completed", "version": 4, "publicUrl": "/static/icon.svg"})

    await page.route("**/api/ai-generate", answer_late)
    await answer(page, "/api/ai-requests*", 200, {"requests": [running], "nextCursor": None})
    await answer(page, "/api/ai-status/*", 200, running)
    await submit(page, "Boots")
    await expect(page.get_by_text("30 %").first).to_be_visible()
    late.set()
    await expect(picture(page, "Boots – Nike")).to_be_visible()
    kinds = ["ai-image-submitted", "ai-image-success", "ai-image-submitted", "ai-image-error"] * 2
    assert [kind for kind, _ in await told(page)] == kinds[:6]


def test_the_types_name_every_text() -> None:
    interface = re.search(
        r"interface AiImageFormTexts \{(.*?)\n\}", (STATIC / "ai-image-form.d.ts").read_text(), re.DOTALL
    )
    assert interface is not None
    defaults: Any = (STATIC / "ai-image-form" / "texts.js").read_text().partition("export function")[0]
    assert re.findall(r"^  (\w+):", interface[1], re.MULTILINE) == re.findall(r"^  (\w+):", defaults, re.MULTILINE)
