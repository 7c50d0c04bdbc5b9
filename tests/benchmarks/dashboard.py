"""The dashboard's queries on many rows: how long each takes, and by which plan.

python -m tests.benchmarks.dashboard [--rows 100000]
"""

import argparse
import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from storage import alerts, listing, migrations, selection, statistics
from storage.database.base import Database
from storage.database.dialect import to_postgres
from storage.database.open import open_database
from storage.listing import START
from storage.queries import dashboard, selecting, spending
from storage.selection import NEWEST_FIRST, Order, Place, Sort
from storage.submissions import Submission, submit
from tests.servers import Postgres

ROUNDS = 20

SEED = """
INSERT INTO auth.users (id) SELECT md5('u' || n)::uuid FROM generate_series(1, 2000) n;
INSERT INTO organizations (id, name) SELECT md5('o' || n)::uuid, 'Acme ' || n FROM generate_series(1, 200) n;
INSERT INTO organization_members (organization_id, user_id)
SELECT md5('o' || 1 + n % 200)::uuid, md5('u' || n)::uuid FROM generate_series(1, 2000) n;
INSERT INTO ai_image_requests (id, user_id, organization_id, product, brand, status, version, cost, cost_estimate,
    error_code, created_at, updated_at, completed_at, dispatch_sending_at, deadline_at)
SELECT gen_random_uuid(), md5('u' || 1 + n % 2000)::uuid, md5('o' || 1 + (n % 2000) % 200)::uuid,
    (ARRAY['Running Shoes', 'Coffee Maker', 'CRM Software', 'Umbrella'])[1 + n % 4] || ' ' || n, 'Brand ' || n % 97,
    CASE WHEN n <= 40 THEN 'processing' WHEN n % 20 = 0 THEN 'failed' ELSE 'completed' END, 5,
    CASE WHEN n > 40 AND n % 20 <> 0 THEN 0.04 + (n % 7) * 0.001 END, 0.04,
    CASE WHEN n > 40 AND n % 20 = 0 THEN 'generation_failed' END,
    now() - n * interval '77 seconds', now() - n * interval '77 seconds',
    CASE WHEN n > 40 THEN now() - n * interval '77 seconds' + (20 + n % 50) * interval '1 second' END,
    now() - n * interval '77 seconds', now() + interval '1 hour'
FROM generate_series(1, {rows}) n;
"""


async def timed(name: str, ask: Callable[[], Awaitable[Any]]) -> None:
    """Print the median and the longest of some rounds."""
    await ask()
    taken = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        await ask()
        taken.append((time.perf_counter() - began) * 1000)
    print(f"{name:44} {sorted(taken)[ROUNDS // 2]:8.1f} ms {max(taken):8.1f} ms")


async def plan(database: Database, name: str, sql: str, **values: object) -> None:
    """Print which index a statement goes by."""
    statement, names = to_postgres(sql)

    async def explain(tx: Any) -> list[str]:
        rows = await tx._connection.fetch(f"EXPLAIN {statement}", *[values[one] for one in names])
        return [row[0] for row in rows]

    lines = await database.transaction(explain)
    scans = [line.strip().removeprefix("-> ").strip() for line in lines if "Scan" in line]
    print(f"{name:44} {'; '.join(scan.partition('  (')[0] for scan in scans)}")


def newest(filters: list[str]) -> str:
    """The first page of those with these filters, newest first."""
    return selecting.page(filters, Sort.TIME, ascending=False)


async def measure(url: str) -> None:
    user, organization = "md5('u' || 7)::uuid", "md5('o' || 7)::uuid"
    async with open_database(url) as database:
        row = await database.one(f"SELECT {user} AS one, {organization} AS two")
        assert row is not None
        user, organization = str(row["one"]), str(row["two"])
        day = datetime.now(UTC) - timedelta(days=20)
        deep = Place(None, day, str(uuid.uuid4()))

        async def everyone(order: Order = NEWEST_FIRST, /, **filters: object) -> Any:
            return await selection.page(database, filters, order, 20)

        nobody: dict[str, object] = {"users": [], "organizations": []}

        async def submission() -> None:
            await submit(
                database,
                Submission(user_id=user, product=str(uuid.uuid4()), brand="Nike"),
                quota=10**6,
                deadline_seconds=900,
            )

        print(f"{'':44} {'median':>8}    {'longest':>8}")
        await timed("statistics of 7 days", lambda: statistics.summarize(database, 7 * 86400.0))
        await timed("statistics of 30 days", lambda: statistics.summarize(database, 30 * 86400.0))
        await timed("statistics of 90 days", lambda: statistics.summarize(database, 90 * 86400.0))
        await timed("queue and stuck", lambda: statistics.queue(database, 300))
        await timed("everyone's requests", lambda: everyone())
        await timed("… 20 days back", lambda: selection.page(database, {}, NEWEST_FIRST, 20, after=deep))
        slowest, dearest = Order(Sort.DURATION), Order(Sort.COST)
        await timed("… slowest first", lambda: everyone(slowest))
        await timed("… dearest first", lambda: everyone(dearest))
        middle = (await selection.page(database, {}, dearest, 50_000)).next
        await timed("… dearest first, half way", lambda: selection.page(database, {}, dearest, 20, after=middle))
        week = datetime.now(UTC) - timedelta(days=7)
        await timed("… slowest first of 7 days", lambda: everyone(slowest, since=week))
        await timed("… slowest first of a user", lambda: everyone(slowest, user_id=user))
        await timed("… how many, up to 10,000", lambda: selection.count(database, {}, 10_000))
        await timed("… not taken by n8n", lambda: everyone(not_taken=True))
        await timed("… failed", lambda: everyone(status="failed"))
        await timed("… stuck", lambda: everyone(minus_stuck=-300.0))
        await timed("… of an organization", lambda: everyone(organization_id=organization))
        await timed("… of a user", lambda: everyone(user_id=user))
        await timed("… of a user, failed", lambda: everyone(user_id=user, status="failed"))
        await timed("… of a day, 20 days back", lambda: everyone(since=day, until=day + timedelta(days=1)))
        await timed("… with a common word", lambda: everyone(text="%shoes%", **nobody))
        await timed("… with a word that nowhere is", lambda: everyone(text="%zebra%", **nobody))
        await timed("alerts", lambda: alerts.recent_alerts(database, 86400, 100))
        await timed("a user's own requests", lambda: listing.requests_of(database, user, None, START, 20))
        await timed("the usual time", lambda: listing.typical_seconds(database, 604800, 100))
        await timed("a submission", submission)
        print()
        window = {"minus_window": -7 * 86400.0}
        filters: dict[str, object] = {"user_id": user, "organization_id": organization, "status": "failed"}
        filters |= {"since": day, "until": day + timedelta(days=1), "text": "%zebra%"}
        filters |= nobody
        page = {"limit": 20}
        await plan(database, "requests by hour", dashboard.REQUESTS_BY_HOUR, **window)
        await plan(database, "durations", dashboard.DURATIONS, **window)
        await plan(database, "errors by code", dashboard.ERRORS_BY_CODE, **window)
        await plan(database, "costs by user", dashboard.COSTS_BY_USER, limit=20, **window)
        await plan(database, "costs by organization", dashboard.COSTS_BY_ORGANIZATION, limit=20, **window)
        await plan(database, "queue", dashboard.QUEUE, minus_stuck=-300.0)
        await plan(database, "everyone's requests", newest([]), **page)
        await plan(database, "… failed", newest(["status"]), status="failed", **page)
        for sort in selecting.KEYS:
            await plan(database, f"… by {sort}", selecting.page([], sort, ascending=False), **page)
        await plan(database, "… stuck", newest(["stuck"]), minus_stuck=-300.0, **page)
        for names in (["user_id"], ["organization_id"], ["status", "user_id"], ["since", "until"], ["text"]):
            values = {name: filters[name] for name in (*names, *(nobody if names == ["text"] else ()))}
            await plan(database, f"… by {' and '.join(names)}", newest(names), **values, **page)
        await plan(database, "month of an organization", spending.COMMITTED, organization_id=organization)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    rows = parser.parse_args().rows
    with Postgres() as server:
        migrations.upgrade(server.url())
        server.execute(SEED.format(rows=rows))
        server.execute("VACUUM ANALYZE")  # as autovacuum does it
        print(f"{rows} requests in PostgreSQL\n")
        asyncio.run(measure(server.url()))


if __name__ == "__main__":
    main()
