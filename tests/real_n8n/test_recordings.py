"""What a real n8n answers, against the recordings that the everyday suite works with.

`RECORD_N8N=1` writes them anew.
"""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.responses import JSONResponse

from gateway.n8n.execution_data import outcome_of, payloads_of
from gateway.settings import DEVELOPMENT_SECRETS
from tests.real_n8n.conftest import WORLD_PORT
from tests.real_n8n.n8n_server import RealN8n
from tests.real_n8n.world import World
from tests.running import eventually

pytestmark = [pytest.mark.real_n8n, pytest.mark.timeout(600)]

RECORDINGS = Path(__file__).parents[1] / "n8n_recordings"
SECRET = DEVELOPMENT_SECRETS["n8n_webhook_secret"]


def compared_with(name: str, found: dict[str, Any]) -> None:
    file = RECORDINGS / name
    if os.environ.get("RECORD_N8N"):
        RECORDINGS.mkdir(exist_ok=True)
        file.write_text(json.dumps(found, indent=1, ensure_ascii=False, sort_keys=True) + "\n")
    assert found == json.loads(file.read_text())


def recorded(answer: httpx.Response) -> dict[str, Any]:
    """What of an answer is the same every time."""
    body: Any = answer.text
    if answer.text.startswith("{"):
        body = {name: value for name, value in answer.json().items() if name != "stacktrace"}
        if "executionId" in body:
            body["executionId"] = "1"
        if "hint" in body:
            body["hint"] = body["hint"].partition(" (line ")[0]  # newer versions of Node tell the line as well
    return {"status": answer.status_code, "contentType": answer.headers.get("content-type", ""), "body": body}


def without_stacks(value: Any) -> Any:
    """Stack traces name the folders of a machine, and nobody reads them."""
    if isinstance(value, dict):
        return {name: without_stacks(part) for name, part in value.items() if name not in ("stack", "stacktrace")}
    return [without_stacks(part) for part in value] if isinstance(value, list) else value


async def test_answers(n8n_server: RealN8n, world: World) -> None:
    payload = {
        "requestId": "r",
        "Product": "Shoes",
        "Your Brand": "Nike",
        "callbackUrl": f"http://127.0.0.1:{WORLD_PORT}/nowhere",
        "callbackSecret": "s",
    }
    good = {"X-Webhook-Secret": SECRET}
    answers: dict[str, Any] = {}
    async with httpx.AsyncClient(base_url=n8n_server.url, timeout=60, trust_env=False) as http:
        answers["STARTED"] = await http.post("/webhook/ai-image", json=payload, headers=good)
        answers["WRONG_SECRET"] = await http.post("/webhook/ai-image", json=payload)
        answers["NOT_REGISTERED"] = await http.post("/webhook/nothing-here", json=payload)
        answers["TEST_URL_NOT_ARMED"] = await http.post("/webhook-test/ai-image", json=payload)
        answers["WRONG_METHOD"] = await http.get("/webhook/ai-image")
        json_type = {"Content-Type": "application/json"}
        answers["BAD_JSON"] = await http.post("/webhook/ai-image", content=b"{", headers=good | json_type)
        answers["SYNCHRONOUS"] = await http.post("/webhook/synchronous", json=payload, headers=good)
        world.failure = JSONResponse({"error": {"message": "no"}}, 500)
        answers["ERROR_IN_WORKFLOW"] = await http.post("/webhook/synchronous", json=payload, headers=good)
    booting = {
        (answer.status_code, answer.headers.get("content-type", "")[:9]): answer
        for answer in n8n_server.answers_while_booting
    }
    answers["CANNOT_POST"] = booting[404, "text/html"]
    compared_with("answers.json", {name: recorded(answer) for name, answer in answers.items()})


async def test_executions(n8n_server: RealN8n, world: World) -> None:
    payload = {
        "requestId": "11111111-1111-4111-8111-111111111111",
        "Product": "Shoes",
        "Your Brand": "Nike",
        "callbackUrl": f"http://127.0.0.1:{WORLD_PORT}/nowhere",
        "callbackSecret": "s",
    }
    headers = {"X-N8N-API-KEY": n8n_server.api_key}
    kept: dict[str, Any] = {}
    async with httpx.AsyncClient(base_url=n8n_server.url, timeout=60, trust_env=False) as http:

        async def read(execution_id: str) -> dict[str, Any]:
            answer = await http.get(
                f"/api/v1/executions/{execution_id}", params={"includeData": "true"}, headers=headers
            )
            assert answer.status_code == 200, answer.text
            return dict(without_stacks(answer.json()))

        async def newest(status: str) -> str | None:
            answer = await http.get(
                "/api/v1/executions",
                params={"status": status, "limit": 1, "workflowId": "synchronous"},
                headers=headers,
            )
            page = answer.json()
            assert set(page) == {"data", "nextCursor"}
            return str(page["data"][0]["id"]) if page["data"] else None

        async def run(name: str, path: str) -> None:
            before = {status: await newest(status) for status in ("success", "error")}
            await http.post(f"/webhook/{path}", json=payload, headers={"X-Webhook-Secret": SECRET})

            async def ended() -> str | None:
                for status, last in before.items():
                    if (found := await newest(status)) != last:
                        return found
                return None

            kept[name] = await read(await eventually(ended, 60))

        await run("completed", "synchronous")
        world.failure = JSONResponse({"error": {"message": "no"}}, 500)
        await run("failed", "synchronous")
        world.failure, world.seconds = None, 5
        sending = asyncio.create_task(run("late", "synchronous"))
        kept["running"] = await read(await eventually(lambda: newest("running"), 30))
        await sending
        del kept["late"]
        unknown = await http.get("/api/v1/executions/999999", headers=headers)
        assert unknown.status_code == 404
        wrong = await http.get("/api/v1/executions/1", headers={"X-N8N-API-KEY": "x"})
        assert wrong.status_code == 401

    if os.environ.get("RECORD_N8N"):
        (RECORDINGS / "executions.json").write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
    recordings = json.loads((RECORDINGS / "executions.json").read_text())
    for name, execution in kept.items():
        recording = recordings[name]
        assert execution["status"] == recording["status"]
        assert set(payloads_of(execution)) == set(payloads_of(recording)) == {(payload["requestId"], "s")}
        if name != "running":
            ours, theirs = (outcome_of(found, frozenset()) for found in (execution, recording))
            assert type(ours) is type(theirs), name
