"""Every row of the table of answers in gateway/n8n/README.md: what each one means and reports."""

import json
from typing import Any

import pytest
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

from gateway.n8n.answers import Verdict, classify
from gateway.n8n.reports import Completed, Failed
from tests import scripted_n8n

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
