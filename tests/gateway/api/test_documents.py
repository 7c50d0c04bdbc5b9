"""The documents say what the code does: every route, every answer, every message."""

import asyncio
import json
import re
from typing import Any

import jsonschema
import pytest
from openapi_spec_validator import validate
from starlette.routing import BaseRoute, Mount, Route

from gateway.api.documents import asyncapi, openapi
from gateway.app import create_app
from gateway.realtime.close_codes import CloseCode
from gateway.realtime.supabase import endpoint as supabase_endpoint
from gateway.realtime.websocket import endpoint as websocket_endpoint
from gateway.settings import Settings
from tests.channels import binding, channel_client
from tests.markdown import ROOT, table
from tests.people import Person
from tests.running import RunningGateway, receive, send


def matches(document: dict[str, Any], schema: dict[str, Any], value: object) -> None:
    jsonschema.validate(value, {**schema, "components": document["components"]}, jsonschema.Draft202012Validator)


@pytest.fixture
def routes() -> list[BaseRoute]:
    """The routes of an application."""
    return list(create_app(Settings.load()).routes)


def test_the_openapi_document_is_valid(routes: list[BaseRoute]) -> None:
    validate(openapi.openapi(routes))


def test_every_route_is_in_a_document_and_nothing_else(routes: list[BaseRoute]) -> None:
    http = {
        (route.path, method.lower())
        for route in routes
        if isinstance(route, Route) and route.path not in ("/", "/admin", "/sign-in", "/static/{path:path}")
        for method in (route.methods or set()) - {"HEAD"}
    }
    assert http == {(path, method) for path, methods in openapi.openapi(routes)["paths"].items() for method in methods}
    assert {websocket_endpoint.PATH, supabase_endpoint.PATH} == {
        channel["address"] for channel in asyncapi.asyncapi(1024)["channels"].values()
    }
    assert not [route for route in routes if isinstance(route, Mount)]


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
async def test_http_answers_are_as_documented(gateway: RunningGateway, ada: Person) -> None:
    document = (await gateway.http.get("/api/openapi.json")).json()
    request_id = await gateway.submitted(ada.id)
    await gateway.until(ada.id, request_id, "processing")
    secret = {"X-Callback-Secret": gateway.settings.ai_callback_secret.get_secret_value()}
    done = {"requestId": request_id, "status": "completed", "Key": "b/a.png", "Id": "1"}
    user = gateway.bearer(ada.id)
    status = "/api/ai-status/{request_id}"
    submission = {"Product": "Shoes", "Your Brand": "Nike"}
    asked: list[tuple[str, str, int, dict[str, Any]]] = [
        ("post", "/api/ai-generate", 202, {"json": submission, "headers": user}),
        ("post", "/api/ai-generate", 400, {"json": {}, "headers": user}),
        ("post", "/api/ai-generate", 401, {"json": submission}),
        ("post", "/api/ai-generate", 415, {"content": b"", "headers": user}),
        ("get", status, 200, {"headers": user}),
        ("get", status, 401, {}),
        ("post", "/api/ai-callback", 400, {"json": {}, "headers": secret}),
        ("post", "/api/ai-callback", 401, {"json": done}),
        ("post", "/api/ai-callback", 404, {"json": done | {"requestId": "x"}, "headers": secret}),
        ("post", "/api/ai-callback", 200, {"json": done, "headers": secret}),
        ("post", "/api/ai-callback", 200, {"json": done, "headers": secret}),
        ("post", "/api/ai-callback", 409, {"json": done | {"Id": "2"}, "headers": secret}),
        ("get", status, 200, {"headers": user}),
        ("get", "/healthz", 200, {}),
        ("get", "/readyz", 200, {}),
        ("get", "/api/asyncapi.json", 200, {}),
    ]
    for method, path, expected, options in asked:
        answer = await gateway.http.request(method, path.format(request_id=request_id), **options)
        assert answer.status_code == expected, (method, path, answer.text)
        documented = document["paths"][path][method]["responses"][str(expected)]
        matches(document, documented["content"]["application/json"]["schema"], answer.json())


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
async def test_websocket_messages_are_as_documented(gateway: RunningGateway, ada: Person) -> None:
    document = (await gateway.http.get("/api/asyncapi.json")).json()
    by_type = {
        document["components"]["schemas"][name]["properties"]["type"]["enum"][0]: name
        for name in document["channels"]["realtime"]["messages"]
    }
    seen: set[str] = set()

    async def expect(kind: str) -> None:
        message = await receive(websocket)
        matches(document, {"$ref": f"#/components/schemas/{by_type[message['type']]}"}, message)
        seen.add(message["type"])
        assert message["type"] == kind

    async def say(**command: Any) -> None:
        matches(document, {"$ref": f"#/components/schemas/{by_type[command['type']]}"}, command)
        await send(websocket, **command)

    request_id = await gateway.submitted(ada.id)
    await gateway.until(ada.id, request_id, "processing")
    async with gateway.websocket() as websocket:
        await say(type="auth", token=gateway.token(ada.id, lifetime=30))
        await expect("authenticated")
        await expect("welcome")
        await expect("expiring")
        await say(type="subscribe", ref=1, requestIds=[request_id])
        await expect("subscribed")
        await gateway.callback({"requestId": request_id, "status": "processing", "progress": 50})
        await expect("update")
        await say(type="ping", ref="p")
        await expect("pong")
        await send(websocket, type="subscribe", ref=None)
        await expect("error")
        await say(type="unsubscribe", ref=None, requestIds=[request_id])
        await expect("unsubscribed")
        gateway.state.hub.drain(60)
        await expect("drain")
    assert seen == set(by_type) - {"auth", "subscribe", "unsubscribe", "ping"}


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
async def test_channel_messages_are_as_documented(gateway: RunningGateway, ada: Person) -> None:
    document = (await gateway.http.get("/api/asyncapi.json")).json()
    schemas = document["components"]["schemas"]
    by_event = {schemas[name]["prefixItems"][3]["const"]: name for name in document["channels"]["supabase"]["messages"]}
    seen: set[str] = set()

    async def expect(event: str) -> None:
        message = json.loads(await client.websocket.recv())
        matches(document, {"$ref": f"#/components/schemas/{by_event[message[3]]}"}, message)
        seen.add(message[3])
        assert message[3] == event

    async def say(topic: str, event: str, payload: Any) -> None:
        matches(document, {"$ref": f"#/components/schemas/{by_event[event]}"}, ["1", "1", topic, event, payload])
        await client.push(topic, event, payload)
        seen.add(event)

    request_id = await gateway.submitted(ada.id)
    await gateway.until(ada.id, request_id, "processing")  # nothing changes meanwhile
    config = {"postgres_changes": [binding("*", f"id=eq.{request_id}")]}
    async with asyncio.timeout(15), channel_client(gateway.url) as client:
        await say("phoenix", "heartbeat", {})
        await expect("phx_reply")
        await say("realtime:x", "phx_join", {"config": config, "access_token": gateway.token(ada.id)})
        for event in ("phx_reply", "system", "postgres_changes"):
            await expect(event)
        await say("realtime:x", "access_token", {"access_token": "nonsense"})
        await expect("system")
        await expect("phx_error")
        await say("realtime:x", "phx_leave", {})
        await expect("phx_reply")
        await expect("phx_close")
    assert seen == set(by_event)


def test_every_close_code_is_documented() -> None:
    description = asyncapi.asyncapi(1024)["info"]["description"]
    assert "at most 1024 bytes" in description
    for code in CloseCode:
        assert f"- {code.value} {code.reason}" in description
        assert len(code.reason.encode()) <= 123


def test_every_copy_of_the_close_codes_says_the_same() -> None:
    client, dashboard = ((ROOT / "static" / name).read_text() for name in ("gateway.js", "admin.js"))
    permanent = re.search(r"const PERMANENT = new Set\(\[([\d, ]+)\]\);", client)
    assert permanent is not None
    assert {int(code) for code in permanent[1].split(",")} == {code for code in CloseCode if not code.reconnect}
    drained = re.search(r'#after\("drain", .+#lost\(socket, (\d+), 0\)', client)
    assert drained is not None
    assert int(drained[1]) == CloseCode.RESTART
    unauthorized = re.search(r"const UNAUTHORIZED = (\d+);", dashboard)
    assert unauthorized is not None
    assert int(unauthorized[1]) == CloseCode.UNAUTHORIZED

    rows = table(ROOT / "gateway" / "realtime" / "README.md", "WebSocket: `/ws`", "close code")
    assert set(rows) == {str(code.value) for code in CloseCode}
    for code in CloseCode:
        words = re.findall(r"\w+", f"{code.reason} {code.name.replace('_', ' ')}".lower())
        said, again = rows[str(code.value)]
        assert set(words) & set(re.findall(r"\w+", said)), f"{code.value} is {code.reason!r}, not {said!r}"
        assert (again == "no") is not code.reconnect, code


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
async def test_metrics(settings: Settings) -> None:
    from tests.running import running_gateway

    async with running_gateway(settings) as gateway:
        text = (await gateway.http.get("/metrics")).text
        assert "gateway_bus_healthy 1.0" in text
        assert "gateway_watchers 0.0" in text
    token = Settings.load({"metrics_token": "scrape"}).metrics_token
    async with running_gateway(settings.model_copy(update={"metrics_token": token})) as gateway:
        assert (await gateway.http.get("/metrics")).status_code == 401
        assert (await gateway.http.get("/metrics", headers={"Authorization": "Bearer x"})).status_code == 401
        assert (await gateway.http.get("/metrics", headers={"Authorization": "Bearer scrape"})).status_code == 200
