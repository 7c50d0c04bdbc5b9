"""The promise of the hub while the bus is whole, lossy, or away."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Iterator

import msgspec
import pytest
from redis.asyncio import Redis

from gateway.realtime import redis_bus
from gateway.realtime.bus import Bus, InProcessBus, user_topic
from gateway.realtime.redis_bus import RedisBus
from gateway.settings import Settings
from tests.gateway.realtime.doubles import Heard, update
from tests.people import People
from tests.running import eventually, receive, running_gateway, send
from tests.servers import Valkey


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
async def bus(backend: str, redis_url: str | None, heard: Heard) -> AsyncIterator[Bus]:
    made: Bus = InProcessBus() if redis_url is None else RedisBus(redis_url)
    await made.start("tests", heard)
    yield made
    await made.stop()


async def test_only_what_is_listened_to_arrives(bus: Bus, heard: Heard) -> None:
    received = heard.updates
    ada, eve = str(uuid.uuid4()), str(uuid.uuid4())
    await bus.listen(user_topic(ada))
    sent = [update(user_id=ada), update(user_id=eve), update(user_id=ada)]
    for one in sent:
        bus.publish(one)

    async def arrived() -> bool:
        return received == [sent[0], sent[2]]

    await eventually(arrived)
    bus.ignore(user_topic(ada))
    await bus.listen("all")
    last = update(user_id=eve)
    bus.publish(update(user_id=ada))
    bus.publish(last)

    async def all_arrived() -> bool:
        return received[-1] == last

    await eventually(all_arrived)
    assert len(received) == 4


async def test_a_healthy_bus_says_so(bus: Bus) -> None:
    assert bus.healthy


async def test_listening_begins_before_listen_returns(bus: Bus, heard: Heard) -> None:
    received = heard.updates
    for _ in range(20):
        user = str(uuid.uuid4())
        await bus.listen(user_topic(user))
        bus.publish(update(user_id=user))

    async def arrived() -> bool:
        return len(received) == 20

    await eventually(arrived)


async def test_what_waits_to_be_published_is_bounded() -> None:
    bus = RedisBus("redis://127.0.0.1:1")  # nothing listens there, and nothing was started
    for _ in range(redis_bus.MAX_UNSENT + 10):
        bus.publish(update())
    assert len(bus._publisher._unsent) == redis_bus.MAX_UNSENT
    first = update(version=5)
    bus.publish(first)
    bus.publish(msgspec.structs.replace(first, version=4))
    assert bus._publisher._unsent[first.request_id].version == 5
    await bus.stop()


@pytest.fixture
def own_valkey() -> Iterator[Valkey]:
    """A server that a test may break."""
    with Valkey() as server:
        yield server


async def test_subscriptions_that_come_soon_after_another_share_a_command(own_valkey: Valkey, heard: Heard) -> None:
    bus = RedisBus(own_valkey.url)
    await bus.start("tests", heard)
    async with Redis.from_url(own_valkey.url) as redis:
        await redis.config_resetstat()
        for _ in range(3):
            await asyncio.gather(*[bus.listen(user_topic(str(uuid.uuid4()))) for _ in range(50)])
        commands = (await redis.info("commandstats"))["cmdstat_subscribe"]["calls"]
    await bus.stop()
    assert 1 <= commands <= 3


def on(server: Valkey, settings: Settings, *, reconcile_seconds: float) -> Settings:
    """`settings` with that server as the bus."""
    redis_url = Settings.load({"redis_url": server.url}).redis_url
    return settings.model_copy(update={"redis_url": redis_url, "reconcile_seconds": reconcile_seconds})


@pytest.mark.parametrize("backend", ["postgres"], indirect=True)
@pytest.mark.parametrize("fault", ["killed", "frozen"])
async def test_a_lost_redis_is_noticed_survived_and_found_again(
    settings: Settings, users_table: str, own_valkey: Valkey, fault: str
) -> None:
    async with running_gateway(on(own_valkey, settings, reconcile_seconds=1.0)) as gateway:
        ada = await People(gateway.state.database, users_table).person()
        request_id = await gateway.submitted(ada.id)
        await gateway.until(ada.id, request_id, "processing")
        async with gateway.watching(ada.id) as websocket:
            await send(websocket, type="subscribe", requestIds=[request_id])
            await receive(websocket)
            own_valkey.kill() if fault == "killed" else own_valkey.freeze()

            async def degraded() -> bool:
                return bool((await gateway.http.get("/readyz")).json()["status"] == "degraded")

            await eventually(degraded)
            # A callback neither waits for the bus nor fails with it, and the database alone keeps the promise.
            async with asyncio.timeout(redis_bus.COMMAND_SECONDS):
                answer = await gateway.callback({"requestId": request_id, "status": "processing", "progress": 20})
            assert answer.status_code == 200
            assert (await receive(websocket))["request"]["progress"] == 20
            own_valkey.start() if fault == "killed" else own_valkey.thaw()

            async def ready() -> bool:
                return bool((await gateway.http.get("/readyz")).json()["status"] == "ready")

            await eventually(ready)
            await gateway.callback({"requestId": request_id, "status": "completed", "Key": "b/a.png", "Id": "1"})
            assert (await receive(websocket))["request"]["status"] == "completed"


@pytest.mark.parametrize("backend", ["postgres"], indirect=True)
async def test_a_gap_in_the_bus_is_read_from_the_database(
    settings: Settings, users_table: str, own_valkey: Valkey
) -> None:
    """What was published while the reader was away is seen as soon as it is back: long before the next reconcile."""
    async with running_gateway(on(own_valkey, settings, reconcile_seconds=3600.0)) as gateway:
        ada = await People(gateway.state.database, users_table).person()
        request_id = await gateway.submitted(ada.id)
        await gateway.until(ada.id, request_id, "processing")
        async with gateway.watching(ada.id) as websocket:
            await send(websocket, type="subscribe", requestIds=[request_id])
            await receive(websocket)
            own_valkey.kill()
            await gateway.callback({"requestId": request_id, "status": "processing", "progress": 33})
            own_valkey.start()
            assert (await receive(websocket))["request"]["progress"] == 33


async def test_two_connections_that_have_met_two_servers_find_together(heard: Heard) -> None:
    """A failover behind one address: one connection stays with the server that was replaced, and is answered there."""
    with Valkey() as old, Valkey() as new:
        servers = [old]

        async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            server = await asyncio.open_connection("127.0.0.1", servers[-1].port)

            async def pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
                with contextlib.closing(target), contextlib.suppress(OSError):
                    while data := await source.read(65536):
                        target.write(data)

            await asyncio.gather(pass_on(reader, server[1]), pass_on(server[0], writer))

        async with await asyncio.start_server(relay, "127.0.0.1", 0) as address:
            bus = RedisBus(f"redis://127.0.0.1:{address.sockets[0].getsockname()[1]}")
            await bus.start("tests", heard)
            await eventually(lambda: asyncio.sleep(0, bus.healthy))
            await bus.listen(user_topic("ada"))
            servers.append(new)
            async with Redis.from_url(old.url) as redis:
                await redis.client_kill_filter(_type="pubsub")

            async def is_heard() -> bool:
                bus.publish(update(user_id="ada"))
                return bool(heard.updates)

            await eventually(is_heard, seconds=30)
            await eventually(lambda: asyncio.sleep(0, bus.healthy))
            await bus.stop()
