"""n8n's executions: what newer versions say, what "no such execution" frees, and what asking costs."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from starlette.responses import HTMLResponse, Response

from gateway.n8n import executions, recovery
from gateway.n8n.api_budget import ApiBudget
from gateway.n8n.execution_search import Lookup
from gateway.n8n.executions import Executions, ExecutionsUnavailable
from gateway.settings import Settings
from gateway.telemetry import metrics
from storage import transitions
from tests import scripted_n8n
from tests.executions_api import (
    ExecutionsApi,
    asked,
    asking,
    callback_secrets,
    in_doubt,
    kinds,
    let_expire,
    running_api,
    until_kind,
)
from tests.people import People, Person
from tests.running import RunningGateway, eventually, running_gateway
from tests.scripted_n8n import Received, ScriptedN8n


@pytest.fixture
async def api() -> AsyncIterator[ExecutionsApi]:
    async with running_api() as running:
        yield running


@pytest.fixture
def settings(settings: Settings, api: ExecutionsApi, monkeypatch: pytest.MonkeyPatch) -> Settings:
    return asking(settings, api, monkeypatch)


# -- newer versions of n8n --------------------------------------------------------------------------------------------


async def test_what_was_accepted_and_then_died_is_noticed_long_before_the_deadline(
    gateway: RunningGateway, ada: Person, n8n: ScriptedN8n, api: ExecutionsApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """n8n was killed mid-work: it will never call back, and its API says so."""
    monkeypatch.setattr(transitions, "SILENCE_SECONDS", 0.2)
    request_id = await gateway.submitted(ada.id)
    await gateway.until(ada.id, request_id, "processing")
    api.put("7", "running", request_id)
    await eventually(lambda: asyncio.sleep(0, "7" in api.fetched))
    assert (await gateway.body(ada.id, request_id))["status"] == "processing"
    api.put("7", "crashed", request_id)
    body = await gateway.until(ada.id, request_id, "failed")
    assert body["errorCode"] == "generation_failed"


async def test_a_callback_postpones_the_probe(gateway: RunningGateway, ada: Person, api: ExecutionsApi) -> None:
    request_id = await gateway.submitted(ada.id)
    await gateway.until(ada.id, request_id, "processing")
    before = await asked(gateway, request_id)
    await gateway.callback({"requestId": request_id, "status": "processing", "progress": 5})
    after = await asked(gateway, request_id)
    assert before is not None
    assert after > before
    assert api.listed == 0


async def test_a_finished_execution_that_a_restart_called_crashed_keeps_its_picture(
    gateway: RunningGateway, ada: Person, n8n: ScriptedN8n, api: ExecutionsApi
) -> None:
    request_id = await in_doubt(gateway, ada, n8n)
    api.put("7", "finished_then_crashed", request_id)
    body = await gateway.until(ada.id, request_id, "completed")
    assert body["storageKey"] == f"ai-images/{request_id}.png"


async def test_an_execution_that_waits_for_a_worker_is_found(
    gateway: RunningGateway, ada: Person, n8n: ScriptedN8n, api: ExecutionsApi
) -> None:
    request_id = await in_doubt(gateway, ada, n8n)
    api.put("7", "new", request_id)
    await gateway.until(ada.id, request_id, "processing")
    assert n8n.times(request_id) == 1


async def test_an_n8n_that_does_not_know_a_status_can_be_asked_all_the_same(
    gateway: RunningGateway, ada: Person, n8n: ScriptedN8n, api: ExecutionsApi
) -> None:
    api.knows_new = False
    request_id = await in_doubt(gateway, ada, n8n)
    api.put("7", "completed", request_id)
    await gateway.until(ada.id, request_id, "completed")


# -- n8n's "no such execution" ----------------------------------------------------------------------------------------


@pytest.fixture
def soon_disproved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "DISPROVED_SECONDS", 0.2)


@pytest.mark.usefixtures("soon_disproved")
async def test_what_n8n_never_got_is_sent_again(
    gateway: RunningGateway, ada: Person, n8n: ScriptedN8n, api: ExecutionsApi
) -> None:
    api.put("6", "completed", "22222222-2222-4222-8222-222222222222")
    n8n.answers(HTMLResponse("<h1>502 Bad Gateway</h1>", 502), scripted_n8n.STARTED)
    request_id = await gateway.submitted(ada.id)
    await gateway.until(ada.id, request_id, "processing")
    assert n8n.times(request_id) == 2
    assert [kind for kind in await kinds(gateway, request_id) if kind in ("in_doubt", "send_again")] == [
        "in_doubt",
        "send_again",
    ]


@pytest.mark.usefixtures("soon_disproved")
@pytest.mark.parametrize("kind", ["running", "new", "completed", "failed"])
async def test_what_n8n_got_is_not_sent_again(
    gateway: RunningGateway, ada: Person, n8n: ScriptedN8n, api: ExecutionsApi, kind: str
) -> None:
    async def script(received: Received) -> Response:
        api.put("7", kind, received.request_id)
        return HTMLResponse("<h1>504 Gateway Time-out</h1>", 504)

    n8n.script = script
    request_id = await gateway.submitted(ada.id)
    ended = {"completed": "completed", "failed": "failed"}
    await gateway.until(ada.id, request_id, ended.get(kind, "processing"))
    assert n8n.times(request_id) == 1


@pytest.mark.usefixtures("soon_disproved")
@pytest.mark.parametrize("why", ["unreadable", "without data", "too much", "not listed"])
async def test_a_search_that_proves_nothing_frees_nothing(
    gateway: RunningGateway,
    ada: Person,
    n8n: ScriptedN8n,
    api: ExecutionsApi,
    monkeypatch: pytest.MonkeyPatch,
    why: str,
) -> None:
    other = api.put("7", "running", "22222222-2222-4222-8222-222222222222")
    if why == "unreadable":
        other["data"] = "x"
    elif why == "without data":
        other["data"] = {"resultData": {"runData": {}}}
    elif why == "not listed":  # n8n 2.8 keeps to itself what waits for a worker
        api.knows_new = False
    else:
        monkeypatch.setattr(executions, "MAX_CANDIDATES", 0)
    request_id = await in_doubt(gateway, ada, n8n)
    await eventually(lambda: asyncio.sleep(0, api.listed > 20))
    assert n8n.times(request_id) == 1


@pytest.mark.usefixtures("soon_disproved")
async def test_an_n8n_that_was_caught_hiding_what_waits_frees_nothing(
    gateway: RunningGateway, ada: Person, n8n: ScriptedN8n, api: ExecutionsApi
) -> None:
    """In queue mode it lists nothing of what no worker has taken; only who knows the number finds it."""
    api.hides_new = True
    queued = await gateway.submitted(ada.id)
    await gateway.until(ada.id, queued, "processing")
    await gateway.callback({"requestId": queued, "status": "processing", "progress": 5, "executionId": "7"})
    api.put("7", "new", queued)
    await let_expire(gateway, queued)
    await until_kind(gateway, queued, "more_time")
    request_id = await in_doubt(gateway, ada, n8n)
    before = api.listed
    await eventually(lambda: asyncio.sleep(0, api.listed > before + 20))
    assert n8n.times(request_id) == 1


@pytest.mark.usefixtures("soon_disproved")
@pytest.mark.parametrize("hidden", ["7", "8"])
async def test_what_waits_for_a_worker_is_noticed_by_its_number(
    gateway: RunningGateway, ada: Person, n8n: ScriptedN8n, api: ExecutionsApi, hidden: str
) -> None:
    """Before such an n8n was ever caught: between two that it lists, and behind the last."""
    api.hides_new = True
    for listed in {"6", "7", "8"} - {hidden}:
        api.put(listed, "completed", "22222222-2222-4222-8222-222222222222")
    api.put(hidden, "new", "33333333-3333-4333-8333-333333333333")
    request_id = await in_doubt(gateway, ada, n8n)
    await eventually(lambda: asyncio.sleep(0, api.listed > 20))
    assert n8n.times(request_id) == 1


LONG_AGO = "2020-01-01T00:00:00.000Z"


@pytest.mark.usefixtures("soon_disproved")
@pytest.mark.parametrize(
    "began", [{"6": None, "9": None, "11": None}, {"6": LONG_AGO, "9": None}, {"1": None, "1000000": None}], ids=list
)
async def test_a_number_that_is_missing_below_the_newest_may_be_ours(
    gateway: RunningGateway, ada: Person, n8n: ScriptedN8n, api: ExecutionsApi, began: dict[str, str | None]
) -> None:
    """n8n keeps nothing of what ended well, or its key sees some of the workflows only."""
    for number, moment in began.items():
        changes = {"startedAt": moment} if moment else {}
        api.put(number, "completed", "22222222-2222-4222-8222-222222222222", **changes)
    request_id = await in_doubt(gateway, ada, n8n)
    await eventually(lambda: asyncio.sleep(0, api.listed > 20))
    assert n8n.times(request_id) == 1
    assert set(api.fetched) <= set(began), "nothing is asked for that can be no proof"


@pytest.mark.usefixtures("soon_disproved")
async def test_what_was_deleted_before_the_sending_hinders_nothing(
    gateway: RunningGateway, ada: Person, n8n: ScriptedN8n, api: ExecutionsApi
) -> None:
    for number, changes in {"2": {"startedAt": LONG_AGO}, "5": {"startedAt": LONG_AGO}, "6": {}}.items():
        api.put(number, "completed", "22222222-2222-4222-8222-222222222222", **changes)
    n8n.answers(scripted_n8n.EMPTY, scripted_n8n.STARTED)
    request_id = await gateway.submitted(ada.id)
    await gateway.until(ada.id, request_id, "processing")
    assert n8n.times(request_id) == 2


@pytest.mark.usefixtures("soon_disproved")
@pytest.mark.parametrize(("seen", "times"), [(True, 4), (False, 2)])
async def test_sending_again_ends_with_the_attempts(
    settings: Settings, users_table: str, n8n: ScriptedN8n, api: ExecutionsApi, seen: bool, times: int
) -> None:
    """Soon, where n8n has never shown one of our executions: its key may not see the workflow."""
    if seen:
        api.put("6", "completed", "22222222-2222-4222-8222-222222222222")
    n8n.answers(scripted_n8n.EMPTY)
    async with running_gateway(settings.model_copy(update={"n8n_attempts": 4})) as gateway:
        ada = await People(gateway.state.database, users_table).person()
        request_id = await gateway.submitted(ada.id)
        await n8n.until_received(request_id, times)

        async def in_doubt_again() -> bool:
            return (await kinds(gateway, request_id)).count("in_doubt") == times

        await eventually(in_doubt_again)
        before = api.listed
        await eventually(lambda: asyncio.sleep(0, api.listed > before + 8))
        assert n8n.times(request_id) == times
        await let_expire(gateway, request_id)
        assert (await gateway.until(ada.id, request_id, "failed"))["errorCode"] == "deadline"


# -- what asking costs ------------------------------------------------------------------------------------------------


async def test_twenty_doubts_beside_large_executions_cost_one_fetch_each(
    settings: Settings, users_table: str, n8n: ScriptedN8n, api: ExecutionsApi
) -> None:
    """Each execution holds 200 KB; most are other people's, and none of them changes."""
    for number in range(100, 130):
        api.put(str(number), "completed", "22222222-2222-4222-8222-222222222222", padding="x" * 200_000)
    n8n.answers(scripted_n8n.EMPTY)
    settings = settings.model_copy(update={"ai_generation_rate_limit_per_hour": 100})
    async with running_gateway(settings) as gateway:
        ada = await People(gateway.state.database, users_table).person()
        ids = [await gateway.submitted(ada.id) for _ in range(20)]
        await eventually(lambda: asyncio.sleep(0, len(set(api.fetched)) == 30))
        listed = api.listed
        await eventually(lambda: asyncio.sleep(0, api.listed > listed + 20))
        assert sorted(api.fetched) == sorted(set(api.fetched)), "each was fetched once"
        for number, request_id in enumerate(ids):
            api.put(str(200 + number), "completed", request_id, padding="x" * 200_000)
        for request_id in ids:
            await gateway.until(ada.id, request_id, "completed")
    assert len(api.fetched) == 50


async def test_asking_stays_within_its_budget(
    gateway: RunningGateway, ada: Person, n8n: ScriptedN8n, api: ExecutionsApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    asker = Executions(gateway.settings, callback_secrets())
    monkeypatch.setattr(asker, "_budget", ApiBudget(30, 300_000))
    lookup = Lookup("11111111-1111-4111-8111-111111111111", None, datetime.now(UTC))
    for number in range(100, 200):
        api.put(str(number), "completed", "22222222-2222-4222-8222-222222222222", padding="x" * 50_000)
    before = calls(), received()
    assert await asker.of_requests([lookup]) == {}, "not all could be searched: that proves nothing"
    with pytest.raises(ExecutionsUnavailable, match="enough"):
        await asker.of_requests([lookup])
    await asker.aclose()
    assert len(api.fetched) < 10, "their bytes were spent before the calls were"
    assert calls() - before[0] == api.listed + len(api.fetched)
    assert 300_000 < received() - before[1] < 500_000


def calls() -> float:
    return float(sum(metrics.N8N_API_CALLS.labels(kind)._value.get() for kind in ("list", "execution")))


def received() -> float:
    return float(metrics.N8N_API_BYTES._value.get())


def test_a_budget_is_filled_anew_within_a_minute() -> None:
    now = [0.0]
    budget = ApiBudget(60, 1000, clock=lambda: now[0])

    def spent_at(seconds: float) -> bool:
        now[0] = seconds
        return budget.is_spent

    budget.spend(2500)
    assert spent_at(0), "one answer may overdraw it"
    assert spent_at(80)
    assert not spent_at(95)
    for _ in range(60):
        budget.spend(0)
    assert spent_at(95)
    assert not spent_at(97)
    assert not budget.is_worth_a_search, "it could only list"
    assert not spent_at(200)
    assert budget.is_worth_a_search


def test_pauses_grow_with_what_is_asked_about() -> None:
    """A request that takes long is asked about ever more rarely."""
    from gateway.n8n.recovery import pause_before_asking

    pauses = [pause_before_asking(age) for age in (0, 10, 60, 120, 600, 10_000)]
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (recovery.PROBE_AGAIN_SECONDS, recovery.LONGEST_PAUSE_SECONDS)
