"""Whether the database takes what the gateway writes, tried in transactions that are rolled back."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import asyncpg

from gateway.api.parsing import MAX_TEXT
from gateway.cli.database_faults import explain, known
from gateway.cli.probes.finding import Finding, ok, problem
from gateway.cli.reasons import first_line
from gateway.settings import Settings
from storage.database.base import Database, Transaction
from storage.database.open import open_database
from storage.database.schema import PAGE, VERSION, check_schema
from storage.database.sqlite import is_sqlite, path_of
from storage.errors import (
    DatabaseBusy,
    DatabaseUnavailable,
    RowGone,
    StatementBroken,
    StatementRefused,
    StorageError,
)
from storage.events import event_values
from storage.lifecycle import Event
from storage.queries import alerting, life, owing, reading, sign_ins
from storage.submissions import New, Submission, create
from storage.times import instant

SECONDS = 10.0
"""Longest time for all of it."""

NAME = f"AI Generated: {'p' * MAX_TEXT} - {'b' * MAX_TEXT}"
"""The longest name that an asset is given."""

FILE_URL = f"https://project.supabase.co/storage/v1/object/public/ai-images/2026/01/31/{uuid.UUID(int=0)}.png"
"""A public URL of ordinary length."""

RIGHTS = {
    "ai_image_requests": "SELECT, INSERT, UPDATE",
    "ai_request_events": "SELECT, INSERT",
    "organization_members": "SELECT",
    "ai_gateway_identity": "SELECT",
    "assets": "SELECT, INSERT",
    "ai_gateway_alerts": "SELECT, INSERT, UPDATE, DELETE",
    "ai_gateway_counts": "SELECT, INSERT, UPDATE, DELETE",
    "ai_gateway_processes": "SELECT, INSERT, UPDATE, DELETE",
    "ai_gateway_owed_assets": "SELECT, INSERT, UPDATE, DELETE",
    "ai_gateway_sign_ins": "SELECT, INSERT, DELETE",
}
"""What the gateway's role must be allowed to do (see "Postgres" in the README)."""


class _RollBack(Exception):
    """Ends a transaction that has shown what was to be seen."""


async def probe(settings: Settings) -> list[Finding]:
    """Connect, look at the schema and the rights, and write all that a request and a process leave, and an asset."""
    about = "DATABASE_URL"
    url = settings.database_url.get_secret_value()
    if is_sqlite(url) and not path_of(url).is_file():
        return [problem(about, f"the file {path_of(url)} does not exist yet: run `gateway migrate`")]
    try:
        async with asyncio.timeout(SECONDS), open_database(url) as database:
            await check_schema(database)
            connected = ok(about, f"connected, the schema is at {VERSION}")
            return [connected, *[finding async for finding in _writing(database, about, sqlite=is_sqlite(url))]]
    except DatabaseBusy:
        return [ok(about, "a gateway process serves the file now; nothing was written beside it")]
    except Exception as error:  # noqa: BLE001 - whatever a driver raises is the finding
        return [problem(about, explain(error))]


async def _writing(database: Database, about: str, *, sqlite: bool) -> AsyncIterator[Finding]:
    if not sqlite:
        missing = await _missing_rights(database)
        if missing:
            yield problem(about, f"the role lacks rights: {'; '.join(missing)}")
            return
        missing = await _missing_policies(database)
        if missing:
            hidden = f"row level security keeps rows from the role: no policy for {'; '.join(missing)}"
            yield problem(about, f"{hidden}. {PAGE} lists them")
            return
    member = True
    for work in (_write_process, _write_request):
        try:
            await database.transaction(work)
        except _RollBack:
            pass
        except RowGone:  # every column was accepted: foreign keys are looked at last
            member = False
        except Exception as error:  # noqa: BLE001 - as above
            yield problem(about, _sentence(error))
            return
    yield ok(about, "takes writes" if member else "takes writes (a request's as far as shows without a member)")
    try:
        await database.transaction(_insert_asset)
    except _RollBack:
        yield ok("assets", "the app's table takes a picture's row")
    except StorageError as error:
        if isinstance(error, RowGone):  # every column was accepted: foreign keys are looked at last
            yield ok("assets", "the app's table takes a picture's row (of a member; there is none yet)")
        else:
            yield problem("assets", f"the app's table refuses a picture's row: {await _refusal(database, error)}")


async def _missing_rights(database: Database) -> list[str]:
    missing = []
    for table, rights in RIGHTS.items():
        for right in rights.split(", "):
            row = await database.one(
                "SELECT has_table_privilege(CAST(:name AS text), CAST(:privilege AS text)) AS granted",
                name=table,
                privilege=right,
            )
            if row is None or not row["granted"]:
                missing.append(f"{right} on {table}")
    return missing


async def _missing_policies(database: Database) -> list[str]:
    """What row level security would quietly hide: rows that are not seen are not updated either, without an error."""
    rows = await database.all(_TABLES_WITHOUT_POLICY, names=list(RIGHTS))
    policies = {(row["name"], row["command"]) for row in rows}
    return [
        f"{right} on {table}"
        for table, rights in RIGHTS.items()
        for right in rights.split(", ")
        if (table, right) in policies
    ]


async def _write_process(tx: Transaction) -> None:
    """Write what the gateway notes of itself.

    Raises:
        _RollBack: it was taken.
    """
    name = f"check:{uuid.uuid4()}"
    row = await tx.one(reading.PING)
    assert row is not None, "the clock always answers"  # noqa: S101
    await tx.all(alerting.PROCESS_SEEN, name=name, connections=0, bus_healthy=True)
    await tx.all(alerting.RAISE_ALERT, name=name, summary="", count=1, resolve=1.0)
    await tx.all(alerting.ADD_COUNT, hour=instant(row["now"]), name=name, count=1)
    await tx.all(sign_ins.SPEND, id=str(uuid.uuid4()), seconds=1.0)
    raise _RollBack


async def _write_request(tx: Transaction) -> None:
    """Submit a request, for some member where there is one, have it sent and complete it.

    Raises:
        _RollBack: it was taken.
        RowGone: there is no member.
        StatementRefused: it was not.
    """
    organization_id, user_id = await _member(tx)
    submission = Submission(user_id=user_id, product="p" * MAX_TEXT, brand="b" * MAX_TEXT)
    new = New(submission, organization_id, actor="check")
    try:
        (request,) = await create(tx, [new], deadline_seconds=60.0, estimate=None)
    except ValueError:
        raise StatementRefused("a trigger keeps it from being written") from None
    event = event_values(Event.COMPLETED, "check", {})
    completion = {
        **dict.fromkeys(("cost", "execution_id")),
        "id": request.id,
        "storage_key": "check/check.png",
        "storage_id": request.id,
        "file_url": FILE_URL,
    }
    owed = {"reason": "", "pause": 1.0}
    changed = await tx.chain(
        {"changed": life.COMPLETE_OWING, "owed": owing.OWE, "event": life.INSERT_EVENT_OF_CHANGE},
        [{**completion, **owed, **event}],
    )
    if not changed:
        raise StatementRefused("it is written and cannot be changed: a policy or a trigger stands against it")
    raise _RollBack


def _sentence(error: Exception) -> str:
    """Why what the gateway writes of itself or of a request is refused."""
    if isinstance(error, StatementRefused | StatementBroken) and known(error) is None:
        place = getattr(error.__cause__, "table_name", None)
        refused = "a row" if place is None else f"a row of {place}"
        return f"refuses {refused} that the gateway writes: {first_line(error)}"
    return explain(error)


async def _member(tx: Transaction) -> tuple[str, str]:
    """The organization and the user of some member, or of nobody."""
    member = await tx.one("SELECT organization_id, user_id FROM organization_members LIMIT 1")
    if member is None:
        return str(uuid.uuid4()), str(uuid.uuid4())
    return str(member["organization_id"]), str(member["user_id"])


async def _insert_asset(tx: Transaction) -> None:
    """Insert an asset as a completion does, for some member where there is one.

    Raises:
        _RollBack: it was taken.
    """
    organization_id, user_id = await _member(tx)
    await tx.one(
        _INSERT_ASSET,
        organization_id=organization_id,
        user_id=user_id,
        name=NAME,
        file_url=FILE_URL,
    )
    raise _RollBack


async def _refusal(database: Database, refused: StorageError) -> str:
    """Why the row was refused, with the column's name."""
    error = refused.__cause__
    if isinstance(error, asyncpg.StringDataRightTruncationError):
        found = await database.all(_SHORT_COLUMNS)
        columns = ", ".join(f"{row['column_name']} takes {row['length']} characters" for row in found)
        return f"a text is too long ({columns})"
    if isinstance(error, asyncpg.NotNullViolationError):
        return f"the column {error.column_name} is NOT NULL and has no default"
    if isinstance(error, asyncpg.CheckViolationError):
        row = await database.one(_COLUMNS_OF_CHECK, name=str(error.constraint_name))
        columns = "its columns" if row is None or not row["columns"] else row["columns"]
        return f"the CHECK {error.constraint_name} on {columns} is not met"
    if isinstance(refused, DatabaseUnavailable):
        return explain(refused)
    return str(refused).strip().partition("\n")[0]


_INSERT_ASSET = """
INSERT INTO assets (organization_id, user_id, name, type, format, file_url, status)
VALUES (:organization_id, :user_id,
    substr(CAST(:name AS text), 1, NAME_LENGTH), 'image', 'PNG', :file_url, 'approved')"""

_TABLES_WITHOUT_POLICY = """
SELECT name, command FROM unnest(CAST(:names AS text[])) AS name,
    (VALUES ('SELECT', 'r'), ('INSERT', 'a'), ('UPDATE', 'w'), ('DELETE', 'd')) AS commands (command, letter)
WHERE row_security_active(name) AND NOT EXISTS (
    SELECT FROM pg_policy WHERE polrelid = to_regclass(name) AND polpermissive AND polcmd IN ('*', letter)
    AND EXISTS (SELECT FROM unnest(polroles) AS role WHERE role = 0 OR pg_has_role(current_user, role, 'USAGE')))"""

_SHORT_COLUMNS = """
SELECT column_name, character_maximum_length AS length FROM information_schema.columns
WHERE table_schema = ANY(current_schemas(false)) AND table_name = 'assets' AND character_maximum_length IS NOT NULL
AND column_name IN ('type', 'format', 'file_url', 'status') ORDER BY character_maximum_length"""

_COLUMNS_OF_CHECK = """
SELECT string_agg(attname, ', ') AS columns FROM pg_constraint
JOIN pg_attribute ON attrelid = conrelid AND attnum = ANY(conkey)
WHERE conrelid = to_regclass('assets') AND conname = :name"""
