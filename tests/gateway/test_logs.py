"""The log: each line about a request carries four ids, so that any of them finds the whole life."""

import logging
from typing import Any

import pytest
from starlette.responses import JSONResponse

from tests.conftest import Person
from tests.running import RunningGateway
from tests.scripted_n8n import Received, ScriptedN8n

TRACES = ("0af7651916cd43dd8448eb211c80319c", "4bf92f3577b34da6a3ce929d0e0e4736")


async def live(gateway: RunningGateway, person: Person, trace: str) -> str:
    """A request from its submission to its picture; returns its id."""
    answer = await gateway.submit(person.id, traceparent=f"00-{trace}-b7ad6b7169203331-01")
    request_id = str(answer.json()["requestId"])
    await gateway.until(person.id, request_id, "processing")
    for news in ({"status": "processing", "progress": 40}, {"status": "completed", "Key": "b/a.png", "Id": "1"}):
        assert (await gateway.callback({"requestId": request_id, **news})).json() == {"success": True}
    return request_id


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """What was logged, before it is made JSON."""
    return [record.msg for record in caplog.records if isinstance(record.msg, dict)]


async def test_the_whole_life_is_found_by_the_clients_trace_alone(
    gateway: RunningGateway, ada: Person, eve: Person, n8n: ScriptedN8n, caplog: pytest.LogCaptureFixture
) -> None:
    async def started(received: Received) -> JSONResponse:
        return JSONResponse({"message": "Workflow was started", "executionId": f"of-{received.request_id}"})

    n8n.script = started
    caplog.set_level(logging.INFO)
    lives = [
        (person, trace, await live(gateway, person, trace)) for person, trace in zip((ada, eve), TRACES, strict=True)
    ]
    logged = lines(caplog)
    for person, trace, request_id in lives:
        found = [line for line in logged if line.get("trace_id") == trace]
        assert [line["event"] for line in found] == ["submitted", "dispatched", "changed", "changed", "changed"]
        assert [line.get("status") for line in found[2:]] == ["processing", "processing", "completed"]
        assert {(line["request_id"], line["user_id"]) for line in found} == {(request_id, person.id)}
        assert [line["execution_id"] for line in found] == [None, *[f"of-{request_id}"] * 4]
        assert [line for line in logged if request_id in str(line)] == found, "no line about it lacks an id"


TROUBLES: list[tuple[dict[str, Any], str]] = [
    ({"status": "processing", "progress": "half"}, "numbers_dropped"),
    ({"status": "done"}, "callback_refused"),
    ({"status": "completed", "Key": "b/a.png", "Id": "1", "cost": "free"}, "numbers_dropped"),
    ({"status": "completed", "Key": "b/a.png", "Id": "2"}, "callback_conflict"),
]


async def test_what_goes_wrong_with_a_request_is_found_by_its_trace_too(
    gateway: RunningGateway, ada: Person, caplog: pytest.LogCaptureFixture
) -> None:
    request_id = await live(gateway, ada, TRACES[0])
    caplog.set_level(logging.INFO)
    for news, event in TROUBLES:
        caplog.clear()
        await gateway.callback({"requestId": request_id, "executionId": "7", **news})
        (line,) = (line for line in lines(caplog) if line["event"] == event)
        assert (line["request_id"], line.get("user_id"), line.get("trace_id")) == (request_id, ada.id, TRACES[0]), event
        assert "execution_id" in line
