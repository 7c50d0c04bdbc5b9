"""A chat's webhook, as alerts are posted to it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from gateway.server.listener import bind
from tests.running import serving


class AlertReceiver:
    """What a chat's webhook would show."""

    def __init__(self) -> None:
        self.url = ""
        self.messages: list[dict[str, Any]] = []
        self.status = 200
        self.asked = 0
        self.answers = asyncio.Event()
        self.answers.set()

    async def receive(self, request: Request) -> Response:
        self.asked += 1
        await self.answers.wait()
        if self.status == 200:
            self.messages.append(await request.json())
        return PlainTextResponse("ok", self.status)

    def notified(self) -> list[tuple[str, str]]:
        return sorted((message["alert"], message["status"]) for message in self.messages)


@contextlib.asynccontextmanager
async def alert_receiver() -> AsyncIterator[AlertReceiver]:
    """One that listens on a free port."""
    made = AlertReceiver()
    listener = bind("127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{listener.getsockname()[1]}/hook"
    app = Starlette(routes=[Route("/hook", made.receive, methods=["POST"])])
    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=1)
    async with serving(app, config, listener):
        yield made
