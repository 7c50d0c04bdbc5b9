"""Processes killed with -9 round the "sending" mark. What was accepted is never lost, and never sent twice."""

import asyncio

import httpx
import pytest

from storage import dispatch, reads
from storage.database.base import Database
from storage.lifecycle import Status
from tests.people import Person
from tests.processes.conftest import Serve, bearer
from tests.running import eventually
from tests.scripted_n8n import ScriptedN8n

pytestmark = pytest.mark.slow

BODY = {"Product": "Shoes", "Your Brand": "Nike"}
DYING = "tests.processes.dying_gateway"


async def submit(url: str, ada: Person) -> str:
    async with httpx.AsyncClient(base_url=url, verify=False) as http:
        answer = await http.post("/api/ai-generate", json=BODY, headers=bearer(ada))
        assert answer.status_code == 202, answer.text
        return str(answer.json()["requestId"])


async def status_of(outside: Database, request_id: str) -> Status:
    request = await reads.read(outside, request_id)
    assert request is not None
    return request.status


async def test_killed_before_the_mark_another_process_sends_it(
    serve: Serve, outside: Database, ada: Person, n8n: ScriptedN8n
) -> None:
    dying = serve(module=DYING, DIE_AT="before-mark")
    request_id = await submit(dying.url, ada)
    assert await asyncio.to_thread(dying.wait) == -9
    assert n8n.received == []
    await asyncio.to_thread(serve)
    await n8n.until_received(request_id)

    async def processing() -> bool:
        return await status_of(outside, request_id) is Status.PROCESSING

    await eventually(processing)
    assert n8n.times(request_id) == 1


@pytest.mark.parametrize(("point", "times"), [("after-mark", 0), ("after-sending", 1)])
async def test_killed_after_the_mark_nobody_sends_it_again(
    serve: Serve, outside: Database, ada: Person, n8n: ScriptedN8n, point: str, times: int
) -> None:
    dying = serve(module=DYING, DIE_AT=point, AI_DEADLINE_SECONDS="6")
    request_id = await submit(dying.url, ada)
    assert await asyncio.to_thread(dying.wait) == -9
    await asyncio.to_thread(lambda: serve(AI_DEADLINE_SECONDS="6"))

    async def failed() -> bool:
        return await status_of(outside, request_id) is Status.FAILED

    await eventually(failed, 30)  # by its deadline; long after the lease, so a second sending would have shown
    request = await reads.read(outside, request_id)
    assert request is not None
    assert request.error_code == "deadline"
    assert n8n.times(request_id) == times


async def test_stopped_politely_what_was_claimed_is_free_at_once(
    serve: Serve, outside: Database, ada: Person, n8n: ScriptedN8n
) -> None:
    process = serve()
    request_id = await submit(process.url, ada)
    await n8n.until_received(request_id)
    assert await asyncio.to_thread(process.terminate) in (0, -15)
    assert await status_of(outside, request_id) is Status.PROCESSING
    assert await dispatch.claim(outside, "test", 10) == []
