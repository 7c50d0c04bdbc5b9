"""An n8n whose answers a test decides: a real HTTP server that says what a real n8n was seen to say."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from gateway.server import bind
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


# What a real n8n answers, by the case that makes it do so.
STARTED = JSONResponse({"message": "Workflow was started"})
STARTING_UP = Response("<html><body>n8n is starting up. Please wait</body></html>", media_type="text/html")
CANNOT_POST = Response("<pre>Cannot POST /webhook/ai-image</pre>", 404, media_type="text/html")
NOT_REGISTERED = JSONResponse(
    {
        "code": 404,
        "message": 'The requested webhook "POST ai-image" is not registered.',
        "hint": "The workflow must be active for a production URL to run successfully.",
    },
    404,
)
TEST_URL_NOT_ARMED = JSONResponse(
    {
        "code": 404,
        "message": 'The requested webhook "ai-image" is not registered.',
        "hint": "Click the 'Execute workflow' button on the canvas, then try again.",
    },
    404,
)
WRONG_METHOD = JSONResponse(
    {"code": 404, "message": "This webhook is not registered for POST requests. Did you mean to make a GET request?"},
    404,
)
WRONG_SECRET = PlainTextResponse("Authorization data is wrong!", 403)
BAD_JSON = JSONResponse({"code": 422, "message": "Failed to parse request body"}, 422)
ERROR_IN_WORKFLOW = JSONResponse({"message": "Error in workflow"}, 500)
STOPPING = JSONResponse({"code": 0, "message": "Workflow execution process crashed"}, 500)
DATABASE_LOST = JSONResponse({"code": 503, "message": "Database is not ready!"}, 503)
EMPTY = Response(b"", 200)


async def never(received: Received) -> Response:
    """An answer that does not come (until the client has gone)."""
    await asyncio.sleep(3600)
    raise AssertionError("unreachable")
