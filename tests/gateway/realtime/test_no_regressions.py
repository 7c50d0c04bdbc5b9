"""What the engine costs, in numbers that no noise touches: calls, allocations, queries, tasks and bytes.

Each bound is what was measured when it was written, and a little room. A change that needs more has to say why, here.
"""

import asyncio
import contextlib
import functools
import gc
import sys
import tracemalloc
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any

import msgspec
import pytest

from gateway.alerting.heartbeat import Heartbeat
from gateway.alerting.monitor import AlertMonitor
from gateway.alerting.notifier import Notifier
from gateway.asset_writer import AssetWriter
from gateway.n8n.dispatcher import Dispatcher
from gateway.n8n.recovery import DeadlineSweeper
from gateway.n8n.stopping import Cancellations
from gateway.realtime.hub import Hub
from gateway.realtime.redis_bus import RedisBus
from gateway.realtime.update import Update, encode_update
from gateway.settings import Settings
from storage.database.base import Database, Row, Transaction, Values
from storage.lifecycle import Status
from storage.submissions import Submission, submit
from tests.counting import counted_calls
from tests.gateway.realtime.doubles import Heard, update
from tests.gateway.realtime.raw_clients import asking, connected, streaming, subscribe, subscribed
from tests.people import Person
from tests.running import RunningGateway, eventually, receive, running_gateway, send

CLIENTS = 50

sqlite_only = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
"""What is counted above the backend is the same on both."""


@pytest.fixture
async def gateway(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RunningGateway]:
    """A gateway whose loops rest: what happens is what the test makes happen."""

    async def rest(part: object) -> None:
        await asyncio.Event().wait()

    for part in (Heartbeat, AlertMonitor, Notifier, Dispatcher, DeadlineSweeper, Cancellations, AssetWriter):
        monkeypatch.setattr(part, "run", rest)
    monkeypatch.setattr(Hub, "_keep_reconciling", rest)
    async with running_gateway(settings.model_copy(update={"ws_connections_per_user": 1000})) as running:
        yield running


def calls_of(work: Callable[[], object]) -> int:
    """How many calls, of Python functions and of C functions, `work` makes."""
    with counted_calls() as calls:
        work()
    return calls.n


def big_update(user_id: str, version: int) -> Update:
    body = msgspec.Raw(msgspec.json.encode({"x": "y" * 400}))
    return Update("a", user_id, version, Status.PROCESSING, body, 1.0)


# -- a delivery -------------------------------------------------------------------------------------------------------


@sqlite_only
async def test_calls_per_delivery(gateway: RunningGateway, ada: Person) -> None:
    """From the bus to the socket's `send`, for one more of a user's clients."""
    async with connected(gateway, ada.id, CLIENTS) as connections:
        for connection in connections:
            await subscribe(connection, scope="mine")
        gateway.state.hub.deliver(big_update(ada.id, 1))
        calls = calls_of(lambda: gateway.state.hub.deliver(big_update(ada.id, 2)))
    assert calls / CLIENTS <= 13.5  # 12.5


@sqlite_only
async def test_allocations_per_delivery(gateway: RunningGateway, ada: Person) -> None:
    """Nothing stays behind a delivery but the version that was seen."""
    async with connected(gateway, ada.id, CLIENTS) as connections:
        for connection in connections:
            await subscribe(connection, scope="mine")
        for version in range(1, 20):
            gateway.state.hub.deliver(big_update(ada.id, version))
        gc.collect()
        before = sys.getallocatedblocks()
        for version in range(20, 40):
            gateway.state.hub.deliver(big_update(ada.id, version))
        gc.collect()
        left = sys.getallocatedblocks() - before
    assert left / (20 * CLIENTS) <= 0.1  # 0.001 blocks


def test_calls_per_message_of_the_bus() -> None:
    """From Redis's reply to the hub."""
    bus = RedisBus("redis://127.0.0.1:1")  # nothing listens there, and nothing is started
    bus.listener = heard = Heard()
    received = heard.updates
    messages = [[b"message", b"user:ada", encode_update(update("a", version))] for version in range(1, 101)]

    def receive_all() -> None:
        for message in messages:
            bus._receive(message)  # type: ignore[arg-type]

    calls = calls_of(receive_all)
    assert len(received) == 100
    assert calls / 100 <= 12  # 11.0, of which four look at bytes and are quicker than one decoding


# -- queries ----------------------------------------------------------------------------------------------------------


class Queries:
    """Counts what goes to the database from now on: a statement, a chain of them, a batch, a lock."""

    def __init__(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        self.n = 0
        self._inside = ContextVar("inside", default=False)
        """Whether a database makes what was counted already out of smaller parts."""
        for name in ("_read", "_write", "_each", "_chain_each"):
            monkeypatch.setattr(database, name, self._counting(getattr(database, name)))
        in_transaction = database._in_transaction

        async def counted(work: Callable[[Transaction], Any]) -> Any:
            if self._inside.get():
                return await in_transaction(work)
            return await in_transaction(lambda tx: work(CountedTransaction(tx, self)))

        monkeypatch.setattr(database, "_in_transaction", counted)

    def _counting(self, query: Callable[..., Any]) -> Callable[..., Any]:
        async def counted(*arguments: Any) -> Any:
            if not self._inside.get():
                self.n += 1
            inside = self._inside.set(True)
            try:
                return await query(*arguments)
            finally:
                self._inside.reset(inside)

        return counted

    def since(self) -> int:
        """How many since the last look."""
        n, self.n = self.n, 0
        return n


class CountedTransaction(Transaction):
    """Counts what a transaction asks for; nothing at all is no round trip."""

    def __init__(self, transaction: Transaction, queries: Queries) -> None:
        self._transaction = transaction
        self._queries = queries

    async def all(self, sql: str, **values: object) -> list[Row]:
        self._queries.n += 1
        return await self._transaction.all(sql, **values)

    async def many(self, sql: str, each: Sequence[Values]) -> list[Row]:
        self._queries.n += bool(each)
        return await self._transaction.many(sql, each)

    async def chain(self, steps: Mapping[str, str], each: Sequence[Values]) -> list[Row]:
        self._queries.n += 1
        return await self._transaction.chain(steps, each)

    async def lock(self, name: str) -> None:
        self._queries.n += 1
        await self._transaction.lock(name)

    async def lock_free(self, names: Sequence[str]) -> set[str]:
        self._queries.n += bool(names)
        return await self._transaction.lock_free(names)


@pytest.fixture
def queries(gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch) -> Queries:
    return Queries(gateway.state.database, monkeypatch)


async def test_queries_per_endpoint(gateway: RunningGateway, ada: Person, queries: Queries) -> None:
    database, bearer = gateway.state.database, gateway.bearer(ada.id)
    submission = Submission(user_id=ada.id, product="Shoes", brand="Nike")
    request_id = (await submit(database, submission, quota=10, deadline_seconds=900)).request.id
    queries.since()
    callback = {"requestId": request_id, "status": "processing"}
    picture = {"requestId": request_id, "status": "completed", "Key": "b/a.png", "Id": "1"}
    found: dict[str, int] = {}

    async def asked(name: str, answering: Any, status: int = 200) -> None:
        answer = await answering
        assert answer.status_code == status, (name, answer.text)
        found[name] = queries.since()

    await asked("submission", gateway.submit(ada.id), 202)
    await asked("status", gateway.http.get(f"/api/ai-status/{request_id}", headers=bearer))
    await asked("progress", gateway.callback(callback | {"progress": 40}))
    await asked("completion", gateway.callback(picture))
    await asked("repeated completion", gateway.callback(picture))
    await asked("requests", gateway.http.get("/api/ai-requests", headers=bearer))
    await asked("assets", gateway.http.get("/api/assets", headers=bearer))
    await asked("liveness", gateway.http.get("/healthz"))
    assert found == {
        "submission": 3,  # the user's lock, what it is judged by, and the row with its event
        "status": 1,
        "progress": 1,
        "completion": 1,
        "repeated completion": 3,  # the guard among others, the guard alone, and what is there already
        "requests": 1,
        "assets": 2,  # the requests that have some, and these
        "liveness": 0,
    }


async def test_queries_per_subscription(gateway: RunningGateway, ada: Person, queries: Queries) -> None:
    request_ids = [await gateway.submitted(ada.id) for _ in range(3)]
    async with gateway.watching(ada.id) as websocket:
        queries.since()
        await send(websocket, type="subscribe", requestIds=request_ids)
        assert len((await receive(websocket))["requests"]) == 3
        by_id = queries.since()
        await send(websocket, type="subscribe", scope="mine")
        assert len((await receive(websocket))["requests"]) == 3
        scope = queries.since()
        await send(websocket, type="unsubscribe", scope="mine")
        await receive(websocket)
        left = queries.since()
    assert (by_id, scope, left) == (1, 1, 0)


async def test_queries_of_many_who_come_together(gateway: RunningGateway, ada: Person, queries: Queries) -> None:
    """A storm of polls costs a few queries, not one each."""
    request_id = await gateway.submitted(ada.id)
    reader = gateway.state.reader
    queries.since()
    await asyncio.gather(*(reader.own(request_id, ada.id) for _ in range(1000)))
    assert queries.since() == 1


# -- an idle connection -----------------------------------------------------------------------------------------------


Opening = Callable[[RunningGateway, str, int], contextlib.AbstractAsyncContextManager[None]]

MOST_BYTES = {"WebSocket": 3_800, "event stream": 4_200}
"""3,280 and 3,630 bytes, with asyncio's own transport."""

REQUESTS = {"HTTP": False, "WebSocket behind HTTP": True}
"""Connections on which something was asked before, and whether they were upgraded then."""


@pytest.fixture(params=MOST_BYTES)
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def opened(gateway: RunningGateway, ada: Person, transport: str) -> Opening:
    """Opens that many connections of a user."""
    if transport == "WebSocket":
        return subscribed
    if transport in REQUESTS:
        return functools.partial(asking, then_upgrade=REQUESTS[transport])
    return functools.partial(streaming, request_id=await gateway.submitted(ada.id))


@sqlite_only
async def test_tasks_and_bytes_per_idle_connection(
    gateway: RunningGateway, ada: Person, transport: str, opened: Opening
) -> None:
    async with opened(gateway, ada.id, 5):  # what is made once is there
        gc.collect()
        tasks = len(asyncio.all_tasks())
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            async with opened(gateway, ada.id, CLIENTS):
                gc.collect()
                after, _ = tracemalloc.get_traced_memory()
                more_tasks = len(asyncio.all_tasks()) - tasks
        finally:
            tracemalloc.stop()
    assert more_tasks == 0
    assert (after - before) / CLIENTS <= MOST_BYTES[transport]


@sqlite_only
@pytest.mark.parametrize("transport", [*MOST_BYTES, *REQUESTS], indirect=True)
async def test_garbage_of_a_connection(gateway: RunningGateway, ada: Person, opened: Opening) -> None:
    """What a connection leaves behind, as it leaves HTTP and as it ends, is free at once: what refers to itself waits
    for the collector, which took 9 µs a connection."""

    async def all_left() -> bool:
        return gateway.state.hub.subscribers == 0 and gateway.state.http_connections.open == before

    before = gateway.state.http_connections.open
    async with opened(gateway, ada.id, 5):  # what is made once is there
        pass
    assert await eventually(all_left)
    gc.collect()
    gc.disable()
    try:
        async with opened(gateway, ada.id, CLIENTS):
            left_by_opening = gc.collect()
        assert await eventually(all_left)
        left_by_closing = gc.collect()
    finally:
        gc.enable()
    assert left_by_opening == 0
    assert left_by_closing / CLIENTS <= 6  # asyncio's own transport and its socket; uvloop's leaves nothing
