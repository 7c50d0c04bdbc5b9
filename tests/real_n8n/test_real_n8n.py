"""The shipped workflows in a real n8n, through every trouble. Each ends in the right final status, seen over WebSocket;
the fixture looks at every request's assets once more when the test is over."""

import asyncio

import pytest
from starlette.responses import JSONResponse

from tests.real_n8n.conftest import Stand
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


async def test_n8n_is_killed_while_it_works(stand: Stand, world: World) -> None:
    world.seconds = 20
    await stand.start(AI_DEADLINE_SECONDS="15")
    request_id = await stand.submit("Killed")
    await eventually(lambda: asyncio.sleep(0, world.prompted("Killed") == 1))
    await asyncio.to_thread(stand.n8n.kill)
    await asyncio.to_thread(stand.n8n.start, "")
    final = (await stand.watch(request_id, 120))[-1]
    assert final["status"] == "failed"
    assert final["errorMessage"] == "The workflow was interrupted. Please try again."
    assert world.prompted("Killed") == 1
    assert await stand.assets() == 0


async def test_n8n_is_killed_while_it_waits_for_the_gateway(stand: Stand, world: World) -> None:
    world.seconds = 1
    await stand.start()
    request_id = await stand.submit("Waiting")
    await eventually(lambda: asyncio.sleep(0, world.prompted("Waiting") == 1))
    stand.kill()
    await asyncio.sleep(45)  # n8n's own retries are over, and the execution waits in its database
    await asyncio.to_thread(stand.n8n.kill)
    await asyncio.to_thread(stand.n8n.start, "")
    await stand.start()
    final = (await stand.watch(request_id, 180))[-1]
    assert final["status"] == "completed"
    assert (world.prompted("Waiting"), await stand.assets()) == (1, 1)


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
    silent = await asyncio.start_server(lambda reader, writer: asyncio.sleep(600), "127.0.0.1", 0)
    url = f"http://127.0.0.1:{silent.sockets[0].getsockname()[1]}/"
    await stand.start(N8N_WEBHOOK_URL=url, N8N_TIMEOUT_SECONDS="2", AI_DEADLINE_SECONDS="8")
    final = (await stand.watch(await stand.submit("Lost")))[-1]
    assert (final["status"], final["errorCode"]) == ("failed", "deadline")
    assert "n8n" in final["errorMessage"]
    silent.close()


async def test_the_error_workflow_reports_by_execution(stand: Stand, world: World) -> None:
    """n8n's error workflow knows only the execution; the progress callback has told whose it is."""
    world.failure, world.seconds = JSONResponse({"error": {"message": "out of credits"}}, 400), 1
    await stand.start(N8N_WEBHOOK_URL=f"{stand.n8n.url}/webhook/careless", N8N_API_URL="", N8N_API_KEY="")
    final = (await stand.watch(await stand.submit("Careless")))[-1]
    assert (final["status"], final["errorCode"]) == ("failed", "generation_failed")
    assert "out of credits" in final["errorMessage"] or "Bad request" in final["errorMessage"], final
    assert world.prompted("Careless") == 1
