"""`gateway check` against servers that are in order, away, closed to us, or not what they should be."""

import asyncio
import contextlib
import re
import shutil
import sqlite3
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
from storage.database.schema import VERSION, SchemaOutdated, check_schema
from tests.executions_api import KEY, ExecutionsApi, running_api
from tests.running import serving
from tests.scripted_n8n import ScriptedN8n
from tests.servers import Postgres, Replica, Sentinel, Valkey, free_port
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


@pytest.mark.parametrize(
    ("about", "changes"),
    [
        ("N8N_WEBHOOK_URL", {"n8n_webhook_url": "http://n8n:abc/x"}),
        ("REDIS_URL", {"redis_url": SecretStr("redis://:pass/word@h:1/0")}),
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


async def test_a_user_who_may_write_and_not_read_is_told(valkey: Valkey) -> None:
    """A claim reads what was there before it."""
    with redis.Redis(port=valkey.port) as client:
        rights = redis_server.LEAST_RIGHTS.replace("~", "%W~")
        client.execute_command("ACL", "SETUSER", "writer", "reset", "on", ">secret", *rights.split())
        found = await told("REDIS_URL", redis_url=f"redis://writer:secret@127.0.0.1:{valkey.port}/0")
        client.execute_command("ACL", "DELUSER", "writer")
    assert found.startswith("problem: the user has not the rights it needs")


async def test_a_redis_from_before_6_2_is_told(valkey: Valkey) -> None:
    """It has PUBLISH and SET, and no SET with GET: between it and us stands one who answers that as it does."""

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", valkey.port)

        async def back() -> None:
            while data := await server_reader.read(65536):
                writer.write(data)

        answers = asyncio.create_task(back())
        while data := await reader.read(65536):
            if b"\r\nSET\r\n" in data and b"\r\nGET\r\n" in data:
                writer.write(b"-ERR syntax error\r\n")
            else:
                server_writer.write(data)
        answers.cancel()
        server_writer.close()
        writer.close()

    async with await asyncio.start_server(relay, "127.0.0.1", 0) as old:
        port = old.sockets[0].getsockname()[1]
        found = await told("REDIS_URL", redis_url=f"redis://127.0.0.1:{port}/0")
    assert found == "problem: does not know SET with GET, which claims need: Redis 6.2 or Valkey does"


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


def raising(table: str, body: str = "RAISE 'submissions are closed'", when: str = "INSERT") -> str:
    return f"""
CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body}; END $$;
CREATE TRIGGER no BEFORE {when} ON {table} FOR EACH ROW EXECUTE FUNCTION no()"""


REFUSING = [
    (raising("ai_image_requests"), "submissions are closed"),
    (raising("ai_image_requests", "RAISE 'closed' USING ERRCODE = 'XX000'"), "closed"),
    (raising("ai_image_requests", "RETURN NULL"), "a trigger keeps it from being written"),
    (raising("ai_image_requests", "RETURN NULL", "UPDATE"), "it is written and cannot be changed"),
    (raising("ai_image_requests", when="UPDATE"), "submissions are closed"),
    (raising("ai_request_events"), "submissions are closed"),
    (raising("ai_gateway_owed_assets"), "submissions are closed"),
    (raising("ai_gateway_processes"), "submissions are closed"),
    ("ALTER TABLE ai_image_requests ADD COLUMN team text NOT NULL", 'column "team" of relation "ai_image_requests"'),
    ("ALTER TABLE ai_image_requests ADD CONSTRAINT short CHECK (length(brand) <= 20)", 'check constraint "short"'),
    ("ALTER TABLE ai_image_requests DROP COLUMN cancel_at", 'column "cancel_at"'),
]


async def test_tables_of_ours_that_refuse_are_told_on_postgres(postgres: Postgres) -> None:
    """Before, nothing was written to them: "takes writes", and every submission was refused."""
    for number, (change, said) in enumerate(REFUSING):
        name = f"refusing_{number}"
        postgres.execute(f"CREATE DATABASE {name} TEMPLATE migrated")
        postgres.execute(MEMBER, name)
        assert await told("DATABASE_URL", database_url=postgres.url(name)) == IN_ORDER
        postgres.execute(change, name)
        found = await told("DATABASE_URL", database_url=postgres.url(name))
        assert "problem: refuses a row" in found, (change, found)
        assert said in found, (change, found)
        assert "takes writes" not in found
        for table in RIGHTS.keys() - {"organization_members", "ai_gateway_identity"}:
            assert postgres.execute(f"SELECT count(*) FROM {table}", name) == "0", f"{table}: nothing is left behind"
        postgres.execute(f"DROP DATABASE {name}")


IN_ORDER = f"ok: connected, the schema is at {VERSION}\nok: takes writes"


@pytest.mark.parametrize("member", [False, True])
async def test_a_table_of_ours_that_refuses_is_told_on_sqlite(
    migrated_file: Path, tmp_path: Path, member: bool
) -> None:
    shutil.copy(migrated_file, tmp_path / "gateway.sqlite3")
    refuse = "CREATE TRIGGER no BEFORE INSERT ON ai_image_requests BEGIN SELECT RAISE(ABORT, 'closed for today'); END"
    with contextlib.closing(sqlite3.connect(tmp_path / "gateway.sqlite3")) as connection:
        if member:
            connection.executescript(MEMBER.replace("auth.users", "auth_users"))
        assert (await told("DATABASE_URL")).startswith(IN_ORDER)
        assert connection.execute("SELECT count(*) FROM ai_image_requests").fetchone() == (0,)
        connection.execute(refuse)
        connection.commit()
    found = await told("DATABASE_URL")
    assert "problem: refuses a row that the gateway writes: closed for today" in found


ROLE = "checked_narrow"


@pytest.fixture
def narrow(postgres: Postgres) -> Iterator[tuple[str, str]]:
    """A database and its URL with the least role of the page. The role is one of the test's own."""
    page = (Path(__file__).parents[3] / "storage" / "README.md").read_text()
    (least,) = re.findall(r"```sql\n(CREATE ROLE ai_gateway .*?)```", page, re.DOTALL)
    name = "narrow"
    postgres.execute(f"CREATE DATABASE {name} TEMPLATE migrated")
    try:
        postgres.execute(MEMBER, name)
        postgres.execute(re.sub(r"\bai_gateway\b", ROLE, least), name)
        yield name, postgres.url(name).replace("postgres@", f"{ROLE}@")
    finally:
        postgres.execute(f"DROP DATABASE {name} WITH (FORCE)")
        postgres.execute(f"DROP ROLE IF EXISTS {ROLE}")


async def test_every_policy_that_a_role_lacks_is_told(postgres: Postgres, narrow: tuple[str, str]) -> None:
    """Rows that row level security hides are not updated either, and nothing says so."""
    name, url = narrow
    assert await told("DATABASE_URL", database_url=url) == IN_ORDER
    assert (await told("assets", database_url=url)).startswith("ok: ")
    listed = "SELECT tablename, policyname FROM pg_policies WHERE roles = ARRAY['checked_narrow'::name]"
    policies = [line.split("|") for line in postgres.execute(listed, name).splitlines()]
    assert {table.strip() for table, _ in policies} == {*RIGHTS, "ai_gateway_schema"}
    for table, policy in [(table.strip(), policy.strip()) for table, policy in policies]:
        postgres.execute(f'ALTER POLICY "{policy}" ON {table} TO postgres', name)
        found = await told("DATABASE_URL", database_url=url)
        if table == "ai_gateway_schema":
            assert "problem: The gateway's role sees no row of ai_gateway_schema" in found
            assert "migration None" not in found
        elif postgres.execute(f"SELECT relrowsecurity FROM pg_class WHERE relname = '{table}'", name) == "t":
            assert "problem: row level security keeps rows from the role: no policy for " in found, table
            assert all(f"{right} on {table}" in found for right in RIGHTS[table].split(", ")), found
        postgres.execute(f'ALTER POLICY "{policy}" ON {table} TO {ROLE}', name)
    postgres.execute("ALTER POLICY \"Gateway keeps requests\" ON ai_image_requests WITH CHECK (brand = 'x')", name)
    assert "does not let the gateway's role do its work" in await told("DATABASE_URL", database_url=url)
    postgres.execute(f"REVOKE SELECT ON ai_gateway_schema FROM {ROLE}", name)
    denied = "does not let the gateway's role do its work (permission denied for table ai_gateway_schema)"
    assert denied in await told("DATABASE_URL", database_url=url)
    async with open_database(url) as database:
        with pytest.raises(SchemaOutdated, match="may not read which migration the database has: grant it"):
            await check_schema(database)


def test_the_rights_that_are_looked_at_are_those_of_the_page() -> None:
    page = (Path(__file__).parents[3] / "storage" / "README.md").read_text()
    granted: dict[str, set[str]] = {}
    for rights, tables in re.findall(r"^GRANT ([A-Z, ]+) ON ([a-z_, ]+) TO ai_gateway;", page, re.MULTILINE):
        for table in tables.split(", "):
            granted.setdefault(table, set()).update(rights.split(", "))
    looked_at = {table: set(rights.split(", ")) for table, rights in RIGHTS.items()}
    assert granted == looked_at | {"ai_gateway_schema": {"SELECT"}}
