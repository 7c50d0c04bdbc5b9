"""What others say on a shared Redis: neither another environment's requests nor ones that do not exist are shown."""

import contextlib
import uuid
from collections.abc import AsyncIterator

import msgspec
import pytest
from redis.asyncio import Redis

from gateway.realtime import verification
from gateway.realtime.bus import user_topic
from gateway.realtime.redis_bus import RedisBus, prefix_of
from gateway.realtime.update import Update, decode_update
from gateway.realtime.verification import Verification
from gateway.settings import Settings
from gateway.telemetry import metrics
from storage.identity import identity_of
from storage.lifecycle import Status
from storage.public_urls import PublicUrls
from tests.channels import binding, channel_client
from tests.gateway.realtime.doubles import Heard
from tests.people import People, Person
from tests.running import RunningGateway, eventually, receive, running_gateway, send
from tests.servers import Postgres

postgres_only = pytest.mark.parametrize("backend", ["postgres"], indirect=True)


@contextlib.asynccontextmanager
async def speaking(gateway: RunningGateway, redis_url: str) -> AsyncIterator[RedisBus]:
    """Someone on the same Redis who knows this environment's channels."""
    bus = RedisBus(redis_url)
    await bus.start(await identity_of(gateway.state.database, gateway.url), Heard())
    yield bus
    await bus.stop()


@postgres_only
async def test_another_environment_on_the_same_redis_is_not_heard(
    settings: Settings, postgres: Postgres, users_table: str
) -> None:
    postgres.execute("DROP DATABASE IF EXISTS staging")
    postgres.execute("CREATE DATABASE staging TEMPLATE migrated")
    staging = Settings.load({"database_url": postgres.url("staging")}).database_url
    async with (
        running_gateway(settings) as production,
        running_gateway(settings.model_copy(update={"database_url": staging})) as other,
    ):
        ada = await People(production.state.database, users_table).person()
        await People(other.state.database, users_table).person(user_id=ada.id)
        async with production.watching(ada.id) as websocket:
            await send(websocket, type="subscribe", scope="mine")
            await receive(websocket)
            theirs = await other.submitted(ada.id)
            await other.until(ada.id, theirs, "processing")
            ours = await production.submitted(ada.id)
            assert (await receive(websocket))["request"]["requestId"] == ours


@postgres_only
async def test_a_request_that_does_not_exist_is_never_shown(
    gateway: RunningGateway, ada: Person, redis_url: str
) -> None:
    async with speaking(gateway, redis_url) as bus, gateway.watching(ada.id) as websocket:
        await send(websocket, type="subscribe", scope="mine")
        await receive(websocket)
        bus.publish(Update(str(uuid.uuid4()), ada.id, 1, Status.PENDING, msgspec.Raw(b'{"requestId":"forged"}')))
        bus.publish(Update("no id at all", ada.id, 1, Status.PENDING, msgspec.Raw(b'{"requestId":"forged"}')))
        ours = await gateway.submitted(ada.id)
        assert (await receive(websocket))["request"]["requestId"] == ours


def hostile_messages(request_id: str, user_id: str, version: int) -> dict[str, bytes]:
    """What is no update, by what is wrong with it; each would be the newest one of a request that is believed."""

    def message(**parts: bytes) -> bytes:
        whole = {
            "request_id": b'"%b"' % request_id.encode(),
            "user_id": b'"%b"' % user_id.encode(),
            "version": b"%d" % version,
            "status": b'"processing"',
            "body": b"{}",
            "at": b"0.0",
            "columns": b"[]",
        }
        return b"[%b]" % b",".join((whole | parts).values())

    assert decode_update(message()).version == version, "each is good but for one thing"
    return {
        "noise": b"\xff\xff\x00",
        "nothing": b"",
        "nesting": b"[" * 50_000,
        "nesting in the body": message(body=b"[" * 50_000 + b"]" * 50_000),
        "an id that is no UTF-8": message(request_id=b'"\xff"'),
        "an id of half a character": message(request_id=b'"\\ud83d"'),
        "an id that is none": message(request_id=b'"no id at all"'),
        "a number for an id": message(request_id=b"7"),
        "a version past the column's": message(version=b"1%b" % (b"0" * 30)),
        "no version": message(version=b"0"),
        "a status that there is not": message(status=b'"done"'),
        "a body that is no UTF-8": message(body=b'{"product":"\xff\xfe"}'),
        "a body with half a character": message(body=b'{"product":"\xed\xa0\x80"}'),
        "a body that is cut off": message(body=b'{"product":"'),
        "a body that is text": message(body=b'"x"'),
        "a body that is a list": message(body=b"[{}]"),
        "columns that are no UTF-8": message(columns=b'["\xff"]'),
        "columns that are a number": message(columns=b"7"),
        "columns that are an object": message(columns=b"{}"),
    }


@postgres_only
async def test_hostile_bytes_are_counted_and_change_nothing(
    gateway: RunningGateway, ada: Person, redis_url: str
) -> None:
    """Whoever may publish: the reader stays connected, so do the clients, and the next good update arrives."""

    def unreadable() -> float:
        return metrics.REGISTRY.get_sample_value("gateway_bus_unreadable_total") or 0.0

    request_id = await gateway.submitted(ada.id)
    body = await gateway.until(ada.id, request_id, "processing")
    prefix = prefix_of(await identity_of(gateway.state.database, gateway.url))
    hostile = hostile_messages(request_id, ada.id, body["version"] + 1)
    receiver = gateway.state.bus._receiver  # type: ignore[attr-defined]
    async with (
        Redis.from_url(redis_url) as redis,
        gateway.watching(ada.id) as websocket,
        channel_client(gateway.url) as channel,
    ):
        await send(websocket, type="subscribe", scope="mine")
        await receive(websocket)
        await channel.join("x", [binding("*", f"id=eq.{request_id}")], gateway.token(ada.id))
        assert (await channel.receive()).event == "system"
        shown = (await channel.change())["data"]["record"]
        assert shown["version"] == body["version"]
        for what, message in hostile.items():
            before = unreadable()
            assert await redis.publish(prefix + user_topic(ada.id), message) == 1

            async def counted(before: float = before) -> bool:
                return unreadable() == before + 1

            assert await eventually(counted), what
        assert gateway.state.bus._receiver is receiver is not None  # type: ignore[attr-defined]
        await gateway.callback({"requestId": request_id, "status": "processing", "progress": 77})
        assert (await receive(websocket))["request"]["progress"] == 77
        assert (await channel.change())["data"]["record"]["progress"] == 77


@postgres_only
async def test_a_request_is_shown_to_its_owner_only(
    gateway: RunningGateway, ada: Person, eve: Person, redis_url: str
) -> None:
    """Whatever the bus says of who owns it."""
    request_id = await gateway.submitted(ada.id)
    body = await gateway.until(ada.id, request_id, "processing")
    async with (
        speaking(gateway, redis_url) as bus,
        gateway.watching(eve.id) as websocket,
        gateway.watching(ada.id) as owner,
    ):
        for one in (websocket, owner):
            await send(one, type="subscribe", scope="mine")
            await receive(one)
        forged = Update(request_id, eve.id, body["version"] + 1, Status.PROCESSING, msgspec.Raw(b'{"requestId":"x"}'))
        bus.publish(forged)
        theirs = await gateway.submitted(eve.id)
        assert (await receive(websocket))["request"]["requestId"] == theirs


@postgres_only
async def test_the_first_word_about_a_request_is_read_from_the_database(
    gateway: RunningGateway, ada: Person, redis_url: str
) -> None:
    async with speaking(gateway, redis_url) as bus:
        request_id = await gateway.submitted(ada.id)
        body = await gateway.until(ada.id, request_id, "processing")
        gateway.state.hub._known._requests.clear()
        async with gateway.watching(ada.id) as websocket:
            await send(websocket, type="subscribe", scope="mine")
            await receive(websocket)
            gateway.state.hub._known._requests.clear()
            await gateway.callback({"requestId": request_id, "status": "processing", "progress": 20})
            assert (await receive(websocket))["request"]["progress"] == 20
            bus.publish(Update(request_id, ada.id, body["version"], Status.PROCESSING, msgspec.Raw(b"{}")))
            await gateway.callback({"requestId": request_id, "status": "processing", "progress": 30})
            assert (await receive(websocket))["request"]["progress"] == 30


async def test_what_waits_is_bounded(gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "MAX_WAITING", 2)
    delivered: list[Update] = []
    checked = Verification(gateway.state.database, PublicUrls("http://a", "http://b"), delivered.append)
    for _ in range(5):
        checked.read_soon(Update(str(uuid.uuid4()), "u", 1, Status.PENDING, msgspec.Raw(b"{}")))
    assert len(checked._waiting) == 2

    async def idle() -> bool:
        return checked._reading is None

    await eventually(idle)
    assert delivered == []
