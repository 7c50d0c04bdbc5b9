"""`static/gateway.js` in a real browser against sockets that misbehave."""

import asyncio
import json

from playwright.async_api import Page, WebSocketRoute

from tests.browser.form import SLOW, fill, picture


async def test_a_refused_subscription_is_tried_again(page: Page, demo: str) -> None:
    """The database was away when the page subscribed: the server said so, and the page must not wait for ever."""
    refused: list[str] = []

    def between(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()

        def from_page(message: str | bytes) -> None:
            if json.loads(message)["type"] == "subscribe" and not refused:
                refused.append(str(message))
                socket.send(json.dumps({"type": "error", "ref": None, "code": "unavailable", "error": "Later."}))
            else:
                server.send(message)

        socket.on_message(from_page)

    await page.route_web_socket("**/ws", between)
    await fill(page, demo)
    await picture(page).wait_for(timeout=SLOW)
    assert len(refused) == 1


async def test_a_drain_is_honoured(page: Page, demo: str) -> None:
    """Asked to come back in 300 ms, the page closes at its moment and connects anew, without polling meanwhile."""
    opened: list[float] = []
    loop = asyncio.get_running_loop()

    def between(socket: WebSocketRoute) -> None:
        opened.append(loop.time())
        server = socket.connect_to_server()

        def from_server(message: str | bytes) -> None:
            socket.send(message)
            if json.loads(message)["type"] == "welcome" and len(opened) == 1:
                socket.send(json.dumps({"type": "drain", "reconnectInMs": 300}))

        server.on_message(from_server)

    await page.route_web_socket("**/ws", between)
    await fill(page, demo)
    await picture(page).wait_for(timeout=SLOW)
    assert len(opened) == 2
    assert 0.25 < opened[1] - opened[0] < 3


async def test_a_dead_connection_is_noticed(page: Page, demo: str) -> None:
    """The first connection falls silent without a close; the page asks, hears nothing, and connects anew."""
    opened: list[int] = []

    def between(socket: WebSocketRoute) -> None:
        opened.append(1)
        first = len(opened) == 1
        server = socket.connect_to_server()

        def from_server(message: str | bytes) -> None:
            content = json.loads(message)
            if content["type"] == "welcome":
                socket.send(json.dumps({**content, "pingIntervalMs": 150}))
            elif not first:
                socket.send(message)

        server.on_message(from_server)

    await page.route_web_socket("**/ws", between)
    await fill(page, demo)
    await picture(page).wait_for(timeout=SLOW)
    assert len(opened) >= 2


async def test_a_token_is_refreshed_before_it_ends(page: Page, demo: str) -> None:
    """The module fetches a fresh token when the server says that the old one ends."""
    said: list[dict[str, str]] = []
    refreshed = asyncio.Event()

    def between(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()

        def from_page(message: str | bytes) -> None:
            content = json.loads(message)
            said.append(content)
            server.send(message)
            if content["type"] == "subscribe":
                socket.send(json.dumps({"type": "expiring", "expiresAt": "2026-01-01T00:00:00.000Z"}))
            if [one["type"] for one in said].count("auth") == 2:
                refreshed.set()

        socket.on_message(from_page)

    await page.route_web_socket("**/ws", between)
    await page.goto(demo)
    await page.evaluate(
        """async () => {
            const { GatewayClient } = await import("/static/gateway.js");
            const getToken = async () => (await (await fetch("/demo/session")).json()).access_token;
            const gateway = new GatewayClient({ getToken });
            const { requestId } = await gateway.generate("Tea", "Twinings");
            window.stop = gateway.subscribe(requestId, () => {});
        }"""
    )
    async with asyncio.timeout(SLOW / 1000):
        await refreshed.wait()


async def test_listeners_that_throw_and_ids_in_capitals_stop_nothing(page: Page, demo: str) -> None:
    """While only polling: one listener throws each time, another asked for its request in capitals."""
    page.expected_errors = ("listener's own",)  # type: ignore[attr-defined]
    polls: list[str] = []
    page.on("request", lambda request: polls.append(request.url) if "/api/ai-status/" in request.url else None)
    await page.route_web_socket("**/ws", lambda socket: socket.close())
    await page.goto(demo)
    seen = await page.evaluate(
        """async () => {
            const { GatewayClient } = await import("/static/gateway.js");
            const gateway = new GatewayClient();
            const { requestId: first } = await gateway.generate("Tea", "Twinings");
            gateway.subscribe(first, () => { throw new Error("listener's own"); });
            const { requestId: second } = await gateway.generate("Tea", "Twinings");
            return await new Promise((resolve) => {
                const versions = [];
                gateway.subscribe(second.toUpperCase(), (body) => {
                    versions.push(body.version);
                    if (body.status === "completed") resolve(versions);
                });
            });
        }"""
    )
    assert seen == sorted(set(seen))
    assert len(polls) < 120, "nobody polls in a circle"
