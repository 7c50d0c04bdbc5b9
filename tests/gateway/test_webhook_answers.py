"""Every row of the table of answers (gateway/n8n/README.md): what each one means, and what the gateway then does."""

import asyncio
import json
from typing import Any

import pytest
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

from gateway.n8n import dispatcher, recording, retries, webhook
from gateway.n8n.answers import Verdict, classify
from gateway.n8n.reports import Completed, Failed
from gateway.n8n.retries import retry_delay
from gateway.settings import Settings
from tests import scripted_n8n
from tests.conftest import People, Person
from tests.running import RunningGateway, eventually, running_gateway
from tests.scripted_n8n import Received, ScriptedN8n
from tests.servers import free_port

ENVOY = "upstream connect error or disconnect/reset before headers. reset reason: "

ANSWERS: list[tuple[str, Response, Verdict]] = [
    ("started", scripted_n8n.STARTED, Verdict.ACCEPTED),
    ("started, as text/html", Response('{"executionId": "9"}', media_type="text/html"), Verdict.ACCEPTED),
    ("last node's items", JSONResponse([{"json": 1}]), Verdict.ACCEPTED),
    ("any text of a Respond node", PlainTextResponse("ok", 201), Verdict.ACCEPTED),
    ("error in workflow", scripted_n8n.ERROR_IN_WORKFLOW, Verdict.RAN_AND_FAILED),
    ("wrong secret", scripted_n8n.WRONG_SECRET, Verdict.REFUSED),
    ("unauthorized", PlainTextResponse("", 401), Verdict.REFUSED),
    ("inactive workflow", scripted_n8n.NOT_REGISTERED, Verdict.UNREGISTERED),
    ("test URL not armed", scripted_n8n.TEST_URL_NOT_ARMED, Verdict.REFUSED),
    ("wrong method", scripted_n8n.WRONG_METHOD, Verdict.REFUSED),
    ("bad JSON", scripted_n8n.BAD_JSON, Verdict.REFUSED),
    ("redirect", Response(status_code=301, headers={"Location": "/elsewhere"}), Verdict.REFUSED),
    ("starting up", scripted_n8n.STARTING_UP, Verdict.SEND_AGAIN),
    ("routes not set up", scripted_n8n.CANNOT_POST, Verdict.SEND_AGAIN),
    ("too many", PlainTextResponse("slow down", 429), Verdict.SEND_AGAIN),
    ("database lost", scripted_n8n.DATABASE_LOST, Verdict.SEND_AGAIN),
    ("stopping", scripted_n8n.STOPPING, Verdict.IN_DOUBT),
    ("any other 500", PlainTextResponse("oops", 500), Verdict.IN_DOUBT),
    ("JSON that holds n8n's words", JSONResponse({"Product": "n8n is starting up", "Key": "b/a"}), Verdict.ACCEPTED),
    ("text that holds n8n's words", PlainTextResponse("n8n is starting up"), Verdict.ACCEPTED),
    ("a page that holds n8n's words", Response("<p>For n8n is starting up", media_type="text/html"), Verdict.ACCEPTED),
    ("nothing in it", scripted_n8n.EMPTY, Verdict.IN_DOUBT),
    ("no content", Response(status_code=204), Verdict.IN_DOUBT),
    ("a byte order mark alone", Response(b"\xef\xbb\xbf\r\n"), Verdict.IN_DOUBT),
    ("a login page", HTMLResponse("<!DOCTYPE html><title>Sign in</title>"), Verdict.IN_DOUBT),
    ("a login page that says it is text", PlainTextResponse("\n<html><p>Sign in"), Verdict.IN_DOUBT),
    ("a way to a login page", Response(status_code=302, headers={"Location": "/login"}), Verdict.REFUSED),
    ("a page that is not n8n's", HTMLResponse("<h1>404 Not Found</h1>nginx", 404), Verdict.IN_DOUBT),
    ("a proxy without a route", PlainTextResponse("404 page not found", 404), Verdict.IN_DOUBT),
    ("a firewall", HTMLResponse("<h1>403 Forbidden</h1>", 403), Verdict.REFUSED),
    ("too large for a proxy", HTMLResponse("<h1>413</h1>", 413), Verdict.REFUSED),
    ("a handed-on 429", JSONResponse({"error": {"message": "slow down"}}, 429), Verdict.IN_DOUBT),
    ("a handed-on 503", JSONResponse({"error": "provider down", "requestId": "x"}, 503), Verdict.IN_DOUBT),
    ("a Respond node's failure", JSONResponse({"status": "failed", "error": "x"}, 500), Verdict.RAN_AND_FAILED),
    ("a balancer without servers", HTMLResponse("<h1>503</h1>No server is available", 503), Verdict.SEND_AGAIN),
    ("Envoy without a connection", PlainTextResponse(ENVOY + "connection failure", 503), Verdict.SEND_AGAIN),
    ("Envoy that lost its connection", PlainTextResponse(ENVOY + "connection termination", 503), Verdict.IN_DOUBT),
    ("Varnish", HTMLResponse("<h1>Error 503 Backend fetch failed</h1>", 503), Verdict.IN_DOUBT),
    ("Heroku", HTMLResponse("<title>Application error</title>", 503), Verdict.IN_DOUBT),
    *(
        (f"a proxy's {status}", response, Verdict.IN_DOUBT)
        for status in (408, 500, 501, 502, 504, 505, 507, 520, 524, 527, 561, 598, 599)
        for response in (PlainTextResponse("", status), HTMLResponse(f"<h1>{status}</h1>", status))
    ),
    ("a proxy's 502 in JSON", JSONResponse({"error": "bad gateway"}, 502), Verdict.IN_DOUBT),
    ("a proxy's 504 in JSON", JSONResponse({"message": "Endpoint request timed out"}, 504), Verdict.IN_DOUBT),
    *(
        (f"Cloudflare's {status}", HTMLResponse(f"<!DOCTYPE html>{status}", status), Verdict.SEND_AGAIN)
        for status in (521, 522, 523, 525, 526, 530)
    ),
]


@pytest.mark.parametrize(("response", "verdict"), [pytest.param(r, v, id=name) for name, r, v in ANSWERS])
def test_what_an_answer_means(response: Response, verdict: Verdict) -> None:
    answer = classify(response.status_code, response.headers.get("content-type", ""), bytes(response.body))
    assert answer.verdict is verdict
    assert answer.reason


PICTURE = {"Key": "b/a.png", "Id": "1"}

REPORTED: list[tuple[Any, type | None]] = [
    (PICTURE, Completed),
    ([PICTURE | {"cost": "0.1"}], Completed),
    ([{"json": PICTURE, "pairedItem": {"item": 0}}], Completed),
    ([{"note": "an item before it"}, PICTURE], Completed),
    ({"data": [PICTURE]}, Completed),
    ({"data": {"json": PICTURE}}, Completed),
    ({"headers": {}, "body": PICTURE}, Completed),
    (json.dumps(PICTURE), Completed),
    ({"body": json.dumps([PICTURE])}, Completed),
    ({"Key": " b/a.png\n", "Id": "1 "}, Completed),
    (PICTURE | {"status": "success"}, Completed),
    (PICTURE | {"error": "a progress callback was lost"}, Completed),
    ({"status": "failed", "error": "x"}, Failed),
    ({"status": "FAILED\n", "error": "x"}, Failed),
    ({"error": "x"}, Failed),
    ({"error": {"message": "x"}}, Failed),
    ({"success": False, "message": "x"}, Failed),
    ([{"json": {"success": False}}], Failed),
    ({"error": None, "message": "Workflow was started"}, None),
    ({"error": ""}, None),
    ({"success": True}, None),
    ({"status": "processing"}, None),
    ({"Key": "b/a.png"}, None),
    ({"Key": "", "Id": ""}, None),
    ({"Key": ["b/a.png"], "Id": 1}, None),
    ({"message": "Workflow was started"}, None),
    ({"data": {"data": {"data": {}}}}, None),
    ([], None),
    ("text", None),
    (None, None),
]


@pytest.mark.parametrize(("content", "kind"), REPORTED)
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_what_an_answer_already_reports(content: Any, kind: type | None, mark: bytes) -> None:
    answer = classify(200, "text/html", mark + json.dumps(content).encode())
    assert answer.verdict is Verdict.ACCEPTED
    assert (None if answer.report is None else type(answer.report)) is kind
    if isinstance(answer.report, Completed):
        assert (answer.report.key, answer.report.id) == ("b/a.png", "1")


def test_numbers_that_json_does_not_have_cost_no_picture() -> None:
    answer = classify(200, "application/json", b'{"Key": "b/a.png", "Id": "1", "cost": NaN, "progress": Infinity}')
    assert isinstance(answer.report, Completed)


@pytest.mark.parametrize("message", ["a\x00b", "\ud83d", "line\r\nline", "x" * 5000, {"a": 1}, None, 7])
def test_what_stands_in_a_reason_is_clean(message: Any) -> None:
    reason = classify(502, "application/json", json.dumps({"message": message}).encode()).reason
    assert reason.isprintable()
    assert len(reason) <= 300
    reason.encode()


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
    PlainTextResponse("", 429),
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


async def cut(received: Received) -> Response:
    """n8n is killed after it has read the body."""

    async def broken() -> Any:
        yield b'{"mess'
        raise ConnectionResetError

    from starlette.responses import StreamingResponse

    return StreamingResponse(broken(), headers={"Content-Length": "100"})


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("case", ["stopping", "empty", "timeout", "reset", "a proxy's 502", "a proxy's 504"])
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
                "a proxy's 502": HTMLResponse("<h1>502 Bad Gateway</h1>", 502),
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
