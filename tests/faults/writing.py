"""The writer: submits over HTTP, cancels some, and plays n8n's part of every request's life, by callbacks that are
repeated until they are taken."""

import asyncio
import contextlib
import random
from collections.abc import Coroutine
from typing import Any

import httpx
from starlette.responses import JSONResponse, Response

from gateway.settings import DEVELOPMENT_SECRETS
from tests.faults.history import History
from tests.faults.stand import Stand, bearer
from tests.scripted_n8n import Received

STEPS = 12
STEP_SECONDS = 0.35
ANSWER_SECONDS = 0.8
"""How long n8n takes to answer; some callbacks come before its answer."""

FAILURES = 0.2
"""Share of the requests that fail."""

CANCELLATIONS = 0.25
"""Share of the requests that their users cancel, at some moment of their lives or before."""

SECRET = {"X-Callback-Secret": DEVELOPMENT_SECRETS["ai_callback_secret"]}


class Writer:
    """Submits requests and drives each through its life once n8n has received it.

    Args:
        stand: where everything runs.
        history: what was accepted and sent is written down there.
        quiet_seconds: how long n8n neither answers nor calls back at first.
    """

    def __init__(self, stand: Stand, history: History, *, quiet_seconds: float = 0.0) -> None:
        self._quiet_seconds = quiet_seconds
        self._stand = stand
        self._history = history
        self._lives: set[asyncio.Task[None]] = set()
        stand.n8n.script = self._received

    async def submit(self, user: str) -> str | None:
        """Submit until some gateway answers; None if the answer was lost, so that nobody knows."""
        async with httpx.AsyncClient(verify=False, timeout=5) as http:
            for _ in range(60):
                with contextlib.suppress(httpx.HTTPError):
                    answer = await http.post(
                        f"{self._stand.any_url()}/api/ai-generate",
                        json={"Product": "Shoes", "Your Brand": "Nike"},
                        headers=bearer(user),
                    )
                    if answer.status_code == 202:
                        request_id = str(answer.json()["requestId"])
                        self._history.accepted[request_id] = user
                        if random.random() < CANCELLATIONS:
                            self._keep(self._cancel(user, request_id))
                        return request_id
                await asyncio.sleep(0.2)
        return None

    async def _received(self, received: Received) -> Response:
        self._history.sent[received.request_id] = self._history.sent.get(received.request_id, 0) + 1
        self._keep(self._live(received.request_id))
        await asyncio.sleep(max(ANSWER_SECONDS, self._quiet_seconds))
        return JSONResponse({"message": "Workflow was started"})

    def _keep(self, life: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(life)
        self._lives.add(task)
        task.add_done_callback(self._lives.discard)

    async def _cancel(self, user: str, request_id: str) -> None:
        await asyncio.sleep(random.choice([0.0, random.uniform(0, STEPS * STEP_SECONDS)]))
        path = f"/api/ai-requests/{request_id}/cancel"
        async with httpx.AsyncClient(verify=False, timeout=5) as http:
            for _ in range(200):
                with contextlib.suppress(httpx.HTTPError):
                    answer = await http.post(f"{self._stand.any_url()}{path}", headers=bearer(user))
                    if answer.status_code == 200:
                        self._history.canceled.add(request_id)
                    if answer.status_code < 500:
                        return
                await asyncio.sleep(0.2)

    async def _live(self, request_id: str) -> None:
        await asyncio.sleep(self._quiet_seconds)
        for step in range(1, STEPS):
            await asyncio.sleep(random.uniform(0.5, 1.5) * STEP_SECONDS)
            await self._call_back({"requestId": request_id, "status": "processing", "progress": step * 8}, tries=2)
        if random.random() < FAILURES:
            await self._call_back({"requestId": request_id, "status": "failed", "error": "provider"}, tries=200)
            return
        last: dict[str, object] = {
            "requestId": request_id,
            "status": "completed",
            "Key": f"b/{request_id}.png",
            "Id": request_id,
        }
        await asyncio.gather(*(self._call_back(last, tries=200) for _ in range(3)))  # n8n repeats itself

    async def _call_back(self, news: dict[str, object], *, tries: int) -> None:
        async with httpx.AsyncClient(verify=False, timeout=5) as http:
            for _ in range(tries):
                with contextlib.suppress(httpx.HTTPError):
                    answer = await http.post(f"{self._stand.any_url()}/api/ai-callback", json=news, headers=SECRET)
                    if answer.status_code < 500:
                        return
                await asyncio.sleep(0.2)

    async def finish(self) -> None:
        """Wait until every life has been told to its end."""
        while self._lives:
            await asyncio.wait(set(self._lives))
