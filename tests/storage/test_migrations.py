"""Migrations of databases that are in use: what is there is kept."""

import asyncio
import uuid
from pathlib import Path

from alembic import command
from sqlalchemy import create_engine

from storage import alerts, migrations, probes
from storage.database.base import Database
from storage.database.open import open_database
from storage.database.schema import check_schema
from tests.servers import Postgres

USED = """
INSERT INTO organizations (id, name) VALUES ('{id}', 'Acme');
INSERT INTO {users} (id) VALUES ('{id}');
INSERT INTO ai_image_requests (id, user_id, organization_id, product, brand, dispatch_sending_at, deadline_at, ask_at)
    VALUES ('{id}', '{id}', '{id}', 'Shoes', 'Nike', '{then}', '{later}', '{then}');
INSERT INTO ai_gateway_alerts (name, summary, count, since, seen_at, quiet_at, told_at)
    VALUES ('stuck', 'Stuck.', 1, '{then}', '{then}', '{then}', '{then}');
INSERT INTO ai_gateway_processes (name, seen_at, connections, bus_healthy) VALUES ('one', '{later}', 3, true)
"""


def used(users: str, request_id: str) -> str:
    """A database at 0004 with a request to probe, an alert to resolve and a process."""
    return USED.format(id=request_id, users=users, then="2026-01-31T12:00:00.000Z", later="2100-01-01T00:00:00.000Z")


async def check(database: Database, request_id: str) -> None:
    await check_schema(database)
    (probe,) = await probes.claim_probes(database, 10)
    assert probe.request.id == request_id, "it was to be asked about"
    await alerts.resolve_alerts(database)
    (alert,) = await alerts.claim_notifications(database)
    assert (alert.name, alert.notified, alert.ended_at is not None) == ("stuck", True, True)
    assert await alerts.processes(database) == (1, 3)


async def test_field_words_on_sqlite(tmp_path: Path) -> None:
    path, request_id = tmp_path / "used.sqlite3", str(uuid.uuid4())
    with create_engine(f"sqlite:///{path}").connect() as connection:
        command.upgrade(migrations._config(connection), "0004")
        for statement in used("auth_users", request_id).split(";"):
            connection.exec_driver_sql(statement)
        connection.commit()
    await asyncio.to_thread(migrations.upgrade, f"sqlite:///{path}")
    async with open_database(f"sqlite:///{path}") as database:
        indexes = await database.all("SELECT name FROM sqlite_master WHERE type = 'index' AND sql LIKE '%probe_at%'")
        assert [row["name"] for row in indexes] == ["idx_ai_requests_probe"]
        await check(database, request_id)


async def test_field_words_on_postgres(postgres: Postgres) -> None:
    request_id = str(uuid.uuid4())
    postgres.execute("CREATE DATABASE used")
    sql = migrations.upgrade_sql(until="0004") + used("auth.users", request_id)
    await asyncio.to_thread(postgres.execute, sql, "used")
    await asyncio.to_thread(migrations.upgrade, postgres.url("used"))
    async with open_database(postgres.url("used")) as database:
        indexes = await database.all("SELECT indexname FROM pg_indexes WHERE indexdef LIKE '%probe_at%'")
        assert [row["indexname"] for row in indexes] == ["idx_ai_requests_probe"]
        await check(database, request_id)
