"""A gateway, or any other ASGI application, on a real uvicorn inside the test's own event loop."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import httpx
import uvicorn
import uvicorn.server
from starlette.types import ASGIApp
from websockets.asyncio.client import ClientConnection, connect

from gateway.app import create_app
from gateway.auth.tokens import issue_token
from gateway.server.listener import bind
from gateway.server.server import GatewayServer, server_config
from gateway.settings import Settings
from gateway.state import State

SECONDS = 15.0
"""Longest wait for anything that should happen at once. A condition is waited for, never a time."""


async def eventually(condition: Callable[[], Awaitable[Any]], seconds: float = SECONDS) -> Any:
    """The first truthy value of `condition`, asked again and again; fails after `seconds`."""
    async with asyncio.timeout(seconds):
        while not (value := await condition()):
            await asyncio.sleep(0.02)
        return value


class _Hurried:
    """`asyncio` as uvicorn's server sees it here: it rests a while at each end, and a thousand tests end."""

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.005))


uvicorn.server.asyncio = _Hurried()  # type: ignore[assignment, attr-defined]


class _QuietServer(GatewayServer):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # the test runner keeps its own

    async def main_loop(self) -> None:
        while not await self.on_tick(0):
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def serving(app: ASGIApp, config: uvicorn.Config, listener: Any) -> AsyncIterator[uvicorn.Server]:
    """Run a server until the end of the block."""
    server = _QuietServer(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        async with asyncio.timeout(SECONDS):
            while not server.started:
                if task.done():
                    task.result()
                    raise RuntimeError("the server ended before it started")
                await asyncio.sleep(0.005)
        yield server
    finally:
        server.should_exit = True
        async with asyncio.timeout(SECONDS):
            await task


class RunningGateway:
    """A gateway process's worth of code, reached as a client would reach it."""

    def __init__(self, state: State, settings: Settings, url: str, http: httpx.AsyncClient) -> None:
        self.state = state
        self.settings = settings
        self.url = url
        self.http = http

    def token(self, user_id: str, *, admin: bool = False, lifetime: int = 3600) -> str:
        return issue_token(
            self.settings.supabase_jwt_secret.get_secret_value(), user_id, admin=admin, lifetime=lifetime
        )

    def bearer(self, user_id: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token(user_id)}"}

    async def submit(self, user_id: str, product: str = "Shoes", brand: str = "Nike", **headers: str) -> httpx.Response:
        return await self.http.post(
            "/api/ai-generate",
            json={"Product": product, "Your Brand": brand},
            headers={**self.bearer(user_id), **headers},
        )

    async def submitted(self, user_id: str) -> str:
        """Submit and return the new request's id."""
        answer = await self.submit(user_id)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["requestId"])

    async def callback(self, body: Any, secret: str | None = None) -> httpx.Response:
        secret = secret if secret is not None else self.settings.ai_callback_secret.get_secret_value()
        headers = {b"X-Callback-Secret": secret.encode("latin-1")}
        return await self.http.post("/api/ai-callback", json=body, headers=headers)

    async def body(self, user_id: str, request_id: str) -> dict[str, Any]:
        answer = await self.http.get(f"/api/ai-status/{request_id}", headers=self.bearer(user_id))
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def until(self, user_id: str, request_id: str, status: str) -> dict[str, Any]:
        """The request's Body once it has `status`."""

        async def reached() -> dict[str, Any] | None:
            body = await self.body(user_id, request_id)
            return body if body["status"] == status else None

        return dict(await eventually(reached))

    def websocket(self, token: str | None = None, **options: Any) -> connect:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return connect(self.url.replace("http", "ws", 1) + "/ws", additional_headers=headers, proxy=None, **options)

    @contextlib.asynccontextmanager
    async def watching(self, user_id: str, **options: Any) -> AsyncIterator[ClientConnection]:
        """A WebSocket of the user, already welcomed."""
        async with self.websocket(self.token(user_id, **options)) as websocket:
            assert (await receive(websocket))["type"] == "welcome"
            yield websocket


async def receive(websocket: ClientConnection) -> dict[str, Any]:
    """The next message."""
    import json

    async with asyncio.timeout(SECONDS):
        return dict(json.loads(await websocket.recv()))


async def send(websocket: ClientConnection, **message: Any) -> None:
    import json

    await websocket.send(json.dumps(message))


@contextlib.asynccontextmanager
async def running_gateway(
    settings: Settings, *, worker: bool = True, app_url: str | None = None
) -> AsyncIterator[RunningGateway]:
    """Run a gateway with `settings` on a free port; its APP_URL is set to it, or to the address of what is in front."""
    listener = bind("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    settings = settings.model_copy(update={"app_url": app_url or url})
    app = create_app(settings, worker=worker)
    async with (
        serving(app, server_config(app, settings), listener) as server,
        httpx.AsyncClient(base_url=url, timeout=SECONDS, verify=False) as http,
    ):
        yield RunningGateway(server.lifespan.state["gateway"], settings, url, http)
