"""Users and organizations that are deleted while somebody acts for them: an answer, never a 500."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest

from storage import administration, dispatch, transitions
from storage.costs import Pricing
from storage.database.base import Database, Transaction
from storage.errors import NoOrganization, NotAMember, NotRetriable, Refusal, UserGone
from storage.lifecycle import Event
from storage.submissions import Submission, Submitted, submit
from storage.transitions import Outcome
from tests.conftest import People, Person
from tests.storage.test_transitions import PICTURE, URLS


@pytest.fixture
async def loose(database: Database, backend: str) -> AsyncIterator[None]:
    """An app whose members' table has no foreign keys, and keeps those who are gone."""
    if backend == "sqlite":
        await database.all("ALTER TABLE organization_members RENAME TO members_away")
        await database.all("CREATE TABLE organization_members (organization_id TEXT, user_id TEXT)")
        yield
        return
    foreign_keys = await database.all(
        "SELECT conname, pg_get_constraintdef(oid) AS definition FROM pg_constraint "
        "WHERE conrelid = to_regclass('organization_members') AND contype = 'f'"
    )
    for key in foreign_keys:
        await database.all(f"ALTER TABLE organization_members DROP CONSTRAINT {key['conname']}")
    yield
    await database.all("DELETE FROM organization_members")
    for key in foreign_keys:
        await database.all(f"ALTER TABLE organization_members ADD CONSTRAINT {key['conname']} {key['definition']}")


async def person(database: Database, users_table: str) -> Person:
    return await People(database, users_table).person()


async def submitted(database: Database, who: Person, organization_id: str | None = None) -> Submitted:
    submission = Submission(user_id=who.id, product="Shoes", brand="Nike", organization_id=organization_id)
    return await submit(database, submission, quota=10, deadline_seconds=60)


@pytest.mark.usefixtures("loose")
@pytest.mark.parametrize(
    ("gone", "named", "refusal"),
    [
        ("user", False, UserGone),
        ("user", True, UserGone),
        ("organization", False, NoOrganization),
        ("organization", True, NotAMember),
    ],
)
async def test_a_submission_of_who_is_gone(
    database: Database, users_table: str, gone: str, named: bool, refusal: type[Refusal]
) -> None:
    ada, eve = await person(database, users_table), await person(database, users_table)
    await database.all(
        f"DELETE FROM {users_table if gone == 'user' else 'organizations'} WHERE id = :id",
        id=ada.id if gone == "user" else ada.organizations[0],
    )
    organization_id = ada.organizations[0] if named else None
    # Eve's, which arrives together with it, is hers all the same.
    results = await asyncio.gather(
        submitted(database, ada, organization_id), submitted(database, eve), return_exceptions=True
    )
    assert isinstance(results[0], refusal)
    assert isinstance(results[1], Submitted)


async def test_a_user_who_is_deleted_with_the_memberships(database: Database, users_table: str) -> None:
    ada = await person(database, users_table)
    await database.all(f"DELETE FROM {users_table} WHERE id = :id", id=ada.id)
    with pytest.raises(NoOrganization):
        await submitted(database, ada)


async def test_whatever_comes_for_a_request_that_is_gone(database: Database, users_table: str) -> None:
    ada = await person(database, users_table)
    request = (await submitted(database, ada)).request
    (claimed,) = await dispatch.claim(database, "lease", 1)
    assert await dispatch.mark_sending(database, request.id, "lease", 60) is not None
    await database.all(f"DELETE FROM {users_table} WHERE id = :id", id=ada.id)
    await dispatch.record_in_doubt(database, claimed, "lease", "a reset")
    await dispatch.release(database, request.id, "lease")
    complete = transitions.complete(database, request.id, PICTURE, URLS, actor="n8n")
    fail = transitions.fail(database, request.id, Event.FAILED, "x", actor="n8n")
    assert {(await complete).outcome, (await fail).outcome} == {Outcome.UNKNOWN}


@pytest.mark.parametrize("backend", ["postgres"], indirect=True)
async def test_a_callback_that_meets_the_deletion_of_its_user(database: Database, users_table: str) -> None:
    """The deletion holds the row; the completion waits for it and finds nothing. Before: a deadlock was a 500."""
    ada = await person(database, users_table)
    request = (await submitted(database, ada)).request
    inside, go_on = asyncio.Event(), asyncio.Event()

    async def delete(tx: Transaction) -> None:
        await tx.all(f"DELETE FROM {users_table} WHERE id = :id", id=ada.id)
        inside.set()
        await go_on.wait()

    deletion = asyncio.create_task(database.transaction(delete))
    await inside.wait()
    completion = asyncio.create_task(transitions.complete(database, request.id, PICTURE, URLS, actor="n8n"))
    waiting = "SELECT count(*) AS waiting FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = 'shared'"
    while (row := await database.one(waiting)) is None or row["waiting"] == 0:
        await asyncio.sleep(0.01)
    go_on.set()
    await deletion
    assert (await completion).outcome is Outcome.UNKNOWN


async def test_a_retry_of_a_request_whose_user_is_gone(database: Database, users_table: str, backend: str) -> None:
    ada = await person(database, users_table)
    request = (await submitted(database, ada)).request
    await transitions.fail(database, request.id, Event.FAILED, "x", actor="n8n")
    retry = {"actor": "admin", "deadline_seconds": 60.0, "pricing": Pricing()}
    if backend == "sqlite":  # another tool that does not mind foreign keys
        writer = database._connections[0].raw_connection  # type: ignore[attr-defined]
        await writer.execute_fetchall("PRAGMA foreign_keys = OFF")
        await database.all("DELETE FROM auth_users")
        await writer.execute_fetchall("PRAGMA foreign_keys = ON")
        with pytest.raises(NotRetriable) as raised:
            await administration.retry(database, request.id, **retry)  # type: ignore[arg-type]
        assert raised.value.code == "owner_gone"
    else:
        await database.all("DELETE FROM auth.users WHERE id = :id", id=ada.id)
        assert await administration.retry(database, request.id, **retry) is None  # type: ignore[arg-type]
    assert await administration.retry(database, str(uuid.uuid4()), **retry) is None  # type: ignore[arg-type]
