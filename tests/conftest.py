"""Fixtures: real servers, a migrated database for each test, people, and an n8n that does as it is told.

Whatever takes `backend` runs twice: on SQLite with the in-process bus, and on PostgreSQL with Valkey.
"""

import logging
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import hypothesis
import pytest

from gateway.api import metrics
from gateway.settings import Settings
from gateway.telemetry.logging import configure_logging
from storage import migrations
from storage.database.base import Database
from storage.database.open import open_database
from tests.people import People as People
from tests.people import Person as Person
from tests.people import parsing_only as parsing_only
from tests.running import RunningGateway, running_gateway
from tests.scripted_n8n import ScriptedN8n, scripted_n8n
from tests.servers import Postgres, Valkey

BACKENDS = ("sqlite", "postgres")

# Properties hold at any pace: a machine that is busy is no failure.
hypothesis.settings.register_profile("tests", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("tests")


@pytest.fixture(scope="session", autouse=True)
def _logging() -> None:
    """The gateway's own logging, read by pytest's handlers instead of written to the terminal."""
    configure_logging(production=True)
    logging.getLogger().handlers.clear()


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the machine reaches a test, and no test writes into the working copy."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.delenv("NEXT_PUBLIC_APP_URL", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def _metrics_are_current(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test reads what it has just done."""
    monkeypatch.setattr(metrics, "FRESH_SECONDS", 0.0)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with Postgres() as server:
        server.execute("CREATE DATABASE migrated")
        migrations.upgrade(server.url("migrated"))
        server.execute("CREATE DATABASE shared TEMPLATE migrated")
        yield server


@pytest.fixture(scope="session")
def valkey() -> Iterator[Valkey]:
    with Valkey() as server:
        yield server


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "migrated.sqlite3"
    migrations.upgrade(f"sqlite:///{path}")
    return path


# What hangs on users and organizations goes with them.
EMPTY = """
DELETE FROM auth.users; DELETE FROM organizations;
DELETE FROM ai_gateway_alerts; DELETE FROM ai_gateway_counts; DELETE FROM ai_gateway_processes"""


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def database_url(backend: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of the test's own, with the schema and without rows."""
    if backend == "sqlite":
        path = tmp_path / "gateway.sqlite3"
        shutil.copy(request.getfixturevalue("migrated_file"), path)
        return f"sqlite:///{path}"
    server: Postgres = request.getfixturevalue("postgres")
    # One database for all tests of this process, one after another: making one takes longer than most tests.
    server.execute(EMPTY, "shared")
    return server.url("shared")


@pytest.fixture
def redis_url(backend: str, request: pytest.FixtureRequest) -> str | None:
    return None if backend == "sqlite" else str(request.getfixturevalue("valkey").url)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """The database, for tests that need no gateway."""
    async with open_database(database_url) as database:
        yield database


@pytest.fixture
def users_table(backend: str) -> str:
    return "auth_users" if backend == "sqlite" else "auth.users"


@pytest.fixture
async def n8n() -> AsyncIterator[ScriptedN8n]:
    async with scripted_n8n() as server:
        yield server


@pytest.fixture
def settings(database_url: str, redis_url: str | None, n8n: ScriptedN8n) -> Settings:
    return Settings.load({"database_url": database_url, "redis_url": redis_url, "n8n_webhook_url": n8n.url})


@pytest.fixture
async def gateway(settings: Settings) -> AsyncIterator[RunningGateway]:
    """A running gateway with dispatcher and watch."""
    async with running_gateway(settings) as running:
        yield running


@pytest.fixture
async def people(gateway: RunningGateway, users_table: str) -> People:
    """Makes users in the running gateway's database."""
    return People(gateway.state.database, users_table)


@pytest.fixture
async def ada(people: People) -> Person:
    """A user with one organization."""
    return await people.person()


@pytest.fixture
async def eve(people: People) -> Person:
    """Another user, who must never see what is ada's."""
    return await people.person()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate of nobody's, and its key."""
    path = tmp_path / "self.pem"
    arguments = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    files = ["-keyout", str(path), "-out", str(tmp_path / "certificate.pem")]
    subprocess.run(["openssl", *arguments.split(), *files], check=True, capture_output=True)
    with path.open("a") as file:
        file.write((tmp_path / "certificate.pem").read_text())
    ssl.create_default_context().load_cert_chain(path)
    return path
