"""`static/gateway.js` in a real browser against sockets that misbehave."""

import asyncio
import json

from playwright.async_api import Page, WebSocketRoute

from tests.browser.test_page import SLOW, fill


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
    await page.get_by_role("img", name="Running Shoes – Nike").wait_for(timeout=SLOW)
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
    await page.get_by_role("img", name="Running Shoes – Nike").wait_for(timeout=SLOW)
    assert len(opened) == 2
    assert 0.25 < opened[1] - opened[0] < 3
