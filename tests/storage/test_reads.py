"""Reads that serve many callers with one query."""

import uuid

from storage import reads, transitions
from storage.database.base import Database
from storage.database.dialect import for_each, to_postgres
from storage.lifecycle import Event
from storage.queries import reading
from storage.request import Request
from storage.submissions import Submission, submit
from tests.people import People
from tests.servers import Postgres


async def requests_of(database: Database, user_id: str, number: int) -> list[Request]:
    submission = Submission(user_id=user_id, product="Shoes", brand="Nike")
    made = [(await submit(database, submission, quota=100, deadline_seconds=900)).request for _ in range(number)]
    for index, request in enumerate(made):  # several may have come in one millisecond
        earlier = "UPDATE ai_image_requests SET created_at = AFTER(:seconds) WHERE id = :id"
        await database.all(earlier, id=request.id, seconds=float(index - number))
    found = await reads.read_all(database, [request.id for request in made])
    return [found[request.id] for request in made]


async def test_all_are_read_whoever_owns_them(database: Database, users_table: str) -> None:
    people = People(database, users_table)
    of_ada = await requests_of(database, (await people.person()).id, 2)
    of_eve = await requests_of(database, (await people.person()).id, 1)
    wanted = [*of_ada, *of_eve]
    assert await reads.read_all(database, [request.id for request in wanted] + [str(uuid.uuid4())]) == {
        request.id: request for request in wanted
    }
    assert await reads.read_all(database, []) == {}


async def test_recent_is_unfinished_first_then_newest(database: Database, users_table: str) -> None:
    person = await People(database, users_table).person()
    requests = await requests_of(database, person.id, 5)
    for request in requests[2:4]:
        await transitions.fail(database, request.id, Event.FAILED, "It broke", actor="test")
    expected = [requests[number].id for number in (4, 1, 0, 3, 2)]
    for limit in (5, 4, 2):
        assert [one.id for one in await reads.recent(database, person.id, limit)] == expected[:limit]
        assert [one.id for one in await reads.recent(database, None, limit)] == expected[:limit]


async def test_recent_of_many_users_is_the_recent_of_each(database: Database, users_table: str) -> None:
    people = People(database, users_table)
    busy, calm, idle = [(await people.person()).id for _ in range(3)]
    requests = await requests_of(database, busy, 4)
    await requests_of(database, calm, 1)
    await transitions.fail(database, requests[3].id, Event.FAILED, "It broke", actor="test")
    found = await reads.recent_of_users(database, [idle, busy, calm, busy], 3)
    assert found == {user_id: await reads.recent(database, user_id, 3) for user_id in (busy, calm, idle)}
    assert [len(found[user_id]) for user_id in (busy, calm, idle)] == [3, 1, 0]


FILLED = """
INSERT INTO auth.users (id) SELECT CAST('00000000-0000-4000-8000-' || lpad(CAST(n AS text), 12, '0') AS uuid)
    FROM generate_series(1, 1000) AS n;
INSERT INTO organizations (id, name) VALUES ('00000000-0000-4000-8000-000000000000', 'Acme');
INSERT INTO ai_image_requests (user_id, organization_id, product, brand, status, created_at, updated_at)
    SELECT CAST('00000000-0000-4000-8000-' || lpad(CAST(1 + n % 1000 AS text), 12, '0') AS uuid),
        '00000000-0000-4000-8000-000000000000', 'Shoes', 'Nike',
        CASE WHEN n > 99000 THEN 'pending' ELSE 'completed' END,
        now() - n * interval '1 minute', now() FROM generate_series(1, 100000) AS n;
ANALYZE ai_image_requests;
"""


async def test_recent_of_many_users_reads_indexes_only_to_the_limit(postgres: Postgres) -> None:
    """Of 100,000 rows no more than twice the limit for each user, from the indexes in their order."""
    postgres.execute("CREATE DATABASE filled TEMPLATE migrated")
    postgres.execute(FILLED, "filled")
    sql, _ = to_postgres(for_each(reading.RECENT_OF_USER, "user_id"))
    users = ", ".join(f"'00000000-0000-4000-8000-{number:012}'" for number in range(1, 51))
    sql = sql.replace("$1", f"ARRAY[{users}]").replace("$2", "20")
    plan = postgres.execute(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {sql}", "filled")
    assert "Seq Scan" not in plan
    assert "idx_ai_requests_open" in plan
    assert "idx_ai_requests_user_list" in plan
