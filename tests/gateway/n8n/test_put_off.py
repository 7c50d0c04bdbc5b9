"""One row that cannot be changed holds up no others: neither deadlines nor cancellations."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.n8n import put_off
from gateway.n8n.put_off import PutOff
from gateway.n8n.recovery import DeadlineSweeper
from gateway.n8n.stopping import Cancellations
from gateway.settings import Settings
from storage.database.base import Database, Transaction
from tests.people import Person
from tests.running import RunningGateway, running_gateway

REFUSED = {
    "sqlite": """
        CREATE TRIGGER refusing BEFORE UPDATE OF status ON ai_image_requests WHEN OLD.product = 'Refused'
        BEGIN SELECT RAISE(ABORT, 'not this one'); END""",
    "postgres": """
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not this one'; END $$;
        CREATE TRIGGER refusing BEFORE UPDATE OF status ON ai_image_requests FOR EACH ROW
        WHEN (OLD.product = 'Refused') EXECUTE FUNCTION refuse()""",
}
ALLOWED = {
    "sqlite": ["DROP TRIGGER refusing"],
    "postgres": ["DROP TRIGGER refusing ON ai_image_requests", "DROP FUNCTION refuse()"],
}


@pytest.fixture
async def gateway(settings: Settings) -> AsyncIterator[RunningGateway]:
    async with running_gateway(settings, worker=False) as running:
        yield running


async def status(database: Database, request_id: str) -> str:
    row = await database.one("SELECT status FROM ai_image_requests WHERE id = :id", id=request_id)
    assert row is not None
    return str(row["status"])


@pytest.mark.parametrize("column", ["deadline_at", "cancel_at"])
async def test_a_row_that_is_refused_holds_up_no_other(
    gateway: RunningGateway, ada: Person, backend: str, column: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the first one, and the only one that a look may find, until it is put off; later it has its turn again."""
    for module in ("recovery", "stopping"):
        monkeypatch.setattr(f"gateway.n8n.{module}.BATCH", 1)
    database, announcer = gateway.state.database, gateway.state.announcer
    refused, other = await gateway.submitted(ada.id), await gateway.submitted(ada.id)
    await database.all("UPDATE ai_image_requests SET product = 'Refused' WHERE id = :id", id=refused)
    for request_id, place in ((refused, 1), (other, 2)):
        await database.all(
            f"UPDATE ai_image_requests SET {column} = AFTER(:ago) WHERE id = :id", ago=-100 + place, id=request_id
        )
    sweeper, cancellations = DeadlineSweeper(database, announcer, 900.0), Cancellations(database, announcer)
    look = sweeper.sweep if column == "deadline_at" else cancellations.cancel_due

    statements = [REFUSED[backend]] if backend == "sqlite" else REFUSED[backend].split(";\n        CREATE TRIGGER", 1)
    for number, statement in enumerate(statements):
        await database.all(statement if number == 0 else f"CREATE TRIGGER{statement}")
    try:
        assert await look() == 1
        assert await look() == 1
        assert (await status(database, refused), await status(database, other)) == ("pending", "failed")
    finally:
        for statement in ALLOWED[backend]:
            await database.all(statement)
    assert await look() == 0, "it is put off"
    for memory in (sweeper._put_off, cancellations._put_off):
        memory._until = dict.fromkeys(memory._until, 0.0)  # the while is over
    assert await look() == 1
    assert await status(database, refused) == "failed"


@pytest.mark.parametrize("backend", ["postgres"], indirect=True)
async def test_a_row_that_is_locked_holds_up_no_other(
    gateway: RunningGateway, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By an open session of an editor, say."""
    database = gateway.state.database
    locked, other = await gateway.submitted(ada.id), await gateway.submitted(ada.id)
    for request_id, place in ((locked, 1), (other, 2)):
        await database.all(
            "UPDATE ai_image_requests SET deadline_at = AFTER(:ago) WHERE id = :id", ago=-100 + place, id=request_id
        )
    held, let_go = asyncio.Event(), asyncio.Event()

    async def hold(tx: Transaction) -> None:
        await tx.all("SELECT id FROM ai_image_requests WHERE id = :id FOR UPDATE", id=locked)
        held.set()
        await let_go.wait()

    holding = asyncio.create_task(database.transaction(hold))
    await held.wait()
    await DeadlineSweeper(database, gateway.state.announcer, 900.0).sweep()
    assert await status(database, other) == "failed"
    assert await status(database, locked) == "pending"
    let_go.set()
    await holding


def test_few_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(put_off, "MOST", 2)
    memory = PutOff()
    for request_id in ("a", "b", "a", "c"):
        memory.add(request_id)
    assert len(memory) == 2
    assert memory.others(["a", "b", "c"]) == ["b"]
