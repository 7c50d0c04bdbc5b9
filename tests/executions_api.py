"""n8n's public API as a stand-in: it serves executions as a real n8n was recorded to."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from gateway.auth.callback_secrets import CallbackSecrets
from gateway.n8n import executions, recovery
from gateway.server.listener import bind
from gateway.settings import Settings
from storage import dispatch
from tests import n8n_recordings, scripted_n8n
from tests.conftest import Person
from tests.running import RunningGateway, eventually, serving
from tests.scripted_n8n import ScriptedN8n

KEY = "n8n-api-key"
RECORDED = n8n_recordings.executions()
RECORDED_REQUEST = "11111111-1111-4111-8111-111111111111"


def callback_secrets() -> CallbackSecrets:
    """Those of a gateway under test; made when a test runs, whose environment has been cleaned."""
    return CallbackSecrets(Settings.load())


class ExecutionsApi:
    """n8n's public API over executions that a test puts there."""

    def __init__(self) -> None:
        self.url = ""
        self.executions: dict[str, dict[str, Any]] = {}
        self.answer: Response | None = None
        self.drips = False
        self.fetched: list[str] = []
        self.listed = 0
        self.knows_new = True
        self.hides_new = False

    def put(self, execution_id: str, kind: str, request_id: str, **changes: Any) -> dict[str, Any]:
        """An execution like the recorded one, for `request_id`."""
        text = json.dumps(RECORDED[kind]).replace(RECORDED_REQUEST, request_id)
        text = text.replace('"callbackSecret": "s"', f'"callbackSecret": "{callback_secrets().token_for(request_id)}"')
        execution: dict[str, Any] = {
            **json.loads(text),
            "id": execution_id,
            "startedAt": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            **({"startedAt": None} if kind == "new" else {}),
            **changes,
        }
        self.executions[execution_id] = execution
        return execution

    async def list(self, request: Request) -> Response:
        if self.drips:
            return StreamingResponse(dripping(), media_type="application/json")
        if (refusal := self._refusal(request)) is not None:
            return refusal
        self.listed += 1
        status = request.query_params.get("status")
        hides_new = self.hides_new or not self.knows_new
        found = [
            {name: value for name, value in execution.items() if name not in ("data", "padding")}
            for execution in sorted(self.executions.values(), key=lambda e: int(e["id"]), reverse=True)
            if (execution["status"] == status if status else execution["status"] != "running")
            and not (hides_new and execution["status"] == "new")
        ]
        return JSONResponse({"data": found[:250], "nextCursor": None})

    async def one(self, request: Request) -> Response:
        if (refusal := self._refusal(request)) is not None:
            return refusal
        execution = self.executions.get(request.path_params["id"])
        if execution is None:
            return JSONResponse({"message": "Not Found"}, 404)
        self.fetched.append(request.path_params["id"])
        return JSONResponse(execution)

    def _refusal(self, request: Request) -> Response | None:
        if self.answer is not None:
            return self.answer
        if not self.knows_new and request.query_params.get("status") == "new":
            return JSONResponse({"message": "request/query/status must be equal to one of the allowed values"}, 400)
        good = request.headers.get("x-n8n-api-key") == KEY
        return None if good else JSONResponse({"message": "unauthorized"}, 401)


async def dripping() -> AsyncIterator[bytes]:
    """An answer that never ends and never pauses for long."""
    for _ in range(600):
        yield b" "
        await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def running_api() -> AsyncIterator[ExecutionsApi]:
    made = ExecutionsApi()
    app = Starlette(routes=[Route("/api/v1/executions", made.list), Route("/api/v1/executions/{id}", made.one)])
    listener = bind("127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=1)
    async with serving(app, config, listener):
        yield made


def asking(settings: Settings, api: ExecutionsApi, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings under which n8n is asked, without the usual pauses."""
    monkeypatch.setattr(recovery, "SWEEP_SECONDS", 0.05)
    monkeypatch.setattr(recovery, "PROBE_SECONDS", 0.05)
    monkeypatch.setattr(recovery, "PROBE_AGAIN_SECONDS", 0.2)
    monkeypatch.setattr(executions, "CALLS_PER_MINUTE", 100_000)
    monkeypatch.setattr(dispatch, "IN_DOUBT_SECONDS", 0.1)
    key = Settings.load({"n8n_api_url": api.url, "n8n_api_key": KEY}).n8n_api_key
    return settings.model_copy(update={"n8n_api_url": api.url, "n8n_api_key": key, "n8n_timeout_seconds": 5})


async def in_doubt(gateway: RunningGateway, person: Person, n8n: ScriptedN8n) -> str:
    """A request whose sending is in doubt, noted as such."""
    n8n.answers(scripted_n8n.EMPTY)
    request_id = await gateway.submitted(person.id)
    await until_kind(gateway, request_id, "in_doubt")
    return request_id


async def until_kind(gateway: RunningGateway, request_id: str, kind: str) -> None:
    async def noted() -> bool:
        return kind in await kinds(gateway, request_id)

    await eventually(noted)


async def kinds(gateway: RunningGateway, request_id: str) -> list[str]:
    events = "SELECT kind FROM ai_request_events WHERE request_id = :id ORDER BY id"
    return [row["kind"] for row in await gateway.state.database.all(events, id=request_id)]


async def let_expire(gateway: RunningGateway, request_id: str, seconds: float = 0) -> None:
    """Move the deadline into the past."""
    await gateway.state.database.all(
        "UPDATE ai_image_requests SET deadline_at = AFTER(:seconds), probe_at = NULL WHERE id = :id",
        id=request_id,
        seconds=-seconds,
    )


async def asked(gateway: RunningGateway, request_id: str) -> Any:
    row = await gateway.state.database.one("SELECT probe_at FROM ai_image_requests WHERE id = :id", id=request_id)
    assert row is not None
    return row["probe_at"]


async def different(gateway: RunningGateway, request_id: str, before: Any) -> bool:
    return bool(await asked(gateway, request_id) != before)
