"""What a Redis URL asks for, as the driver's options, and the one way in which a server is connected to.

Hosters print URLs for redis-py, ioredis, go-redis, lettuce, Celery. redis-py hands every option that it does not know
to its connection, which breaks at the first use, and lets the URL overrule what its caller asks for. So each option is
decided here by name: understood, of no consequence here, or left out with a warning.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, quote, unquote, urlencode, urlsplit, urlunsplit

from redis.asyncio import ConnectionPool
from redis.asyncio.connection import SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from gateway.settings.redis_sentinels import (
    SENTINEL_OPTIONS,
    Sentinels,
    SentinelUrlError,
    sentinel_pool,
    without_sentinels,
)
from storage.url_parts import ends_in_password

_OF_TLS = frozenset(
    {
        *("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile", "ssl_password"),
        *("ssl_cert_reqs", "ssl_check_hostname", "ssl_min_version"),
    }
)
_OF_THE_DRIVER = frozenset({"db", "username", "password", "client_name", *_OF_TLS})
"""redis-py's, which are handed on."""

_ASK_FOR_TLS = ("ssl", "tls")
_UNDERSTOOD = {*_OF_THE_DRIVER, *_ASK_FOR_TLS, "database"}
"""Whatever the URL names; `SENTINEL_OPTIONS` are too where it names Sentinels."""

_YES, _NO = ("true", "1", "yes", "on", "t", "y"), ("false", "0", "no", "off", "f", "n")

_TLS_VERSIONS = {"771": "771", "772": "772", "1.2": "771", "tlsv1.2": "771", "1.3": "772", "tlsv1.3": "772"}
"""As redis-py has them: the numbers of `ssl.TLSVersion`."""

_OWN_TIMES = "the gateway's own time limits hold"
_OWN_RETRIES = "the gateway tries again by itself"
_FEW = "a process needs a few connections only"
_BYTES = "texts are always UTF-8"

_LEFT_OUT: dict[str, tuple[tuple[str, ...], str]] = {
    "family": (("0",), "addresses of both families are tried"),
    "protocol": (("2",), "the gateway speaks version 2 of the protocol"),
    "legacy_responses": ((), "the gateway speaks version 2 of the protocol"),
    **dict.fromkeys(
        (
            *("timeout", "socket_timeout", "socket_connect_timeout", "connect_timeout", "connecttimeout"),
            *("commandtimeout", "dial_timeout", "read_timeout", "write_timeout", "pool_timeout", "idle_timeout"),
        ),
        ((), _OWN_TIMES),
    ),
    **dict.fromkeys(
        ("retry_on_timeout", "retry_on_error", "max_retries", "maxretriesperrequest", "enablereadycheck"),
        ((), _OWN_RETRIES),
    ),
    **dict.fromkeys(("max_connections", "pool_size", "min_idle_conns", "connection_limit"), ((), _FEW)),
    **dict.fromkeys(
        ("health_check_interval", "socket_keepalive", "keepalive", "socket_read_size"),
        ((), "the gateway itself notices a dead connection"),
    ),
    **dict.fromkeys(("encoding", "encoding_errors", "decode_responses", "charset"), (("utf-8", "utf8"), _BYTES)),
}
"""Options that change nothing here: the values with which that is as it should be, and what is said of others."""

_UNREADABLE = "cannot be read: write / @ : # ? % in its password as %2F %40 %3A %23 %3F %25"


class RedisUrlError(ValueError):
    """A URL that cannot be used; the text goes on after the setting's name, and quotes no value of the URL."""


@dataclass(frozen=True)
class RedisUrl:
    """A URL, read: `url` has only what redis-py understands, and there is a sentence for each option that is left out
    though it asks for something."""

    url: str
    warnings: tuple[str, ...]
    sentinels: Sentinels | None = None
    """Who is asked where the server is; the URL then has the first of them in its place."""
    sentinel_options: dict[str, str] = field(default_factory=dict)


def read_redis_url(url: str) -> RedisUrl:
    """Decide every option of `url`.

    Raises:
        RedisUrlError: it cannot be read or used, or asks for protection that it would not get.
    """
    try:
        url, sentinels = without_sentinels(url)
    except SentinelUrlError as error:
        raise RedisUrlError(str(error)) from error
    parts = _split(url)
    query = dict(_options(parts.query))
    asking = {name: query.pop(name) for name in SENTINEL_OPTIONS & query.keys()} if sentinels else {}
    scheme = _scheme(parts.scheme, query)
    kept = {name: value for name, value in query.items() if name in _OF_THE_DRIVER}
    if scheme == "redis" and (asked := sorted(kept.keys() & _OF_TLS)):
        raise RedisUrlError(f"has {asked[0]}, an option of TLS, and starts with redis://: write rediss://")
    warnings = list(_warnings(query))
    database = query.get("db", query.get("database", parts.path.strip("/")))
    if database and not (database.isascii() and database.isdigit() and len(database) < 5):
        if "db" in query or "database" in query:
            raise RedisUrlError("names a database that is no number")
        warnings.append("the database in its path is no number and left out")
        database = ""
    kept.pop("db", None)
    kept |= _tls(kept)
    if kept.get("ssl_cert_reqs") == "none":
        warnings.append("ssl_cert_reqs=none believes any server: whoever is in between can read and change everything")
    cleaned = (scheme, parts.netloc, f"/{database}", urlencode(kept, quote_via=quote), "")
    return RedisUrl(urlunsplit(cleaned), tuple(warnings), sentinels, asking)


def check_redis_url(url: str) -> None:
    """Refuse a URL of which no connection can be made. Nothing is connected.

    Raises:
        RedisUrlError: with the reason.
    """
    try:
        connection = new_pool(url, 1.0).make_connection()  # type: ignore[no-untyped-call]
        if isinstance(connection, SSLConnection):
            connection.ssl_context.get()  # reads the files
    except RedisUrlError:
        raise
    except OSError as error:  # ssl.SSLError is one
        raise RedisUrlError(f"names a certificate or a key that cannot be used ({type(error).__name__})") from error
    except (RedisError, ValueError, TypeError, LookupError) as error:
        raise RedisUrlError(f"cannot be used: the driver makes no connection of it ({type(error).__name__})") from error


def new_pool(url: str, seconds: float) -> ConnectionPool:
    """Connections to the server at `url`, or to the primary that its Sentinels name, none of them made yet.

    Args:
        url: as it was set.
        seconds: longest wait for a connection and for an answer.

    Raises:
        RedisUrlError: the URL cannot be used.
    """
    read = read_redis_url(url)
    ours: dict[str, Any] = {
        "protocol": 2,
        "retry": Retry(NoBackoff(), 0),
        "socket_connect_timeout": seconds,
        "socket_timeout": seconds,
        "health_check_interval": 0,
    }
    if read.sentinels is None:
        return ConnectionPool.from_url(read.url, **ours)
    return sentinel_pool(read.sentinels, read.sentinel_options, {**parse_url(read.url), **ours})


def _split(url: str) -> SplitResult:
    if not url.startswith(("redis://", "rediss://")):
        raise RedisUrlError("must start with redis://, rediss://, redis+sentinel:// or rediss+sentinel://")
    try:
        parts = urlsplit(url)
        several = "," in parts.netloc.rpartition("@")[2]
        _ = None if several else parts.port
    except ValueError as error:
        raise RedisUrlError(_UNREADABLE) from error
    if ends_in_password(parts):
        raise RedisUrlError(_UNREADABLE)
    if not several and not parts.hostname:
        raise RedisUrlError("names no server")
    if several:
        raise RedisUrlError("names several servers: Sentinels are named by redis+sentinel://, a cluster cannot be used")
    return parts


def _options(text: str) -> Iterator[tuple[str, str]]:
    """The options of a query, in which a plus is a plus; empty ones are not set."""
    for part in text.split("&"):
        name, _, value = part.partition("=")
        if name and value:
            yield unquote(name), unquote(value)


def _scheme(scheme: str, query: dict[str, str]) -> str:
    for name in _ASK_FOR_TLS:
        value = query.get(name, "").lower()
        if value in _YES:
            scheme = "rediss"
        elif value in _NO and scheme == "rediss":
            raise RedisUrlError(f"starts with rediss://, which is TLS, and has {name}={value}: one of the two is wrong")
        elif value and value not in _NO:
            raise RedisUrlError(f"has an option {name} that is neither true nor false")
    return scheme


def _tls(kept: dict[str, str]) -> dict[str, str]:
    """The options of TLS in redis-py's words; other clients write `CERT_NONE`."""
    said: dict[str, str] = {}
    if (value := kept.get("ssl_cert_reqs")) is not None:
        said["ssl_cert_reqs"] = value.lower().removeprefix("cert_")
        if said["ssl_cert_reqs"] not in ("none", "optional", "required"):
            raise RedisUrlError("has an ssl_cert_reqs that is none of none, optional, required")
    if (value := kept.get("ssl_check_hostname")) is not None:
        if value.lower() not in (*_YES, *_NO):
            raise RedisUrlError("has an ssl_check_hostname that is neither true nor false")
        said["ssl_check_hostname"] = str(value.lower() in _YES)
    if (value := kept.get("ssl_min_version")) is not None:
        if value.lower() not in _TLS_VERSIONS:
            raise RedisUrlError("has an ssl_min_version that is neither 1.2 nor 1.3")
        said["ssl_min_version"] = _TLS_VERSIONS[value.lower()]
    return said


def _warnings(query: dict[str, str]) -> Iterator[str]:
    for name, value in query.items():
        if name in _UNDERSTOOD:
            continue
        known = _LEFT_OUT.get(name.lower())
        if known is None:
            yield f"the option {name} is not known and left out"
        elif value.lower() not in known[0]:
            yield f"the option {name} is left out: {known[1]}"
