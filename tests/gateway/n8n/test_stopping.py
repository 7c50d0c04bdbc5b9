"""n8n is asked to stop what it runs for a canceled request, and for no other."""

import contextlib
import json
from collections.abc import AsyncIterator

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.n8n import stopping
from gateway.server.listener import bind
from gateway.settings import Settings
from storage import cancellations
from tests.conftest import People, Person
from tests.executions_api import ExecutionsApi, asking
from tests.running import RunningGateway, eventually, running_gateway, serving


class StoppingApi(ExecutionsApi):
    """n8n's public API that can stop executions, or refuses to in one way or another."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.refusals: list[Response] = []

    async def stop(self, request: Request) -> Response:
        execution_id = request.path_params["id"]
        self.asked.append(execution_id)
        if self.refusals:
            return self.refusals.pop(0) if len(self.refusals) > 1 else self.refusals[0]
        self.executions[execution_id]["status"] = "canceled"
        return JSONResponse({"id": execution_id, "status": "canceled"})


@contextlib.asynccontextmanager
async def running_stopping_api() -> AsyncIterator[StoppingApi]:
    made = StoppingApi()
    routes = [
        Route("/api/v1/executions", made.list),
        Route("/api/v1/executions/{id}", made.one),
        Route("/api/v1/executions/{id}/stop", made.stop, methods=["POST"]),
    ]
    listener = bind("127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    app = Starlette(routes=routes)
    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=1)
    async with serving(app, config, listener):
        yield made


@pytest.fixture
async def api() -> AsyncIterator[StoppingApi]:
    async with running_stopping_api() as running:
        yield running


@pytest.fixture
def settings(settings: Settings, api: StoppingApi, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(stopping, "DRAIN_POLL_SECONDS", 0.05)
    monkeypatch.setattr(stopping, "STOP_AGAIN_SECONDS", 0.1)
    return asking(settings, api, monkeypatch)


async def cancel(gateway: RunningGateway, person: Person, request_id: str) -> None:
    answer = await gateway.http.post(f"/api/ai-requests/{request_id}/cancel", headers=gateway.bearer(person.id))
    assert answer.status_code == 200, answer.text


async def under_way(gateway: RunningGateway, person: Person, execution_id: str | None) -> str:
    request_id = await gateway.submitted(person.id)
    await gateway.until(person.id, request_id, "processing")
    if execution_id is not None:
        news = {"requestId": request_id, "status": "processing", "progress": 10, "executionId": execution_id}
        assert (await gateway.callback(news)).status_code == 200
    return request_id


async def outcome(gateway: RunningGateway, request_id: str) -> tuple[str, dict[str, object]]:
    """What became of the stopping, once it is decided."""

    async def decided() -> list[tuple[str, str]]:
        query = (
            "SELECT kind, detail FROM ai_request_events "
            "WHERE request_id = :id AND kind IN ('stopped', 'not_stopped') ORDER BY id"
        )
        return [(row["kind"], row["detail"]) for row in await gateway.state.database.all(query, id=request_id)]

    ((kind, detail),) = await eventually(decided)
    return kind, json.loads(detail)


async def test_the_execution_is_stopped(gateway: RunningGateway, ada: Person, api: StoppingApi) -> None:
    request_id = await under_way(gateway, ada, "7")
    other = await under_way(gateway, ada, "8")
    api.put("7", "running", request_id)
    api.put("8", "running", other)
    await cancel(gateway, ada, request_id)
    assert await outcome(gateway, request_id) == ("stopped", {"executionId": "7"})
    assert api.asked == ["7"]
    assert (await gateway.body(ada.id, other))["status"] == "processing"


async def test_an_execution_whose_number_nobody_knew_is_found(
    gateway: RunningGateway, ada: Person, api: StoppingApi
) -> None:
    request_id = await under_way(gateway, ada, None)
    await cancel(gateway, ada, request_id)
    api.put("9", "running", request_id)  # n8n's list shows it a moment later
    assert await outcome(gateway, request_id) == ("stopped", {"executionId": "9"})


async def test_no_execution_is_stopped_that_works_for_another(
    gateway: RunningGateway, ada: Person, api: StoppingApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stopping, "STOP_WITHIN_SECONDS", 0.2)
    request_id = await under_way(gateway, ada, "8")  # what a workflow calls its execution is no proof
    other = await under_way(gateway, ada, None)
    api.put("8", "running", other)
    await cancel(gateway, ada, request_id)
    kind, detail = await outcome(gateway, request_id)
    assert (kind, detail["reason"]) == ("not_stopped", "n8n has no execution of it")
    assert api.asked == []


@pytest.mark.parametrize("status", [404, 405])
async def test_an_older_n8n_is_told_apart(gateway: RunningGateway, ada: Person, api: StoppingApi, status: int) -> None:
    request_id = await under_way(gateway, ada, "7")
    api.put("7", "running", request_id)
    api.refusals = [JSONResponse({"message": "not found"}, status)]
    await cancel(gateway, ada, request_id)
    kind, detail = await outcome(gateway, request_id)
    assert (kind, detail["reason"]) == ("not_stopped", "this n8n cannot stop executions (2.10 and newer can)")
    assert api.asked == ["7"], "it is not asked again"
    assert (await gateway.body(ada.id, request_id))["errorCode"] == "canceled"


async def test_an_n8n_that_is_away_is_asked_again(gateway: RunningGateway, ada: Person, api: StoppingApi) -> None:
    request_id = await under_way(gateway, ada, "7")
    api.put("7", "running", request_id)
    broken, fine = JSONResponse({"message": "Database is not ready!"}, 503), JSONResponse({"id": "7"})
    api.refusals = [broken, broken, fine]
    await cancel(gateway, ada, request_id)
    assert (await outcome(gateway, request_id))[0] == "stopped"
    assert api.asked == ["7", "7", "7"]


async def test_a_picture_that_is_there_already_wins(gateway: RunningGateway, ada: Person, api: StoppingApi) -> None:
    request_id = await under_way(gateway, ada, "7")
    api.put("7", "completed", request_id)
    await cancel(gateway, ada, request_id)
    kind, detail = await outcome(gateway, request_id)
    assert (kind, detail["reason"]) == ("not_stopped", "its execution had ended")
    assert (await gateway.body(ada.id, request_id))["status"] == "completed"
    assert api.asked == []


async def test_what_was_not_sent_has_nothing_to_stop(settings: Settings, users_table: str) -> None:
    async with running_gateway(settings, worker=False) as front:
        ada = await People(front.state.database, users_table).person()
        request_id = await front.submitted(ada.id)
        await cancel(front, ada, request_id)
        assert await cancellations.claim_stops(front.state.database, 10) == []


async def test_without_n8ns_api_the_timeline_says_so(settings: Settings, users_table: str) -> None:
    async with running_gateway(settings.model_copy(update={"n8n_api_url": ""})) as gateway:
        ada = await People(gateway.state.database, users_table).person()
        request_id = await under_way(gateway, ada, "7")
        await cancel(gateway, ada, request_id)
        assert await outcome(gateway, request_id) == ("not_stopped", {"reason": "N8N_API_URL is not set"})
