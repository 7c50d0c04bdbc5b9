"""`gateway check` against servers that are in order, away, closed to us, or not what they should be."""

import contextlib
import re
import shutil
import sqlite3
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
import redis
import uvicorn
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from gateway.cli.probes import descriptors, redis_server
from gateway.cli.probes import n8n as n8n_probe
from gateway.cli.probes.database import RIGHTS
from gateway.cli.probes.everything import try_settings
from gateway.cli.probes.finding import Finding, State
from gateway.server.listener import bind
from gateway.settings import Settings
from storage import migrations
from storage.database.open import open_database
from tests.executions_api import KEY, ExecutionsApi, running_api
from tests.running import serving
from tests.scripted_n8n import ScriptedN8n
from tests.servers import Postgres, Valkey, free_port
from tests.supabase import SERVICE_KEY, SupabaseProject, supabase_project


@pytest.fixture
async def project() -> AsyncIterator[SupabaseProject]:
    async with supabase_project() as running:
        yield running


@pytest.fixture
async def api() -> AsyncIterator[ExecutionsApi]:
    async with running_api() as running:
        yield running


def settings(project: SupabaseProject, n8n: ScriptedN8n, api: ExecutionsApi, **changes: object) -> Settings:
    migrations.upgrade("sqlite:///gateway.sqlite3")
    return Settings.load(
        {
            "n8n_webhook_url": n8n.url,
            "n8n_api_url": api.url,
            "n8n_api_key": KEY,
            "supabase_url": project.url,
            "supabase_service_role_key": SERVICE_KEY,
            "storage_private_buckets": "private",
            "ws_connections": 100,
            "http_connections": 100,  # within the limit of any machine
            **changes,
        }
    )


async def problems(settings: Settings) -> list[Finding]:
    return [finding for finding in await try_settings(settings) if finding.state is State.PROBLEM]


async def told(about: str, **changes: object) -> str:
    """What is found of one setting, a line each."""
    found = [finding for finding in await try_settings(Settings.load(changes)) if finding.about == about]
    return "\n".join(f"{finding.state}: {finding.detail}" for finding in found)


async def test_all_in_order(project: SupabaseProject, n8n: ScriptedN8n, api: ExecutionsApi) -> None:
    project.publish("ES256")
    found = await try_settings(settings(project, n8n, api))
    assert {finding.about: finding.state for finding in found} == {
        "DATABASE_URL": State.OK,
        "assets": State.OK,
        "REDIS_URL": State.NOT_SET,
        "N8N_WEBHOOK_URL": State.OK,
        "N8N_API_URL": State.OK,
        "SUPABASE_URL": State.OK,
        "SUPABASE_SERVICE_ROLE_KEY": State.OK,
        "WS_CONNECTIONS": State.OK,
    }
    assert n8n.received == []


async def test_more_connections_than_the_machine_has_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await told("WS_CONNECTIONS", ws_connections=100, http_connections=100)).startswith("ok: a process may open")
    monkeypatch.setattr(descriptors, "raise_limit", lambda: 1024)
    found = await told("WS_CONNECTIONS")
    assert found.startswith("warning: This process may open 1024 files and sockets")
    assert "LimitNOFILE=" in found


async def test_every_problem_at_once(project: SupabaseProject, n8n: ScriptedN8n, api: ExecutionsApi) -> None:
    project.answer = PlainTextResponse("", 500)
    changes = {"n8n_api_key": "wrong", "supabase_service_role_key": "sb_secret_wrong"}
    found = await problems(settings(project, n8n, api, **changes))
    assert [one.about for one in found] == ["N8N_API_URL", "SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY"]
    assert "401" in found[0].detail
    assert "wrong" not in "".join(one.detail for one in found)


async def test_nobody_could_sign_in(project: SupabaseProject, n8n: ScriptedN8n, api: ExecutionsApi) -> None:
    (found,) = await problems(settings(project, n8n, api, supabase_jwt_secret=""))
    assert "no user's token can be verified" in found.detail


async def test_n8n_is_away(project: SupabaseProject, n8n: ScriptedN8n, api: ExecutionsApi) -> None:
    away = f"http://127.0.0.1:{free_port()}"
    found = await problems(settings(project, n8n, api, n8n_webhook_url=away, n8n_api_url=away))
    assert [one.about for one in found] == ["N8N_WEBHOOK_URL", "N8N_API_URL"]
    assert "nothing listens there" in found[0].detail
    api.answer = JSONResponse({"message": "forbidden"}, 403)
    (found_403,) = await problems(settings(project, n8n, api))
    assert "403" in found_403.detail


# -- the webhook ------------------------------------------------------------------------------------------------------

OF_N8N = {"Access-Control-Allow-Methods": "OPTIONS, POST"}
NOT_PUBLISHED = {"code": 404, "message": 'The requested webhook "POST ai-image" is not registered.'}


@pytest.mark.parametrize(
    ("answer", "state", "detail"),
    [
        (Response(status_code=204, headers=OF_N8N), State.OK, "a published workflow takes the POST"),
        (Response(status_code=405, headers={"Allow": "POST"}), State.OK, "takes a POST is there"),
        (JSONResponse(NOT_PUBLISHED, 404), State.PROBLEM, "no published workflow takes a POST"),
        (PlainTextResponse("Not Found", 404), State.PROBLEM, "is no n8n"),
        (PlainTextResponse("Bad Gateway", 502), State.PROBLEM, "a proxy answers 502"),
        (Response(status_code=302, headers={"Location": "/login"}), State.PROBLEM, "redirects elsewhere"),
        (PlainTextResponse("who?", 401), State.PROBLEM, "wants a sign-in"),
        (PlainTextResponse("hello"), State.WARNING, "answers 200"),
    ],
)
def test_what_an_answer_says_of_the_webhook(answer: Response, state: State, detail: str) -> None:
    headers = {name.decode(): value.decode() for name, value in answer.raw_headers}
    got = httpx.Response(answer.status_code, headers=headers, content=bytes(answer.body))
    found = n8n_probe._judged("N8N_WEBHOOK_URL", got)
    assert found.state is state
    assert detail in found.detail


async def test_the_webhook_is_asked_and_not_started() -> None:
    asked: list[tuple[str, str | None]] = []

    async def webhook(request: Request) -> Response:
        asked.append((request.method, request.headers.get("access-control-request-method")))
        return Response(status_code=204, headers=OF_N8N)

    async with serving_app(webhook) as url:
        assert "ok: n8n is there" in await told("N8N_WEBHOOK_URL", n8n_webhook_url=f"{url}/webhook/x")
    assert asked == [("OPTIONS", "POST")]


@contextlib.asynccontextmanager
async def serving_app(endpoint: object, **options: object) -> AsyncIterator[str]:
    app = Starlette(routes=[Route("/webhook/x", endpoint, methods=["OPTIONS", "GET", "POST"])])  # type: ignore[arg-type]
    listener = bind("127.0.0.1", 0)
    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", **options)  # type: ignore[arg-type]
    async with serving(app, config, listener):
        yield f"{'https' if options else 'http'}://127.0.0.1:{listener.getsockname()[1]}"


async def test_why_tls_failed_is_told(certificate: Path) -> None:
    async def webhook(request: Request) -> Response:
        return Response(status_code=204, headers=OF_N8N)

    async with serving_app(webhook, ssl_certfile=str(certificate), ssl_keyfile=str(certificate)) as url:
        said = await told("N8N_WEBHOOK_URL", n8n_webhook_url=f"{url}/webhook/x")
        assert "its TLS certificate is not believed (self-signed certificate)" in said
    async with serving_app(webhook) as url:
        said = await told("N8N_WEBHOOK_URL", n8n_webhook_url=f"{url}/webhook/x".replace("http:", "https:"))
        assert "TLS failed" in said


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


@pytest.mark.parametrize(
    ("about", "changes"),
    [
        ("N8N_WEBHOOK_URL", {"n8n_webhook_url": "http://n8n:abc/x"}),
        ("REDIS_URL", {"redis_url": SecretStr("redis://h:1/0?socket_timeout=soon")}),
    ],
)
async def test_a_url_that_cannot_be_read_is_a_sentence(about: str, changes: dict[str, object]) -> None:
    broken = Settings.load().model_copy(update=changes)  # past the settings' own look at it
    found = [finding for finding in await try_settings(broken) if finding.about == about]
    assert [finding.state for finding in found] == [State.PROBLEM]
    assert "cannot be" in found[0].detail


# -- Redis ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def restricted(valkey: Valkey) -> Iterator[str]:
    """A URL with a user who may do what Redis 7 lets new users do: nothing on channels."""
    with redis.Redis(port=valkey.port) as client:
        client.execute_command("ACL", "SETUSER", "few", "on", ">secret", "~*", "resetchannels", "+@all")
        yield f"redis://few:secret@127.0.0.1:{valkey.port}/0"
        client.execute_command("ACL", "DELUSER", "few")


async def test_a_user_without_channels_is_told(restricted: str) -> None:
    said = await told("REDIS_URL", redis_url=restricted)
    assert said.startswith("problem: the user has not the rights it needs")
    assert "&ai-image-gateway:*" in said
    assert "refuses the user" in await told("REDIS_URL", redis_url=restricted.replace(":secret@", ":wrong@"))


async def test_the_least_rights_are_enough(valkey: Valkey) -> None:
    with redis.Redis(port=valkey.port) as client:
        client.execute_command("ACL", "SETUSER", "least", "reset", "on", ">secret", *redis_server.LEAST_RIGHTS.split())
        url = f"redis://least:secret@127.0.0.1:{valkey.port}/0"
        assert "ok: published, heard" in await told("REDIS_URL", redis_url=url)
        client.execute_command("ACL", "DELUSER", "least")


class Sentinel(Valkey):
    """A Sentinel that watches nothing."""

    def command(self) -> list[str]:
        configuration = self.folder / "sentinel.conf"
        configuration.write_text(f"port {self.port}\nbind 127.0.0.1\ndir {self.folder}\n")
        return [super().command()[0], str(configuration), "--sentinel"]


class Replica(Valkey):
    """A replica of nothing that answers."""

    def command(self) -> list[str]:
        return [*super().command(), "--replicaof", "127.0.0.1", str(free_port())]


async def test_servers_of_another_kind_are_told() -> None:
    with Sentinel() as sentinel:
        assert "is a Sentinel's port" in await told("REDIS_URL", redis_url=sentinel.url)
    with Replica() as replica:
        assert "is a read-only replica" in await told("REDIS_URL", redis_url=replica.url)


async def test_redis_over_tls_that_is_none_is_told(valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_server, "SECONDS", 0.5)
    assert "perhaps it speaks no TLS" in await told("REDIS_URL", redis_url=valkey.url.replace("redis:", "rediss:"))


# -- the database -----------------------------------------------------------------------------------------------------


async def test_a_file_that_a_gateway_serves_is_no_alarm(migrated_file: Path, tmp_path: Path) -> None:
    shutil.copy(migrated_file, tmp_path / "gateway.sqlite3")
    async with open_database("sqlite:///gateway.sqlite3"):
        assert "ok: a gateway process serves the file" in await told("DATABASE_URL")
    assert "ok: takes writes" in await told("DATABASE_URL")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("ALTER TABLE assets ADD COLUMN owner TEXT CHECK (owner IS NOT NULL)", "owner"),
        (
            "CREATE TRIGGER no BEFORE INSERT ON assets BEGIN SELECT RAISE(ABORT, 'assets are closed'); END",
            "assets are closed",
        ),
    ],
)
async def test_an_assets_table_that_refuses_on_sqlite(
    migrated_file: Path, tmp_path: Path, change: str, said: str
) -> None:
    shutil.copy(migrated_file, tmp_path / "gateway.sqlite3")
    with contextlib.closing(sqlite3.connect(tmp_path / "gateway.sqlite3")) as connection:
        connection.execute(change)
        connection.commit()
    found = await told("assets")
    assert found.startswith("problem: ")
    assert said in found


RAISING = """
CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'assets are closed'; END $$;
CREATE TRIGGER no BEFORE INSERT ON assets FOR EACH ROW EXECUTE FUNCTION no()"""

CHANGES = [
    ("ALTER TABLE assets ADD COLUMN owner text NOT NULL", "the column owner is NOT NULL and has no default"),
    ("ALTER TABLE assets ALTER COLUMN file_url TYPE varchar(20)", "file_url takes 20 characters"),
    ("ALTER TABLE assets ADD CONSTRAINT kinds CHECK (type IN ('video'))", "the CHECK kinds on type is not met"),
    ("ALTER TABLE assets RENAME COLUMN file_url TO url", 'column "file_url" of relation "assets" does not exist'),
    (RAISING, "assets are closed"),
]


@pytest.mark.parametrize("member", [False, True])
async def test_an_assets_table_that_refuses_on_postgres(postgres: Postgres, member: bool) -> None:
    """With a member whose asset it may be, and in an app that has none yet."""
    for number, (change, said) in enumerate([("SELECT 1", ""), *CHANGES]):
        name = f"assets_{number}_{member}".lower()
        postgres.execute(f"CREATE DATABASE {name} TEMPLATE migrated")
        if member:
            postgres.execute(MEMBER, name)
        postgres.execute(change, name)
        found = await told("assets", database_url=postgres.url(name))
        assert found.startswith("problem: " if said else "ok: "), (change, found)
        assert said in found
        assert postgres.execute("SELECT count(*) FROM assets", name) == "0"
        postgres.execute(f"DROP DATABASE {name}")


MEMBER = """
INSERT INTO auth.users (id) VALUES ('11111111-1111-4111-8111-111111111111');
INSERT INTO organizations (id, name) VALUES ('22222222-2222-4222-8222-222222222222', 'Acme');
INSERT INTO organization_members (organization_id, user_id)
VALUES ('22222222-2222-4222-8222-222222222222', '11111111-1111-4111-8111-111111111111')"""


async def test_a_database_that_takes_no_writes_is_told(postgres: Postgres) -> None:
    url = postgres.url("migrated")
    read_only = f"{url}?options=-c%20default_transaction_read_only%3Don"
    assert "problem: is read-only" in await told("DATABASE_URL", database_url=read_only)
    postgres.execute(
        "CREATE ROLE reader LOGIN BYPASSRLS; GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader", "migrated"
    )
    found = await told("DATABASE_URL", database_url=url.replace("postgres@", "reader@"))
    assert "problem: the role lacks rights: INSERT on ai_image_requests; UPDATE on ai_image_requests" in found
    assert "assets" not in {finding.about for finding in await try_settings(Settings.load({"database_url": read_only}))}


def test_the_rights_that_are_looked_at_are_those_of_the_page() -> None:
    page = (Path(__file__).parents[3] / "storage" / "README.md").read_text()
    granted: dict[str, set[str]] = {}
    for rights, tables in re.findall(r"^GRANT ([A-Z, ]+) ON ([a-z_, ]+) TO ai_gateway;", page, re.MULTILINE):
        for table in tables.split(", "):
            granted.setdefault(table, set()).update(rights.split(", "))
    looked_at = {table: set(rights.split(", ")) for table, rights in RIGHTS.items()}
    assert granted == looked_at | {"ai_gateway_schema": {"SELECT"}}
