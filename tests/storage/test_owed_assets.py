"""Other people's `assets` tables: completion does not hang on the library."""

import asyncio
import contextlib
from collections.abc import Iterator, Mapping, Sequence

import pytest

from storage import owed_assets, reads, transitions
from storage.database import postgres as postgres_database
from storage.database.base import Database, Row, Transaction, Values
from storage.database.open import open_database
from storage.errors import DatabaseUnavailable, StatementRefused
from storage.lifecycle import Status
from storage.owed_assets import Outstanding, OwedAsset
from storage.submissions import Submission, submit
from storage.transitions import Applied, Completion, Outcome
from tests.conftest import People
from tests.servers import Postgres
from tests.storage.test_transitions import PICTURE, URLS

REFUSALS = {
    "postgres": {
        "a column of its own": ("ADD COLUMN folder text NOT NULL", "DROP COLUMN folder", "folder"),
        "a check": ("ADD CONSTRAINT kinds CHECK (type = 'video')", "DROP CONSTRAINT kinds", "kinds"),
        "a short column": ("ALTER file_url TYPE varchar(20)", "ALTER file_url TYPE text", "character varying(20)"),
        "another type": ("ALTER format TYPE integer USING 1", "ALTER format TYPE text", "integer"),
        "another name": ("RENAME file_url TO url", "RENAME url TO file_url", "file_url"),
        "a missing table": ("RENAME TO assets_away", None, "assets"),
    },
    "sqlite": {
        "a check": ("ADD COLUMN folder TEXT CHECK (folder IS NOT NULL)", "DROP COLUMN folder", "folder"),
        "another name": ("RENAME file_url TO url", "RENAME url TO file_url", "file_url"),
        "a missing table": ("RENAME TO assets_away", None, "assets"),
    },
}
CASES = [(backend, name) for backend, refusals in REFUSALS.items() for name in refusals]


async def new_request(database: Database, users_table: str, product: str = "Shoes") -> str:
    person = await People(database, users_table).person()
    submission = Submission(user_id=person.id, product=product, brand="Nike")
    return (await submit(database, submission, quota=10, deadline_seconds=60)).request.id


async def complete(database: Database, request_id: str) -> Applied:
    return await transitions.complete(database, request_id, PICTURE, URLS, actor="n8n")


async def claimed_at_once(database: Database) -> list[OwedAsset]:
    """What is owed, due now instead of after its pause."""
    await database.all("UPDATE ai_gateway_owed_assets SET due_at = NOW()")
    return await owed_assets.claim(database, 10)


async def asset_id(database: Database, request_id: str) -> str | None:
    row = await database.one("SELECT asset_id FROM ai_image_requests WHERE id = :id", id=request_id)
    assert row is not None
    return None if row["asset_id"] is None else str(row["asset_id"])


@pytest.mark.parametrize(("backend", "name"), CASES, indirect=["backend"])
async def test_a_library_that_refuses(database: Database, backend: str, users_table: str, name: str) -> None:
    """Before: every such callback was a 500, the picture was paid for, and the request failed at its deadline."""
    refuse, accept, told = REFUSALS[backend][name]
    request_id = await new_request(database, users_table)
    await database.all(f"ALTER TABLE assets {refuse}")
    try:
        applied = await complete(database, request_id)
        assert applied.outcome is Outcome.CHANGED
        assert applied.request is not None
        assert (applied.request.status, applied.request.version) == (Status.COMPLETED, 2)
        assert (await complete(database, request_id)).outcome is Outcome.DUPLICATE
        owed = await owed_assets.outstanding(database)
        assert owed is not None
        assert owed.count == 1
        assert told in owed.reason
        assert "Nike" not in owed.reason, "no value of the row"
        assert await owed_assets.claim(database, 10) == [], "it is not tried again at once"
        (again,) = await claimed_at_once(database)
        assert again == OwedAsset(request_id, 2)
        assert told in str(await owed_assets.write(database, again, actor="test"))
        assert await owed_assets.claim(database, 10) == []
    finally:
        await database.all(f"ALTER TABLE assets {accept}" if accept else "ALTER TABLE assets_away RENAME TO assets")
    (again,) = await claimed_at_once(database)
    refusals = await asyncio.gather(*(owed_assets.write(database, again, actor="test") for _ in range(3)))
    assert refusals == [None, None, None]
    (asset,) = await database.all("SELECT CAST(id AS text) AS id, name, file_url FROM assets")
    assert (asset["name"], asset["file_url"]) == ("AI Generated: Shoes - Nike", URLS.of(PICTURE.storage_key, "", ""))
    assert await asset_id(database, request_id) == asset["id"]
    assert await owed_assets.outstanding(database) is None
    request = await reads.read(database, request_id)
    assert request is not None
    assert request.version == 2, "the Body is what it was"
    kinds = await database.all("SELECT kind FROM ai_request_events WHERE request_id = :id ORDER BY id", id=request_id)
    assert [row["kind"] for row in kinds] == ["submitted", "completed", "asset_written"]


@contextlib.contextmanager
def trigger(server: Postgres, body: str) -> Iterator[None]:
    """A trigger of the app's on its own table."""
    server.execute(
        f"CREATE FUNCTION closed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body}; END $$; "
        "CREATE TRIGGER closed BEFORE INSERT ON assets FOR EACH ROW EXECUTE FUNCTION closed()",
        "shared",
    )
    try:
        yield
    finally:
        server.execute("DROP TRIGGER closed ON assets; DROP FUNCTION closed", "shared")


CODES = {
    "P0001": "what RAISE gives",
    "XX000": "what elog(ERROR) of any extension gives",
    "57014": "query_canceled",
    "53100": "disk_full",
    "58030": "io_error",
    "08006": "connection_failure: a foreign server's",
    "28000": "invalid_authorization_specification: the same",
    "25006": "read_only_sql_transaction: the same",
    "40001": "serialization_failure",
    "55P03": "lock_not_available",
}


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("backend", ["postgres"], indirect=True)
async def test_a_trigger_that_raises(database: Database, users_table: str, postgres: Postgres, code: str) -> None:
    """Whatever code it raises: those that mean that the database is away are words of anyone's."""
    request_ids = [await new_request(database, users_table) for _ in range(3)]
    with trigger(postgres, f"RAISE 'assets are closed' USING ERRCODE = '{code}'"):
        applied = await asyncio.gather(*(complete(database, request_id) for request_id in request_ids))
        assert [one.outcome for one in applied] == [Outcome.CHANGED] * 3
        owed = await owed_assets.outstanding(database)
        assert owed is not None
        assert owed.count == 3
        assert "assets are closed" in owed.reason
        for again in await claimed_at_once(database):
            assert "assets are closed" in str(await owed_assets.write(database, again, actor="test"))
        assert await owed_assets.claim(database, 10) == [], "each is postponed"
    assert [await asset_id(database, request_id) for request_id in request_ids] == [None] * 3
    for again in await claimed_at_once(database):
        assert await owed_assets.write(database, again, actor="test") is None
    assert len({await asset_id(database, request_id) for request_id in request_ids} - {None}) == 3


@pytest.mark.parametrize("raised", ["ABORT, 'closed'", "FAIL, 'closed'", "ROLLBACK, 'closed'"])
@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
async def test_a_trigger_that_raises_on_sqlite(database: Database, users_table: str, raised: str) -> None:
    request_id = await new_request(database, users_table)
    await database.all(f"CREATE TRIGGER closed BEFORE INSERT ON assets BEGIN SELECT RAISE({raised}); END")
    assert (await complete(database, request_id)).outcome is Outcome.CHANGED
    assert await owed_assets.outstanding(database) == Outstanding(1, "closed")
    (again,) = await claimed_at_once(database)
    assert await owed_assets.write(database, again, actor="test") == "closed"
    await database.all("DROP TRIGGER closed")
    (again,) = await claimed_at_once(database)
    assert await owed_assets.write(database, again, actor="test") is None
    assert await asset_id(database, request_id) is not None


@pytest.mark.parametrize("owing", [False, True])
async def test_a_library_that_keeps_its_row_elsewhere(
    database: Database, users_table: str, postgres: Postgres, backend: str, owing: bool
) -> None:
    """A trigger that lets the row go without an error took it, and wrote it where it likes: once is enough.

    Before: on SQLite such a completion was a conflict.
    """
    request_id = await new_request(database, users_table)
    ignore = "CREATE TRIGGER elsewhere BEFORE INSERT ON assets BEGIN SELECT RAISE(IGNORE); END"
    if owing:
        await database.all("ALTER TABLE assets RENAME TO assets_away")
        await complete(database, request_id)
        await database.all("ALTER TABLE assets_away RENAME TO assets")
    with trigger(postgres, "RETURN NULL") if backend == "postgres" else contextlib.nullcontext():
        if backend == "sqlite":
            await database.all(ignore)
        if owing:
            (again,) = await claimed_at_once(database)
            assert await owed_assets.write(database, again, actor="test") is None
        else:
            assert (await complete(database, request_id)).outcome is Outcome.CHANGED
    assert (await complete(database, request_id)).outcome is Outcome.DUPLICATE
    assert await owed_assets.outstanding(database) is None
    assert await asset_id(database, request_id) is None
    kinds = await database.all("SELECT kind FROM ai_request_events WHERE request_id = :id ORDER BY id", id=request_id)
    assert [row["kind"] for row in kinds] == ["submitted", "completed", *(["asset_written"] if owing else [])]


async def test_a_database_that_is_away_is_not_the_library(
    database: Database, users_table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a connection there is nothing to try again at once: whoever reports comes again."""
    request_id = await new_request(database, users_table)
    tried: list[object] = []

    async def away(steps: object, _: object) -> None:
        tried.append(steps)
        raise DatabaseUnavailable("no connection")

    with monkeypatch.context() as patched:
        patched.setattr(database, "_chain_each", away)
        with pytest.raises(DatabaseUnavailable, match="no connection"):
            await complete(database, request_id)
    assert len(tried) == 1
    assert (await complete(database, request_id)).outcome is Outcome.CHANGED


async def test_a_completion_whose_word_is_lost_owes_nothing(
    database: Database, users_table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was made, asset and all, and the connection broke before that was known."""
    request_id = await new_request(database, users_table)
    chain = database._chain_each
    lost = [True]

    async def losing(steps: Mapping[str, str], each: Sequence[Values]) -> list[Row]:
        rows = await chain(steps, each)
        if lost.pop() if lost else False:
            raise ConnectionResetError("in the commit")
        return rows

    monkeypatch.setattr(database, "_chain_each", losing)
    applied = await complete(database, request_id)
    assert applied.outcome is Outcome.DUPLICATE
    assert applied.request is not None
    assert applied.request.version == 2
    assert await owed_assets.outstanding(database) is None
    assert await asset_id(database, request_id) is not None


@pytest.mark.parametrize("whose", ["ours", "the role's own"])
@pytest.mark.parametrize("backend", ["postgres"], indirect=True)
async def test_a_library_that_is_locked(
    database: Database, database_url: str, users_table: str, monkeypatch: pytest.MonkeyPatch, whose: str
) -> None:
    """Another app's migration holds the table for longer than n8n tries, or than a statement may take."""
    if whose == "ours":
        monkeypatch.setattr(postgres_database, "STATEMENT_SECONDS", 0.5)
    else:
        database_url += "?options=-c%20statement_timeout%3D500"
    request_id = await new_request(database, users_table)
    inside, go_on = asyncio.Event(), asyncio.Event()

    async def migrate(tx: Transaction) -> None:
        await tx.all("LOCK TABLE assets IN ACCESS EXCLUSIVE MODE")
        inside.set()
        await go_on.wait()

    migration = asyncio.create_task(database.transaction(migrate))
    await inside.wait()
    async with open_database(database_url) as impatient:
        assert (await complete(impatient, request_id)).outcome is Outcome.CHANGED
        (owed,) = await claimed_at_once(impatient)
        assert await owed_assets.write(impatient, owed, actor="test") is not None, "postponed, and the next one's turn"
    go_on.set()
    await migration
    assert await asset_id(database, request_id) is None
    (owed,) = await claimed_at_once(database)
    assert await owed_assets.write(database, owed, actor="test") is None
    assert await asset_id(database, request_id) is not None


@pytest.mark.parametrize("kind", ["varchar(20)", "char(20)", "short_name"])
@pytest.mark.parametrize("backend", ["postgres"], indirect=True)
async def test_names_are_cut_to_what_the_column_takes(
    database: Database, users_table: str, postgres: Postgres, kind: str
) -> None:
    request_id = await new_request(database, users_table, product="Schöne Schuhe für alle")
    postgres.execute("CREATE DOMAIN short_name AS varchar(20)", "shared")
    postgres.execute(f"ALTER TABLE assets ALTER name TYPE {kind}", "shared")
    try:
        assert (await complete(database, request_id)).outcome is Outcome.CHANGED
        (asset,) = await database.all("SELECT name FROM assets")
        assert asset["name"] == "AI Generated: Schöne"
        assert await owed_assets.outstanding(database) is None
    finally:
        postgres.execute("ALTER TABLE assets ALTER name TYPE text; DROP DOMAIN short_name", "shared")


async def test_what_is_owed_goes_with_its_user(database: Database, users_table: str) -> None:
    request_id = await new_request(database, users_table)
    await database.all("ALTER TABLE assets RENAME TO assets_away")
    await complete(database, request_id)
    await database.all("ALTER TABLE assets_away RENAME TO assets")
    (owed,) = await claimed_at_once(database)
    await database.all(f"DELETE FROM {users_table}")
    assert await owed_assets.outstanding(database) is None
    assert await owed_assets.write(database, owed, actor="test") is None
    assert await database.all("SELECT id FROM assets") == []


async def test_a_completion_that_is_refused_itself_changes_nothing(database: Database, users_table: str) -> None:
    """Not the library's doing: nothing is completed, and nothing owed."""
    request_id = await new_request(database, users_table)
    await database.all("ALTER TABLE ai_request_events RENAME TO events_away")
    try:
        with pytest.raises(StatementRefused, match="ai_request_events"):
            await transitions.complete(database, request_id, Completion("b/a.png", "1"), URLS, actor="n8n")
    finally:
        await database.all("ALTER TABLE events_away RENAME TO ai_request_events")
    request = await reads.read(database, request_id)
    assert request is not None
    assert (request.status, request.version) == (Status.PENDING, 1)
    assert await database.all("SELECT id FROM assets") == []
    assert await owed_assets.outstanding(database) is None


def test_pauses_grow_to_an_hour() -> None:
    pauses = [owed_assets.pause_after(attempts) for attempts in range(1, 30)]
    assert pauses[0] == 30
    assert pauses == sorted(pauses)
    assert pauses[-1] == 3600
