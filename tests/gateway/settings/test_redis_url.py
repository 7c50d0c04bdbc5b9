"""Redis URLs as hosters and other clients write them: every option is decided, and what is left makes a connection."""

import ssl

import pytest
from redis.asyncio.connection import SSLConnection

from gateway.alerting.claims import RedisClaims
from gateway.cli.probes import redis_server
from gateway.cli.probes.finding import State
from gateway.cli.startup import warnings_of
from gateway.realtime.redis_bus import RedisBus
from gateway.settings import Settings, SettingsError
from gateway.settings.redis_url import RedisUrlError, check_redis_url, new_pool, read_redis_url
from tests.gateway.realtime.doubles import Heard
from tests.running import eventually
from tests.servers import Valkey

H = "redis://u:p%40ss@h:6380"

READ: list[tuple[str, str, tuple[str, ...]]] = [
    (f"{H}", f"{H}/", ()),
    (f"{H}/3", f"{H}/3", ()),
    (f"{H}?family=0", f"{H}/", ()),
    (f"{H}/0?family=0&protocol=2&charset=utf-8", f"{H}/0", ()),
    (f"{H}?family=6", f"{H}/", ("family is left out",)),
    (f"{H}?timeout=5", f"{H}/", ("timeout is left out: the gateway's own time limits",)),
    (f"{H}?socket_timeout=soon&socket_connect_timeout=", f"{H}/", ("socket_timeout is left out",)),
    (f"{H}?connectTimeout=9&dial_timeout=5s", f"{H}/", ("connectTimeout is left out", "dial_timeout is left out")),
    (f"{H}?protocol=3", f"{H}/", ("protocol is left out: the gateway speaks version 2",)),
    (f"{H}?decode_responses=True", f"{H}/", ("decode_responses is left out",)),
    (f"{H}?max_connections=1&retry_on_timeout=1", f"{H}/", ("a few connections", "tries again")),
    (f"{H}?health_check_interval=30", f"{H}/", ("health_check_interval is left out",)),
    (f"{H}?x=y&connection_class=os.system", f"{H}/", ("x is not known", "connection_class is not known")),
    (f"{H}?retry=1&host=evil&port=1", f"{H}/", ("retry is not known", "host is not known", "port is not known")),
    (f"{H}?db=2", f"{H}/2", ()),
    (f"{H}/1?database=2", f"{H}/2", ()),
    (f"{H}/default", f"{H}/", ("the database in its path is no number",)),
    (f"{H}?password=a+b%26&client_name=gateway", f"{H}/?password=a%2Bb%26&client_name=gateway", ()),
    (f"{H}?ssl=true", f"rediss{H[5:]}/", ()),
    (f"{H}?tls=1", f"rediss{H[5:]}/", ()),
    (f"{H}?ssl=false&tls=0", f"{H}/", ()),
    ("rediss://h?ssl=True&ssl_cert_reqs=CERT_REQUIRED", "rediss://h/?ssl_cert_reqs=required", ()),
    ("rediss://h?ssl_cert_reqs=CERT_NONE", "rediss://h/?ssl_cert_reqs=none", ("believes any server",)),
    ("rediss://h?ssl_cert_reqs=none", "rediss://h/?ssl_cert_reqs=none", ("believes any server",)),
    ("rediss://h?ssl_check_hostname=no", "rediss://h/?ssl_check_hostname=False", ()),
    ("rediss://h?ssl_min_version=TLSv1.3", "rediss://h/?ssl_min_version=772", ()),
]


@pytest.mark.parametrize(("url", "cleaned", "warned"), READ)
def test_every_option_is_decided(url: str, cleaned: str, warned: tuple[str, ...]) -> None:
    read = read_redis_url(url)
    assert read.url == cleaned
    assert len(read.warnings) == len(warned)
    assert all(part in sentence for part, sentence in zip(warned, read.warnings, strict=True))
    check_redis_url(url)
    arguments = new_pool(url, 1.5).connection_kwargs
    assert (arguments["protocol"], arguments["socket_timeout"], arguments["socket_connect_timeout"]) == (2, 1.5, 1.5)


REFUSED: list[tuple[str, str]] = [
    ("http://h", "must start with"),
    ("unix:///run/redis.sock", "must start with"),
    ("redis+sentinel://h", "names no service"),
    ("redis+sentinel:///service", "names no Sentinel"),
    ("redis+sentinel://one,:26379/service", "names no Sentinel"),
    ("redis+sentinel://one,two:hidden/service", "a Sentinel that cannot be read"),
    ("redis+sentinel://:hid/den@h/service", "cannot be read"),
    ("redis+sentinel://h/service/many?db=many", "a database that is no number"),
    ("sentinel://h/service", "must start with"),
    ("redis://:hid/den@h", "cannot be read"),
    *((f"redis://:1{mark}hidden@h:6379/0", "cannot be read") for mark in "/?#"),
    ("redis://:1/2?hidden@h", "cannot be read"),
    ("redis://", "names no server"),
    ("rediss:///1", "names no server"),
    ("redis://[::1", "cannot be read"),
    ("redis://h:99999", "cannot be read"),
    ("redis://h1:1,h2:2/0", "names several servers: Sentinels are named by"),
    ("redis://h?db=many", "a database that is no number"),
    ("redis://h?db=-1", "a database that is no number"),
    ("redis://h?ssl=maybe", "an option ssl that is neither"),
    ("rediss://h?ssl=false", "one of the two is wrong"),
    ("redis://h?ssl_cert_reqs=required", "write rediss://"),
    ("redis://h?ssl_ca_certs=/ca.pem", "write rediss://"),
    ("rediss://h?ssl_cert_reqs=hidden", "ssl_cert_reqs that is none of"),
    ("rediss://h?ssl_check_hostname=hidden", "ssl_check_hostname that is neither"),
    ("rediss://h?ssl_min_version=1.0", "ssl_min_version that is neither"),
    ("rediss://h?ssl_ca_certs=/hidden/ca.pem", "cannot be used (FileNotFoundError)"),
    ("rediss://h?ssl_certfile=/dev/null", "cannot be used (SSLError)"),
]


@pytest.mark.parametrize(("url", "sentence"), REFUSED)
def test_what_cannot_be_used_is_refused_with_a_sentence(url: str, sentence: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Settings.load({"redis_url": url})
    (problem,) = refused.value.problems
    assert problem.startswith("REDIS_URL ")
    assert sentence in problem
    assert "hid" not in problem


def test_tls_is_what_was_asked_for() -> None:
    authorities = ssl.get_default_verify_paths().cafile
    asked = "ssl=true&ssl_min_version=1.3&ssl_check_hostname=false" + (
        f"&ssl_ca_certs={authorities}" if authorities else ""
    )
    connection = new_pool(f"redis://h?{asked}", 1.0).make_connection()  # type: ignore[no-untyped-call]
    assert isinstance(connection, SSLConnection)
    context = connection.ssl_context.get()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, False)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_3
    lax = new_pool("rediss://h?ssl_cert_reqs=CERT_NONE", 1.0).make_connection()  # type: ignore[no-untyped-call]
    assert lax.ssl_context.get().verify_mode == ssl.CERT_NONE


def test_a_url_of_which_the_driver_makes_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever redis-py comes to dislike is a sentence when the settings are loaded, no traceback a second later."""
    monkeypatch.setattr("gateway.settings.redis_url._OF_THE_DRIVER", frozenset({"future"}))
    with pytest.raises(RedisUrlError, match="makes no connection of it"):
        check_redis_url("redis://h?future=1")


def test_what_is_left_out_is_told_at_the_start() -> None:
    told = list(warnings_of(Settings.load({"redis_url": "redis://h?protocol=3&nonsense=hidden"})))
    assert [sentence.partition(": ")[0] for sentence in told] == ["REDIS_URL", "REDIS_URL"]
    assert "nonsense" in told[1]
    assert "hidden" not in "".join(told)


AS_HOSTERS_PRINT = "?family=0&protocol=3&timeout=5&ssl=false&socket_timeout=x&decode_responses=true&nonsense=1"


async def test_a_server_behind_such_a_url_carries_what_is_published(valkey: Valkey) -> None:
    url = valkey.url.partition("?")[0] + AS_HOSTERS_PRINT
    bus = RedisBus(url)
    await bus.start("tests", Heard())
    try:

        async def healthy() -> bool:
            return bus.healthy

        await eventually(healthy)
    finally:
        await bus.stop()
    claims = RedisClaims(url, "tests-of-urls:")
    assert [await claims.claim(url), await claims.claim(url)] == [True, False]
    await claims.aclose()
    (found,) = await redis_server.probe(Settings.load({"redis_url": url}))
    assert found.state is State.OK
