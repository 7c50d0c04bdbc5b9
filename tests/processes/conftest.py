"""Processes on one database and one bus."""

import itertools
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from gateway.auth.tokens import issue_token
from gateway.settings import DEVELOPMENT_SECRETS
from storage.database.base import Database
from storage.database.open import open_database
from storage.database.sqlite import SqliteDatabase
from tests.people import People, Person
from tests.processes.spawning import GatewayProcess, ServingProcess, closing_all
from tests.scripted_n8n import ScriptedN8n
from tests.servers import Postgres

_numbers = itertools.count(1)


@pytest.fixture
def database_url(backend: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of the test's own: a process that was killed may write a moment longer."""
    if backend == "sqlite":
        path = tmp_path / "gateway.sqlite3"
        shutil.copy(request.getfixturevalue("migrated_file"), path)
        return f"sqlite:///{path}"
    server: Postgres = request.getfixturevalue("postgres")
    name = f"processes_{next(_numbers)}"
    server.execute(f"CREATE DATABASE {name} TEMPLATE migrated")
    return server.url(name)


@pytest.fixture
def environment(database_url: str, redis_url: str | None, n8n: ScriptedN8n) -> dict[str, str]:
    return {"DATABASE_URL": database_url, "REDIS_URL": redis_url or "", "N8N_WEBHOOK_URL": n8n.url}


@pytest.fixture
def spawned() -> Iterator[list[GatewayProcess]]:
    """Processes that the test started, ended with it."""
    with closing_all([]) as processes:
        yield processes


Serve = Callable[..., ServingProcess]


@pytest.fixture
def serve(tmp_path: Path, environment: dict[str, str], spawned: list[GatewayProcess]) -> Serve:
    """Starts `gateway serve` and waits until it is ready."""

    def start(*arguments: str, module: str = "gateway", **more: str) -> ServingProcess:
        process = ServingProcess(*arguments, folder=tmp_path, environment={**environment, **more}, module=module)
        spawned.append(process)
        process.wait_until_ready()
        return process

    return start


@pytest.fixture
async def outside(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Database]:
    """The database as another tool sees it, beside the processes (so without the lock that only gateways take)."""
    database = open_database(database_url)
    if isinstance(database, SqliteDatabase):
        monkeypatch.setattr(database._lock, "acquire", lambda **_: None)
        monkeypatch.setattr(database._lock, "release", lambda: None)
    async with database:
        yield database


@pytest.fixture
async def ada(outside: Database, users_table: str) -> Person:
    return await People(outside, users_table).person()


def bearer(person: Person, *, admin: bool = False) -> dict[str, str]:
    token = issue_token(DEVELOPMENT_SECRETS["supabase_jwt_secret"], person.id, admin=admin, lifetime=3600)
    return {"Authorization": f"Bearer {token}"}
