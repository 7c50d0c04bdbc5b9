"""A stand-in for n8n: the webhook, a workflow that draws a poster with progress, and the callbacks.

It answers as n8n does and calls back through the public callback, over HTTP. What it does on demand, by words in the
product: ``fail`` makes the workflow fail, ``slow`` makes it take ten times as long.
"""

import asyncio
import itertools
import os
import re

import httpx
import structlog
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from gateway.api.responses import json_response
from gateway.demo.object_store import ObjectStore
from gateway.demo.poster import draw_poster
from gateway.settings import Settings

log = structlog.get_logger(__name__)

STEPS = 20
STEP_SECONDS = 0.2
MAX_RUNNING = 100
"""Most workflows that run at once; n8n would make the webhook wait."""

TRIES = 5
"""How often n8n's HTTP node repeats a callback."""


class StandInN8n:
    """One workflow, active at ``/demo/n8n/webhook/ai-image``."""

    def __init__(self, settings: Settings, store: ObjectStore, *, step_seconds: float = STEP_SECONDS) -> None:
        self._secret = settings.n8n_webhook_secret.get_secret_value()
        self._store = store
        self._step_seconds = step_seconds
        # Several server processes may each have a stand-in; their executions must not have the same numbers.
        self._executions = itertools.count(os.getpid() * 1_000_000 + 1)
        self._running: set[asyncio.Task[None]] = set()
        self.routes = [Route("/demo/n8n/webhook/ai-image", self._webhook, methods=["POST"])]

    async def _webhook(self, request: Request) -> Response:
        if request.headers.get("x-webhook-secret") != self._secret:
            return PlainTextResponse("Authorization data is wrong!", 403)
        if len(self._running) >= MAX_RUNNING:
            return json_response({"message": "Too many executions"}, 429)
        payload = await request.json()
        execution_id = str(next(self._executions))
        task = asyncio.create_task(self._workflow(payload, execution_id))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return json_response({"message": "Workflow was started", "executionId": execution_id})

    async def _workflow(self, payload: dict[str, str], execution_id: str) -> None:
        request_id, product, brand = payload["requestId"], payload["Product"], payload["Your Brand"]
        words = set(re.findall(r"\w+", product.lower()))
        pause = self._step_seconds * (10 if "slow" in words else 1)
        common = {"requestId": request_id, "executionId": execution_id}
        async with httpx.AsyncClient(timeout=10, trust_env=False) as http:
            for step in range(1, STEPS):
                await self._call_back(
                    http, payload, {**common, "status": "processing", "progress": step * 100 // STEPS}
                )
                await asyncio.sleep(pause)
                if "fail" in words and step == STEPS // 2:
                    error = {"message": "The stand-in was asked to fail: the product contains the word “fail”."}
                    await self._call_back(http, payload, {**common, "status": "failed", "error": error})
                    return
            picture = await asyncio.to_thread(draw_poster, product, brand, request_id)
            stored = await asyncio.to_thread(self._store.put, f"ai-images/{request_id}.png", picture)
            await self._call_back(http, payload, {**common, "status": "completed", **stored, "cost": "0.04"})

    async def _call_back(self, http: httpx.AsyncClient, payload: dict[str, str], report: dict[str, object]) -> None:
        for attempt in range(1, TRIES + 1):
            try:
                answer = await http.post(
                    payload["callbackUrl"], json=report, headers={"X-Callback-Secret": payload["callbackSecret"]}
                )
                if answer.is_success:
                    return
                log.warning("stand_in_callback_refused", status=answer.status_code, attempt=attempt)
            except httpx.HTTPError as error:
                log.warning("stand_in_callback_lost", reason=type(error).__name__, attempt=attempt)
            await asyncio.sleep(1)
