"""An n8n whose answers a test decides: a real HTTP server that says what a real n8n was seen to say."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.server.listener import bind
from tests import n8n_recordings
from tests.running import eventually, serving

Script = Callable[["Received"], Awaitable[Response]]


@dataclass
class Received:
    """One POST to the webhook."""

    payload: dict[str, Any]
    headers: dict[str, str]

    @property
    def request_id(self) -> str:
        return str(self.payload["requestId"])


@dataclass
class ScriptedN8n:
    """Answers with `script`, after recording what came."""

    url: str = ""
    received: list[Received] = field(default_factory=list)
    script: Script | None = None

    async def answer(self, request: Request) -> Response:
        received = Received(await request.json(), dict(request.headers))
        self.received.append(received)
        if self.script is None:
            return JSONResponse({"message": "Workflow was started"})
        return await self.script(received)

    def answers(self, *responses: Response) -> None:
        """Give these answers one after another; the last one again and again."""
        left = list(responses)

        async def script(received: Received) -> Response:
            return left.pop(0) if len(left) > 1 else left[0]

        self.script = script

    def times(self, request_id: str) -> int:
        """How often the request came."""
        return sum(received.request_id == request_id for received in self.received)

    async def until_received(self, request_id: str, times: int = 1) -> Received:
        async def came() -> bool:
            return self.times(request_id) >= times

        await eventually(came, 30)
        return next(received for received in self.received if received.request_id == request_id)

    async def call_back(self, received: Received, **news: object) -> httpx.Response:
        """What a workflow does at its end."""
        async with httpx.AsyncClient(verify=False, timeout=10) as http:
            return await http.post(
                received.payload["callbackUrl"],
                json={"requestId": received.request_id, **news},
                headers={"X-Callback-Secret": received.payload["callbackSecret"]},
            )


@contextlib.asynccontextmanager
async def scripted_n8n() -> AsyncIterator[ScriptedN8n]:
    n8n = ScriptedN8n()
    app = Starlette(routes=[Route("/webhook/ai-image", n8n.answer, methods=["POST"])])
    listener = bind("127.0.0.1", 0)
    n8n.url = f"http://127.0.0.1:{listener.getsockname()[1]}/webhook/ai-image"
    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=1)
    async with serving(app, config, listener):
        yield n8n


def _recorded(name: str) -> Response:
    recorded = n8n_recordings.load("answers")[name]
    body = recorded["body"] if isinstance(recorded["body"], str) else json.dumps(recorded["body"])
    body = body.replace("nothing-here", "ai-image")  # what was not registered there is asked for here by our name
    return Response(body, recorded["status"], {"Content-Type": recorded["contentType"]})


# What a real n8n answered, by the case that made it do so.
STARTED = _recorded("STARTED")
CANNOT_POST = _recorded("CANNOT_POST")
NOT_REGISTERED = _recorded("NOT_REGISTERED")
TEST_URL_NOT_ARMED = _recorded("TEST_URL_NOT_ARMED")
WRONG_METHOD = _recorded("WRONG_METHOD")
WRONG_SECRET = _recorded("WRONG_SECRET")
BAD_JSON = _recorded("BAD_JSON")
ERROR_IN_WORKFLOW = _recorded("ERROR_IN_WORKFLOW")

# What it answers at moments that cannot be had on demand.
STARTING_UP = Response("<html><body>n8n is starting up. Please wait</body></html>", media_type="text/html")
STOPPING = JSONResponse({"code": 0, "message": "Workflow execution process crashed"}, 500)
DATABASE_LOST = JSONResponse({"code": 503, "message": "Database is not ready!"}, 503)
EMPTY = Response(b"", 200)


async def never(received: Received) -> Response:
    """An answer that does not come (until the client has gone)."""
    await asyncio.sleep(3600)
    raise AssertionError("unreachable")
