"""Behind a real PgBouncer in transaction mode, as Supabase's transaction pooler is one: each transaction has whichever
server is free, and what a server was told before is not known there."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from storage import reads, transitions
from storage.database.base import Database
from storage.database.open import open_database
from storage.lifecycle import Event, Status
from storage.submissions import Submission, submit
from storage.transitions import Completion, Outcome
from tests.conftest import People
from tests.debian import program
from tests.running import SECONDS, eventually
from tests.servers import free_port
from tests.storage.test_transitions import URLS

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("backend", ["postgres"], indirect=True)]

MANY = 40

CONFIGURATION = """
[databases]
* = host=127.0.0.1 port={server.port} user={server.username}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
server_round_robin = 1
ignore_startup_parameters = extra_float_digits
"""


@pytest.fixture
async def pooled_url(database_url: str, tmp_path: Path) -> AsyncIterator[str]:
    """The database's URL through the pooler."""
    port, server = free_port(), urlsplit(database_url)
    file = tmp_path / "pgbouncer.ini"
    file.write_text(CONFIGURATION.format(server=server, port=port))
    binary = await asyncio.to_thread(program, ("pgbouncer",), ("pgbouncer",))
    command = [binary, str(file)]
    if os.geteuid() == 0:  # which it refuses to be
        tmp_path.chmod(0o755)
        command[1:1] = ["-u", "nobody"]
    log = tmp_path / "pgbouncer.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(*command, stdout=output, stderr=output)

    async def listens() -> bool:
        assert process.returncode is None, log.read_text()
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return True
        return False

    try:
        await eventually(listens)
        yield server._replace(netloc=f"{server.username}@127.0.0.1:{port}", query="pgbouncer=true").geturl()
    finally:
        process.terminate()
        await process.wait()


@pytest.fixture
async def pooled(pooled_url: str) -> AsyncIterator[Database]:
    async with open_database(pooled_url) as database:
        yield database


async def test_a_requests_life_behind_a_pooler(pooled: Database, users_table: str) -> None:
    people = [await People(pooled, users_table).person() for _ in range(MANY)]

    async def life(user_id: str) -> None:
        submission = Submission(user_id=user_id, product="Shoes", brand="Nike")
        request_id = (await submit(pooled, submission, quota=10, deadline_seconds=60)).request.id
        for progress in (10, 50):
            applied = await transitions.start(pooled, request_id, Event.PROGRESSED, actor="n8n", progress=progress)
            assert applied.outcome is Outcome.CHANGED
            assert await reads.read(pooled, request_id) == applied.request
        picture = Completion(f"ai-images/{request_id}.png", request_id)
        assert (await transitions.complete(pooled, request_id, picture, URLS, actor="n8n")).outcome is Outcome.CHANGED

    async with asyncio.timeout(SECONDS):
        await asyncio.gather(*(life(person.id) for person in people))
    found = await reads.recent_of_users(pooled, [person.id for person in people], 10)
    assert [request.status for requests in found.values() for request in requests] == [Status.COMPLETED] * MANY
    assert len(await pooled.all("SELECT id FROM assets")) == MANY


async def test_the_impatience_of_one_transaction_is_not_the_next_ones(pooled: Database, users_table: str) -> None:
    """It is a setting of the server's session, which the next transaction may be another client's."""
    people = [await People(pooled, users_table).person() for _ in range(3)]
    made = [
        await submit(pooled, Submission(user_id=one.id, product="Shoes", brand="Nike"), quota=10, deadline_seconds=60)
        for one in people
    ]
    await asyncio.gather(
        *(transitions.start(pooled, one.request.id, Event.PROGRESSED, actor="n8n", progress=1) for one in made)
    )
    settings = [await pooled.one("SELECT current_setting('lock_timeout') AS seconds") for _ in range(6)]
    assert {row["seconds"] for row in settings if row is not None} == {"0"}
