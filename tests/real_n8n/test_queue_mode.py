"""n8n in queue mode: what waits for a worker has the status ``new``."""

import itertools
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from gateway.n8n.execution_data import payloads_of
from tests.n8n_recordings import executions
from tests.real_n8n.conftest import Stand, running
from tests.real_n8n.n8n_server import RealN8n
from tests.real_n8n.world import World
from tests.running import eventually
from tests.servers import Postgres, Valkey

pytestmark = [pytest.mark.real_n8n, pytest.mark.timeout(600)]

_numbers = itertools.count(1)


@pytest.fixture
def queueing(n8n_server: RealN8n, postgres: Postgres, valkey: Valkey) -> Iterator[RealN8n]:
    """An n8n that leaves its work to workers, and has none yet."""
    name = f"n8n_{next(_numbers)}"
    postgres.execute(f"CREATE DATABASE {name}")
    environment = {
        "EXECUTIONS_MODE": "queue",
        "QUEUE_BULL_REDIS_HOST": "127.0.0.1",
        "QUEUE_BULL_REDIS_PORT": str(valkey.port),
        "QUEUE_BULL_PREFIX": name,
        "DB_TYPE": "postgresdb",
        "DB_POSTGRESDB_HOST": "127.0.0.1",
        "DB_POSTGRESDB_PORT": str(postgres.port),
        "DB_POSTGRESDB_DATABASE": name,
        "DB_POSTGRESDB_USER": "postgres",
        "DB_POSTGRESDB_PASSWORD": "-",
    }
    with running(RealN8n(n8n_server.version, **environment)) as server:
        yield server


async def test_what_waits_for_a_worker_gets_more_time(stand: Stand, world: World, queueing: RealN8n) -> None:
    """The request is found by its execution, which holds its payload although nobody has begun it."""
    api = {"N8N_API_URL": queueing.url, "N8N_API_KEY": queueing.api_key}
    await stand.start(N8N_WEBHOOK_URL=f"{queueing.url}/webhook/ai-image", AI_DEADLINE_SECONDS="30", **api)
    request_id = await stand.submit("Queued")
    headers = {"X-N8N-API-KEY": queueing.api_key}
    async with httpx.AsyncClient(
        base_url=f"{queueing.url}/api/v1", headers=headers, trust_env=False, timeout=30
    ) as http:

        async def queued() -> dict[str, Any] | None:
            answer = await http.get("/executions/1", params={"includeData": "true"})
            return dict(answer.json()) if answer.status_code == 200 else None

        execution = await eventually(queued, 60)
        listed = await http.get("/executions", params={"status": "new"})
    recorded = executions()["new"]
    assert (execution["status"], execution["startedAt"]) == (recorded["status"], recorded["startedAt"])
    assert [named for named, _ in payloads_of(execution)] == [request_id]
    # Neither lists it: 2.8 does not know the status, and newer ones leave out what their own process holds.
    assert listed.status_code == 400 or listed.json()["data"] == []

    async def has_more_time() -> bool:
        return "more_time" in await stand.kinds(request_id)

    await eventually(has_more_time, 60)
    assert world.prompts == []
    queueing.start_worker()
    final = (await stand.watch(request_id, 120))[-1]
    assert final["status"] == "completed"
    assert (world.prompted("Queued"), await stand.assets()) == (1, 1)
