"""The shipped workflows in a real n8n, through every trouble. Each ends in the right final status, seen over WebSocket;
the fixture looks at every request's assets once more when the test is over."""

import asyncio
import socket

import httpx
import pytest
from starlette.responses import JSONResponse

from tests.processes.conftest import bearer
from tests.real_n8n.conftest import GATEWAY_URL, Stand
from tests.real_n8n.world import PNG, World
from tests.running import eventually

pytestmark = [pytest.mark.real_n8n, pytest.mark.timeout(600)]


async def test_success_with_progress(stand: Stand, world: World) -> None:
    world.seconds = 1
    await stand.start()
    request_id = await stand.submit("Shoes")
    bodies = await stand.watch(request_id)
    final = bodies[-1]
    assert final["status"] == "completed"
    assert final["storageKey"] == f"ai-images/{request_id}.png"
    assert world.uploads[final["storageKey"]] == PNG
    # n8n runs the nodes of an execution one after another, each once the last one was answered; the WebSocket may skip.
    assert await stand.progress(request_id) == [5, 70]
    assert [body["progress"] for body in bodies if body["progress"] is not None][-1] == 100
    assert world.prompted("Shoes") == 1
    assert await stand.assets() == 1
    assert {"submitted", "sending", "progressed", "completed"} <= set(await stand.kinds(request_id))


async def test_many_at_once(stand: Stand, world: World) -> None:
    await stand.start(AI_GENERATION_RATE_LIMIT_PER_HOUR="100")
    request_ids = await asyncio.gather(*(stand.submit("Many") for _ in range(30)))
    ends = await asyncio.gather(*(stand.watch(request_id) for request_id in request_ids))
    assert {bodies[-1]["status"] for bodies in ends} == {"completed"}
    assert (world.prompted("Many"), await stand.assets()) == (30, 30)


async def test_a_result_that_the_gateway_refuses(stand: Stand, world: World) -> None:
    """The bucket is not allowed: trying again is no help, so the errors workflow says so at once."""
    await stand.start(STORAGE_BUCKETS="campaign", N8N_API_URL="", N8N_API_KEY="")
    final = (await stand.watch(await stand.submit("Refused"), 90))[-1]
    assert (final["status"], final["errorCode"]) == ("failed", "generation_failed")
    assert "The gateway refused the result" in final["errorMessage"]
    assert "STORAGE_BUCKETS" in final["errorMessage"]


async def test_a_failing_provider(stand: Stand, world: World) -> None:
    message = "He said \"no\"\nand \\ left {{ $json }} 'so'"
    world.failure = JSONResponse({"error": {"message": message}}, 400)
    await stand.start()
    final = (await stand.watch(await stand.submit("Failing")))[-1]
    assert (final["status"], final["errorCode"]) == ("failed", "generation_failed")
    assert 'He said "no"' in final["errorMessage"]
    assert "and \\ left {{ $json }} 'so'" in final["errorMessage"]
    assert world.prompted("Failing") == 1, "a second call is a second bill"
    assert await stand.assets() == 0


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, "The image service did not accept the request"),
        (401, "The image service cannot be used at the moment"),
        (429, "The image service is busy"),
        (503, "The image service is not available at the moment"),
    ],
)
async def test_the_user_reads_no_advice_to_the_workflows_author(
    stand: Stand, world: World, status: int, expected: str
) -> None:
    world.failure = JSONResponse({}, status)
    await stand.start()
    final = (await stand.watch(await stand.submit("Advised")))[-1]
    assert (final["status"], final["errorCode"]) == ("failed", "generation_failed")
    message = str(final["errorMessage"])
    assert message.startswith(expected)
    for advice in ("perhaps", "check your", "batching", "node", "{"):
        assert advice not in message


async def test_a_slow_provider(stand: Stand, world: World) -> None:
    world.seconds = 12
    await stand.start()
    final = (await stand.watch(await stand.submit("Slow")))[-1]
    assert final["status"] == "completed"
    assert world.prompted("Slow") == 1


@pytest.mark.parametrize("away", [8.0, 40.0], ids=["within-n8n-retries", "after-them"])
async def test_the_gateway_is_down_during_the_callback(stand: Stand, world: World, away: float) -> None:
    world.seconds = 3
    await stand.start()
    request_id = await stand.submit("Down")
    await eventually(lambda: asyncio.sleep(0, world.prompted("Down") == 1))
    stand.kill()
    await asyncio.sleep(away)  # the length of the outage is what is tested
    await stand.start()
    final = (await stand.watch(request_id, 180))[-1]
    assert final["status"] == "completed"
    assert (world.prompted("Down"), await stand.assets()) == (1, 1)


@pytest.mark.parametrize("deadline", ["15", "900"], ids=["at-the-deadline", "long-before-it"])
async def test_n8n_is_killed_while_it_works(stand: Stand, world: World, deadline: str) -> None:
    """Nobody calls back; n8n, asked after a minute of silence or at the deadline, says what became of it."""
    world.seconds = 20
    await stand.start(AI_DEADLINE_SECONDS=deadline)
    request_id = await stand.submit("Killed")
    await eventually(lambda: asyncio.sleep(0, world.prompted("Killed") == 1))
    await asyncio.to_thread(stand.n8n.kill)
    await asyncio.to_thread(stand.n8n.start)
    final = (await stand.watch(request_id, 180))[-1]
    assert final["status"] == "failed"
    assert final["errorMessage"] == "The workflow was interrupted. Please try again."
    assert world.prompted("Killed") == 1
    assert await stand.assets() == 0


async def test_n8n_is_killed_while_it_works_and_cannot_be_asked(stand: Stand, world: World) -> None:
    world.seconds = 20
    await stand.start(AI_DEADLINE_SECONDS="60", N8N_API_URL="", N8N_API_KEY="")
    request_id = await stand.submit("Unasked")
    await eventually(lambda: asyncio.sleep(0, world.prompted("Unasked") == 1))
    await asyncio.to_thread(stand.n8n.kill)
    await asyncio.to_thread(stand.n8n.start)
    final = (await stand.watch(request_id, 180))[-1]
    assert (final["status"], final["errorCode"]) == ("failed", "deadline")
    assert world.prompted("Unasked") == 1


async def test_n8n_is_killed_while_it_waits_for_the_gateway(stand: Stand, world: World) -> None:
    world.seconds = 1
    await stand.start()
    request_id = await stand.submit("Waiting")
    await eventually(lambda: asyncio.sleep(0, world.prompted("Waiting") == 1))
    stand.kill()
    await asyncio.sleep(45)  # n8n's own retries are over, and the execution waits in its database
    await asyncio.to_thread(stand.n8n.kill)
    await asyncio.to_thread(stand.n8n.start)
    await stand.start()
    final = (await stand.watch(request_id, 180))[-1]
    assert final["status"] == "completed"
    assert (world.prompted("Waiting"), await stand.assets()) == (1, 1)


async def test_a_cancellation_stops_the_execution(stand: Stand, world: World) -> None:
    """An older n8n cannot be asked to; the request is canceled all the same."""
    world.seconds = 20
    await stand.start()
    request_id = await stand.submit("Canceled")
    await eventually(lambda: asyncio.sleep(0, world.prompted("Canceled") == 1))
    async with httpx.AsyncClient(base_url=GATEWAY_URL, headers=bearer(stand.ada), trust_env=False, timeout=15) as http:
        assert (await http.post(f"/api/ai-requests/{request_id}/cancel")).status_code == 200
    can_stop = stand.n8n.version.can_stop

    async def is_settled() -> bool:
        return ("stopped" if can_stop else "not_stopped") in await stand.kinds(request_id)

    await eventually(is_settled, 60)
    await asyncio.sleep(world.seconds)  # what is not stopped brings its picture
    final = (await stand.watch(request_id))[-1]
    assert final["status"] == ("failed" if can_stop else "completed")
    assert list(world.uploads) == ([] if can_stop else [f"ai-images/{request_id}.png"])


async def test_a_wrong_secret(stand: Stand, world: World) -> None:
    await stand.start(N8N_WEBHOOK_SECRET="not-the-secret-of-the-workflow-at-all")
    final = (await stand.watch(await stand.submit("Wrong")))[-1]
    assert (final["status"], final["errorCode"]) == ("failed", "dispatch_refused")
    assert world.prompts == []


async def test_an_inactive_workflow(stand: Stand, world: World) -> None:
    await stand.start(N8N_WEBHOOK_URL=f"{stand.n8n.url}/webhook/inactive")
    final = (await stand.watch(await stand.submit("Inactive"), 150))[-1]
    assert (final["status"], final["errorCode"]) == ("failed", "dispatch_refused")
    assert "not active" in final["errorMessage"]


async def test_a_test_url(stand: Stand, world: World) -> None:
    await stand.start(N8N_WEBHOOK_URL=f"{stand.n8n.url}/webhook-test/ai-image")
    final = (await stand.watch(await stand.submit("Test")))[-1]
    assert (final["status"], final["errorCode"]) == ("failed", "dispatch_refused")


async def test_a_synchronous_workflow(stand: Stand, world: World) -> None:
    world.seconds = 2
    await stand.start(N8N_WEBHOOK_URL=f"{stand.n8n.url}/webhook/synchronous")
    request_id = await stand.submit("Synchronous")
    final = (await stand.watch(request_id))[-1]
    assert (final["status"], final["storageKey"]) == ("completed", f"ai-images/{request_id}.png")
    assert await stand.assets() == 1


async def test_a_synchronous_workflow_that_breaks(stand: Stand, world: World) -> None:
    world.failure = JSONResponse({"error": {"message": "no"}}, 500)
    await stand.start(N8N_WEBHOOK_URL=f"{stand.n8n.url}/webhook/synchronous")
    final = (await stand.watch(await stand.submit("Breaking")))[-1]
    assert (final["status"], final["errorCode"]) == ("failed", "generation_failed")


async def test_in_doubt_while_it_runs_n8n_is_asked_and_the_picture_found(stand: Stand, world: World) -> None:
    """The gateway gives up waiting for the answer that would have carried the picture."""
    world.seconds = 25
    await stand.start(N8N_WEBHOOK_URL=f"{stand.n8n.url}/webhook/synchronous", N8N_TIMEOUT_SECONDS="2")
    request_id = await stand.submit("Doubtful")
    bodies = await stand.watch(request_id, 120)
    assert [body["status"] for body in bodies][-2:] == ["processing", "completed"]
    assert "in_doubt" in await stand.kinds(request_id)
    assert (world.prompted("Doubtful"), await stand.assets()) == (1, 1)


async def test_a_running_execution_gets_more_time(stand: Stand, world: World) -> None:
    world.seconds = 25
    await stand.start(AI_DEADLINE_SECONDS="8")
    request_id = await stand.submit("Late")
    final = (await stand.watch(request_id))[-1]
    assert final["status"] == "completed"
    assert "more_time" in await stand.kinds(request_id)


async def test_a_lost_execution_fails_with_its_reason(stand: Stand, world: World) -> None:
    """Nothing of it is in n8n: the POST was cut before n8n read it, as far as the gateway can tell."""
    with socket.create_server(("127.0.0.1", 0)) as silent:  # nobody ever accepts
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        await stand.start(N8N_WEBHOOK_URL=url, N8N_TIMEOUT_SECONDS="2", AI_DEADLINE_SECONDS="8")
        final = (await stand.watch(await stand.submit("Lost")))[-1]
    assert (final["status"], final["errorCode"]) == ("failed", "deadline")
    assert "n8n" in final["errorMessage"]


async def test_the_error_workflow_reports_by_execution(stand: Stand, world: World) -> None:
    """n8n's error workflow knows only the execution; the progress callback has told whose it is."""
    world.failure, world.seconds = JSONResponse({"error": {"message": "out of credits"}}, 400), 1
    await stand.start(N8N_WEBHOOK_URL=f"{stand.n8n.url}/webhook/careless", N8N_API_URL="", N8N_API_KEY="")
    final = (await stand.watch(await stand.submit("Careless")))[-1]
    assert (final["status"], final["errorCode"]) == ("failed", "generation_failed")
    assert "out of credits" in final["errorMessage"], final
    assert world.prompted("Careless") == 1
