"""Our words, on either database."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from storage import amounts, costs, times
from storage.database.base import Database
from storage.database.dialect import WORDS, to_postgres, to_sqlite


def test_a_cast_is_not_taken_for_a_parameter() -> None:
    assert to_postgres("SELECT '{}'::jsonb, :one, :two, :one") == ("SELECT '{}'::jsonb, $1, $2, $1", ("one", "two"))


def test_no_word_reaches_a_driver() -> None:
    for word in WORDS:
        written = word.word.replace("{}", ":value")
        assert to_postgres(f"SELECT {written}")[0] == f"SELECT {word.postgres.replace('{}', '$1')}"
        assert to_sqlite(f"SELECT {written}") == f"SELECT {word.sqlite.replace('{}', ':value')}"


async def test_times_are_the_databases(database: Database) -> None:
    row = await database.one("SELECT NOW() AS now, AFTER(:seconds) AS earlier, MONTH() AS month", seconds=-90.5)
    assert row is not None
    now, earlier, month = [times.instant(row[name]) for name in ("now", "earlier", "month")]
    assert abs(datetime.now(UTC) - now) < timedelta(seconds=60)
    assert abs(now - earlier - timedelta(seconds=90.5)) < timedelta(seconds=1)
    assert month == now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


@pytest.mark.parametrize("values", [["0.10", "0.20"], ["0.30"], []])
async def test_a_total_is_exact(database: Database, values: list[str], backend: str) -> None:
    row = await database.one(f"SELECT TOTAL(cost) AS total FROM ({costs_of(backend, values)}) AS costs")
    assert row is not None
    assert amounts.amount_of(row["total"]) == sum(map(Decimal, values), Decimal(0))


def costs_of(backend: str, values: list[str]) -> str:
    """A table with a column of costs, as the database at hand keeps them."""
    kind = "text" if backend == "sqlite" else "numeric"
    return " UNION ALL ".join(f"SELECT CAST('{value}' AS {kind}) AS cost" for value in values) or (
        f"SELECT CAST('1' AS {kind}) AS cost WHERE 1 = 0"
    )


NO_AMOUNTS = ["NaN", "Infinity", "-Infinity", f"1{'0' * 400}", f"-1{'0' * 15}"]


async def test_what_is_no_amount_is_left_out_of_totals(database: Database, backend: str) -> None:
    values = ["0.10", *NO_AMOUNTS, *(["free", "1e999999999"] if backend == "sqlite" else []), "0.20"]
    row = await database.one(
        f"SELECT TOTAL(cost) AS total, ROUGH_SUM(cost) AS rough FROM ({costs_of(backend, values)}) AS costs"
    )
    assert row is not None
    assert amounts.amount_of(row["total"]) == Decimal("0.30")
    assert round(float(row["rough"]), 6) == 0.3


async def test_hours_and_seconds(database: Database, backend: str) -> None:
    created, completed = "'2026-01-31T12:59:00.000Z'", "'2026-01-31T13:00:01.500Z'"
    if backend == "postgres":
        created, completed = f"timestamptz {created}", f"timestamptz {completed}"
    row = await database.one(
        f"SELECT HOUR_OF(created_at) AS hour, SECONDS(completed_at) AS seconds FROM "
        f"(SELECT {created} AS created_at, {completed} AS completed_at) AS one"
    )
    assert row is not None
    assert costs.hour_of(row["hour"]) == "2026-01-31T12"
    assert round(float(row["seconds"]), 2) == 61.5


async def test_a_list(database: Database) -> None:
    rows = await database.all("SELECT 'b' AS found WHERE 'b' = ANY(:names)", names=["a", "b"])
    assert [row["found"] for row in rows] == ["b"]
    assert await database.all("SELECT 'c' AS found WHERE 'c' = ANY(:names)", names=["a", "b"]) == []
