"""The original design's own component, its realtime effect in place of its polling as the document proposes, in
Chromium under React's StrictMode, with supabase-js and @supabase/ssr."""

import asyncio
import base64
import json
import os
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, Route, async_playwright, expect
from starlette.responses import JSONResponse, Response

from tests.browser.conftest import FLAGS
from tests.people import Person
from tests.running import RunningGateway, eventually
from tests.scripted_n8n import Received, ScriptedN8n
from tests.supabase_clients import installation

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240), pytest.mark.parametrize("backend", ["sqlite"], indirect=True)]

HERE = Path(__file__).parent / "component"
ALIASES = {
    "@/lib/supabase/client": HERE / "client.ts",
    **{f"@/components/ui/{name}": HERE / "ui" / f"{name}.tsx" for name in ("button", "input", "label")},
}
PIXEL = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The component and everything that it imports, as one script."""
    folder = installation.javascript()
    made = tmp_path_factory.mktemp("bundle") / "app.js"
    aliases = [f"--alias:{name}={path}" for name, path in ALIASES.items()]
    # esbuild's own program: it is a package for each platform, and npm installs the right one.
    command = [str(folder / "node_modules" / ".bin" / "esbuild"), str(HERE / "app.tsx"), "--bundle", "--jsx=automatic"]
    environment = {**os.environ, "NODE_PATH": str(folder / "node_modules")}
    done = subprocess.run(
        [*command, f"--outfile={made}", *aliases], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return made.read_text()


@pytest.fixture
async def page(chromium: str, gateway: RunningGateway, bundle: str) -> AsyncIterator[Page]:
    """The app's page on the gateway's own origin. Whatever the console calls an error fails the test."""
    errors: list[str] = []

    async def app(route: Route) -> None:
        await route.fulfill(content_type="text/html", body='<div id="root"></div><script src="/app.js"></script>')

    async def script(route: Route) -> None:
        await route.fulfill(content_type="text/javascript", body=bundle)

    async def picture(route: Route) -> None:
        await route.fulfill(content_type="image/gif", body=PIXEL)

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        page = await browser.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        await page.route("**/app", app)
        await page.route("**/app.js", script)
        await page.route("**/storage/**", picture)
        yield page
        await browser.close()
    assert errors == []


async def sign_in(page: Page, gateway: RunningGateway, person: Person) -> None:
    """The cookie that @supabase/ssr leaves after a sign-in."""
    user = {"id": person.id, "aud": "authenticated", "app_metadata": {}, "user_metadata": {}, "created_at": ""}
    session = {
        "access_token": gateway.token(person.id),
        "refresh_token": "r",
        "token_type": "bearer",
        "expires_in": 3600,
        "expires_at": int(time.time()) + 3600,
        "user": user,
    }
    value = "base64-" + base64.urlsafe_b64encode(json.dumps(session).encode()).decode().rstrip("=")
    await page.context.add_cookies([{"name": "sb-127-auth-token", "value": value, "url": gateway.url}])


async def test_the_picture_is_shown(page: Page, gateway: RunningGateway, ada: Person, n8n: ScriptedN8n) -> None:
    go_on = asyncio.Event()

    async def script(received: Received) -> Response:
        await go_on.wait()
        return JSONResponse({"message": "Workflow was started"})

    n8n.script = script
    await sign_in(page, gateway, ada)
    await page.goto(f"{gateway.url}/app")
    await page.fill("#product", "Running Shoes")
    await page.fill("#brand", "Nike")
    await page.click("text=Generate AI Images")
    await expect(page.get_by_text("Request Submitted")).to_be_visible()

    async def watched() -> bool:
        return gateway.state.hub.subscribers == 1

    await eventually(watched)
    go_on.set()
    await expect(page.get_by_text("Generating Your Image")).to_be_visible()
    (received,) = n8n.received
    assert (await n8n.call_back(received, status="completed", Key="b/a.png", Id="1")).status_code == 200
    await expect(page.get_by_text("Image Generated Successfully!")).to_be_visible()
    shown = page.get_by_role("img", name="Running Shoes - Nike")
    await expect(shown).to_have_attribute("src", (await gateway.body(ada.id, received.request_id))["publicUrl"])
    assert await shown.evaluate("(picture) => picture.decode().then(() => picture.naturalWidth)") == 1
    await page.click("text=Generate Another")

    async def left() -> bool:
        return gateway.state.hub.subscribers == 0

    await eventually(left)


async def test_a_failure_is_shown(page: Page, gateway: RunningGateway, ada: Person, n8n: ScriptedN8n) -> None:
    await sign_in(page, gateway, ada)
    await page.goto(f"{gateway.url}/app")
    await page.fill("#product", "Running Shoes")
    await page.fill("#brand", "Nike")
    await page.click("text=Generate AI Images")
    await expect(page.get_by_text("Generating Your Image")).to_be_visible()
    (received,) = n8n.received
    await n8n.call_back(received, status="failed", error="The model is on strike")
    await expect(page.get_by_text("The model is on strike")).to_be_visible()
