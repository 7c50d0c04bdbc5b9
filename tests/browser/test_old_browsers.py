"""`static/gateway.js` where a browser lacks what others have, or keeps it back: updates come all the same.

The newest Chromium is made as poor as the oldest browsers that `static/README.md` names.
"""

import asyncio
import json

import pytest
from playwright.async_api import Page, Request, Route, WebSocketRoute, expect

from tests.browser.dashboard import new_brand, submit
from tests.browser.form import SLOW, answer, body, fill, open_plain, picture
from tests.running import eventually

# What came after Safari 15, Chrome 84 and Firefox 90, of the kind that a client might use.
AS_IN_2021 = """
    for (const [owner, names] of [
        [AbortSignal, ["any", "timeout"]],
        [AbortSignal.prototype, ["throwIfAborted"]],
        [Array, ["fromAsync"]],
        [Array.prototype, ["at", "findLast", "findLastIndex", "toReversed", "toSorted", "toSpliced", "with"]],
        [Crypto.prototype, ["randomUUID"]],
        [globalThis, ["CSSStyleSheet", "Iterator", "navigation", "reportError", "scheduler", "structuredClone"]],
        [Object, ["groupBy", "hasOwn"]],
        [Map, ["groupBy"]],
        [Promise, ["try", "withResolvers"]],
        [ReadableStream.prototype, [Symbol.asyncIterator]],
        [Response, ["json"]],
        [Set.prototype, ["difference", "intersection", "isSubsetOf", "union"]],
        [String.prototype, ["at", "isWellFormed"]],
        [URL, ["canParse", "parse"]],
        [URLSearchParams.prototype, ["size"]],
    ]) {
        for (const name of names) {
            delete owner[name];
            if (name in owner) throw new Error(`${String(name)} could not be removed`);
        }
    }
"""

WITHOUT_SOCKET = {
    "it throws": """
        const Blocked = class extends WebSocket {
            constructor(...parts) {
                window.attempts = (window.attempts ?? 0) + 1;
                throw new DOMException("The operation is insecure.", "SecurityError");
            }
        };
        window.WebSocket = Blocked;
    """,
    "it is missing": "delete window.WebSocket;",
    "it opens and says nothing": """
        window.WebSocket = class extends EventTarget {
            readyState = 0;
            close() {}
            constructor() {
                super();
                setTimeout(() => this.onclose({ code: 1006 }));
            }
        };
    """,
}

WATCH = """async (product) => {
    const { GatewayClient } = await import("/static/gateway.js");
    const states = [];
    const gateway = new GatewayClient({ onState: (state) => states.push(state) });
    const { requestId } = await gateway.generate(product, "Twinings");
    const versions = [];
    const body = await new Promise((resolve, reject) => {
        gateway.subscribe(requestId, (newer) => {
            versions.push(newer.version);
            if (newer.status === "completed" || newer.status === "failed") resolve(newer);
        }, reject);
    });
    return [body.status, versions, [...new Set(states)]];
}"""


async def without_form(page: Page, demo: str) -> None:
    """A page of the demo's origin with its session, and with nothing on it that connects or needs newer browsers."""
    await page.context.request.get(demo)
    await page.goto(f"{demo}/static/404.html")


def polls(page: Page) -> list[Request]:
    """The polls that the page sends from now on."""
    sent: list[Request] = []
    page.on("request", lambda request: sent.append(request) if "/api/ai-status/" in request.url else None)
    return sent


@pytest.mark.parametrize("lack", WITHOUT_SOCKET)
async def test_without_a_websocket_updates_come_by_long_poll(page: Page, demo: str, lack: str) -> None:
    await page.add_init_script(WITHOUT_SOCKET[lack])
    sent = polls(page)
    await without_form(page, demo)
    status, versions, states = await page.evaluate(WATCH, "Tea")
    assert status == "completed"
    assert versions == sorted(set(versions))
    assert states == ["polling", "idle"]
    assert any("wait=" in request.url for request in sent), "it waits for what is newer"


@pytest.mark.parametrize("lack", ["it throws", "it is missing"])
async def test_the_pages_work_without_a_websocket(page: Page, demo: str, lack: str) -> None:
    """The form shows its picture, and the dashboard is read every few seconds; the console stays free of errors."""
    await page.add_init_script(WITHOUT_SOCKET[lack])
    await fill(page, demo)
    await picture(page).wait_for(timeout=SLOW)
    await page.clock.install()
    await page.goto(f"{demo}/admin")
    await expect(page.locator("#live")).to_have_text("Reconnecting… Updated every 15 s.")
    brand = new_brand()
    await submit(page, demo, "Tea", brand)
    row = page.locator("#requests").get_by_text(brand)
    await page.clock.fast_forward(16_000)
    await expect(row).to_be_visible()


async def test_a_socket_that_the_pages_policy_forbids_is_done_without(page: Page, demo: str) -> None:
    """A page of somebody else's, whose policy has the gateway's address and not its socket's."""
    page.expected_errors = ("Content Security Policy",)  # type: ignore[attr-defined]
    policy = f"default-src 'self'; script-src 'self' 'unsafe-eval'; connect-src {demo}"

    async def shop(route: Route) -> None:
        headers = {"Content-Type": "text/html", "Content-Security-Policy": policy}
        await route.fulfill(body='<!doctype html><title>Shop</title><link rel="icon" href="data:,">', headers=headers)

    sent = polls(page)
    await page.route("**/shop", shop)
    await page.context.request.get(demo)
    await page.goto(f"{demo}/shop")
    status, _, states = await page.evaluate(WATCH, "Tea")
    assert (status, states) == ("completed", ["polling", "idle"])
    assert sent


async def test_our_own_pages_policy_lets_the_socket_through(page: Page, demo: str) -> None:
    """Named by itself: `'self'` is taken out, as if it did not include it, which is how Safari read it below 15.4."""
    policies: list[str] = []

    async def strict(route: Route) -> None:
        answer = await route.fetch()
        policy = answer.headers["content-security-policy"]
        (connect,) = [part for part in policy.split("; ") if part.startswith("connect-src")]
        policies.append(connect)
        changed = policy.replace(connect, connect.replace("'self'", demo))
        await route.fulfill(response=answer, headers={**answer.headers, "content-security-policy": changed})

    await page.route(f"{demo}/", strict)
    sockets: list[str] = []
    page.on("websocket", lambda socket: sockets.append(socket.url))
    sent = polls(page)
    await fill(page, demo)
    await picture(page).wait_for(timeout=SLOW)
    assert "wss:" in policies[0]
    assert sockets == [f"{demo.replace('http', 'ws')}/ws"]
    assert sent == [], "nobody polls beside a socket"


async def test_a_scope_says_after_the_call_that_there_is_no_socket_and_stays_watchable(page: Page, demo: str) -> None:
    """Told within the call, a listener could not stop what the call is about to return. Attempts grow rarer."""
    await page.add_init_script(WITHOUT_SOCKET["it throws"])
    await without_form(page, demo)
    told = await page.evaluate(
        """async () => {
            const { GatewayClient } = await import("/static/gateway.js");
            const random = Math.random;
            Math.random = () => 1; // the longest pauses
            const gateway = new GatewayClient();
            const told = [];
            await new Promise((resolve) => {
                const stop = gateway.subscribeMine(() => {}, {
                    onDisconnected: (code) => { told.push(code); if (told.length === 2) { stop(); resolve(); } },
                });
                told.push("subscribed");
            });
            Math.random = random;
            return [told, window.attempts];
        }"""
    )
    assert told == [["subscribed", 0], 1]


async def test_a_socket_that_comes_back_is_taken(page: Page, demo: str) -> None:
    """An add-on that is switched off: the next attempt is made, and polling ends."""
    await page.add_init_script("window.kept = WebSocket; delete window.WebSocket;")
    await without_form(page, demo)
    states = await page.evaluate(
        """async () => {
            const { GatewayClient } = await import("/static/gateway.js");
            Math.random = () => 0; // no pauses
            const states = [];
            await new Promise((resolve) => {
                const gateway = new GatewayClient({
                    onState: (state) => {
                        states.push(state);
                        if (states.length === 3) window.WebSocket = window.kept;
                        if (state === "live") resolve(gateway.close());
                    },
                });
                gateway.subscribeMine(() => {});
            });
            return states;
        }"""
    )
    assert states == ["polling", "polling", "polling", "live", "idle"]


@pytest.mark.parametrize("socket", ["a socket", "no socket"])
async def test_a_browser_of_2021_gets_its_picture(page: Page, demo: str, socket: str) -> None:
    """Nothing that came after the oldest browsers: no `AbortSignal.timeout`, no `randomUUID`, no `reportError`."""
    page.expected_errors = ("listener's own", "409")  # type: ignore[attr-defined]
    if socket == "no socket":
        await page.add_init_script(WITHOUT_SOCKET["it is missing"])
    await page.add_init_script(AS_IN_2021)
    await without_form(page, demo)
    status, versions, states = await page.evaluate(WATCH, "Tea")
    assert status == "completed"
    assert versions == sorted(set(versions))
    assert states == (["live", "idle"] if socket == "a socket" else ["polling", "idle"])
    calls = await page.evaluate(
        """async () => {
            const { GatewayClient, GatewayError } = await import("/static/gateway.js");
            const gateway = new GatewayClient();
            const { requests } = await gateway.requests({ limit: 1 });
            const { requestId } = requests[0];
            gateway.subscribe(requestId, () => { throw new Error("listener's own"); });
            const body = await gateway.status(requestId);
            const refusal = await gateway.cancel(requestId).catch((error) => error);
            const { assets } = await gateway.assets({ limit: 1 });
            const { limit } = await gateway.usage();
            return [body.status, refusal instanceof GatewayError && refusal.status, assets.length, limit.quota > 0];
        }"""
    )
    assert calls == ["completed", 409, 1, True]


async def test_a_call_that_is_never_answered_ends_without_a_timeout_signal(page: Page, demo: str) -> None:
    page.expected_errors = ("net::ERR",)  # type: ignore[attr-defined]
    asked = asyncio.Event()
    over = asyncio.Event()

    async def silent(route: Route) -> None:
        asked.set()
        await over.wait()
        await route.abort()

    await page.clock.install()
    await page.add_init_script(AS_IN_2021)
    await without_form(page, demo)
    await page.route("**/api/usage", silent)
    await page.evaluate(
        """async () => {
            const { GatewayClient } = await import("/static/gateway.js");
            window.ended = null;
            new GatewayClient().usage().catch((error) => { window.ended = error.name; });
        }"""
    )
    await asked.wait()
    await page.clock.fast_forward(34_000)
    assert await page.evaluate("ended") is None
    await page.clock.fast_forward(2_000)
    await eventually(lambda: page.evaluate("ended"))
    over.set()
    assert await page.evaluate("ended") == "AbortError"


async def test_timers_of_a_hidden_tab_break_no_connection(page: Page, demo: str) -> None:
    """A hidden tab's timers run once a minute. The gateway answers each ping, so the connection is alive."""
    opened: list[WebSocketRoute] = []
    pings: list[str] = []
    is_dead = False

    def gateway(socket: WebSocketRoute) -> None:
        opened.append(socket)

        def receive(text: str | bytes) -> None:
            message = json.loads(text)
            if message["type"] == "subscribe":
                socket.send(json.dumps({"type": "subscribed", "ref": None, "requests": [body()], "missing": []}))
            elif message["type"] == "ping":
                pings.append(str(text))
                if not is_dead:
                    socket.send(json.dumps({"type": "pong"}))

        socket.on_message(receive)
        socket.send(json.dumps({"type": "welcome", "pingIntervalMs": 25_000}))

    await page.route_web_socket("**/ws", gateway)
    await answer(page, "/api/ai-status/*", 200, body())
    await page.clock.install()
    await without_form(page, demo)
    await page.evaluate(
        """async (id) => {
            const { GatewayClient } = await import("/static/gateway.js");
            window.states = [];
            const native = WebSocket;
            window.pongs = 0;
            window.WebSocket = class extends native {
                constructor(url) {
                    super(url);
                    this.addEventListener("message", ({ data }) => {
                        if (JSON.parse(data).type === "pong") queueMicrotask(() => window.pongs++);
                    });
                }
            };
            new GatewayClient({ onState: (state) => states.push(state) }).subscribe(id, () => {});
        }""",
        body()["requestId"],
    )
    await eventually(lambda: page.evaluate("states.includes('live')"))
    for minute in range(1, 5):
        await page.clock.fast_forward(60_000)
        await page.wait_for_function("(minute) => window.pongs >= minute", arg=minute, timeout=SLOW, polling=20)
    assert len(opened) == 1, "nobody reconnects"
    assert len(pings) == 4
    assert await page.evaluate("states") == ["live"]

    is_dead = True
    await page.clock.fast_forward(60_000)
    await eventually(lambda: asyncio.sleep(0, len(pings) == 5))
    assert await page.evaluate("states") == ["live"], "an answer may be on its way"
    await page.clock.fast_forward(10_000)  # after such a pause, which may have been a computer's sleep, no longer
    await eventually(lambda: page.evaluate("states.includes('polling')"))


async def test_the_form_has_colours_where_it_cannot_know_the_pages_scheme(page: Page, demo: str) -> None:
    """Browsers below 2024 have no `light-dark()`; what is wrong in one value would take all colours away."""
    await page.emulate_media(color_scheme="dark")
    await page.add_init_script("CSS.supports = (name, value) => !value.includes('light-dark');")
    await open_plain(page, demo)
    card = page.locator("ai-image-form .card")
    await expect(card).to_have_css("background-color", "rgb(255, 255, 255)")
    await expect(card).to_have_css("color", "rgb(28, 27, 41)")
    assert not await page.evaluate(
        """() => [...document.querySelector("ai-image-form").shadowRoot.adoptedStyleSheets]
            .some((sheet) => [...sheet.cssRules].some(({ cssText }) => cssText.includes("light-dark")))"""
    )
