"""Readiness: whether the process can serve, by a table of what is away."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.api import health
from gateway.settings import Settings
from storage import alerts
from tests.people import Person
from tests.running import SECONDS, RunningGateway, eventually, running_gateway
from tests.servers import Postgres


async def readiness(gateway: RunningGateway) -> tuple[int, str, dict[str, bool]]:
    answer = await gateway.http.get("/readyz")
    body = answer.json()
    assert (answer.headers.get("Gateway-Degraded") == "bus") is (body["status"] == "degraded")
    return answer.status_code, body["status"], body["checks"]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"ai_generation_rate_limit_per_hour": 100_000})


@pytest.fixture(autouse=True)
def _always_fresh(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "remembered" not in request.node.name:
        monkeypatch.setattr(health, "FRESH_SECONDS", 0.001)


WELL = {"database": True, "bus": True, "accepting": True}


async def test_all_is_well(gateway: RunningGateway) -> None:
    assert await readiness(gateway) == (200, "ready", WELL)


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
async def test_without_the_bus_it_serves_and_says_so(gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every process shares one Redis: a balancer would take all of them out."""
    monkeypatch.setattr(type(gateway.state.bus), "healthy", property(lambda _: False))
    assert await readiness(gateway) == (200, "degraded", WELL | {"bus": False})
    assert "gateway_bus_healthy 0.0" in (await gateway.http.get("/metrics")).text


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
async def test_a_stopping_process_is_not_ready_and_writes_nothing(gateway: RunningGateway) -> None:
    gateway.state.drain.begin()
    await alerts.process_gone(gateway.state.database, gateway.state.process)
    status, _, checks = await readiness(gateway)
    assert (status, checks["accepting"]) == (503, False)
    assert await gateway.state.database.all("SELECT name FROM ai_gateway_processes") == []


@contextlib.asynccontextmanager
async def read_only(server: Postgres) -> AsyncIterator[None]:
    """Every transaction that begins now is read-only, as after a failover or in Supabase's read-only mode."""
    server.execute("ALTER DATABASE shared SET default_transaction_read_only = on")
    server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'shared'")
    try:
        yield
    finally:
        server.execute("ALTER DATABASE shared RESET default_transaction_read_only")


@pytest.mark.parametrize("backend", ["postgres"], indirect=True)
async def test_a_server_that_only_reads_is_not_ready(gateway: RunningGateway, postgres: Postgres) -> None:
    async def is_ready() -> bool:
        return (await readiness(gateway))[0] == 200

    async def is_not_ready() -> bool:
        return not await is_ready()

    async with read_only(postgres):
        await eventually(is_not_ready)
        assert (await readiness(gateway))[1:] == ("not ready", WELL | {"database": False})
    await eventually(is_ready)


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
async def test_a_file_that_takes_no_writes_is_not_ready(gateway: RunningGateway) -> None:
    writer = gateway.state.database._connections[0].raw_connection  # type: ignore[attr-defined]
    await writer.execute_fetchall("PRAGMA query_only = ON")
    assert await gateway.state.database.all("SELECT 1 AS one"), "reading goes on"
    assert await readiness(gateway) == (503, "not ready", WELL | {"database": False})
    assert (await gateway.http.get("/healthz")).status_code == 200
    await writer.execute_fetchall("PRAGMA query_only = OFF")
    assert await readiness(gateway) == (200, "ready", WELL)


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
async def test_a_full_disk_is_not_ready_until_there_is_room_again(gateway: RunningGateway, ada: Person) -> None:
    """Before: "ready" while every submission was refused, as the probe's own row had its place already."""
    database = gateway.state.database
    writer = database._connections[0].raw_connection  # type: ignore[attr-defined]
    assert (await readiness(gateway))[0] == 200
    await writer.execute_fetchall("PRAGMA max_page_count = 1")  # SQLite takes what the file has
    large = {"Product": "p" * 200, "Your Brand": "b" * 200}
    async with asyncio.timeout(SECONDS):
        while True:
            answer = await gateway.http.post("/api/ai-generate", json=large, headers=gateway.bearer(ada.id))
            if answer.status_code != 202:
                break
    assert answer.status_code == 503
    await alerts.process_seen(database, gateway.state.process, connections=0, bus_healthy=True)  # this still goes
    assert await readiness(gateway) == (503, "not ready", WELL | {"database": False})
    assert (await gateway.http.get("/healthz")).status_code == 200
    assert (await gateway.http.get("/api/usage", headers=gateway.bearer(ada.id))).status_code == 200, "reading goes on"
    await writer.execute_fetchall("PRAGMA max_page_count = 1000000")
    assert await readiness(gateway) == (200, "ready", WELL)
    answer = await gateway.http.post("/api/ai-generate", json=large, headers=gateway.bearer(ada.id))
    assert answer.status_code == 202
    assert await database.all("SELECT name FROM ai_gateway_alerts WHERE name LIKE '%:room'") == []


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
async def test_probes_that_are_remembered_cost_one_write_a_second(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    async def seen(_: object, name: str, **__: Any) -> None:
        tried.append(name)

    async with running_gateway(settings) as gateway:
        monkeypatch.setattr(alerts, "process_writes", seen)
        answers = await asyncio.gather(*(readiness(gateway) for _ in range(50)))
        assert {answer[0] for answer in answers} == {200}
        assert 1 <= len(tried) <= 2  # a second may pass on a busy machine
