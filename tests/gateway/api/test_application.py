"""The application's one layer: how endpoints are found, what every answer carries, and what a request costs in it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.types import Message

from gateway.api.application import Application
from gateway.api.errors import ApiError
from gateway.api.responses import json_response
from gateway.api.security_headers import SecurityHeaders
from gateway.settings import Settings
from tests.counting import calls_of
from tests.running import RunningGateway, running_gateway


@contextlib.asynccontextmanager
async def nothing(_: object) -> AsyncIterator[None]:
    yield


async def said(request: Request) -> Response:
    """What the endpoint was found by."""
    return json_response({"route": request.url.path, "parameters": request.path_params})


def refusing(error: Exception) -> Any:
    async def endpoint(request: Request) -> Response:
        raise error

    return endpoint


async def early(request: Request) -> Response:
    return PlainTextResponse("early")


async def trivial(request: Request) -> Response:
    return json_response(b"{}", headers={"ETag": '"v1"'})


async def late(request: Request) -> Response:
    return PlainTextResponse("late")


APPLICATION = Application(
    [
        Route("/first", early),
        Route("/first", late),
        Route("/things", said, methods=["GET", "POST"]),
        Route("/things/{thing}", said),
        Route("/things/{thing}/parts/{part}", said),
        Route("/things/{thing}/drawing.{kind}", said),
        Route("/trivial/{thing}", trivial),
        Route("/refused", refusing(ApiError(418, "teapot", "No coffee.", {"Retry-After": "1"}))),
        Route("/broken", refusing(ZeroDivisionError("inside"))),
        Mount("/mounted", app=Route("/x", said).app),
    ],
    lifespan=nothing,
    security_headers=SecurityHeaders(own="https://gateway.example", images="https://pictures.example"),
)


async def ask(method: str, path: str) -> httpx.Response:
    transport = httpx.ASGITransport(APPLICATION)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway.example") as http:
        return await http.request(method, path)


@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        ("/things", {}),
        ("/things/1", {"thing": "1"}),
        ("/things/1/parts/2", {"thing": "1", "part": "2"}),
        ("/things/1/drawing.svg", {"thing": "1", "kind": "svg"}),
    ],
)
async def test_an_endpoint_is_found_by_its_path(path: str, parameters: dict[str, str]) -> None:
    answer = await ask("GET", path)
    assert answer.json() == {"route": path, "parameters": parameters}
    assert (await ask("HEAD", path)).status_code == 200


async def test_a_slash_too_many_is_no_redirect() -> None:
    """A redirect would name the host that the client claims to ask; n8n would even post its secret there."""
    for path in ("/things/", "/things/1/"):
        answer = await ask("GET", path)
        assert (answer.status_code, "location" in answer.headers) == (200, False)
    assert (await ask("GET", "/things//")).status_code == 404
    assert (await ask("GET", "/")).status_code == 404


async def test_the_first_route_wins() -> None:
    assert (await ask("GET", "/first")).text == "early"


async def test_what_is_not_there_is_refused_in_json() -> None:
    for method, path, status, code in (
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/things/1/nothing", 404, "not_found"),
        ("DELETE", "/things", 405, "method_not_allowed"),
        ("POST", "/things/1", 405, "method_not_allowed"),
    ):
        answer = await ask(method, path)
        assert (answer.status_code, answer.json()["code"]) == (status, code), path
    assert set((await ask("DELETE", "/things")).headers["Allow"].split(", ")) == {"GET", "HEAD", "POST"}


async def test_every_answer_carries_the_security_headers() -> None:
    for path in ("/things", "/things/1/parts/2", "/refused", "/broken", "/nothing"):
        headers = (await ask("GET", path)).headers
        assert headers.get_list("X-Content-Type-Options") == ["nosniff"], path
        assert headers.get_list("Referrer-Policy") == ["strict-origin-when-cross-origin"], path
        assert "Content-Security-Policy" not in headers


async def test_errors_are_sentences(caplog: pytest.LogCaptureFixture) -> None:
    refused = await ask("GET", "/refused")
    assert (refused.status_code, refused.json()) == (418, {"error": "No coffee.", "code": "teapot"})
    assert refused.headers["Retry-After"] == "1"
    broken = await ask("GET", "/broken")
    assert (broken.status_code, broken.json()["code"]) == (500, "internal_error")
    assert "inside" not in broken.text
    assert "ZeroDivisionError" in caplog.text


async def test_the_layer_costs_a_few_dozen_calls() -> None:
    """Of the layer, an endpoint that does nothing, and its answer."""
    starlette = Starlette(routes=[Route("/trivial/{thing}", trivial)])
    assert await calls_of(APPLICATION, "GET", "/trivial/1") < 40
    assert await calls_of(APPLICATION, "GET", "/trivial/1") < 0.7 * await calls_of(starlette, "GET", "/trivial/1")


TRACING = {
    "Trace Context": "traceparent, tracestate, baggage",
    "Sentry": "sentry-trace, baggage",
    "Zipkin": "x-b3-traceid, x-b3-spanid, x-b3-parentspanid, x-b3-sampled, x-b3-flags",
    "Zipkin, in one header": "b3",
    "Datadog": "x-datadog-trace-id, x-datadog-parent-id, x-datadog-origin, x-datadog-sampling-priority",
    "Datadog, newer": "x-datadog-tags, x-datadog-sampled, traceparent",
    "Application Insights": "request-id, request-context, traceparent",
    "New Relic": "newrelic, x-newrelic-id, traceparent, tracestate",
    "Elastic": "elastic-apm-traceparent, traceparent",
    "Jaeger": "uber-trace-id",
    "X-Ray": "X-Amzn-Trace-Id",
    "Google Cloud": "X-Cloud-Trace-Context",
    "Dynatrace": "x-dtpc, x-dtreferer",
    "Instana": "x-instana-t, x-instana-s, x-instana-l",
    "SkyWalking": "sw8",
    "a proxy's ids": "X-Request-Id, X-Correlation-Id",
}


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
async def test_a_page_with_tracing_may_ask(settings: Settings) -> None:
    settings = settings.model_copy(update={"allowed_headers": ("X-Of-Ours",)})
    async with running_gateway(settings) as gateway:
        answers = {kind: await preflight(gateway, f"Authorization, {headers}") for kind, headers in TRACING.items()}
        assert answers == dict.fromkeys(TRACING, 200)
        assert await preflight(gateway, "X-Of-Ours") == 200
        assert await preflight(gateway, "X-Of-Theirs") == 400
        assert await preflight(gateway, "Authorization", origin="https://foreign.example") == 400


async def preflight(gateway: RunningGateway, headers: str, origin: str | None = None) -> int:
    asked = {
        "Origin": origin or gateway.url,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": headers,
    }
    return (await gateway.http.options("/api/ai-generate", headers=asked)).status_code


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
async def test_only_an_allowed_origin_reads_an_answer(gateway: RunningGateway) -> None:
    own = await gateway.http.get("/healthz", headers={"Origin": gateway.url})
    assert own.headers["Access-Control-Allow-Origin"] == gateway.url
    assert "RateLimit" in own.headers["Access-Control-Expose-Headers"]
    foreign = await gateway.http.get("/healthz", headers={"Origin": "https://foreign.example"})
    assert "Access-Control-Allow-Origin" not in foreign.headers
    assert "Access-Control-Allow-Origin" not in (await gateway.http.get("/healthz")).headers


@pytest.mark.parametrize(("error", "told"), [(asyncio.CancelledError(), False), (RuntimeError("no database"), True)])
async def test_a_start_that_is_called_off_leaves_no_traceback(error: BaseException, told: bool) -> None:
    class Failing(contextlib.AsyncExitStack):
        async def __aenter__(self) -> Any:
            raise error

    application = Application(
        [], lifespan=lambda _: Failing(), security_headers=SecurityHeaders("http://own", "http://images")
    )
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "lifespan.startup"}

    async def send(message: Message) -> None:
        sent.append(message)

    with pytest.raises(type(error)):
        await application({"type": "lifespan", "state": {}}, receive, send)
    assert [message["type"] for message in sent] == ["lifespan.startup.failed"]
    assert bool(sent[0]["message"]) == told
