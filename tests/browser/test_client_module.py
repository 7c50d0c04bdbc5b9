"""`static/gateway.js` in a real browser against sockets that misbehave."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import Page, Route, WebSocketRoute

from tests.browser.form import SLOW, body, fill, picture
from tests.running import eventually


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
            const session = async () => (await (await fetch("/demo/session")).json()).access_token;
            const first = await session();
            const fresh = async () => {
                for (;;) {
                    const token = await session();
                    if (token !== first) return token; // tokens of one second are the same
                }
            };
            let asked = 0; // to submit, to connect, when warned
            const gateway = new GatewayClient({ getToken: () => (++asked < 3 ? first : fresh()) });
            const { requestId } = await gateway.generate("Tea", "Twinings");
            window.stop = gateway.subscribe(requestId, () => {});
        }"""
    )
    async with asyncio.timeout(SLOW / 1000):
        await refreshed.wait()


async def test_a_token_that_is_not_renewed_yet_is_asked_for_twice_not_in_a_circle(page: Page, demo: str) -> None:
    """`getToken` gives what it has while that is good, and the server warns at every `auth`."""
    sent: list[str] = []
    request = body()
    soon = (datetime.now(UTC) + timedelta(seconds=50)).isoformat()

    def gateway(socket: WebSocketRoute) -> None:
        def say(**message: object) -> None:
            socket.send(json.dumps(message))

        def receive(text: str | bytes) -> None:
            message = json.loads(text)
            if message["type"] == "auth":
                if not sent:
                    say(type="welcome", pingIntervalMs=600_000)
                sent.append(message["token"])
                say(type="expiring", expiresAt=soon)
            elif message["type"] == "subscribe":
                say(type="subscribed", requests=[request], missing=[])
                for _ in range(3):
                    say(type="expiring", expiresAt=soon)
                say(type="update", request={**request, "version": 2})

        socket.on_message(receive)

    await page.route_web_socket("**/ws", gateway)
    await page.clock.install()
    await page.goto(demo)
    await page.evaluate(
        """async (id) => {
            const { GatewayClient } = await import("/static/gateway.js");
            window.token = "old";
            window.asked = 0;
            const gateway = new GatewayClient({ getToken: async () => (window.asked++, window.token) });
            gateway.subscribe(id, ({ version }) => { window.version = version; });
        }""",
        request["requestId"],
    )
    await eventually(lambda: page.evaluate("window.version === 2"))
    assert await page.evaluate("asked") == 2, "to connect, and when warned"
    await page.evaluate("token = 'new'")
    await page.clock.fast_forward(41_000)
    await eventually(lambda: asyncio.sleep(0, len(sent) > 1))
    assert sent == ["old", "new"]


@pytest.mark.parametrize(
    "lost",
    [
        [(502, "<html>Bad Gateway</html>"), (202, '{"requestId": "')],
        [(500, "Internal Server Error"), (504, "")],
    ],
    ids=["cut", "next.js"],
)
async def test_only_a_clear_refusal_ends_a_submission(page: Page, demo: str, lost: list[tuple[int, str]]) -> None:
    """The gateway has accepted, but a proxy says that it cannot be reached, or cuts the answer: the same key asks."""
    page.expected_errors = ("50",)  # type: ignore[attr-defined]
    accepted: list[tuple[str, str]] = []
    answers = list(lost)

    async def through_a_proxy(route: Route) -> None:
        response = await route.fetch()
        accepted.append((route.request.headers["idempotency-key"], (await response.json())["requestId"]))
        if answers:
            status, body = answers.pop()
            await route.fulfill(status=status, body=body)
        else:
            await route.fulfill(response=response)

    await page.route("**/api/ai-generate", through_a_proxy)
    await page.goto(demo)
    request_id, refusals = await page.evaluate(
        """async () => {
            const { GatewayClient, GatewayError } = await import("/static/gateway.js");
            Math.random = () => 0; // no pauses
            const { requestId } = await new GatewayClient().generate("Tea", "Twinings");
            const statuses = [400, 402, 408, 422, 425, 429, 500, 502, 503, 504];
            return [requestId, statuses.filter((status) => new GatewayError(status, "", "").isRefusal)];
        }"""
    )
    assert accepted == [accepted[0]] * 3
    assert request_id == accepted[0][1]
    assert refusals == [400, 402, 422, 429]


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


async def test_a_proxys_502_during_a_restart_ends_nothing(page: Page, demo: str) -> None:
    """A native `EventSource` would be dead after the first; the module polls, and takes the socket once it is back."""
    page.expected_errors = ("502", "WebSocket connection")  # type: ignore[attr-defined]
    refused: list[str] = []
    sockets: list[WebSocketRoute] = []

    async def restarting(route: Route) -> None:
        refused.append(route.request.url)
        if len(refused) <= 3:
            await route.fulfill(status=502, body="<html>Bad Gateway</html>")
        else:
            await route.continue_()

    async def upgrade(socket: WebSocketRoute) -> None:
        sockets.append(socket)
        if len(refused) <= 3:
            await socket.close()
        else:
            socket.connect_to_server()

    await page.route_web_socket("**/ws", upgrade)
    await page.route("**/api/ai-status/**", restarting)
    await page.context.request.get(demo)
    await page.goto(f"{demo}/static/404.html")
    states = await page.evaluate(
        """async () => {
            const { GatewayClient } = await import("/static/gateway.js");
            const random = Math.random;
            Math.random = () => random() / 50; // hardly any pauses
            const states = [];
            const gateway = new GatewayClient({ onState: (state) => states.push(state) });
            const { requestId } = await gateway.generate("Tea slow", "Twinings");
            await new Promise((resolve, reject) => {
                gateway.subscribe(requestId, ({ status }) => status === "completed" && resolve(), reject);
            });
            return states;
        }"""
    )
    assert len(refused) > 3
    assert [state for index, state in enumerate(states) if state != states[index - 1]] == ["polling", "live", "idle"]


@pytest.mark.parametrize(("refusal", "error"), [("forbidden", [403, "forbidden"]), (4403, [0, "connection_refused"])])
async def test_everything_is_not_asked_for_again_where_it_is_refused(
    page: Page, demo: str, refusal: str | int, error: list[object]
) -> None:
    """Connected anew after a loss, and told so; refused by an answer or by a close code, it ends and says why."""
    opened: list[WebSocketRoute] = []

    async def gateway(socket: WebSocketRoute) -> None:
        opened.append(socket)

        async def receive(text: str | bytes) -> None:
            message = json.loads(text)
            if message["type"] == "auth":
                socket.send(json.dumps({"type": "welcome", "pingIntervalMs": 600_000}))
            elif len(opened) == 1:
                socket.send(json.dumps({"type": "subscribed", "ref": message["ref"], "requests": [], "missing": []}))
                socket.send(json.dumps({"type": "update", "request": body()}))
                await socket.close(code=1012)
            elif isinstance(refusal, str):
                socket.send(json.dumps({"type": "error", "ref": message["ref"], "code": refusal, "error": "No."}))
            else:
                await socket.close(code=refusal)

        socket.on_message(receive)

    await page.goto(demo)
    await page.goto(f"{demo}/static/404.html")  # without a form, which would connect too
    await page.route_web_socket("**/ws", gateway)
    await page.reload()
    told = await page.evaluate(
        """async () => {
            const { GatewayClient } = await import("/static/gateway.js");
            const told = [];
            const gateway = new GatewayClient({
                getToken: async () => "token",
                onState: (state) => told.push(["state", state]),
            });
            await new Promise((resolve) => {
                gateway.subscribeAll(({ version }) => told.push(["update", version]), {
                    onSubscribed: (requests) => told.push(["subscribed", requests]),
                    onDisconnected: (code) => told.push(["disconnected", code]),
                    onError: ({ status, code }) => (told.push(["error", [status, code]]), setTimeout(resolve)),
                });
            });
            dispatchEvent(new Event("online"));
            return told;
        }"""
    )
    assert [tuple(one) for one in told if one[1] != "polling"] == [
        ("state", "live"),
        ("subscribed", []),
        ("update", 1),
        ("disconnected", 1012),
        ("state", "live"),
        ("error", error),
        ("state", "idle"),
    ]
    assert len(opened) == 2


WATCH = """async (requestId) => {
    const { GatewayClient } = await import("/static/gateway.js");
    const random = Math.random;
    Math.random = () => random() / 50; // hardly any pauses
    const gateway = new GatewayClient({ getToken: async () => "token" });
    return await new Promise((resolve, reject) => {
        const versions = [];
        gateway.subscribe(requestId, (body) => {
            versions.push(body.version);
            if (body.status === "completed") resolve(versions);
        }, reject);
    });
}"""
"""The versions that `onUpdate` sees until the end."""


def message(kind: str, *bodies: dict[str, object]) -> str:
    """`subscribed` or `update`, as the gateway sends it."""
    if kind == "update":
        return json.dumps({"type": kind, "request": bodies[0]})
    return json.dumps({"type": kind, "ref": None, "requests": bodies, "missing": []})


WELCOME = json.dumps({"type": "welcome", "pingIntervalMs": 600_000})


async def test_a_database_that_was_set_back_is_followed_by_the_socket(page: Page, demo: str) -> None:
    """The gateway offers on the same connection what the restored row has, or answers a new one with it."""
    opened: list[WebSocketRoute] = []

    async def gateway(socket: WebSocketRoute) -> None:
        opened.append(socket)

        async def receive(text: str | bytes) -> None:
            if json.loads(text)["type"] == "auth":
                socket.send(WELCOME)
            elif len(opened) == 1:
                socket.send(message("subscribed", body(version=8)))
                socket.send(message("update", body(version=9)))
                socket.send(message("update", body(version=6)))
                await socket.close(code=1012)
            else:
                socket.send(message("subscribed", body(version=2)))
                socket.send(message("update", body(version=3, status="completed")))

        socket.on_message(receive)

    await page.route_web_socket("**/ws", gateway)
    await page.route("**/api/ai-status/**", lambda route: route.abort())
    page.expected_errors = ("net::ERR_FAILED",)  # type: ignore[attr-defined]
    await page.goto(f"{demo}/static/404.html")
    assert await page.evaluate(WATCH, body()["requestId"]) == [8, 9, 6, 2, 3]


async def test_a_database_that_was_set_back_is_followed_by_the_poll(page: Page, demo: str) -> None:
    """An answer with a lower version is the truth, and no reason to ask again every second."""
    asked: list[str] = []
    answers = [body(version=6), body(version=2), body(version=3, status="completed")]

    async def answer(route: Route) -> None:
        asked.append(route.request.url.partition("version=")[2])
        await route.fulfill(json=answers[len(asked) - 1])

    await page.route_web_socket("**/ws", lambda socket: socket.close(code=1013))
    await page.route("**/api/ai-status/**", answer)
    await page.goto(f"{demo}/static/404.html")
    assert await page.evaluate(WATCH, body()["requestId"]) == [6, 2, 3]
    assert asked == ["", "6", "2"], "it waits for something else than what it has"


async def test_an_answer_that_a_socket_has_overtaken_is_no_set_back(page: Page, demo: str) -> None:
    """A poll that was asked before the socket came back is answered after it brought something newer; once while that
    socket lives, and once when it is lost again."""
    polls: list[Route] = []
    opened: list[WebSocketRoute] = []
    answered: list[str] = []

    async def answer_late(number: int) -> None:
        async def asked() -> bool:
            return len(polls) > number

        async def has_answer() -> bool:
            return len(answered) > number

        await eventually(asked)
        await polls[number].fulfill(json=body(version=5))
        await eventually(has_answer)

    async def gateway(socket: WebSocketRoute) -> None:
        opened.append(socket)
        if len(opened) == 1:
            await socket.close(code=1012)  # so it polls
            return

        async def receive(text: str | bytes) -> None:
            kind = json.loads(text)["type"]
            if kind == "auth":
                if len(opened) == 3:
                    await answer_late(0)  # asked before anything was known
                socket.send(WELCOME)
            elif kind == "subscribe" and len(opened) == 2:
                socket.send(message("subscribed", body(version=6)))
                await socket.close(code=1012)
            elif kind == "subscribe":
                socket.send(message("subscribed", body(version=7)))
                await answer_late(1)
                socket.send(message("update", body(version=8, status="completed")))

        socket.on_message(receive)

    page.on("requestfinished", lambda request: answered.append(request.url) if "/ai-status/" in request.url else None)
    await page.route_web_socket("**/ws", gateway)
    await page.route("**/api/ai-status/**", lambda route: polls.append(route))
    await page.goto(f"{demo}/static/404.html")
    assert await page.evaluate(WATCH, body()["requestId"]) == [6, 7, 8]
