"""PostgreSQL's URLs as hosters print them: each option is understood, of no consequence, or left out with a word."""

import asyncio
import ssl

import pytest

from storage import migrations
from storage.database.open import open_database
from storage.database.postgres_url import POOL_SIZE, PostgresUrlError, read_url
from storage.errors import DatabaseUnavailable
from tests.servers import Postgres, free_port

# What their consoles show to be copied, with names changed.
PRINTED = {
    "neon": "postgresql://ada:npg_x@ep-cool-1a2b-pooler.eu-central-1.aws.neon.tech/neondb"
    "?sslmode=require&channel_binding=require",
    "prisma": "postgresql://ada:x@db.example.com:5432/app?schema=public&connection_limit=5&pool_timeout=20"
    "&connect_timeout=15&sslmode=require",
    "rds": "postgresql://ada:x@app.c1x.eu-west-1.rds.amazonaws.com:5432/app?sslmode=verify-full&sslrootcert=bundle.pem",
    "supabase session": "postgresql://postgres.ref:x@aws-0-eu-central-1.pooler.supabase.com:5432/postgres",
    "supabase transaction": "postgresql://postgres.ref:x@aws-0-eu-central-1.pooler.supabase.com:6543/postgres",
    "supabase for prisma": "postgres://postgres.ref:x@aws-0-eu-central-1.pooler.supabase.com:6543/postgres"
    "?pgbouncer=true&connection_limit=1",
    "supabase by vercel": "postgres://postgres.ref:x@aws-0-us-east-1.pooler.supabase.com:6543/postgres"
    "?sslmode=require&supa=base-pooler.x",
    "heroku": "postgres://ada:x@ec2-1-2-3-4.compute-1.amazonaws.com:5432/d1?ssl=true",
    "libpq": "postgresql://ada:x@a.example.com:5433,b.example.com:5434/app?target_session_attrs=read-write"
    "&fallback_application_name=gateway&keepalives=1&keepalives_idle=30&gssencmode=disable&options=-c%20geqo%3Doff",
    "public authorities": "postgresql://ada:x@db.example.com/app?sslrootcert=system",
}

# PostgreSQL 18, "Parameter Key Words".
OPTIONS_OF_LIBPQ = """
host hostaddr port dbname user password passfile require_auth channel_binding connect_timeout
client_encoding options application_name fallback_application_name keepalives keepalives_idle
keepalives_interval keepalives_count tcp_user_timeout replication gssencmode sslmode requiressl
sslnegotiation sslcompression sslcert sslkey sslkeylogfile sslpassword sslcertmode sslrootcert sslcrl
sslcrldir sslsni requirepeer ssl_min_protocol_version ssl_max_protocol_version min_protocol_version
max_protocol_version krbsrvname gsslib gssdelegation service target_session_attrs load_balance_hosts
"""

EXPECTED: dict[str, tuple[str, dict[str, object], list[str]]] = {
    "neon": ("?sslmode=require", {}, ["channel_binding"]),
    "prisma": ("?sslmode=require", {"timeout": 15.0}, ["pool_timeout"]),
    "rds": ("?sslmode=verify-full&sslrootcert=bundle.pem", {}, []),
    "supabase session": ("", {}, []),
    "supabase transaction": ("", {"statement_cache_size": 0}, []),
    "supabase for prisma": ("", {"statement_cache_size": 0}, ["connection_limit=1"]),
    "supabase by vercel": ("?sslmode=require", {"statement_cache_size": 0}, []),
    "heroku": ("?sslmode=require", {}, []),
    "libpq": (
        "?target_session_attrs=read-write",
        {"server_settings": {"application_name": "gateway", "options": "-c geqo=off"}},
        ["keepalives_idle"],
    ),
    "public authorities": ("", {}, []),
}


@pytest.mark.parametrize("hoster", PRINTED)
def test_printed_urls_are_understood(hoster: str) -> None:
    read = read_url(PRINTED[hoster])
    query, options, warned = EXPECTED[hoster]
    connection = dict(read.connection)
    context = connection.pop("ssl", None)
    head = PRINTED[hoster].partition("?")[0].replace("postgres://", "postgresql://")
    assert connection.pop("dsn") == head + query
    assert connection == {"timeout": 5.0, **options}
    assert [name for name, text in zip(warned, read.warnings, strict=True) if name not in text] == []
    assert (context is not None) is (hoster == "public authorities")
    if context is not None:
        assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


@pytest.mark.parametrize(
    ("query", "sizes"),
    [
        ("", (1, POOL_SIZE)),
        ("max_size=3", (1, 3)),
        ("connection_limit=4", (1, 4)),
        ("connection_limit=4&max_size=6&min_size=2", (2, 6)),
        ("min_size=20&max_size=3", (3, 3)),
    ],
)
def test_sizes_of_the_pool(query: str, sizes: tuple[int, int]) -> None:
    read = read_url(f"postgres://u@h/d?{query}")
    assert (read.sizes["min_size"], read.sizes["max_size"]) == sizes


def test_every_option_of_libpq_is_decided() -> None:
    """A name that nobody decided would be warned of as unknown."""
    right = {"sslmode": "prefer", "sslnegotiation": "postgres", "target_session_attrs": "any"}
    for name in OPTIONS_OF_LIBPQ.split():
        read = read_url(f"postgresql://u@h/d?{name}={right.get(name, '7')}")
        assert not [warning for warning in read.warnings if "not known" in warning], name
        assert not {name} & read.connection.get("server_settings", {}).keys() - {"application_name", "options"}


def test_an_unknown_option_is_named_and_kept_from_the_server() -> None:
    read = read_url("postgresql://u:hidden@h/d?statement_timeout=5&nonsense=hidden")
    assert "server_settings" not in read.connection
    assert [warning.split()[2] for warning in read.warnings] == ["statement_timeout", "nonsense"]
    assert "hidden" not in "".join(read.warnings)
    assert read.connection["dsn"] == "postgresql://u:hidden@h/d"


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgresql://u:hidden/x@h:5432/d", "%2F"),
        *((f"postgresql://u:1{mark}hidden@h/d", "%2F") for mark in "/?#"),
        ("postgresql://u:1?a=hidden@h/d", "%2F"),
        ("postgresql://u:1/2?hidden@h/d", "%2F"),
        ("postgresql://u:1#hidden@h/d", "%2F"),
        ("postgresql://u:p@h:abc/d", "%2F"),
        ("postgresql://[h/d", "%2F"),
        ("postgresql://h/d?connect_timeout=soon", "connect_timeout"),
        ("postgresql://h/d?max_size=many", "max_size"),
        ("postgresql://h/d?sslmode=hidden", "sslmode"),
        ("postgresql://h/d?target_session_attrs=hidden", "target_session_attrs"),
        ("postgresql://h/d?gssencmode=require", "GSSAPI"),
        ("postgresql://h/d?sslrootcert=system&sslmode=require", "verify-full"),
        ("postgresql://h/d?sslrootcert=system&sslcert=/nowhere", "sslcert"),
    ],
)
def test_what_cannot_be_meant_is_a_sentence(url: str, told: str) -> None:
    with pytest.raises(PostgresUrlError, match=told) as refused:
        read_url(url)
    assert "hidden" not in str(refused.value)


def test_passwords_may_hold_anything_that_a_url_can() -> None:
    assert (
        read_url("postgres://ada:p%40%2F+@w@h:6543/d").connection["dsn"] == "postgresql://ada:p%40%2F%2B%40w@h:6543/d"
    )


@pytest.mark.parametrize("hoster", [name for name in PRINTED if name not in ("rds", "public authorities")])
async def test_printed_urls_connect(postgres: Postgres, hoster: str) -> None:
    """The query as it is printed, on a server of ours; all that it lacks is TLS."""
    query = PRINTED[hoster].partition("?")[2].replace("sslmode=require", "sslmode=prefer").replace("ssl=true", "ssl=0")
    async with open_database(f"{postgres.url('migrated')}?{query}") as database:
        row = await database.one("SELECT current_setting('application_name') AS name, current_setting('geqo') AS geqo")
    assert row is not None
    assert (row["name"], row["geqo"]) == (("gateway", "off") if hoster == "libpq" else ("", "on"))


async def test_the_host_that_takes_writes_is_found(postgres: Postgres) -> None:
    """Naive: the list of hosts is refused as a wrong port."""
    url = postgres.url("migrated").replace("@", f"@127.0.0.1:{free_port()},")
    async with open_database(f"{url}?target_session_attrs=primary") as database:
        assert await database.one("SELECT 1 AS one") is not None


async def test_a_schema_of_its_own(postgres: Postgres) -> None:
    """Prisma's ``schema``: the tables are made and found there."""
    postgres.execute("CREATE DATABASE other_schema")
    postgres.execute('CREATE SCHEMA "Mine"', "other_schema")
    url = f"{postgres.url('other_schema')}?schema=Mine"
    await asyncio.to_thread(migrations.upgrade, url)
    async with open_database(url) as database:
        row = await database.one("SELECT CAST(to_regclass('\"Mine\".ai_image_requests') AS text) AS name")
    assert row is not None
    assert row["name"] == "ai_image_requests"


async def test_protection_that_cannot_be_had_is_no_connection(postgres: Postgres) -> None:
    """Naive: `databases` ignores ``?sslmode=require`` and talks in the clear without a word."""
    for query in ("sslmode=require", "ssl=true", "requiressl=1", "sslrootcert=system"):
        with pytest.raises(DatabaseUnavailable):
            async with open_database(f"{postgres.url('migrated')}?{query}"):
                pass


@pytest.mark.parametrize(
    "url", ["postgresql://h/d?user=ada@server", "postgresql://u:p@h/d@b", "postgresql://u@h?user=a@b"]
)
def test_an_at_sign_that_no_password_holds_is_one(url: str) -> None:
    assert "h" in read_url(url).connection["dsn"]
