"""Redis behind Sentinels: the primary dies, another server takes its place, and the bus and the claims go on there."""

import contextlib
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis

from gateway.alerting.claims import RedisClaims
from gateway.cli.probes import redis_server
from gateway.cli.probes.finding import State
from gateway.realtime.bus import user_topic
from gateway.realtime.redis_bus import RedisBus
from gateway.settings import Settings
from gateway.settings.redis_url import new_pool
from tests.gateway.realtime.doubles import Heard, update
from tests.running import eventually
from tests.servers import SERVICE, Replica, Sentinel, Valkey


@contextlib.asynccontextmanager
async def guarded() -> AsyncIterator[tuple[Valkey, Replica, Sentinel]]:
    """A primary with a replica that has all it has, and a Sentinel that knows both."""
    with Valkey() as primary, Replica(primary) as replica:
        async with Redis.from_url(primary.url) as redis:

            async def followed() -> bool:
                known: Any = await redis.info("replication")
                return bool(known["connected_slaves"] and known["slave0"]["state"] == "online")

            assert await eventually(followed)
        with Sentinel(primary) as sentinel:
            async with Redis.from_url(sentinel.url) as asked:

                async def known() -> bool:
                    seen: Any = await asked.sentinel_master(SERVICE)
                    return bool(seen["num-slaves"] == 1)

                assert await eventually(known)
            yield primary, replica, sentinel


@pytest.mark.slow
async def test_the_bus_and_the_claims_follow_the_primary() -> None:
    async with guarded() as (primary, replica, sentinel):
        url = sentinel.service_url
        heard, ada = Heard(), str(uuid.uuid4())
        bus, claims = RedisBus(url), RedisClaims(url, "tests:")
        await bus.start("tests", heard)
        await bus.listen(user_topic(ada))
        try:
            assert bus.healthy
            bus.publish(before := update(user_id=ada))

            async def arrived() -> bool:
                return before in heard.updates

            assert await eventually(arrived)
            assert await claims.claim("one")
            assert not await claims.claim("one")
            gaps = heard.gaps
            primary.kill()

            async def arrives_again() -> bool:
                bus.publish(update(user_id=ada))
                return len(heard.updates) > 1

            assert await eventually(arrives_again)
            assert heard.gaps > gaps, "what was published meanwhile is lost: the hub is told"

            async def refused_again() -> bool:
                return not await claims.claim("two")  # without a server every claim is granted

            assert await eventually(refused_again)
            async with Redis.from_url(replica.url) as redis:
                assert (await redis.role())[0] == b"master"
        finally:
            await bus.stop()
            await claims.aclose()


async def test_the_check_tells_how_it_is() -> None:
    async def told(url: str) -> tuple[State, str]:
        (finding,) = await redis_server.probe(Settings.load({"redis_url": url}))
        return finding.state, finding.detail

    async with guarded() as (_, _, sentinel):
        assert (await told(sentinel.service_url))[0] is State.OK
        state, detail = await told(sentinel.service_url.replace(SERVICE, "another"))
        assert state is State.PROBLEM
        assert detail == "no Sentinel knows a primary named another, or none answers"
    state, detail = await told(sentinel.service_url)
    assert state is State.PROBLEM
    assert detail == f"no Sentinel knows a primary named {SERVICE}, or none answers"


async def test_sentinels_with_a_password_of_their_own() -> None:
    sentinel = Sentinel()
    sentinel.lines.append("requirepass asking")
    with Valkey() as primary:
        sentinel.lines.append(f"sentinel monitor {SERVICE} 127.0.0.1 {primary.port} 1")
        with sentinel:
            pool = new_pool(f"redis+sentinel://127.0.0.1:{sentinel.port}/{SERVICE}/3?sentinel_password=asking", 2.0)
            async with Redis.from_pool(pool) as redis:
                assert await redis.ping()
                assert (await redis.client_info())["db"] == 3


@pytest.mark.parametrize("tls", [False, True])
def test_what_is_asked_of_sentinels_and_of_servers(tls: bool) -> None:
    scheme = "rediss" if tls else "redis"
    pool = new_pool(f"{scheme}+sentinel://u:p%40ss@one,[::1]:7/the-service/2?sentinel_username=s", 1.5)
    of_server = pool.connection_kwargs
    assert (of_server["username"], of_server["password"], of_server["db"]) == ("u", "p@ss", 2)
    assert of_server["socket_timeout"] == 1.5
    assert "host" not in of_server
    manager = pool.sentinel_manager  # type: ignore[attr-defined]
    asked = [sentinel.connection_pool.connection_kwargs for sentinel in manager.sentinels]
    assert [(one["host"], one["port"]) for one in asked] == [("one", 26379), ("::1", 7)]
    assert all((one["username"], one["password"], one["socket_timeout"]) == ("s", None, 1.5) for one in asked)
    made = [pool.connection_class, *(sentinel.connection_pool.connection_class for sentinel in manager.sentinels)]
    assert [("SSL" in one.__name__) for one in made] == [tls] * 3
