"""The log: lines that no input can forge, and four ids on each that is about a request: any finds its whole life."""

import json
import logging
import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from starlette.responses import JSONResponse

from gateway.telemetry.logging import configure_logging, reason_of
from tests.people import Person
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
    """What the gateway has logged."""
    return [json.loads(record.message) for record in caplog.records if record.name.startswith("gateway.")]


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


@pytest.fixture
def loggers() -> Iterator[tuple[Any, logging.Logger]]:
    """Two that no other test uses, of structlog and of the standard library; what a test configures ends with it."""
    root, configured = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers, root.level
    yield structlog.get_logger("tests.ours"), logging.getLogger("tests.foreign")
    structlog.contextvars.clear_contextvars()
    structlog.configure(**configured)
    root.handlers = handlers
    root.setLevel(level)


def written(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_lines_of_all_loggers_have_one_form(
    loggers: tuple[Any, logging.Logger], capsys: pytest.CaptureFixture[str]
) -> None:
    ours, foreign = loggers
    configure_logging(production=True)
    structlog.contextvars.bind_contextvars(request_id="r")
    ours.warning("changed", version=3, error_code=None)
    foreign.warning("%s of %s", 1, 2)
    ours.debug("unheard")
    foreign.debug("unheard")
    logging.getLogger("httpx").info("unheard")
    first, second = written(capsys)
    assert list(first) == ["version", "error_code", "event", "request_id", "level", "logger", "timestamp"]
    assert (first.pop("timestamp")[-1], second.pop("timestamp")[-1]) == ("Z", "Z")
    both = {"level": "warning", "request_id": "r"}
    assert first == {**both, "event": "changed", "version": 3, "error_code": None, "logger": "tests.ours"}
    assert second == {**both, "event": "1 of 2", "logger": "tests.foreign"}


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("whose", ["ours", "foreign"])
def test_no_value_forges_a_line(
    loggers: tuple[Any, logging.Logger],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    terminal: bool,
    whose: str,
) -> None:
    ours, foreign = loggers
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    configure_logging(production=False)
    forged = "x\n2026 [error] forged\x1b[2J\u202e\u2028\ud800"
    if whose == "ours":
        ours.warning("seen", text=forged, inside=[forged])
    else:
        foreign.warning("seen %s", forged)
    (line,) = capsys.readouterr().err.splitlines()
    line = re.sub("\x1b\\[[0-9]*m", "", line)  # a terminal's colours
    assert line.isprintable()
    assert r"x\n2026" in line if terminal else r"x\\n2026" in line


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("é", "é"),
        (["é", "\ud800"], ["é", "\ud800"]),
        (2**70, 2**70),
        (float("nan"), None),
        ({1: ValueError("x")}, {"1": "ValueError('x')"}),
        (type("Text", (str,), {})("x"), "x"),
    ],
)
def test_any_value_has_a_line(
    loggers: tuple[Any, logging.Logger], capsys: pytest.CaptureFixture[str], value: object, shown: object
) -> None:
    configure_logging(production=True)
    loggers[0].warning("seen", value=value)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.isascii()
    assert json.loads(line)["value"] == shown


@pytest.mark.parametrize("production", [True, False])
@pytest.mark.parametrize("whose", [0, 1], ids=["ours", "foreign"])
def test_tracebacks_show_no_locals(
    loggers: tuple[Any, logging.Logger], capsys: pytest.CaptureFixture[str], production: bool, whose: int
) -> None:
    configure_logging(production=production)
    token = "".join(["secret", "-", "token"])
    try:
        raise ValueError(f"of {len(token)} characters")
    except ValueError:
        loggers[whose].exception("broke")
    text = capsys.readouterr().err
    assert "ValueError: of 12 characters" in text
    assert "test_tracebacks_show_no_locals" in text
    assert "secret-token" not in text
    if production:
        (line,) = map(json.loads, text.splitlines())
        assert line["level"] == "error"
        assert line["exception"].startswith("Traceback (most recent call last):\n")


def test_a_line_is_rendered_once(
    loggers: tuple[Any, logging.Logger], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It costs what it says: the handler finds it finished."""
    rendered = []

    def escaped(_: object, __: str, event: Any) -> Any:
        rendered.append(event["event"])
        return event

    monkeypatch.setattr("gateway.telemetry.logging._escaped", escaped)
    configure_logging(production=True)
    loggers[0].info("changed")
    loggers[1].info("said")
    assert rendered == [line["event"] for line in written(capsys)] == ["changed", "said"]


def test_reasons_are_short() -> None:
    assert reason_of(ValueError("x" * 300)) == "x" * 200
