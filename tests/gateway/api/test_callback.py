"""`POST /api/ai-callback`, as n8n really calls it: early, late, often, wrongly, and sometimes as somebody else."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

import httpx
import hypothesis
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from starlette.responses import JSONResponse, Response

from gateway.api import body_budget, callback
from gateway.auth.callback_secrets import CallbackSecrets
from gateway.n8n.answers import classify
from gateway.n8n.reports import Completed, Failed
from gateway.settings import Settings
from storage import dispatch, reads
from storage.database.base import Database
from tests.gateway.server.raw import peer
from tests.people import Person, parsing_only
from tests.running import RunningGateway, eventually, running_gateway
from tests.scripted_n8n import Received, ScriptedN8n

COMPLETED = {"status": "completed", "Key": "ai-images/a.png", "Id": "object-a"}


async def assets(gateway: RunningGateway) -> int:
    return len(await gateway.state.database.all("SELECT id FROM assets"))


async def kinds(database: Database, request_id: str) -> list[str]:
    rows = await database.all("SELECT kind FROM ai_request_events WHERE request_id = :id ORDER BY id", id=request_id)
    return [row["kind"] for row in rows]


async def test_a_version_that_can_grow_no_further_loses_no_picture(gateway: RunningGateway, ada: Person) -> None:
    """Another tool wrote it. Before: a 500, again and again."""
    request_id = await gateway.submitted(ada.id)
    await gateway.until(ada.id, request_id, "processing")
    set_version = "UPDATE ai_image_requests SET version = 2147483647 WHERE id = :id"
    await gateway.state.database.all(set_version, id=request_id)
    ahead = f"/api/ai-status/{request_id}?version=2147483647&wait=10"
    waiting = asyncio.create_task(gateway.http.get(ahead, headers=gateway.bearer(ada.id)))
    answer = await gateway.callback({"requestId": request_id, **COMPLETED})
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    body = await gateway.body(ada.id, request_id)
    assert (body["status"], body["version"]) == ("completed", 1)
    assert (await waiting).status_code == 200
    assert await assets(gateway) == 1


async def test_32_completions_at_once_make_one_asset(gateway: RunningGateway, ada: Person) -> None:
    request_id = await gateway.submitted(ada.id)
    report = {"requestId": request_id, **COMPLETED}
    answers = await asyncio.gather(*(gateway.callback(report) for _ in range(32)))
    contents = [answer.json() for answer in answers]
    assert [answer.status_code for answer in answers] == [200] * 32
    assert contents.count({"success": True}) == 1
    assert contents.count({"success": True, "duplicate": True}) == 31
    assert await assets(gateway) == 1
    body = await gateway.body(ada.id, request_id)
    assert (await kinds(gateway.state.database, request_id)).count("completed") == 1
    assert body["version"] <= 3


async def test_contradicting_completions_leave_the_first(gateway: RunningGateway, ada: Person) -> None:
    request_id = await gateway.submitted(ada.id)
    pictures = [{"Key": f"ai-images/{number}.png", "Id": f"object-{number}"} for number in range(16)]
    answers = await asyncio.gather(
        *(gateway.callback({"requestId": request_id, "status": "completed", **picture}) for picture in pictures)
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 15
    (winner,) = [picture for picture, answer in zip(pictures, answers, strict=True) if answer.status_code == 200]
    body = await gateway.body(ada.id, request_id)
    assert (body["storageKey"], body["storageId"]) == (winner["Key"], winner["Id"])
    assert await assets(gateway) == 1


async def test_late_news_changes_nothing(gateway: RunningGateway, ada: Person) -> None:
    request_id = await gateway.submitted(ada.id)
    await gateway.callback({"requestId": request_id, **COMPLETED})
    before = await gateway.body(ada.id, request_id)
    for report in ({"status": "processing", "progress": 99}, {"status": "failed", "error": "too late"}, {"error": "x"}):
        answer = await gateway.callback({"requestId": request_id, **report})
        assert (answer.status_code, answer.json()) == (200, {"success": True, "ignored": True})
    assert await gateway.body(ada.id, request_id) == before


async def test_a_completion_after_a_failure_wins(gateway: RunningGateway, ada: Person) -> None:
    request_id = await gateway.submitted(ada.id)
    await gateway.callback({"requestId": request_id, "status": "failed", "error": "timeout"})
    failed = await gateway.body(ada.id, request_id)
    answer = await gateway.callback({"requestId": request_id, **COMPLETED, "cost": "0.25"})
    assert answer.json() == {"success": True}
    body = await gateway.body(ada.id, request_id)
    assert (body["status"], body["errorMessage"], body["errorCode"]) == ("completed", None, None)
    assert (body["cost"], body["version"]) == ("0.25", failed["version"] + 1)


async def test_a_repeated_failure_is_a_duplicate(gateway: RunningGateway, ada: Person) -> None:
    request_id = await gateway.submitted(ada.id)
    report = {"requestId": request_id, "status": "failed", "error": "out of credits"}
    assert (await gateway.callback(report)).json() == {"success": True}
    assert (await gateway.callback(report)).json() == {"success": True, "duplicate": True}
    assert (await gateway.body(ada.id, request_id))["errorMessage"] == "out of credits"


async def test_n8n_is_faster_than_its_own_answer(settings: Settings, n8n: ScriptedN8n, users_table: str) -> None:
    """The callback comes while the webhook's POST is still unanswered; the late 200 must not undo it."""
    from tests.people import People

    answered = asyncio.Event()

    async def script(received: Received) -> Response:
        first = await n8n.call_back(received, status="processing", progress=30)
        last = await n8n.call_back(received, **COMPLETED)
        assert (first.status_code, last.status_code) == (200, 200)
        answered.set()
        return JSONResponse({"message": "Workflow was started", "executionId": "77"})

    n8n.script = script
    async with running_gateway(settings) as gateway:
        ada = await People(gateway.state.database, users_table).person()
        request_id = await gateway.submitted(ada.id)
        await answered.wait()

        async def execution_noted() -> bool:
            row = await gateway.state.database.one(
                "SELECT n8n_execution_id AS e FROM ai_image_requests WHERE id = :id", id=request_id
            )
            return row is not None and row["e"] == "77"

        from tests.running import eventually

        await eventually(execution_noted)
        body = await gateway.body(ada.id, request_id)
        assert (body["status"], body["version"], body["progress"]) == ("completed", 3, 100)


async def test_progress_is_shown_and_never_falls(gateway: RunningGateway, ada: Person) -> None:
    request_id = await gateway.submitted(ada.id)
    shown = []
    for progress in (5, "40", 39.9, 12, "90.7", None, "half", -1, 101, True, {"a": 1}):
        answer = await gateway.callback({"requestId": request_id, "status": "processing", "progress": progress})
        assert answer.status_code == 200
        shown.append((await gateway.body(ada.id, request_id))["progress"])
    assert shown == [5, 40, 40, 40, 90, 90, 90, 90, 90, 90, 90]


@parsing_only
@pytest.mark.parametrize("cost", ["free", -1, "1e99", True, [], {"amount": 1}, "NaN", "Infinity", 10**9])
async def test_an_unusable_cost_is_dropped(gateway: RunningGateway, ada: Person, cost: Any) -> None:
    request_id = await gateway.submitted(ada.id)
    answer = await gateway.callback({"requestId": request_id, **COMPLETED, "cost": cost})
    assert answer.json() == {"success": True}
    body = await gateway.body(ada.id, request_id)
    assert (body["status"], body["cost"]) == ("completed", None)


@pytest.mark.parametrize(
    ("cost", "kept"),
    [
        ("0.10", "0.10"),
        (3, "3"),
        (0.25, "0.25"),
        ("1e-2", "0.01"),
        (0, "0"),
        (1234 * 0.00003, "0.037020000000"),  # 0.037020000000000004
        (1.2100000000000002, "1.210000000000"),
        ("1e-99", "0.000000000000"),
    ],
)
async def test_a_cost_is_a_decimal(gateway: RunningGateway, ada: Person, cost: Any, kept: str) -> None:
    request_id = await gateway.submitted(ada.id)
    await gateway.callback({"requestId": request_id, **COMPLETED, "cost": cost})
    assert (await gateway.body(ada.id, request_id))["cost"] == kept


ERRORS: list[tuple[Any, str]] = [
    ("Bad\r\nprompt \x00\x1b[31m", "Bad prompt [31m"),
    ({"message": "Model overloaded", "stack": "…"}, "Model overloaded"),
    ({"error": {"message": "nested"}}, "nested"),
    ({"code": 500}, '[["code",500]]'),
    (["a", 1], '["a",1]'),
    ("x" * 5000, "x" * 2000),
    ("  ", "Unknown error"),
    ({}, "Unknown error"),
    (None, "Unknown error"),
    (False, "Unknown error"),
    (42, "42"),
]


@parsing_only
@pytest.mark.parametrize(("error", "shown"), ERRORS)
async def test_an_error_is_cleaned_and_never_refused(
    gateway: RunningGateway,
    ada: Person,
    error: Any,
    shown: str,
) -> None:
    request_id = await gateway.submitted(ada.id)
    answer = await gateway.callback({"requestId": request_id, "status": "failed", "error": error})
    assert answer.json() == {"success": True}
    assert (await gateway.body(ada.id, request_id))["errorMessage"] == shown


PICTURE = {"Key": "ai-images/a.png", "Id": "object-1"}

UNWORDED: list[tuple[dict[str, Any], str, str | None]] = [
    (PICTURE, "completed", None),
    (PICTURE | {"status": "success"}, "completed", None),
    (PICTURE | {"status": "failed", "error": "Out of paint"}, "failed", "Out of paint"),
    (PICTURE | {"error": "Out of paint"}, "failed", "Out of paint"),
    ({"status": "error", "error": "Out of paint"}, "failed", "Out of paint"),
    ({"success": False, "message": "Out of paint"}, "failed", "Out of paint"),
    ({"status": "failed", "message": "Out of paint"}, "failed", "Out of paint"),
    ({"status": "failed", "error": True, "message": "Out of paint"}, "failed", "Out of paint"),
    ({"status": "failed", "error": True}, "failed", "Unknown error"),
]


@parsing_only
@pytest.mark.parametrize(("report", "status", "shown"), UNWORDED)
async def test_what_is_meant_is_understood_in_an_authors_own_words(
    gateway: RunningGateway, ada: Person, report: dict[str, Any], status: str, shown: str | None
) -> None:
    request_id = await gateway.submitted(ada.id)
    assert (await gateway.callback({"requestId": request_id, **report})).json() == {"success": True}
    body = await gateway.body(ada.id, request_id)
    assert (body["status"], body["errorMessage"]) == (status, shown)


@pytest.mark.parametrize(("report", "status", "shown"), [case for case in UNWORDED if case[0] != UNWORDED[3][0]])
def test_an_answer_is_read_as_a_callback_is(report: dict[str, Any], status: str, shown: str | None) -> None:
    """But for a picture beside an error, without a status: as an answer, it is there to be seen."""
    read = classify(200, "application/json", json.dumps(report).encode()).report
    assert isinstance(read, Completed if status == "completed" else Failed)
    assert getattr(read, "message", None) == shown


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"status": "completed"}, "key_and_id_required"),
    ({"status": "completed", "Key": "ai-images/a.png"}, "key_and_id_required"),
    ({"status": "completed", "Key": "", "Id": "x"}, "key_and_id_required"),
    ({"status": "completed", "Key": ["a"], "Id": "x"}, "key_and_id_required"),
    ({"status": "completed", "Key": "a\x00b", "Id": "x"}, "key_and_id_required"),
    ({"status": "completed", "Key": "k" * 1025, "Id": "x"}, "key_and_id_required"),
    ({"status": "done"}, "unknown_status"),
    ({"status": 7}, "unknown_status"),
    ({}, "status_required"),
    ({"status": None}, "status_required"),
]


@parsing_only
@pytest.mark.parametrize(("report", "code"), WRONG)
async def test_what_cannot_be_understood_is_refused(
    gateway: RunningGateway, ada: Person, report: dict[str, Any], code: str
) -> None:
    request_id = await gateway.submitted(ada.id)
    await gateway.until(ada.id, request_id, "processing")
    before = await gateway.body(ada.id, request_id)
    answer = await gateway.callback({"requestId": request_id, **report})
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert await gateway.body(ada.id, request_id) == before


@pytest.mark.parametrize("request_id", ["nonsense", "' OR 1=1 --", "3fa85f64-5717-4562-b3fc-2c963f66afa6"])
async def test_unknown_requests(gateway: RunningGateway, request_id: str) -> None:
    answer = await gateway.callback({"requestId": request_id, **COMPLETED})
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_request")
    assert await assets(gateway) == 0


async def test_the_request_id_is_required(gateway: RunningGateway) -> None:
    for named in ({}, {"requestId": None}, {"requestId": ""}, {"executionId": None}):
        answer = await gateway.callback({**named, **COMPLETED})
        assert (answer.status_code, answer.json()["error"]) == (400, "requestId is required")
    answer = await gateway.callback({"requestId": 7, **COMPLETED})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_field")


async def test_an_upper_case_id_is_the_same_request(gateway: RunningGateway, ada: Person) -> None:
    request_id = await gateway.submitted(ada.id)
    token = CallbackSecrets(gateway.settings).token_for(request_id)
    answer = await gateway.callback({"requestId": request_id.upper(), **COMPLETED}, token)
    assert answer.json() == {"success": True}


# -- n8n's wordings ---------------------------------------------------------------------------------------------------


def posted(gateway: RunningGateway, content: bytes, secret: str, **headers: str) -> Awaitable[httpx.Response]:
    sent = {"Content-Type": "application/json", "X-Callback-Secret": secret, **headers}
    return gateway.http.post("/api/ai-callback", content=content, headers=sent)


def worded(report: dict[str, Any]) -> dict[str, bytes]:
    """One report in the forms in which n8n's nodes have been seen to send it."""
    text = json.dumps(report)
    forms: dict[str, Any] = {
        "a list of one item": [report],
        "an item": {"json": report, "pairedItem": {"item": 0}},
        "a list of one item with everything": [{"json": report, "binary": {}, "pairedItem": {"item": 0}}],
        "a body": {"headers": {"host": "n8n"}, "params": {}, "query": {}, "body": report},
        "data": {"data": report},
        "a list in data": {"data": [report]},
        "a text": text,
        "a text in body": {"body": text},
        "a text in a text": json.dumps(text),
        "a report beside its request": {"requestId": report["requestId"], "data": report},
        "capitals": report | {"status": str(report["status"]).upper()},
        "space around": {name: f" {value}\r\n" for name, value in report.items()},
        "no status": {name: value for name, value in report.items() if name != "status"} | {"status": "Completed"},
    }
    return {
        "a byte order mark": b"\xef\xbb\xbf" + text.encode(),
        "a byte order mark in a text": json.dumps("\ufeff" + text).encode(),
        "white space": b"\r\n " + text.encode() + b"\n\n",
        "NaN": text[:-1].encode() + b', "cost": NaN, "progress": -Infinity}',
        "half an emoji": text[:-1].encode() + b', "error": "cut \\ud83d"}',
        "bytes that are no UTF-8": text[:-1].encode() + b', "error": "cut \xf0\x9f"}',
        "a line break in a string": text[:-1].encode() + b', "error": "one\ntwo"}',
        **{name: json.dumps(form).encode() for name, form in forms.items()},
    }


@pytest.mark.parametrize("wording", list(worded({"requestId": "", "status": ""})))
async def test_a_picture_is_understood_in_every_wording(gateway: RunningGateway, ada: Person, wording: str) -> None:
    request_id = await gateway.submitted(ada.id)
    content = worded({"requestId": request_id, **COMPLETED})[wording]
    answer = await posted(gateway, content, CallbackSecrets(gateway.settings).token_for(request_id))
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    body = await gateway.body(ada.id, request_id)
    assert (body["status"], body["storageKey"], body["storageId"]) == ("completed", "ai-images/a.png", "object-a")
    assert body["publicUrl"].endswith("/ai-images/a.png")
    corrected = await gateway.callback({"requestId": request_id, **COMPLETED})
    assert corrected.json() == {"success": True, "duplicate": True}


@parsing_only
async def test_a_large_error_object_is_no_reason_to_wait(gateway: RunningGateway, ada: Person) -> None:
    """n8n's carry the request that failed, headers, stack and all."""
    request_id = await gateway.submitted(ada.id)
    error = {"message": "The picture was refused", "stack": "at node\n" * 10_000, "context": {"data": "x" * 70_000}}
    report = {"requestId": request_id, "status": "failed", "error": error}
    answer = await gateway.callback(report, CallbackSecrets(gateway.settings).token_for(request_id))
    assert answer.json() == {"success": True}
    assert (await gateway.body(ada.id, request_id))["errorMessage"] == "The picture was refused"


UNREADABLE: list[tuple[str, Callable[[str], bytes], str, int, str]] = [
    (
        "no JSON",
        lambda named: f'{{"requestId": "{named}", "error": "{{{{'.encode(),
        "application/json",
        400,
        "invalid_json",
    ),
    ("no object", lambda named: f'["{named}"]'.encode(), "application/json", 400, "invalid_json"),
    ("too deep", lambda named: f'["{named}",{"[" * 50_000}'.encode(), "application/json", 400, "invalid_json"),
    (
        "too large",
        lambda named: f'{{"requestId": "{named}", "x": "{"x" * 1_100_000}"}}'.encode(),
        "application/json",
        413,
        "body_too_large",
    ),
    (
        "no JSON by its type",
        lambda named: f'{{"requestId": "{named}"}}'.encode(),
        "text/plain",
        415,
        "unsupported_media_type",
    ),
    (
        "two requests",
        lambda named: f'[{{"requestId": "{named}"}}, {{"requestId": "{named.replace("4", "5")}"}}]'.encode(),
        "application/json",
        400,
        "several_reports",
    ),
]


@parsing_only
@pytest.mark.parametrize(
    ("content", "content_type", "status", "code"), [pytest.param(*case[1:], id=case[0]) for case in UNREADABLE]
)
async def test_who_has_a_good_secret_is_told_what_is_wrong_and_nobody_else(
    gateway: RunningGateway, ada: Person, content: Callable[[str], bytes], content_type: str, status: int, code: str
) -> None:
    request_id = await gateway.submitted(ada.id)
    await gateway.until(ada.id, request_id, "processing")
    before = await gateway.body(ada.id, request_id)
    own = CallbackSecrets(gateway.settings).token_for(request_id)
    for secret in (own, gateway.settings.ai_callback_secret.get_secret_value()):
        answer = await posted(gateway, content(request_id), secret, **{"Content-Type": content_type})
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    other = CallbackSecrets(gateway.settings).token_for("11111111-1111-4111-8111-111111111111")
    for secret in (other, "wrong", own[:-1]):
        answer = await posted(gateway, content(request_id), secret, **{"Content-Type": content_type})
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert await gateway.body(ada.id, request_id) == before


@pytest.mark.parametrize("length", [255, 256, 1024])
async def test_an_execution_id_fits_its_index_or_is_dropped(gateway: RunningGateway, ada: Person, length: int) -> None:
    request_id = await gateway.submitted(ada.id)
    await gateway.until(ada.id, request_id, "processing")
    execution_id = "🖼" * length
    report = {"requestId": request_id, "status": "processing", "progress": 5, "executionId": execution_id}
    assert (await gateway.callback(report)).json() == {"success": True}
    answer = await gateway.callback({"executionId": f"{execution_id}\n", **COMPLETED})
    assert answer.status_code == (200 if length <= 255 else 400)


@parsing_only
async def test_a_slash_at_the_end_is_served_where_it_stands(gateway: RunningGateway, ada: Person) -> None:
    """A redirect would turn n8n's POST into a GET, or lead to a host that only a proxy knows."""
    request_id = await gateway.submitted(ada.id)
    headers = {"X-Callback-Secret": CallbackSecrets(gateway.settings).token_for(request_id)}
    answer = await gateway.http.post(
        "/api/ai-callback/", json={"requestId": request_id, **COMPLETED}, headers=headers, follow_redirects=False
    )
    assert (answer.status_code, answer.json()) == (200, {"success": True})


# JavaScript's strings: any sequence of UTF-16 code units, so also halves of surrogate pairs, and NUL.
JAVASCRIPT = st.text(st.characters(), max_size=40)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | JAVASCRIPT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(JAVASCRIPT, inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "status": st.sampled_from(["completed", "failed", "processing", "Failed "]) | JAVASCRIPT,
        "Key": JAVASCRIPT.map("ai-images/{}".format) | ANYTHING,
        "Id": JAVASCRIPT | ANYTHING,
        "error": ANYTHING,
        "progress": ANYTHING,
        "cost": ANYTHING,
        "executionId": JAVASCRIPT | ANYTHING,
        "data": ANYTHING,
    },
)


async def test_no_string_of_javascript_breaks_a_callback(
    gateway: RunningGateway, ada: Person, n8n: ScriptedN8n
) -> None:
    """Whatever the fields hold, the database takes what is made of them, and the answer says so or what is wrong."""
    request_id = await gateway.submitted(ada.id)
    await gateway.until(ada.id, request_id, "processing")
    unfinished = "UPDATE ai_image_requests SET status = 'processing', completed_at = NULL WHERE id = :id"
    loop = asyncio.get_running_loop()

    async def reported(fields: dict[str, Any]) -> None:
        await gateway.state.database.all(unfinished, id=request_id)
        answer = await posted(gateway, json.dumps(fields | {"requestId": request_id}).encode(), secret)
        assert answer.status_code in (200, 400, 409), answer.text
        reason = classify(502, "", json.dumps({"message": fields.get("error")}).encode()).reason
        request = await reads.read(gateway.state.database, request_id)
        assert request is not None
        await dispatch.record_in_doubt(gateway.state.database, request, "lease", reason)

    secret = CallbackSecrets(gateway.settings).token_for(request_id)

    @given(FIELDS)
    @hypothesis.settings(
        max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True, database=None
    )
    def holds(fields: dict[str, Any]) -> None:
        asyncio.run_coroutine_threadsafe(reported(fields), loop).result(30)

    await asyncio.to_thread(holds)


# -- while the database is away ---------------------------------------------------------------------------------------


async def test_without_its_database_the_gateway_asks_n8n_to_come_again(
    gateway: RunningGateway, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = gateway.state.database
    request_id = await gateway.submitted(ada.id)
    await gateway.until(ada.id, request_id, "processing")
    report: list[dict[str, Any]] = [
        {"requestId": request_id, "status": "processing", "progress": 50, "executionId": "4711"},
        {"requestId": request_id, "status": "failed", "error": "out of credits"},
        {"requestId": request_id, **COMPLETED},
    ]

    async def gone(*_: object) -> NoReturn:
        raise OSError("gone")

    before = await gateway.body(ada.id, request_id), await kinds(database, request_id)
    with monkeypatch.context() as patch:
        for way in ("_in_transaction", "_read", "_write", "_chain_each"):
            patch.setattr(database, way, gone)
        for body in [*report, {"executionId": "4711", **COMPLETED}]:
            answer = await gateway.callback(body)
            assert (answer.status_code, answer.headers["Content-Type"]) == (503, "application/json")
            assert int(answer.headers["Retry-After"]) > 0
            assert (set(answer.json()), answer.json()["code"]) == ({"error", "code"}, "unavailable")
            assert "gone" not in answer.text
    assert (await gateway.body(ada.id, request_id), await kinds(database, request_id)) == before
    assert await assets(gateway) == 0

    for body in report:
        assert (await gateway.callback(body)).json() == {"success": True}
    body = await gateway.body(ada.id, request_id)
    assert (body["status"], body["version"], await assets(gateway)) == ("completed", before[0]["version"] + 3, 1)


async def test_a_database_lost_in_the_commit_makes_no_second_asset(
    gateway: RunningGateway, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It took effect, and nobody was told: the repeat finds it so."""
    database = gateway.state.database
    request_id = await gateway.submitted(ada.id)
    await gateway.until(ada.id, request_id, "processing")
    committed = database._chain_each

    async def lost_in_the_commit(steps: Any, values: Any) -> NoReturn:
        await committed(steps, values)
        raise OSError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(database, "_chain_each", lost_in_the_commit)
        answer = await gateway.callback({"requestId": request_id, **COMPLETED})
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    answer = await gateway.callback({"requestId": request_id, **COMPLETED})
    assert (answer.status_code, answer.json()) == (200, {"success": True, "duplicate": True})
    assert (await gateway.body(ada.id, request_id))["status"] == "completed"
    assert await assets(gateway) == 1


# -- who may ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("secret", ["", "wrong", "é"])
async def test_without_a_good_secret_nothing_is_said_or_done(gateway: RunningGateway, ada: Person, secret: str) -> None:
    request_id = await gateway.submitted(ada.id)
    await gateway.until(ada.id, request_id, "processing")
    bodies: list[Any] = [{"requestId": request_id, **COMPLETED}, {"requestId": "unknown"}, {}, [], "x"]
    for body in bodies:
        answer = await gateway.callback(body, secret)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert (await gateway.http.post("/api/ai-callback", json={})).status_code == 401
    headers = {b"X-Callback-Secret": secret.encode("latin-1"), b"Content-Type": b"text/plain"}
    assert (await gateway.http.post("/api/ai-callback", content=b"{", headers=headers)).status_code == 401
    assert (await gateway.body(ada.id, request_id))["status"] == "processing"


async def test_a_requests_own_token_opens_it_and_no_other(gateway: RunningGateway, ada: Person) -> None:
    mine, other = await gateway.submitted(ada.id), await gateway.submitted(ada.id)
    token = CallbackSecrets(gateway.settings).token_for(mine)
    assert (await gateway.callback({"requestId": other, **COMPLETED}, token)).status_code == 401
    assert (await gateway.callback({"requestId": mine, **COMPLETED}, token)).status_code == 200
    assert (await gateway.body(ada.id, other))["status"] != "completed"


async def test_secrets_can_be_rotated(settings: Settings, users_table: str) -> None:
    from tests.people import People

    old, new = "old-secret-" + "o" * 32, "new-secret-" + "n" * 32
    rotated = Settings.load(
        {
            "database_url": settings.database_url,
            "redis_url": settings.redis_url,
            "ai_callback_secret": new,
            "ai_callback_secret_previous": old,
            "n8n_webhook_url": settings.n8n_webhook_url,
        }
    )
    before = CallbackSecrets(Settings.load({"ai_callback_secret": old}))
    async with running_gateway(rotated) as gateway:
        ada = await People(gateway.state.database, users_table).person()
        for secret_for in (lambda _: old, lambda _: new, before.token_for, CallbackSecrets(rotated).token_for):
            request_id = await gateway.submitted(ada.id)
            answer = await gateway.callback({"requestId": request_id, **COMPLETED}, secret_for(request_id))
            assert answer.status_code == 200
        assert (await gateway.callback({"requestId": request_id}, "older")).status_code == 401


async def test_by_execution_id(gateway: RunningGateway, ada: Person, n8n: ScriptedN8n) -> None:
    """n8n's error workflow knows nothing but the execution's id."""
    n8n.answers(JSONResponse({"message": "Workflow was started", "executionId": 4711}))
    request_id = await gateway.submitted(ada.id)
    await gateway.until(ada.id, request_id, "processing")
    token = CallbackSecrets(gateway.settings).token_for(request_id)
    failure = {"executionId": "4711", "status": "failed", "error": {"message": "Node crashed"}}
    assert (await gateway.callback(failure, token)).status_code == 401, "only the global secret"
    assert (await gateway.callback({**failure, "executionId": "4712"})).status_code == 404
    assert (await gateway.callback(failure)).json() == {"success": True}
    assert (await gateway.body(ada.id, request_id))["errorMessage"] == "Node crashed"


async def test_an_execution_id_in_a_progress_callback_is_remembered(gateway: RunningGateway, ada: Person) -> None:
    request_id = await gateway.submitted(ada.id)
    await gateway.callback({"requestId": request_id, "status": "processing", "executionId": "abc-1"})
    assert (await gateway.callback({"executionId": "abc-1", **COMPLETED})).json() == {"success": True}
    assert (await gateway.callback({"executionId": "abc-1", "status": "failed"})).json()["ignored"] is True
    assert (await gateway.body(ada.id, request_id))["status"] == "completed"


async def test_no_success_has_an_error_key(gateway: RunningGateway, ada: Person) -> None:
    """n8n takes a 2xx with a top-level `error`, even null, for a failure."""
    request_id = await gateway.submitted(ada.id)
    for report in ({"status": "processing"}, {"status": "failed", "error": "x"}, COMPLETED, COMPLETED, {"error": "y"}):
        answer = await gateway.callback({"requestId": request_id, **report})
        assert answer.status_code == 200
        assert "error" not in answer.json()
    assert "error" not in await gateway.body(ada.id, request_id)


async def test_secrets_and_bodies_never_reach_the_log(
    gateway: RunningGateway, ada: Person, n8n: ScriptedN8n, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    answer = await gateway.submit(ada.id, "A product nobody should log", "Brand")
    received = await n8n.until_received(answer.json()["requestId"])
    await n8n.call_back(received, status="failed", error="A body nobody should log")
    await gateway.callback({"requestId": received.request_id}, "a-wrong-secret-nobody-should-log")
    logged = caplog.text
    assert received.request_id in logged
    for secret in (
        received.payload["callbackSecret"],
        gateway.settings.ai_callback_secret.get_secret_value(),
        gateway.settings.n8n_webhook_secret.get_secret_value(),
        gateway.token(ada.id).split(".")[1],
        "nobody should log",
        "nobody-should-log",
    ):
        assert secret not in logged


async def test_few_bytes_of_unproven_bodies_are_held(
    gateway: RunningGateway, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small reports never wait for them, nor does whoever has the global secret; what ends makes room."""
    monkeypatch.setattr(body_budget, "MAX_HELD", 1_000_000)
    request_id = await gateway.submitted(ada.id)
    token = gateway.state.callback_secrets.token_for(request_id)
    head = (
        b"POST /api/ai-callback HTTP/1.1\r\nHost: x\r\nX-Callback-Secret: %b\r\nContent-Type: application/json\r\n"
        b"Content-Length: 700000\r\n\r\n"
    )
    report = {"requestId": request_id, "status": "processing", "progress": 7}
    large = report | {"what n8n adds": "x" * 699_000}
    async with peer(gateway.url) as first:
        await first.say(head % b"x" + b" " * 690_000)
        await eventually(lambda: asyncio.sleep(0, callback._unproven.held > 600_000))
        refused = await gateway.callback(large, token)
        assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (
            503,
            "unavailable",
            "2",
        )
        assert (await gateway.callback(large)).json() == {"success": True}
        assert (await gateway.callback(report | {"progress": 8}, token)).json() == {"success": True}
        await first.say(b" " * 10_000)
        assert (await first.hear_until(b"unauthorized")).startswith(b"HTTP/1.1 401 ")
    await eventually(lambda: asyncio.sleep(0, callback._unproven.held == 0))
    assert (await gateway.callback(large | {"progress": 9}, token)).json() == {"success": True}
