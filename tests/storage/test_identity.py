"""A database's name: the same for all who share it, another one for every other database, copies included. Copies of
the whole server: `tests/gateway/test_physical_copies.py`."""

from storage.database.base import Database
from storage.database.open import open_database
from storage.identity import identity_of
from tests.servers import Postgres

ADDRESS = "https://gateway.example.com"


async def test_it_stays_the_same(database: Database) -> None:
    assert await identity_of(database, ADDRESS) == await identity_of(database, ADDRESS)
    assert len(await identity_of(database, ADDRESS)) == 20


async def test_another_address_is_another_environment(database: Database) -> None:
    assert await identity_of(database, ADDRESS) != await identity_of(database, "https://staging.example.com")


async def test_a_copy_has_another_one(postgres: Postgres) -> None:
    names = set()
    for name in ("identity_of_original", "identity_of_copy"):
        postgres.execute(f"DROP DATABASE IF EXISTS {name}")
        postgres.execute(f"CREATE DATABASE {name} TEMPLATE migrated")
        async with open_database(postgres.url(name)) as database:
            names.add(await identity_of(database, ADDRESS))
    assert len(names) == 2, "the copied table holds the same id"


async def test_a_role_that_may_not_see_the_server_has_one_too(postgres: Postgres) -> None:
    postgres.execute("CREATE ROLE nearsighted LOGIN")
    postgres.execute("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC", "shared")
    try:
        postgres.execute("GRANT SELECT ON ai_gateway_identity TO nearsighted", "shared")
        postgres.execute("CREATE POLICY nearsighted ON ai_gateway_identity TO nearsighted USING (true)", "shared")
        async with open_database(postgres.url("shared").replace("postgres@", "nearsighted@")) as database:
            assert len(await identity_of(database, ADDRESS)) == 20
    finally:
        postgres.execute("GRANT EXECUTE ON FUNCTION pg_control_system() TO PUBLIC", "shared")
        postgres.execute("DROP POLICY nearsighted ON ai_gateway_identity", "shared")
        postgres.execute("DROP OWNED BY nearsighted", "shared")
        postgres.execute("DROP ROLE nearsighted")
