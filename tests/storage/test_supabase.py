"""The migration on Supabase's PostgreSQL, in every state that a project may be in, and row level security attacked.

The same attacks are made on the original design's own policies, where they succeed: so the tests can fail.
"""

import asyncio
import itertools
import json
import re
import subprocess
import uuid
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest

from gateway.settings import Settings
from gateway.telemetry.incidents import Incident
from storage import migrations, sign_ins
from storage.database.open import open_database
from storage.database.schema import check_schema
from storage.listing import START, assets_of
from storage.queries.identity import IDENTITY
from storage.reads import read
from storage.request import Request
from tests.alerting import alerting_beside
from tests.markdown import ROOT, code
from tests.people import Person
from tests.running import running_gateway
from tests.scripted_n8n import ScriptedN8n
from tests.servers import Postgres
from tests.storage.supabase import ACME, ADA, EVE, EVIL, STATES

ORIGINAL = "the original design"
PAGE = ROOT / "storage" / "README.md"


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """A server of its own: roles belong to the server, and other tests must not meet Supabase's."""
    with Postgres() as running:
        yield running


_numbers = itertools.count(1)


def project(server: Postgres, state: str) -> str:
    """A database in `state`; returns its name."""
    name = f"project_{next(_numbers)}"
    server.execute(f"CREATE DATABASE {name}")
    server.execute(STATES[state], name)
    return name


def url_of(server: Postgres, name: str, role: str = "project") -> str:
    return server.url(name).replace("postgres@", f"{role}@")


def migrate(server: Postgres, name: str) -> None:
    migrations.upgrade(url_of(server, name))


def migrate_by_file(server: Postgres, name: str) -> None:
    """As `supabase db push` does it."""
    done = subprocess.run(
        [server.programs / "psql", url_of(server, name), "-v", "ON_ERROR_STOP=1", "-q"],
        input=migrations.upgrade_sql(),
        capture_output=True,
        text=True,
        check=False,
        env=server.environment,
    )
    assert done.returncode == 0, done.stderr


WAYS = {"by command": migrate, "by file": migrate_by_file}


async def as_role(server: Postgres, name: str, role: str, user_id: str | None, sql: str) -> Any:
    """Run `sql` as PostgREST does for a request, and undo it; returns the rows, or the number of rows it changed."""
    connection = await asyncpg.connect(url_of(server, name, "authenticator"))
    try:
        transaction = connection.transaction()
        await transaction.start()
        claims = json.dumps({"role": role, **({"sub": user_id} if user_id else {})})
        await connection.execute(
            "SELECT set_config('role', $1, true), set_config('request.jwt.claims', $2, true)", role, claims
        )
        if sql.startswith("SELECT"):
            return await connection.fetch(sql)
        done = await connection.execute(sql)
        await transaction.rollback()
        return int(done.split()[-1]) if done.split()[-1].isdigit() else done
    finally:
        await connection.close()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("state", STATES)
async def test_the_migration_runs_and_may_run_again(server: Postgres, state: str, way: str) -> None:
    name = project(server, state)
    await asyncio.to_thread(WAYS[way], server, name)
    await asyncio.to_thread(migrate, server, name)
    async with open_database(url_of(server, name)) as database:
        await check_schema(database)
    published = "SELECT count(*) FROM pg_publication_tables WHERE tablename = 'ai_image_requests'"
    assert server.execute(published, name) == "1"


@pytest.mark.parametrize("way", WAYS)
async def test_the_original_rows_are_upgraded_in_place(server: Postgres, way: str) -> None:
    name = project(server, ORIGINAL)
    await asyncio.to_thread(WAYS[way], server, name)
    found: list[Request] = []
    async with open_database(url_of(server, name)) as database:
        for number in range(1, 6):
            request = await read(database, f"00000000-0000-4000-8000-00000000000{number}")
            assert request is not None
            found.append(request)
        claimable = await database.all("SELECT id FROM ai_image_requests WHERE dispatch_due_at IS NOT NULL")
        waiting = await database.all("SELECT id FROM ai_image_requests WHERE deadline_at IS NOT NULL")
        library = (await assets_of(database, ADA, START, 10)).rows
    assert [request.status for request in found] == ["completed", "processing", "pending", "failed", "failed"]
    assert (found[0].storage_key, found[0].metadata) == ("ai-images/1.png", {"source": "app"})
    assert found[3].error_message == "The request had the unknown status done?"
    assert [request.version for request in found] == [1, 1, 1, 2, 1], "a failure without a moment now has one"
    assert all((request.completed_at is not None) == request.status.is_final for request in found)
    assert [(asset.id[-1], asset.request.id) for asset in library] == [("a", found[0].id)]
    assert len({request.picture_token for request in found}) == 5
    assert claimable == [], "the old app has already sent them: a second sending would be a second bill"
    assert len(waiting) == 2, "and whatever still waits has a deadline"


@pytest.mark.parametrize("ours", [False, True])
async def test_a_change_by_another_tool_is_noticed(server: Postgres, ours: bool) -> None:
    """Nothing keeps `updated_at` in the original design."""
    name = project(server, ORIGINAL)
    if ours:
        await asyncio.to_thread(migrate, server, name)
    server.execute("UPDATE ai_image_requests SET updated_at = now() - interval '1 day'", name)
    server.execute("UPDATE ai_image_requests SET status = 'failed' WHERE status = 'processing'", name)
    fresh = "SELECT count(*) FROM ai_image_requests WHERE updated_at > now() - interval '1 minute'"
    assert server.execute(fresh, name) == ("1" if ours else "0")


OWN = "00000000-0000-4000-8000-000000000005"
OTHERS = "00000000-0000-4000-8000-000000000001"
FORGED = (
    "INSERT INTO ai_image_requests (user_id, organization_id, product, brand, status, storage_key, created_at) "
    f"VALUES ('{EVE}', '{{}}', 'x', 'y', '{{}}', 'ai-images/anything.png', now() - interval '2 hours')"
)

# What is tried, by whom, and whether it works on the original design (with the number in the list of its faults).
ATTACKS = [
    ("update another's row", f"UPDATE ai_image_requests SET status = 'failed' WHERE id = '{OTHERS}'", False),
    ("update every row", "UPDATE ai_image_requests SET status = 'failed'", True),  # 2
    ("complete an own row", f"UPDATE ai_image_requests SET status = 'completed' WHERE id = '{OWN}'", True),  # 3
    ("insert a completed row", FORGED.format(EVIL, "completed"), True),  # 3
    ("insert a row of a foreign organization", FORGED.format(ACME, "pending"), True),  # 3
    ("delete every row", "DELETE FROM ai_image_requests", False),
    ("truncate", "TRUNCATE ai_image_requests CASCADE", True),  # 4
    ("give an own row away", f"UPDATE ai_image_requests SET user_id = '{ADA}' WHERE id = '{OWN}'", False),
    ("switch the policies off", "ALTER TABLE ai_image_requests DISABLE ROW LEVEL SECURITY", False),
    ("make a policy", "CREATE POLICY mine ON ai_image_requests USING (true)", False),
    ("drop the table", "DROP TABLE ai_image_requests CASCADE", False),
    ("lock everyone out", "LOCK TABLE ai_image_requests IN ACCESS EXCLUSIVE MODE", True),
    ("add a trigger", "CREATE TRIGGER mine AFTER INSERT ON ai_image_requests EXECUTE FUNCTION now()", False),
    ("take the table out of the feed", "ALTER PUBLICATION supabase_realtime DROP TABLE ai_image_requests", False),
]
OF_THE_GATEWAY = [
    "SELECT * FROM ai_request_events",
    "INSERT INTO ai_request_events (request_id, version, kind, actor) SELECT id, 1, 'x', 'y' FROM ai_image_requests",
    "DELETE FROM ai_request_events",
    "TRUNCATE ai_request_events",
    "SELECT * FROM ai_gateway_schema",
    "UPDATE ai_gateway_schema SET version_num = '0'",
    "SELECT * FROM ai_gateway_alerts",
    "DELETE FROM ai_gateway_counts",
    "TRUNCATE ai_gateway_processes",
    "SELECT * FROM ai_gateway_owed_assets",
]


@pytest.fixture(scope="module")
def secured(server: Postgres) -> str:
    name = project(server, ORIGINAL)
    migrate(server, name)
    return name


@pytest.fixture(scope="module")
def original(server: Postgres) -> str:
    return project(server, ORIGINAL)


@pytest.fixture(scope="module")
def fresh(server: Postgres) -> str:
    """A project without the original design's table: all that is there is the migration's own."""
    name = project(server, "a new project")
    migrate(server, name)
    server.execute(
        f"INSERT INTO auth.users (id) VALUES ('{ADA}'), ('{EVE}');"
        f"INSERT INTO organizations (id, name) VALUES ('{ACME}', 'Acme'), ('{EVIL}', 'Evil');"
        f"INSERT INTO organization_members (organization_id, user_id) VALUES ('{ACME}', '{ADA}'), ('{EVIL}', '{EVE}');"
        "INSERT INTO ai_image_requests (id, user_id, organization_id, product, brand) VALUES "
        f"('{OTHERS}', '{ADA}', '{ACME}', 'Shoes', 'Nike'), ('{OWN}', '{EVE}', '{EVIL}', 'Hats', 'Evil')",
        name,
    )
    return name


ATTACKERS = [("authenticated", EVE), ("anon", None), ("authenticated", None)]


@pytest.mark.parametrize(("role", "user_id"), ATTACKERS)
@pytest.mark.parametrize("sql", [*(sql for _, sql, _ in ATTACKS), *OF_THE_GATEWAY])
async def test_nobody_but_the_service_writes(
    server: Postgres, secured: str, role: str, user_id: str | None, sql: str
) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await as_role(server, secured, role, user_id, sql)


@pytest.mark.parametrize(("role", "user_id"), ATTACKERS)
async def test_a_project_that_began_with_the_gateway_is_as_closed(
    server: Postgres, fresh: str, role: str, user_id: str | None
) -> None:
    for sql in [*(sql for _, sql, _ in ATTACKS), *OF_THE_GATEWAY]:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await as_role(server, fresh, role, user_id, sql)
    own = "SELECT id FROM ai_image_requests"
    if role == "anon":
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await as_role(server, fresh, role, user_id, own)
    else:
        seen = {str(row["id"]) for row in await as_role(server, fresh, role, user_id, own)}
        assert seen == ({OWN} if user_id == EVE else set())


@pytest.mark.parametrize("attack", [pytest.param(sql, id=name) for name, sql, works in ATTACKS if works])
async def test_the_original_design_lets_them(server: Postgres, original: str, attack: str) -> None:
    changed = await as_role(server, original, "authenticated", EVE, attack)
    assert changed not in (0, None)


async def test_owners_read_their_own_rows_and_no_other(server: Postgres, secured: str) -> None:
    everything = "SELECT id, user_id FROM ai_image_requests"
    for user_id, count in ((ADA, 4), (EVE, 1)):
        rows = await as_role(server, secured, "authenticated", user_id, everything)
        assert {str(row["user_id"]) for row in rows} == {user_id}
        assert len(rows) == count
    assert await as_role(server, secured, "authenticated", None, everything) == []
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await as_role(server, secured, "anon", None, everything)
    assert len(await as_role(server, secured, "service_role", None, everything)) == 5


async def test_the_callback_of_the_original_design_changes_nothing(server: Postgres, original: str) -> None:
    """The document's callback runs as the anonymous user, who sees no row, and reports success."""
    update = f"UPDATE ai_image_requests SET status = 'completed' WHERE id = '{OTHERS[:-1]}2'"
    assert await as_role(server, original, "anon", None, update) == 0


async def test_the_original_design_is_silent_on_realtime(server: Postgres, original: str, secured: str) -> None:
    """Nobody added the table to the publication."""
    published = "SELECT count(*) FROM pg_publication_tables WHERE tablename = 'ai_image_requests'"
    assert (server.execute(published, original), server.execute(published, secured)) == ("0", "1")


async def test_the_original_design_takes_any_status(server: Postgres, original: str, secured: str) -> None:
    """No CHECK, and no index for the rate limit's question."""
    unknown = f"UPDATE ai_image_requests SET status = 'banana' WHERE id = '{OTHERS}'"
    assert await as_role(server, original, "service_role", None, unknown) == 1
    with pytest.raises(asyncpg.CheckViolationError):
        await as_role(server, secured, "service_role", None, unknown)
    index = "SELECT count(*) FROM pg_indexes WHERE indexdef LIKE '%ai_image_requests%(user_id, created_at%'"
    assert server.execute(index, original) == "0"
    assert int(server.execute(index, secured)) >= 1


@pytest.mark.parametrize("table", ["organizations", "organization_members", "assets"])
async def test_tables_that_the_migration_makes_are_closed(server: Postgres, fresh: str, table: str) -> None:
    """Supabase grants every new table to its public roles: a new membership would open an organization."""
    for role in ("anon", "authenticated"):
        for sql in (f"SELECT * FROM {table}", f"DELETE FROM {table}", f"TRUNCATE {table} CASCADE"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await as_role(server, fresh, role, EVE, sql)


async def test_tables_that_were_there_stay_as_they_were(server: Postgres) -> None:
    name = project(server, "the app's tables")
    before = server.execute("SELECT relname, relacl, relrowsecurity FROM pg_class WHERE relname = 'assets'", name)
    await asyncio.to_thread(migrate, server, name)
    after = server.execute("SELECT relname, relacl, relrowsecurity FROM pg_class WHERE relname = 'assets'", name)
    assert before == after


def least_role() -> str:
    """The page's statements that make the least role."""
    (statements,) = [block for block in code(PAGE, "sql") if block.startswith("CREATE ROLE ai_gateway ")]
    return statements


@pytest.mark.parametrize("state", ["a new project", "the app's tables", ORIGINAL])
async def test_the_least_role_is_enough_and_no_more(server: Postgres, n8n: ScriptedN8n, state: str) -> None:
    name = project(server, state)
    await asyncio.to_thread(migrate, server, name)
    grants = least_role()
    if server.execute("SELECT to_regrole('ai_gateway') IS NOT NULL", name) == "t":
        grants = re.sub(r"CREATE ROLE ai_gateway .*?;", "", grants)
    server.execute(f"SET ROLE project; {grants}", name)
    if state == "a new project":
        server.execute(f"INSERT INTO auth.users (id) VALUES ('{ADA}')", name)
        server.execute(f"INSERT INTO organizations (id, name) VALUES ('{ACME}', 'Acme')", name)
        server.execute(f"INSERT INTO organization_members (organization_id, user_id) VALUES ('{ACME}', '{ADA}')", name)
    else:  # a row for each role is one membership
        another = (
            f"INSERT INTO organization_members (organization_id, user_id, role) VALUES ('{ACME}', '{ADA}', 'billing')"
        )
        server.execute(another, name)
    url = url_of(server, name, "ai_gateway")
    settings = Settings.load(
        {"database_url": url, "n8n_webhook_url": n8n.url, "n8n_api_url": n8n.url, "n8n_api_key": "k"}
    )
    async with running_gateway(settings) as gateway:
        ada = Person(ADA, (ACME,))
        request_id = await gateway.submitted(ada.id)
        received = await n8n.until_received(request_id)
        await gateway.until(ada.id, request_id, "processing")
        answer = await n8n.call_back(received, status="completed", Key="b/a.png", Id="1")
        assert answer.json() == {"success": True}
        failing = await gateway.submitted(ada.id)
        await gateway.callback({"requestId": failing, "status": "failed", "error": "x"})
        await gateway.state.hub.reconcile()
        gateway.state.incidents.count(Incident.UNKNOWN_REQUEST)
        async with alerting_beside(gateway) as process:
            await process.observe()
        async with gateway.watching(ada.id):
            pass
        code = str(uuid.uuid4())
        assert [await sign_ins.spend(gateway.state.database, code, 60) for _ in range(2)] == [True, False]
        assert await gateway.state.database.one(IDENTITY) is not None, "it reads its identity"
        assert (await gateway.body(ada.id, request_id))["status"] == "completed"
    for sql in (
        "DELETE FROM ai_image_requests",
        "TRUNCATE ai_image_requests",
        "DELETE FROM ai_request_events",
        "UPDATE ai_request_events SET kind = 'x'",
        "INSERT INTO organization_members (organization_id, user_id) SELECT organization_id, user_id FROM assets",
        "UPDATE assets SET status = 'x'",
        "SELECT * FROM auth.users",
        "CREATE TABLE mine (id int)",
    ):
        connection = await asyncpg.connect(url)
        try:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(sql)
        finally:
            await connection.close()
