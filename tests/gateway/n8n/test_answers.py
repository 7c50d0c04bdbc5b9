"""Every row of the table of answers in gateway/n8n/README.md: what each one means and reports."""

import json
from typing import Any

import pytest
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

from gateway.n8n.answers import Verdict, classify
from gateway.n8n.reports import Completed, Failed
from tests import n8n_recordings, scripted_n8n

PATH = "/webhook/ai-image"

ENVOY = "upstream connect error or disconnect/reset before headers. reset reason: "
ENVOY_AGAIN = ENVOY.replace("reset reason", "retried and the latest reset reason")


def nginx_page(title: str, line: str = "<hr><center>nginx/1.22.1</center>\r\n") -> str:
    return (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n{line}"
        "</body>\r\n</html>\r\n"
    )


PADDING = "<!-- a padding to disable MSIE and Chrome friendly error page -->\r\n"


def haproxy_page(title: str, sentence: str) -> str:
    return f"<html><body><h1>{title}</h1>\n{sentence}\n</body></html>\n"


NO_SERVER = haproxy_page("503 Service Unavailable", "No server is available to handle this request.")
TOO_MANY = haproxy_page("429 Too Many Requests", "You have sent too many requests in a given amount of time.")
ACCESS_DENIED = (
    "<!DOCTYPE html>\n<!--[if lt IE 7]> <html> <![endif]-->\n<head>\n"
    "<title>Access denied | n8n.example.com used Cloudflare to restrict access</title>\n" + "<p>x</p>" * 2000
)
CLOUDFLARE = {"title": "Error 1015: You are being rate limited", "status": 429, "cloudflare_error": True}

TURNED_AWAY: list[tuple[str, int, str | dict[str, Any]]] = [
    ("n8n without its database", 503, {"code": 503, "message": "Database is not ready!"}),
    ("HAProxy without a server", 503, NO_SERVER),
    ("HAProxy's limit", 429, TOO_MANY),
    ("nginx's limit", 503, nginx_page("503 Service Temporarily Unavailable")),
    ("nginx's limit, with a padding", 503, nginx_page("503 Service Temporarily Unavailable") + PADDING * 6),
    ("nginx's limit as 429", 429, nginx_page("429 Too Many Requests", "<hr><center>nginx</center>\n")),
    ("openresty", 503, nginx_page("503 Service Temporarily Unavailable", "<hr><center>openresty/1.27.1.1</center>\n")),
    ("Amazon's balancer without a target", 503, nginx_page("503 Service Temporarily Unavailable", "")),
    ("Envoy without a host", 503, "no healthy upstream"),
    ("Envoy's limit", 429, "local_rate_limited"),
    *(
        (f"Envoy: {reason}", 503, ENVOY + reason)
        for reason in (
            "connection failure",
            "local connection failure",
            "remote connection failure, transport failure reason: delayed connect error: 111",
            "connection timeout",
            "overflow",
        )
    ),
    ("Traefik without a server", 503, "no available server\n"),
    ("Kong without a peer", 503, {"message": "failure to get a peer from the ring-balancer", "request_id": "1a"}),
    ("Kong's limit", 429, {"message": "API rate limit exceeded"}),
    ("Cloudflare's 1015", 429, "error code: 1015"),
    ("Cloudflare's 1015 as a page", 429, ACCESS_DENIED),
    ("Cloudflare's 1015 in JSON", 429, CLOUDFLARE | {"error_code": 1015}),
    ("Cloudflare's 521 in JSON", 521, CLOUDFLARE | {"status": 521, "error_code": 521}),
]

LOST = "connection to the instance had an error."
ODD: list[Any] = [[], {}, None, 1]
NOBODY_KNOWS: list[tuple[str, int, str | dict[str, Any] | list[Any]]] = [
    *((f"an empty {status}", status, "") for status in (429, 503)),
    *((f"a JSON {status}", status, [{"json": 1}]) for status in (429, 503, 521)),
    *((f"a {status} of odd values", status, {"message": ODD[n]}) for status in (429, 503) for n in range(len(ODD))),
    ("a 503 of an odd code", 503, {"code": [], "message": {}}),
    ("an odd mark of Cloudflare's", 429, {"cloudflare_error": True, "error_code": [1015]}),
    ("Cloud Run", 503, "Service Unavailable"),
    ("Cloud Run that lost its instance", 503, f"The request failed because the HTTP response was malformed or {LOST}"),
    ("Amazon's API gateway", 503, {"message": "Service Unavailable"}),
    ("Amazon's API gateway's limit", 429, {"message": "Too Many Requests"}),
    ("an API of the usual kind", 503, {"code": 503, "message": "Service Unavailable"}),
    ("another's database", 503, {"message": "Database is not ready!"}),
    ("n8n's words under another status", 429, {"code": 503, "message": "Database is not ready!"}),
    ("Azure", 503, "<h2>Our services aren't available right now</h2>"),
    ("Akamai", 503, "<HTML><HEAD>\n<TITLE>Service Unavailable</TITLE>\n</HEAD><BODY>Reference #6.1</BODY></HTML>"),
    ("IIS", 503, "<h2>Service Unavailable</h2>\n<hr><p>HTTP Error 503. The service is unavailable.</p>"),
    ("Apache", 503, "<html><head>\n<title>503 Service Unavailable</title>\n</head><body></body></html>"),
    ("CloudFront", 503, "<TITLE>ERROR: The request could not be satisfied</TITLE><H1>503 ERROR</H1>"),
    ("Varnish", 503, "<h1>Error 503 Backend fetch failed</h1>"),
    ("Fastly", 503, "<title>503 first byte timeout</title>"),
    ("Heroku", 503, "<title>Application error</title>"),
    ("Cloudflare's worker", 503, "error code: 1102"),
    ("Cloudflare's worker in JSON", 503, CLOUDFLARE | {"status": 503, "error_code": 1102}),
    ("Envoy that lost its connection", 503, ENVOY + "connection termination"),
    ("Envoy that lost its stream", 503, ENVOY + "remote reset"),
    ("Envoy's second attempt", 503, ENVOY_AGAIN + "connection failure"),
    ("words around a proxy's", 503, "The provider said: no healthy upstream"),
    ("a proxy's page in another", 503, f"<p>The provider said</p>{NO_SERVER}"),
    (
        "a page of nginx's that is not its own",
        503,
        nginx_page("503 Service Temporarily Unavailable", "<p>try later</p>"),
    ),
    ("a limit of somebody's", 429, "slow down"),
    ("a handed-on 429", 429, {"error": {"message": "slow down"}}),
    ("a handed-on 503", 503, {"error": "provider down", "requestId": "x"}),
    ("a handed-on 521", 521, {"error": "provider down", "requestId": "x"}),
    ("a handed-on limit of Kong's", 429, {"message": "API rate limit exceeded", "requestId": "x"}),
]


@pytest.mark.parametrize(
    ("status", "said", "verdict"),
    [
        *(pytest.param(status, said, Verdict.SEND_AGAIN, id=name) for name, status, said in TURNED_AWAY),
        *(pytest.param(status, said, Verdict.IN_DOUBT, id=name) for name, status, said in NOBODY_KNOWS),
    ],
)
def test_only_what_proves_that_nothing_ran_is_sent_again(status: int, said: Any, verdict: Verdict) -> None:
    body = said if isinstance(said, str) else json.dumps(said)
    assert classify(status, "text/html", body.encode()).verdict is verdict


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
    *(
        (f"a page that starts with {start}", HTMLResponse(f"{start}<p>Sign in"), Verdict.IN_DOUBT)
        for start in (
            "<!-- (c) -->\n<html>",
            "<!--" + "x" * 5000 + "-->",
            "<head><meta http-equiv=refresh content='0;/login'>",
            '<?xml version="1.0"?>\n<!DOCTYPE html PUBLIC "x">',
            "\ufeff<!DOCTYPE html>",
            "<title>Sign in</title>",
            "<body>",
            "<script>location='/login'</script>",
        )
    ),
    ("a Respond node's own markup", HTMLResponse("<p>Started"), Verdict.ACCEPTED),
    ("a Respond node's element", HTMLResponse("<header>Started"), Verdict.ACCEPTED),
    ("a way to a login page", Response(status_code=302, headers={"Location": "/login"}), Verdict.REFUSED),
    ("a page that is not n8n's", HTMLResponse("<h1>404 Not Found</h1>nginx", 404), Verdict.IN_DOUBT),
    ("a proxy without a route", PlainTextResponse("404 page not found", 404), Verdict.IN_DOUBT),
    ("Kong without a route", JSONResponse({"message": "no Route matched with those values"}, 404), Verdict.IN_DOUBT),
    ("a Respond node's 404", JSONResponse({"error": "no such product"}, 404), Verdict.IN_DOUBT),
    ("a Respond node's other 404", JSONResponse([{"id": 1}], 404), Verdict.IN_DOUBT),
    (
        "a 404 with half of n8n's words",
        JSONResponse({"message": "The product is not registered"}, 404),
        Verdict.IN_DOUBT,
    ),
    ("a page that holds Express's words", HTMLResponse("<p>Cannot POST it today", 404), Verdict.IN_DOUBT),
    ("a firewall", HTMLResponse("<h1>403 Forbidden</h1>", 403), Verdict.REFUSED),
    ("too large for a proxy", HTMLResponse("<h1>413</h1>", 413), Verdict.REFUSED),
    ("a Respond node's failure", JSONResponse({"status": "failed", "error": "x"}, 500), Verdict.RAN_AND_FAILED),
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
    answer = classify(response.status_code, response.headers.get("content-type", ""), bytes(response.body), path=PATH)
    assert answer.verdict is verdict
    assert answer.reason


EXPRESS = bytes(scripted_n8n.CANNOT_POST.body).decode()


def unrouted(path: str) -> str:
    return EXPRESS.replace("/webhook/ai-image", path)


def unregistered(path: str) -> str:
    hint = "The workflow must be active for a production URL to run successfully."
    return json.dumps({"code": 404, "message": f'The requested webhook "{path}" is not registered.', "hint": hint})


NAMES_OURS = [
    (PATH, unrouted(PATH), Verdict.SEND_AGAIN),
    (f"/n8n{PATH}", unrouted(PATH), Verdict.SEND_AGAIN),
    (f"{PATH}/", unrouted(f"{PATH}/"), Verdict.SEND_AGAIN),
    ("/hooks/it's a/b", unrouted("/hooks/it&#39;s%20a/b"), Verdict.SEND_AGAIN),
    (PATH, unregistered("POST ai-image"), Verdict.UNREGISTERED),
    (PATH, unregistered("ai-image"), Verdict.UNREGISTERED),
    (f"{PATH}/", unregistered("POST ai-image"), Verdict.UNREGISTERED),
    ("/n8n/webhook/1b/ai image", unregistered("POST 1b/ai image"), Verdict.UNREGISTERED),
]
HANDED_ON = [
    (PATH, unrouted("/v1/images/generations")),
    (PATH, unrouted("/webhook/upscale")),
    (PATH, unrouted("/ai-image")),
    (PATH, unrouted("/n8n/webhook/ai-image")),
    (PATH, unrouted("/")),
    (PATH, f"The provider said: {EXPRESS}"),
    (PATH, f"{EXPRESS}<p>said the provider"),
    (PATH, "<pre>Cannot POST /webhook/ai-image</pre>"),
    (PATH, unregistered("POST upscale")),
    (PATH, unregistered("POST image")),
    (PATH, unregistered("POST other/ai-image")),
    (PATH, unregistered("GET ai-image")),
    (PATH, unregistered("POST /")),
    (PATH, unregistered("POST ai-image").replace("The requested", "n8n: The requested")),
    ("/", unregistered("POST /")),
    ("", unregistered("POST ai-image")),
    ("", EXPRESS),
]


@pytest.mark.parametrize(
    ("path", "body", "verdict"), [*NAMES_OURS, *((path, body, Verdict.IN_DOUBT) for path, body in HANDED_ON)]
)
def test_a_404_is_n8ns_own_if_it_names_what_was_asked_for(path: str, body: str, verdict: Verdict) -> None:
    """A Respond node may hand on what its provider, or another n8n, said to the workflow."""
    assert classify(404, "text/html", body.encode(), path=path).verdict is verdict


def test_the_recorded_404s_are_n8ns_own() -> None:
    recorded = n8n_recordings.load("answers")
    not_registered, page = recorded["NOT_REGISTERED"]["body"], recorded["CANNOT_POST"]["body"]
    judged = [
        classify(404, "", body.encode(), path=path).verdict
        for body, path in ((json.dumps(not_registered), "/webhook/nothing-here"), (page, "/webhook/ai-image"))
    ]
    assert judged == [Verdict.UNREGISTERED, Verdict.SEND_AGAIN]


PICTURE = {"Key": "b/a.png", "Id": "1"}

REPORTED: list[tuple[Any, type | None]] = [
    (PICTURE, Completed),
    ([PICTURE | {"cost": "0.1"}], Completed),
    ([{"json": PICTURE, "pairedItem": {"item": 0}}], Completed),
    ([{"note": "an item before it"}, PICTURE], Completed),
    ({"data": [PICTURE]}, Completed),
    ({"data": {"json": PICTURE}}, Completed),
    ({"headers": {}, "body": PICTURE}, Completed),
    *(({wrapper: PICTURE}, Completed) for wrapper in ("output", "result", "results", "response")),
    ({"result": [PICTURE]}, Completed),
    ({"success": True, "output": {"data": json.dumps(PICTURE)}}, Completed),
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
    ({"success": "false", "message": "x"}, Failed),
    ({"success": " False "}, Failed),
    ({"success": 0}, Failed),
    ({"status": "error", "message": "quota"}, Failed),
    ({"status": "Failure"}, Failed),
    ({"errorMessage": "x"}, Failed),
    ({"result": {"errorMessage": "x"}}, Failed),
    (PICTURE | {"errorMessage": "a progress callback was lost"}, Completed),
    ({"error": None, "message": "Workflow was started"}, None),
    ({"error": ""}, None),
    ({"success": True}, None),
    ({"success": "true", "status": "ok"}, None),
    ({"errorMessage": ""}, None),
    ({"output": "Started"}, None),
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


def test_what_the_user_reads_of_a_failure_in_an_answer() -> None:
    for content in (
        {"status": "error", "message": "quota"},
        {"errorMessage": "quota"},
        {"success": 0, "error": "quota"},
    ):
        report = classify(200, "application/json", json.dumps(content).encode()).report
        assert isinstance(report, Failed)
        assert report.message == "quota"


def test_numbers_that_json_does_not_have_cost_no_picture() -> None:
    answer = classify(200, "application/json", b'{"Key": "b/a.png", "Id": "1", "cost": NaN, "progress": Infinity}')
    assert isinstance(answer.report, Completed)


@pytest.mark.parametrize("message", ["a\x00b", "\ud83d", "line\r\nline", "x" * 5000, {"a": 1}, None, 7])
def test_what_stands_in_a_reason_is_clean(message: Any) -> None:
    reason = classify(502, "application/json", json.dumps({"message": message}).encode()).reason
    assert reason.isprintable()
    assert len(reason) <= 300
    reason.encode()
