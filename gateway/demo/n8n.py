"""A stand-in for n8n: the webhook, a workflow that draws a poster with progress, and the callbacks.

It answers as n8n does and calls back through the public callback, over HTTP. What it does on demand, by words in the
product: ``fail`` makes the workflow fail, ``slow`` makes it take ten times as long. Like n8n it keeps what it works on,
and goes on with it when it is started again.
"""

import asyncio
import contextlib
import re
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import structlog
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from gateway.api.responses import json_response
from gateway.demo.executions import Execution, Executions
from gateway.demo.object_store import ObjectStore
from gateway.demo.poster import draw_poster
from gateway.http_client import new_client
from gateway.n8n.turned_away import N8N_WITHOUT_DATABASE
from gateway.settings import Settings
from gateway.tasks import stop_all

log = structlog.get_logger(__name__)

STEPS = 20
STEP_SECONDS = 0.2
MAX_RUNNING = 100
"""Most workflows that run at once; n8n would make the webhook wait."""

TRIES = 5
"""How often n8n's HTTP node repeats a callback."""

FOR_GOOD = (400, 401, 404, 409)
"""Answers that are the same however often the callback is repeated."""


class CallbackRefused(Exception):
    """The gateway does not want to hear of this execution any more."""


class StandInN8n:
    """One workflow, active at ``/demo/n8n/webhook/ai-image``.

    Args:
        settings: with the webhook's secret.
        store: where the posters go.
        folder: for what it works on.
        step_seconds: pause between two reports of progress.
    """

    def __init__(
        self, settings: Settings, store: ObjectStore, folder: Path, *, step_seconds: float = STEP_SECONDS
    ) -> None:
        self._secret = settings.n8n_webhook_secret.get_secret_value()
        self._callback_url = settings.callback_url
        self._store = store
        self._step_seconds = step_seconds
        self._executions = Executions(folder)
        self._running: set[asyncio.Task[None]] = set()
        self.routes = [Route("/demo/n8n/webhook/ai-image", self._webhook, methods=["POST"])]

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Work, first on what an earlier process left unfinished."""
        with self._executions.taken() as unfinished:
            for execution in unfinished:
                execution.payload["callbackUrl"] = self._callback_url  # the demo may have come back on another port
                self._start(execution)
            if unfinished:
                log.info("stand_in_goes_on", executions=len(unfinished))
            try:
                yield
            finally:
                await stop_all(*self._running)

    async def _webhook(self, request: Request) -> Response:
        if request.headers.get("x-webhook-secret") != self._secret:
            return PlainTextResponse("Authorization data is wrong!", 403)
        if len(self._running) >= MAX_RUNNING:
            return json_response(N8N_WITHOUT_DATABASE, 503)  # the one "not now" of n8n's that proves anything
        execution = Execution(str(1 + secrets.randbelow(10**12)), await request.json())
        self._executions.keep(execution)
        self._start(execution)
        return json_response({"message": "Workflow was started", "executionId": execution.id})

    def _start(self, execution: Execution) -> None:
        task = asyncio.create_task(self._run(execution))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _run(self, execution: Execution) -> None:
        """Carry the execution to its end; if this process ends before, it is not forgotten."""
        try:
            await self._workflow(execution)
        except CallbackRefused as error:
            log.warning("stand_in_gives_up", execution_id=execution.id, reason=str(error))
        self._executions.forget(execution)

    async def _workflow(self, execution: Execution) -> None:
        product, brand = execution.payload["Product"], execution.payload["Your Brand"]
        request_id = execution.payload["requestId"]
        words = set(re.findall(r"\w+", product.lower()))
        pause = self._step_seconds * (10 if "slow" in words else 1)
        for step in range(execution.step or 1, STEPS):
            execution.step = step
            self._executions.keep(execution)
            await self._call_back(execution, status="processing", progress=step * 100 // STEPS)
            await asyncio.sleep(pause)
            if "fail" in words and step == STEPS // 2:
                error = {"message": "The stand-in was asked to fail: the product contains the word “fail”."}
                await self._call_back(execution, status="failed", error=error)
                return
        picture = await asyncio.to_thread(draw_poster, product, brand, request_id)
        stored = await asyncio.to_thread(self._store.put, f"ai-images/{request_id}.png", picture)
        await self._call_back(execution, status="completed", **stored, cost="0.04")

    async def _call_back(self, execution: Execution, **report: object) -> None:
        payload = execution.payload
        content = {"requestId": payload["requestId"], "executionId": execution.id, **report}
        headers = {"X-Callback-Secret": payload["callbackSecret"]}
        async with new_client(timeout=10) as http:
            for attempt in range(1, TRIES + 1):
                try:
                    answer = await http.post(payload["callbackUrl"], json=content, headers=headers)
                except httpx.HTTPError as error:
                    reason = type(error).__name__
                else:
                    if answer.is_success:
                        return
                    reason = f"answered {answer.status_code}"
                    if answer.status_code in FOR_GOOD:
                        raise CallbackRefused(reason)
                log.warning("stand_in_callback_lost", reason=reason, attempt=attempt)
                await asyncio.sleep(1)
