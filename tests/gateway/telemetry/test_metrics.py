"""Metrics: what is counted, and the rules that watch it."""

import asyncio
import re
from pathlib import Path

import httpx
import pytest
import yaml

from gateway.settings import Settings
from gateway.telemetry import metrics
from tests.people import People, Person
from tests.running import RunningGateway, eventually, receive, running_gateway, send
from tests.scripted_n8n import ScriptedN8n


async def value(gateway: RunningGateway, name: str) -> float:
    """One metric's value; 0 while it has none."""
    text = (await gateway.http.get("/metrics")).text
    found = re.search(rf"^{re.escape(name)} ([0-9.e+-]+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


NAMES = [
    'gateway_submissions_total{outcome="accepted"}',
    'gateway_dispatch_attempts_total{outcome="accepted"}',
    'gateway_callbacks_total{outcome="changed"}',
    'gateway_deliveries_total{transport="websocket"}',
    "gateway_callback_to_client_seconds_count",
]


async def test_a_request_leaves_its_traces(gateway: RunningGateway, ada: Person, n8n: ScriptedN8n) -> None:
    before = {name: await value(gateway, name) for name in NAMES}
    async with gateway.watching(ada.id) as websocket:
        await send(websocket, type="subscribe", scope="mine")
        await receive(websocket)
        request_id = await gateway.submitted(ada.id)
        await n8n.until_received(request_id)
        await gateway.until(ada.id, request_id, "processing")
        await gateway.callback({"requestId": request_id, "status": "completed", "Key": "b/a.png", "Id": "1"})
        while (await receive(websocket))["request"]["status"] != "completed":
            pass
        assert await value(gateway, "gateway_connections") == 1

        async def counted() -> bool:
            return all([await value(gateway, name) > before[name] for name in NAMES])

        await eventually(counted)
    refused = await value(gateway, 'gateway_callbacks_total{outcome="unauthorized"}')
    await gateway.callback({}, secret="wrong")
    assert await value(gateway, 'gateway_callbacks_total{outcome="unauthorized"}') == refused + 1


async def test_connections_that_became_nothing_are_seen(gateway: RunningGateway, ada: Person) -> None:
    """Sockets that are opened and say nothing hold a place; one that becomes a WebSocket leaves it for another."""
    scraping = 1
    assert await value(gateway, "gateway_http_connections") == scraping
    silent = [await asyncio.open_connection("127.0.0.1", httpx.URL(gateway.url).port) for _ in range(3)]

    async def all_counted() -> bool:
        return await value(gateway, "gateway_http_connections") == scraping + len(silent)

    await eventually(all_counted)
    async with gateway.watching(ada.id):
        assert await value(gateway, "gateway_http_connections") == scraping + len(silent)
        assert await value(gateway, "gateway_connections") == 1
    for _, writer in silent:
        writer.close()
        await writer.wait_closed()

    async def none_left() -> bool:
        return await value(gateway, "gateway_http_connections") == scraping

    await eventually(none_left)


async def test_a_token_may_guard_them(settings: Settings, users_table: str) -> None:
    token = Settings.load({"metrics_token": "m" * 40}).metrics_token
    async with running_gateway(settings.model_copy(update={"metrics_token": token})) as gateway:
        await People(gateway.state.database, users_table).person()
        assert (await gateway.http.get("/metrics")).status_code == 401
        good = {"Authorization": "Bearer " + "m" * 40}
        assert (await gateway.http.get("/metrics", headers=good)).status_code == 200


def test_the_rules_ask_for_metrics_that_exist() -> None:
    rules = yaml.safe_load((Path(metrics.__file__).parent / "prometheus_rules.yml").read_text())
    exposed = {sample.name for family in metrics.REGISTRY.collect() for sample in family.samples} | {
        family.name for family in metrics.REGISTRY.collect()
    }
    named = set()
    for rule in rules["groups"][0]["rules"]:
        assert rule["annotations"]["summary"]
        assert rule["expr"].count("(") == rule["expr"].count(")")
        named |= set(re.findall(r"gateway_[a-z_]+", rule["expr"]))
    assert named
    for name in named:
        assert name.removesuffix("_total").removesuffix("_bucket") in exposed, name


@pytest.mark.parametrize("metric", [metrics.BUS_HEALTHY, metrics.CONNECTIONS, metrics.SUBSCRIBERS])
def test_gauges_count_live_processes_only(metric: object) -> None:
    assert getattr(metric, "_multiprocess_mode").startswith("live")  # noqa: B009
