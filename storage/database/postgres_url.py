"""What a PostgreSQL URL asks for, as the driver's options.

Hosters print URLs for libpq (https://www.postgresql.org/docs/current/libpq-connect.html), for Prisma, for JDBC. asyncpg
knows a part of these options and sends every other one to the server as a setting, which refuses it. So each is
decided here by name: understood, of no consequence here, or left out with a warning.
"""

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote, urlencode, urlsplit

from storage.url_parts import ends_in_password

POOL_SIZE = 10
CONNECT_SECONDS = 5.0
TRANSACTION_POOLER_PORT = "6543"
"""Where Supabase's poolers hand out a server connection for one transaction only."""

OF_THE_DRIVER = """
host port user password dbname database passfile service sslmode sslcert sslkey sslrootcert sslcrl sslpassword
sslnegotiation ssl_min_protocol_version ssl_max_protocol_version target_session_attrs krbsrvname gsslib"""
"""libpq's options that asyncpg understands itself."""

UNDERSTOOD_HERE = """
connect_timeout application_name fallback_application_name options schema min_size max_size connection_limit
statement_cache_size pgbouncer ssl requiressl"""
"""libpq's, Prisma's, node-postgres' and our own, read below."""

OF_NO_MEANING = "supa"
"""Vercel's integration of Supabase marks its URLs so."""

_DRIVER = frozenset(OF_THE_DRIVER.split())
_KNOWN = _DRIVER.union(UNDERSTOOD_HERE.split(), OF_NO_MEANING.split())

_VALUES = {
    "sslmode": {"disable", "allow", "prefer", "require", "verify-ca", "verify-full"},
    "sslnegotiation": {"postgres", "direct"},
    "target_session_attrs": {"any", "read-write", "read-only", "primary", "standby", "prefer-standby"},
}

_STATEMENT_LIMIT = "a dead connection is noticed by the time limit of every statement"
_NO_BINDING = "the driver does not bind channels; sslmode=verify-full proves the server instead"

_LEFT_OUT: dict[str, tuple[set[str], str]] = {
    "channel_binding": ({"disable", "prefer"}, _NO_BINDING),
    "client_encoding": ({"utf8", "utf-8", "auto", "unicode"}, "texts are always UTF-8"),
    "gssdelegation": ({"0"}, "credentials are never delegated"),
    "gssencmode": ({"disable", "prefer"}, "the driver does not encrypt by GSSAPI"),
    "hostaddr": (set(), "the host is looked up by its name"),
    "keepalives": ({"0", "1"}, _STATEMENT_LIMIT),
    "keepalives_count": (set(), _STATEMENT_LIMIT),
    "keepalives_idle": (set(), _STATEMENT_LIMIT),
    "keepalives_interval": (set(), _STATEMENT_LIMIT),
    "load_balance_hosts": ({"disable"}, "hosts are tried in their order"),
    "max_protocol_version": ({"3.0", "latest"}, "the driver speaks version 3.0"),
    "min_protocol_version": ({"3.0"}, "the driver speaks version 3.0"),
    "pool_timeout": (set(), "the gateway's own limit for waiting holds"),
    "replication": ({"false", "off", "no", "0"}, "a gateway does not replicate"),
    "require_auth": (set(), "the server chooses how the password is proved"),
    "requirepeer": (set(), "the driver does not look who serves the socket"),
    "single_use_connections": ({"false"}, "connections are kept"),
    "socket_timeout": (set(), _STATEMENT_LIMIT),
    "sslaccept": (set(), "sslmode decides: verify-full is Prisma's strict"),
    "sslcertmode": ({"allow"}, "sslcert decides whether a certificate is sent"),
    "sslcompression": ({"0"}, "TLS does not compress any more"),
    "sslcrldir": (set(), "use sslcrl, a file"),
    "sslidentity": (set(), "use sslcert and sslkey"),
    "sslkeylogfile": (set(), "set SSLKEYLOGFILE instead"),
    "sslsni": ({"1"}, "the name is always sent"),
    "tcp_user_timeout": ({"0"}, _STATEMENT_LIMIT),
}
"""Options that change nothing here: the values with which that is as it should be, and what is said of others."""

_UNREADABLE = "cannot be read: write / @ : # ? % in its password as %2F %40 %3A %23 %3F %25"


class PostgresUrlError(ValueError):
    """A URL that cannot be used; the text goes on after the setting's name, and quotes no value of the URL."""


@dataclass(frozen=True)
class PostgresUrl:
    """A URL, read.

    `connection` holds arguments of `asyncpg.connect`, `sizes` those that `asyncpg.create_pool` takes besides, and
    `warnings` a sentence for each option that is left out though it asks for something.
    """

    connection: dict[str, Any]
    sizes: dict[str, int]
    warnings: tuple[str, ...]


def read_url(url: str) -> PostgresUrl:
    """Decide every option of `url`.

    Raises:
        PostgresUrlError: it cannot be read, or asks for protection that cannot be had.
    """
    try:
        parts = urlsplit(url)
    except ValueError as error:  # brackets round what is no IPv6 address
        raise PostgresUrlError(_UNREADABLE) from error
    if ends_in_password(parts):
        raise PostgresUrlError(_UNREADABLE)
    hosts = parts.netloc.rpartition("@")[2]
    query = dict(_options(parts.query))
    ports = [*_ports(hosts), *query.get("port", "").split(",")]
    _check(query)
    settings, warnings = _server_settings(query), tuple(_warnings(query))
    connection: dict[str, Any] = {
        "dsn": _dsn(parts.username, parts.password, hosts, parts.path, query),
        "timeout": float(_number(query, "connect_timeout") or CONNECT_SECONDS),
    }
    if settings:
        connection["server_settings"] = settings
    if query.get("sslrootcert") == "system":
        connection["ssl"] = _system_roots(query)
    if _true(query.get("pgbouncer")) or ("pgbouncer" not in query and TRANSACTION_POOLER_PORT in ports):
        connection["statement_cache_size"] = 0  # the next transaction's server does not know a prepared statement
    if (cached := _number(query, "statement_cache_size")) is not None:
        connection["statement_cache_size"] = cached
    return PostgresUrl(connection, _sizes(query), warnings)


def _options(text: str) -> Iterator[tuple[str, str]]:
    """The options of a query, in which a plus is a plus (RFC 3986, as libpq has it); empty ones are not set."""
    for part in text.split("&"):
        name, _, value = part.partition("=")
        if name and value:
            yield unquote(name), unquote(value)


def _ports(hosts: str) -> list[str]:
    """The ports in the URL's list of hosts."""
    ports = [host.rpartition("]")[2].rpartition(":")[2] for host in hosts.split(",") if ":" in host.rpartition("]")[2]]
    if not all(port.isascii() and port.isdigit() and int(port) < 65536 for port in ports if port):
        raise PostgresUrlError(_UNREADABLE)
    return ports


def _check(query: dict[str, str]) -> None:
    for name, values in _VALUES.items():
        if query.get(name, next(iter(values))) not in values:
            raise PostgresUrlError(f"has a {name} that is none of {', '.join(sorted(values))}")
    if query.get("gssencmode") == "require":
        raise PostgresUrlError("asks for GSSAPI encryption, which the driver does not have: use sslmode")
    if query.get("sslrootcert") == "system" and query.get("sslmode", "verify-full") != "verify-full":
        raise PostgresUrlError("has sslrootcert=system, which goes with sslmode=verify-full only (as in libpq)")


def _warnings(query: dict[str, str]) -> Iterator[str]:
    for name, value in query.items():
        if name in _KNOWN:
            continue
        known = _LEFT_OUT.get(name)
        if known is None:
            yield f"the option {name} is not known and left out; a server's setting is written options=-c%20{name}%3D…"
        elif value.lower() not in known[0]:
            yield f"the option {name} is left out: {known[1]}"
    if _number(query, "connection_limit") == 1 and "max_size" not in query:
        yield "connection_limit=1 leaves one connection for everything; the gateway is made for 10"


def _server_settings(query: dict[str, str]) -> dict[str, str]:
    """Parameters of the session's start."""
    settings = {}
    if name := query.get("application_name", query.get("fallback_application_name")):
        settings["application_name"] = name
    if options := query.get("options"):
        settings["options"] = options
    schema = query.get("schema", "public")
    if schema != "public":
        settings["search_path"] = '"' + schema.replace('"', '""') + '"'
    return settings


def _sizes(query: dict[str, str]) -> dict[str, int]:
    most = _number(query, "max_size") or _number(query, "connection_limit") or POOL_SIZE
    least = _number(query, "min_size")
    return {"min_size": min(1 if least is None else least, most), "max_size": most}


def _number(query: dict[str, str], name: str) -> int | None:
    text = query.get(name)
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or int(text) > 100_000:
        raise PostgresUrlError(f"has a {name} that is no whole number")
    return int(text)


def _true(text: str | None) -> bool:
    return text is not None and text.lower() not in ("false", "0", "no", "off", "disable")


def _dsn(user: str | None, password: str | None, hosts: str, path: str, query: dict[str, str]) -> str:
    """The URL with what asyncpg understands itself; it wants an at sign in a password to be written %40."""
    kept = {name: value for name, value in query.items() if name in _DRIVER}
    if kept.get("sslrootcert") == "system":
        for name in ("sslmode", "sslrootcert", "sslcert", "sslkey", "sslpassword"):
            kept.pop(name, None)
    elif _true(query.get("ssl")) or _true(query.get("requiressl")):
        kept.setdefault("sslmode", "require")
    who = "" if user is None else quote(unquote(user), safe="")
    if password is not None:
        who += ":" + quote(unquote(password), safe="")
    dsn = f"postgresql://{who}@{hosts}{path}" if who else f"postgresql://{hosts}{path}"
    return f"{dsn}?{urlencode(kept, quote_via=quote)}" if kept else dsn


def _system_roots(query: dict[str, str]) -> ssl.SSLContext:
    """TLS that believes the machine's own certificate authorities and insists on the host's name."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["postgresql"])
    if "sslcert" in query:
        try:
            context.load_cert_chain(query["sslcert"], query.get("sslkey"), query.get("sslpassword", ""))
        except OSError as error:
            raise PostgresUrlError(f"names an sslcert or sslkey that cannot be read ({error})") from None
    return context
