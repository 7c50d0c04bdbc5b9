"""What the imported workflow talks to besides the gateway: an image provider and an object store."""

import asyncio
import base64
import contextlib
import uuid
from collections.abc import AsyncIterator

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.server.listener import bind
from tests.running import serving

PROVIDER_KEY = "provider-key"
SERVICE_KEY = "service-role-key"

# A transparent picture of one pixel.
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)


class World:
    """An image provider in the form of OpenAI's, and Supabase Storage's upload."""

    def __init__(self) -> None:
        self.prompts: list[str] = []
        self.uploads: dict[str, bytes] = {}
        self.failure: Response | None = None
        self.seconds = 0.0

    async def generate(self, request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {PROVIDER_KEY}":
            return JSONResponse({"error": {"message": "Incorrect API key provided"}}, 401)
        self.prompts.append((await request.json())["prompt"])
        await asyncio.sleep(self.seconds)
        if self.failure is not None:
            return self.failure
        return JSONResponse({"created": 1, "data": [{"b64_json": base64.b64encode(PNG).decode()}]})

    async def upload(self, request: Request) -> Response:
        if request.headers.get("apikey") != SERVICE_KEY:
            return JSONResponse({"statusCode": "403", "error": "Unauthorized", "message": "Invalid key"}, 400)
        key = request.path_params["name"]
        self.uploads[key] = await request.body()
        return JSONResponse({"Id": str(uuid.uuid5(uuid.NAMESPACE_URL, key)), "Key": key})

    def prompted(self, product: str) -> int:
        """How often a picture of `product` was asked for: each is a bill."""
        return sum(f" {product} " in prompt for prompt in self.prompts)


@contextlib.asynccontextmanager
async def running_world(port: int) -> AsyncIterator[World]:
    world = World()
    app = Starlette(
        routes=[
            Route("/v1/images/generations", world.generate, methods=["POST"]),
            Route("/storage/v1/object/{name:path}", world.upload, methods=["POST"]),
        ]
    )
    listener = bind("127.0.0.1", port)
    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=1)
    async with serving(app, config, listener):
        yield world
