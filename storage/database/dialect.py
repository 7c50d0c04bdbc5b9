"""The words in which our queries are written, and what each means on either database.

Queries are PostgreSQL's SQL with parameters as ``:name`` and the words of `WORDS`. What a word returns may come
differently from the two drivers; its reader takes both. Everything else in a query means the same on both.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from storage.amounts import BOUND


@dataclass(frozen=True, slots=True)
class Word:
    """One word; ``{}`` is its argument."""

    word: str
    meaning: str
    postgres: str
    sqlite: str
    reader: str | None = None


# `statement_timestamp()` and not `now()`: a transaction that waited for a lock must not judge by the time at which it
# began to wait. It is stable within a statement, so indexes on times can be used. On SQLite times are UTC text of one
# width, so their order is the time's.
WORDS = (
    Word(
        "AFTER({})",
        "the time that many seconds from now; before now, when negative",
        "(statement_timestamp() + make_interval(secs => {}))",
        "strftime('%Y-%m-%dT%H:%M:%fZ', 'now', {} || ' seconds')",
        "times.instant",
    ),
    Word(
        "NOW()",
        "the time by the database's clock, so that processes need not agree on one",
        "statement_timestamp()",
        "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')",
        "times.instant",
    ),
    Word(
        "MONTH()",
        "when this month began, in UTC",
        "(date_trunc('month', statement_timestamp() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC')",
        "strftime('%Y-%m-01T00:00:00.000Z', 'now')",
        "times.instant",
    ),
    Word(
        "HOUR_OF({})",
        "the hour of a time, in UTC",
        "date_trunc('hour', least({}, '9999-12-31Z') AT TIME ZONE 'UTC')",
        "substr({}, 1, 13)",
        "costs.hour_of",
    ),
    Word(
        "SECONDS({})",
        "seconds from `created_at` to that time; null where one of them is no time or infinite",
        """CASE WHEN isfinite({}) AND isfinite(created_at)
        THEN extract(epoch FROM {}) - extract(epoch FROM created_at) END""",
        "((julianday({}) - julianday(created_at)) * 86400)",
        "float",
    ),
    Word(
        "DURATION({})",
        "whole milliseconds from `created_at` to that time: what pages are ordered by must be the same when read again",
        """CASE WHEN isfinite({}) AND isfinite(created_at)
        THEN round((extract(epoch FROM {}) - extract(epoch FROM created_at)) * 1000) END""",
        "CAST(round((julianday({}) - julianday(created_at)) * 86400000) AS integer)",
        "int",
    ),
    Word(
        "BILLIONTHS({})",
        "an amount in whole billionths, for the same reason; what no request ever costs is cut off",
        "round(CASE WHEN {} > 999999999 THEN 999999999 WHEN {} < 0 THEN -1 ELSE {} END * 1000000000)",
        "CAST(round(max(min(CAST({} AS real), 999999999), -1) * 1000000000) AS integer)",
        "int",
    ),
    Word(
        "TOTAL({})",
        "the exact sum of amounts, which SQLite keeps as text and would sum as floats; what is none is left out",
        f"sum({{}}) FILTER (WHERE {{}} > -{BOUND} AND {{}} < {BOUND})",  # NaN is greater than every number
        "group_concat({}, ' ')",
        "amounts.amount_of",
    ),
    Word(
        "ROUGH_SUM({})",
        "about that sum, to sort by",
        f"coalesce(sum({{}}) FILTER (WHERE {{}} > -{BOUND} AND {{}} < {BOUND}), 0)",
        f"total({{}}) FILTER (WHERE abs(CAST({{}} AS real)) < {BOUND})",
    ),
    Word(
        "NAME_LENGTH",
        "how many characters the app's column `assets.name` takes; more than enough where it is not bounded",
        """(
        SELECT coalesce(nullif(CASE typtype WHEN 'd' THEN typtypmod ELSE atttypmod END, -1) - 4, 1000)
        FROM pg_attribute JOIN pg_type ON pg_type.oid = atttypid
        WHERE attrelid = to_regclass('assets') AND attname = 'name')""",  # a varchar's modifier is its length and 4
        "1000",
        "int",
    ),
    Word("AUTH_USERS", "the table of users, which is Supabase's", "auth.users", "auth_users"),
    Word("= ANY({})", "is one of a list", "= ANY({})", "IN (SELECT value FROM json_each({}))"),
    Word(
        "JSON_OBJECT",
        "JSON of names and values",
        "jsonb_build_object",
        "json_object",
        "json.loads",
    ),
    Word(
        "IMPATIENT()",
        "from here on the transaction waits for nobody's lock longer than a moment",
        "set_config('lock_timeout', '100ms', true)",
        "''",
    ),
    Word("FOR UPDATE SKIP LOCKED", "lock the rows; leave out what is locked", "FOR UPDATE SKIP LOCKED", ""),
    Word("FOR UPDATE", "lock the rows; wait for who holds them", "FOR UPDATE", ""),
)

_PARAMETER = re.compile(r"(?<!:):([a-z_]+)")


def _pattern(word: str) -> re.Pattern[str]:
    return re.compile(re.escape(word).replace(r"\{\}", r"(:?\w+)"))


_POSTGRES = [(_pattern(word.word), word.postgres.replace("{}", r"\1")) for word in WORDS]
_SQLITE = [(_pattern(word.word), word.sqlite.replace("{}", r"\1")) for word in WORDS]


@lru_cache(maxsize=256)
def to_postgres(sql: str) -> tuple[str, tuple[str, ...]]:
    """`sql` for PostgreSQL: the statement with ``$n``, and the parameters' names in that order."""
    for pattern, meaning in _POSTGRES:
        sql = pattern.sub(meaning, sql)
    names: dict[str, int] = {}
    return _PARAMETER.sub(lambda match: f"${names.setdefault(match[1], len(names) + 1)}", sql), tuple(names)


@lru_cache(maxsize=256)
def to_sqlite(sql: str) -> str:
    """`sql` for SQLite, whose driver takes ``:name`` as it is."""
    for pattern, meaning in _SQLITE:
        sql = pattern.sub(meaning, sql)
    return sql


@lru_cache(maxsize=256)
def for_each(sql: str, name: str) -> str:
    """`sql` for each of the list ``:each`` in the place of the parameter `name`, which it selects as `each_value`.

    PostgreSQL's alone: SQLite has no LATERAL, and no way to the server that could be saved.
    """
    one = re.sub(rf"(?<!:):{name}\b", "each_one.value", sql)
    return f"""
SELECT CAST(each_one.value AS text) AS each_value, found.*
FROM unnest(CAST(:each AS uuid[])) AS each_one(value) CROSS JOIN LATERAL ({one}) AS found"""


@lru_cache(maxsize=256)
def chained(steps: tuple[tuple[str, str], ...]) -> str:
    """Named statements as one for PostgreSQL, which returns the rows of the one named ``changed``."""
    return "\nWITH " + ",\n".join(f"{name} AS ({sql})" for name, sql in steps) + "\nSELECT * FROM changed"
