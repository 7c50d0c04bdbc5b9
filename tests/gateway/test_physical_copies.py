"""A copy of the whole database server, promoted and served elsewhere as an environment of its own, on the same Redis.

Nothing in the database tells the two apart: only where they are served."""

import asyncio
from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from gateway.alerting import database_outage, monitor, notifier
from gateway.settings import Settings
from storage import migrations
from storage.database.open import open_database
from storage.identity import identity_of
from tests.alert_receiver import alert_receiver
from tests.people import People
from tests.running import eventually, receive, running_gateway, send
from tests.scripted_n8n import ScriptedN8n
from tests.servers import Postgres, Standby, Valkey

ORIGINAL, COPY = "https://gateway.example.com", "https://staging.example.com"


@pytest.fixture
def original() -> Iterator[Postgres]:
    with Postgres() as server:
        server.execute("CREATE DATABASE migrated")
        migrations.upgrade(server.url("migrated"))
        yield server


@pytest.fixture
def copy(original: Postgres) -> Iterator[Standby]:
    with Standby(original) as server:
        yield server


@pytest.fixture
def environments(original: Postgres, copy: Standby, valkey: Valkey, n8n: ScriptedN8n) -> list[Settings]:
    """The original's settings and the copy's."""
    servers: list[Postgres] = [original, copy]
    return [
        Settings.load({"database_url": server.url("migrated"), "redis_url": valkey.url, "n8n_webhook_url": n8n.url})
        for server in servers
    ]


async def test_only_the_address_tells_a_copy_from_its_original(original: Postgres, copy: Standby) -> None:
    """And a standby that takes over is the same one: its processes go on hearing each other."""
    await asyncio.to_thread(copy.promote)
    async with (
        open_database(original.url("migrated")) as first,
        open_database(copy.url("migrated")) as second,
    ):
        assert await identity_of(first, ORIGINAL) == await identity_of(second, ORIGINAL)
        assert await identity_of(first, ORIGINAL) != await identity_of(second, COPY)


async def test_what_happens_in_a_copy_is_not_heard(copy: Standby, environments: list[Settings]) -> None:
    async with running_gateway(environments[0]) as gateway:
        ada = await People(gateway.state.database, "auth.users").person()
        request_id = await gateway.submitted(ada.id)
        body = await gateway.until(ada.id, request_id, "processing")

        def has_all() -> bool:
            sql = f"SELECT version FROM ai_image_requests WHERE id = '{request_id}'"
            return copy.execute(sql, "migrated") == str(body["version"])

        await eventually(lambda: asyncio.to_thread(has_all))
        await asyncio.to_thread(copy.promote)
        async with running_gateway(environments[1]) as other, gateway.watching(ada.id) as websocket:
            await send(websocket, type="subscribe", scope="mine")
            await receive(websocket)
            done = {"requestId": request_id, "status": "completed", "Key": "b/a.png", "Id": "1"}
            assert (await other.callback(done)).status_code == 200
            ours = await gateway.submitted(ada.id)
            assert (await receive(websocket))["request"]["requestId"] == ours


async def test_an_outage_of_either_is_told(
    original: Postgres, copy: Standby, environments: list[Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The claim of one silences its own processes, and nobody else's."""
    monkeypatch.setattr(database_outage, "AWAY_SECONDS", 0.1)
    for module in (monitor, notifier):
        monkeypatch.setattr(module, "INTERVAL_SECONDS", 0.05)
    await asyncio.to_thread(copy.promote)
    async with alert_receiver() as receiver:
        told = {"alert_webhook_url": SecretStr(receiver.url)}
        async with (
            running_gateway(environments[0].model_copy(update=told)) as first,
            running_gateway(environments[0].model_copy(update=told), app_url=first.url),
            running_gateway(environments[1].model_copy(update=told)),
        ):
            for server in (original, copy):
                server.kill()

            async def both_are_told() -> bool:
                return receiver.notified() == [("database_away", "firing")] * 2

            await eventually(both_are_told)
            for server in (original, copy):
                server.start()

            async def both_ends_are_told() -> bool:
                both = [("database_away", "firing")] * 2 + [("database_away", "resolved")] * 2
                return receiver.notified() == both

            await eventually(both_ends_are_told)
