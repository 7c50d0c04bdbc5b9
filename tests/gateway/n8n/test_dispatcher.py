"""What the gateway does with n8n's answers, and with an n8n that does not answer."""

import asyncio
from typing import Any

import pytest
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

from gateway.n8n import dispatcher, recording, retries, webhook
from gateway.n8n.retries import retry_delay
from gateway.settings import Settings
from tests import scripted_n8n
from tests.people import People, Person
from tests.running import RunningGateway, eventually, running_gateway
from tests.scripted_n8n import Received, ScriptedN8n
from tests.servers import free_port


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries without the usual pauses."""
    monkeypatch.setattr(retries, "FIRST_RETRY_SECONDS", 0.02)
    monkeypatch.setattr(retries, "LONGEST_RETRY_SECONDS", 0.1)


FINAL = [
    ("wrong secret", scripted_n8n.WRONG_SECRET, "dispatch_refused"),
    ("test URL not armed", scripted_n8n.TEST_URL_NOT_ARMED, "dispatch_refused"),
    ("wrong method", scripted_n8n.WRONG_METHOD, "dispatch_refused"),
    ("bad JSON", scripted_n8n.BAD_JSON, "dispatch_refused"),
    ("error in workflow", scripted_n8n.ERROR_IN_WORKFLOW, "generation_failed"),
]


@pytest.mark.parametrize(("response", "code"), [pytest.param(r, c, id=name) for name, r, c in FINAL])
async def test_final_answers_fail_at_once_and_a_late_picture_still_wins(
    gateway: RunningGateway, ada: Person, n8n: ScriptedN8n, response: Response, code: str
) -> None:
    n8n.answers(response)
    request_id = await gateway.submitted(ada.id)
    body = await gateway.until(ada.id, request_id, "failed")
    assert body["errorCode"] == code
    assert n8n.times(request_id) == 1
    await gateway.callback({"requestId": request_id, "status": "completed", "Key": "b/a.png", "Id": "1"})
    assert (await gateway.body(ada.id, request_id))["status"] == "completed"


AGAIN = [
    scripted_n8n.STARTING_UP,
    scripted_n8n.CANNOT_POST,
    scripted_n8n.NOT_REGISTERED,
    PlainTextResponse("error code: 1015", 429),
    scripted_n8n.DATABASE_LOST,
    PlainTextResponse("", 521),
]


@pytest.mark.usefixtures("impatient")
async def test_what_n8n_did_not_start_is_sent_again(gateway: RunningGateway, ada: Person, n8n: ScriptedN8n) -> None:
    n8n.answers(*AGAIN, scripted_n8n.STARTED)
    request_id = await gateway.submitted(ada.id)
    await gateway.until(ada.id, request_id, "processing")
    assert n8n.times(request_id) == len(AGAIN) + 1


@pytest.mark.usefixtures("impatient")
async def test_a_refused_connection_is_tried_again(settings: Settings, users_table: str) -> None:
    port = free_port()
    settings = settings.model_copy(update={"n8n_webhook_url": f"http://127.0.0.1:{port}/webhook", "n8n_attempts": 4})
    async with running_gateway(settings) as gateway:
        ada = await People(gateway.state.database, users_table).person()
        request_id = await gateway.submitted(ada.id)
        body = await gateway.until(ada.id, request_id, "failed")
        assert body["errorCode"] == "dispatch_exhausted"
        assert "4 attempts" in body["errorMessage"]


@pytest.mark.usefixtures("impatient")
async def test_an_inactive_workflow_is_final_after_a_while(
    gateway: RunningGateway, ada: Person, n8n: ScriptedN8n, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "UNREGISTERED_SECONDS", 0.3)
    n8n.answers(scripted_n8n.NOT_REGISTERED)
    request_id = await gateway.submitted(ada.id)
    body = await gateway.until(ada.id, request_id, "failed")
    assert body["errorCode"] == "dispatch_refused"
    assert "not active" in body["errorMessage"]
    assert n8n.times(request_id) > 1


async def in_doubt(gateway: RunningGateway, request_id: str) -> None:
    async def noted() -> bool:
        rows = await gateway.state.database.all(
            "SELECT kind FROM ai_request_events WHERE request_id = :id AND kind = 'in_doubt'", id=request_id
        )
        return bool(rows)

    await eventually(noted)


async def reach_deadline(gateway: RunningGateway, request_id: str) -> None:
    await gateway.state.database.all(
        "UPDATE ai_image_requests SET deadline_at = AFTER(:s) WHERE id = :id", id=request_id, s=0.0
    )


NOT_HERE = {"code": 404, "message": 'The requested webhook "POST upscale" is not registered.'}
PROVIDERS_PAGE = bytes(scripted_n8n.CANNOT_POST.body).replace(b"/webhook/ai-image", b"/v1/images/generations")


async def cut(received: Received) -> Response:
    """n8n is killed after it has read the body."""

    async def broken() -> Any:
        yield b'{"mess'
        raise ConnectionResetError

    from starlette.responses import StreamingResponse

    return StreamingResponse(broken(), headers={"Content-Length": "100"})


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    "case",
    [
        *("stopping", "empty", "timeout", "reset", "a proxy's 502", "a proxy's 504", "a proxy's 503"),
        *("another n8n's 404", "a provider's 404"),
    ],
)
async def test_what_is_in_doubt_is_never_sent_again(
    settings: Settings, users_table: str, n8n: ScriptedN8n, case: str
) -> None:
    if case in ("timeout", "reset"):
        n8n.script = scripted_n8n.never if case == "timeout" else cut
    else:
        n8n.answers(
            {
                "stopping": scripted_n8n.STOPPING,
                "empty": scripted_n8n.EMPTY,
                "another n8n's 404": JSONResponse(NOT_HERE, 404),
                "a provider's 404": HTMLResponse(PROVIDERS_PAGE, 404),
                "a proxy's 502": HTMLResponse("<h1>502 Bad Gateway</h1>", 502),
                "a proxy's 503": PlainTextResponse("Service Unavailable", 503),
                "a proxy's 504": HTMLResponse("<h1>504 Gateway Time-out</h1>", 504),
            }[case]
        )
    settings = settings.model_copy(update={"n8n_timeout_seconds": 0.3})
    async with running_gateway(settings) as gateway:
        ada = await People(gateway.state.database, users_table).person()
        request_id = await gateway.submitted(ada.id)
        await in_doubt(gateway, request_id)
        assert (await gateway.body(ada.id, request_id))["status"] == "pending"
        received = await n8n.until_received(request_id)
        await n8n.call_back(received, status="completed", Key="b/a.png", Id="1")
        assert (await gateway.body(ada.id, request_id))["status"] == "completed"
        assert n8n.times(request_id) == 1


async def test_what_is_in_doubt_ends_at_its_deadline(settings: Settings, users_table: str, n8n: ScriptedN8n) -> None:
    n8n.answers(scripted_n8n.STOPPING)
    async with running_gateway(settings) as gateway:
        ada = await People(gateway.state.database, users_table).person()
        request_id = await gateway.submitted(ada.id)
        await in_doubt(gateway, request_id)
        await reach_deadline(gateway, request_id)
        body = await gateway.until(ada.id, request_id, "failed")
        assert (body["errorCode"], n8n.times(request_id)) == ("deadline", 1)
        await gateway.callback({"requestId": request_id, "status": "completed", "Key": "b/a.png", "Id": "1"})
        assert (await gateway.body(ada.id, request_id))["status"] == "completed"


async def test_a_workflow_that_never_calls_back_ends_at_its_deadline(
    settings: Settings, users_table: str, n8n: ScriptedN8n
) -> None:
    async with running_gateway(settings) as gateway:
        ada = await People(gateway.state.database, users_table).person()
        request_id = await gateway.submitted(ada.id)
        await gateway.until(ada.id, request_id, "processing")
        await reach_deadline(gateway, request_id)
        assert (await gateway.until(ada.id, request_id, "failed"))["errorCode"] == "deadline"


@pytest.mark.parametrize("content", [{"Key": "b/a.png", "Id": "1", "cost": 0.5}, [{"Key": "b/a.png", "Id": "1"}]])
async def test_a_synchronous_workflow_needs_no_callback(
    gateway: RunningGateway, ada: Person, n8n: ScriptedN8n, content: Any
) -> None:
    n8n.answers(JSONResponse(content))
    request_id = await gateway.submitted(ada.id)
    body = await gateway.until(ada.id, request_id, "completed")
    assert (body["storageKey"], body["storageId"]) == ("b/a.png", "1")
    assert len(await gateway.state.database.all("SELECT id FROM assets")) == 1


async def test_an_answer_may_hold_the_picture_itself(gateway: RunningGateway, ada: Person, n8n: ScriptedN8n) -> None:
    n8n.answers(JSONResponse({"picture": "x" * 3_000_000, "Key": "b/a.png", "Id": "1"}))
    await gateway.until(ada.id, await gateway.submitted(ada.id), "completed")


async def test_an_answer_has_a_bound(
    gateway: RunningGateway, ada: Person, n8n: ScriptedN8n, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "MAX_ANSWER", 100_000)
    n8n.answers(JSONResponse({"picture": "x" * 3_000_000}))
    request_id = await gateway.submitted(ada.id)
    await gateway.until(ada.id, request_id, "processing")


async def test_an_answer_that_drips_is_given_up(settings: Settings, users_table: str, n8n: ScriptedN8n) -> None:
    async def drip(received: Received) -> Response:
        from starlette.responses import StreamingResponse

        async def bytes_for_ever() -> Any:
            while True:
                yield b" "
                await asyncio.sleep(0.05)

        return StreamingResponse(bytes_for_ever())

    n8n.script = drip
    async with running_gateway(settings.model_copy(update={"n8n_timeout_seconds": 0.5})) as gateway:
        ada = await People(gateway.state.database, users_table).person()
        await in_doubt(gateway, await gateway.submitted(ada.id))


async def test_stopped_between_the_mark_and_the_sending_it_is_given_back(
    settings: Settings, users_table: str, n8n: ScriptedN8n, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without any grace: what was marked and not sent is sent by the next process, once."""
    from storage import dispatch

    marked, mark = asyncio.Event(), dispatch.mark_sending

    async def mark_slowly(*arguments: Any) -> Any:
        request = await mark(*arguments)
        marked.set()
        await asyncio.sleep(0.3)
        return request

    monkeypatch.setattr(dispatch, "mark_sending", mark_slowly)
    settings = settings.model_copy(update={"drain_seconds": 0.0})
    async with running_gateway(settings) as gateway:
        ada = await People(gateway.state.database, users_table).person()
        request_id = await gateway.submitted(ada.id)
        await marked.wait()
    assert n8n.received == []
    monkeypatch.setattr(dispatch, "mark_sending", mark)
    async with running_gateway(settings) as gateway:
        await gateway.until(ada.id, request_id, "processing")
    assert n8n.times(request_id) == 1


async def test_a_submission_is_sent_within_a_second_by_a_process_that_was_not_told(
    gateway: RunningGateway, ada: Person, n8n: ScriptedN8n
) -> None:
    gateway.state.dispatch_due = asyncio.Event()  # nobody waits for it
    await n8n.until_received(await gateway.submitted(ada.id))
    assert dispatcher.POLL_SECONDS < 1


async def test_sending_is_bounded(settings: Settings, users_table: str, n8n: ScriptedN8n) -> None:
    go_on = asyncio.Event()

    async def script(received: Received) -> Response:
        await go_on.wait()
        return JSONResponse({"message": "Workflow was started"})

    n8n.script = script
    settings = settings.model_copy(update={"n8n_concurrency": 3})
    async with running_gateway(settings) as gateway:
        ada = await People(gateway.state.database, users_table).person()
        ids = [await gateway.submitted(ada.id) for _ in range(8)]

        async def three() -> bool:
            return len(n8n.received) == 3

        await eventually(three)
        rows = await gateway.state.database.all("SELECT id FROM ai_image_requests WHERE dispatch_leased_by IS NOT NULL")
        assert len(rows) == 3
        go_on.set()
        for request_id in ids:
            await gateway.until(ada.id, request_id, "processing")
    assert all(n8n.times(request_id) == 1 for request_id in ids)


def test_pauses_grow_and_the_first_is_short() -> None:
    firsts = [retry_delay(1) for _ in range(200)]
    assert all(0 < delay < 5 for delay in firsts)
    assert len(set(firsts)) > 100, "spread"
    assert all(delay <= 90 for delay in (retry_delay(attempts) for attempts in range(1, 100)))
