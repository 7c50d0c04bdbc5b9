"""Requests on the command line: submitted, watched, listed and canceled."""

import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from gateway.server.listener import bind
from tests.conftest import People, Person
from tests.gateway.cli.typing_commands import meanwhile, run
from tests.running import RunningGateway, serving
from tests.scripted_n8n import ERROR_IN_WORKFLOW, ScriptedN8n
from tests.servers import free_port


@pytest.fixture
def backend() -> str:
    """Once is enough: the commands see a gateway, not its backend."""
    return "sqlite"


BODY = {
    "requestId": "r",
    "status": "failed",
    "product": "Shoes",
    "brand": "Nike",
    "storageKey": None,
    "storageId": None,
    "publicUrl": None,
    "errorMessage": "Canceled.",
    "createdAt": "2026-01-31T12:00:00.000Z",
    "completedAt": "2026-01-31T12:00:10.000Z",
    "version": 3,
    "progress": 10,
    "errorCode": "canceled",
    "updatedAt": "2026-01-31T12:00:10.000Z",
    "cost": None,
}


@pytest.fixture
def who(gateway: RunningGateway, ada: Person, monkeypatch: pytest.MonkeyPatch) -> Person:
    """A user whose environment says where the gateway is and who she is."""
    monkeypatch.setenv("GATEWAY_URL", gateway.url)
    monkeypatch.setenv("GATEWAY_TOKEN", gateway.token(ada.id))
    return ada


@contextlib.asynccontextmanager
async def answering(path: str, method: str, answer: Response) -> AsyncIterator[str]:
    """The address of something that answers one path so, and others with 404."""

    async def endpoint(request: Request) -> Response:
        return answer

    app = Starlette(routes=[Route(path, endpoint, methods=[method])])
    listener = bind("127.0.0.1", 0)
    async with serving(app, uvicorn.Config(app, log_config=None), listener):
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


async def test_from_a_submission_to_the_list(who: Person, n8n: ScriptedN8n) -> None:
    n8n.answers(JSONResponse({"Key": "b/a.png", "Id": "1"}))
    made = await meanwhile("generate", "Running Shoes", "Nike")
    assert made.stdout.strip().endswith("/storage/v1/object/public/b/a.png")
    request_id = made.stderr.split()[1]
    shown = (await meanwhile("status", request_id)).stdout
    assert f"Request   {request_id}\nStatus    completed" in shown
    assert "Picture   http" in shown
    (listed,) = json.loads((await meanwhile("list", "--json")).stdout)["requests"]
    assert listed["requestId"] == request_id
    assert json.loads((await meanwhile("status", request_id, "--json")).stdout) == listed
    assert json.loads((await meanwhile("watch", request_id, "--json")).stdout) == listed
    assert (await meanwhile("watch", request_id)).stdout.strip() == listed["publicUrl"]
    table = (await meanwhile("list")).stdout.splitlines()
    assert len(table) == 2
    assert table[1].split()[:2] == [request_id, "completed"]
    assert "Running Shoes" in table[1]
    assert json.loads((await meanwhile("list", "--status", "failed", "--json")).stdout)["requests"] == []


async def test_members_of_several_organizations_name_one(
    gateway: RunningGateway, people: People, n8n: ScriptedN8n, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = await people.person(2)
    monkeypatch.setenv("GATEWAY_URL", gateway.url)
    monkeypatch.setenv("GATEWAY_TOKEN", gateway.token(both.id))
    told = (await meanwhile("generate", "Shoes", "Nike", expect=1)).stderr
    assert "--organization" in told
    n8n.answers(JSONResponse({"Key": "b/a.png", "Id": "1"}))
    await meanwhile("generate", "Shoes", "Nike", "--organization", both.organizations[1])
    rows = await gateway.state.database.all("SELECT organization_id FROM ai_image_requests")
    assert [row["organization_id"] for row in rows] == [both.organizations[1]]


async def test_json_is_a_line_for_each_change(who: Person, n8n: ScriptedN8n) -> None:
    n8n.answers(ERROR_IN_WORKFLOW)
    made = await meanwhile("generate", "Shoes", "Nike", "--json", expect=1)
    bodies = [json.loads(line) for line in made.stdout.splitlines()]
    assert bodies[-1]["status"] == "failed"
    assert [body["version"] for body in bodies] == sorted({body["version"] for body in bodies})
    assert "The generation failed: " in made.stderr
    assert bodies[-1]["errorMessage"] in made.stderr


async def test_an_unknown_request_is_told(who: Person) -> None:
    for command in ("status", "watch"):
        found = await meanwhile(command, "3fa85f64-5717-4562-b3fc-2c963f66afa6", expect=1)
        assert "Request not found" in found.stderr


@pytest.mark.parametrize("command", [("generate", "a", "b"), ("watch", "x"), ("list",), ("status", "x")])
async def test_a_bad_token_says_what_to_do(
    who: Person, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_TOKEN", "expired")
    told = (await meanwhile(*command, expect=1)).stderr
    assert "does not accept this token" in told
    assert "token --user UUID" in told


async def test_no_token_says_where_to_put_one(who: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GATEWAY_TOKEN")
    told = (await meanwhile("list", expect=1)).stderr
    assert "is no demo" in told
    assert "GATEWAY_TOKEN" in told


async def test_cancel_shows_what_became_of_it() -> None:
    async with answering("/api/ai-requests/r/cancel", "POST", JSONResponse(BODY)) as url:
        shown = await meanwhile("cancel", "r", "--url", url, "--token", "t")
        assert "Error     Canceled." in shown.stdout
        assert json.loads((await meanwhile("cancel", "r", "--json", "--url", url, "--token", "t")).stdout) == BODY
    late = JSONResponse({"error": "The request has completed.", "code": "already_final"}, 409)
    async with answering("/api/ai-requests/r/cancel", "POST", late) as url:
        told = await meanwhile("cancel", "r", "--url", url, "--token", "t", expect=1)
        assert "The request has completed." in told.stderr


async def test_something_that_is_no_gateway_is_told() -> None:
    async with answering("/demo/session", "GET", PlainTextResponse("<html>hello")) as url:
        assert "is no demo" in (await meanwhile("list", "--url", url, expect=1)).stderr


@pytest.mark.parametrize(
    ("typed", "asked"),
    [
        ("localhost:{port}", "http://localhost:{port}"),
        ("127.0.0.1:{port}/", "http://127.0.0.1:{port}"),
        ("https://127.0.0.1:{port}", "https://127.0.0.1:{port}"),
        ("gateway.invalid", "https://gateway.invalid"),
    ],
)
def test_an_address_needs_no_scheme(typed: str, asked: str) -> None:
    port = free_port()
    told = run("list", "--token", "t", "--url", typed.format(port=port), expect=1)
    assert f"The gateway at {asked.format(port=port)} cannot be reached" in told


@pytest.mark.parametrize("typed", ["ws://localhost", "http://", "http://h:port", "localhost:port", "http://h/?a=b", ""])
def test_what_is_no_address_is_told(typed: str) -> None:
    told = " ".join(run("list", "--token", "t", "--url", typed, expect=2).split())
    assert "write it like http://127.0.0.1:8000" in told


# -- where the picture goes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ("there.png", "exists"),
        (".", "is a folder"),
        ("nowhere/a.png", "does not exist"),
        ("/proc/a.png", "can be written"),
    ],
)
async def test_an_output_is_looked_at_before_anything_is_paid_for(
    who: Person, n8n: ScriptedN8n, tmp_path: Path, output: str, told: str
) -> None:
    (tmp_path / "there.png").write_bytes(b"mine")
    assert told in (await meanwhile("generate", "a", "b", "-o", output, expect=1)).stderr
    assert n8n.received == []
    assert (tmp_path / "there.png").read_bytes() == b"mine"


@pytest.fixture
async def picture(n8n: ScriptedN8n, gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[bytes]:
    """What the object store has for the picture that n8n makes."""
    content = b"\x89PNG a picture"
    n8n.answers(JSONResponse({"Key": "b/a.png", "Id": "1"}))
    store = answering("/storage/v1/object/public/b/a.png", "GET", Response(content, media_type="image/png"))
    async with store as url:
        monkeypatch.setattr(gateway.state.urls, "_public", f"{url}/storage/v1/object/public/")
        yield content


async def test_a_picture_is_saved(who: Person, picture: bytes, tmp_path: Path) -> None:
    file = tmp_path / "there.png"
    await meanwhile("generate", "a", "b", "-o", "there.png")
    assert file.read_bytes() == picture
    file.write_bytes(b"old")
    await meanwhile("generate", "a", "b", "-o", "there.png", "--force")
    assert file.read_bytes() == picture


async def test_a_picture_is_the_output(who: Person, picture: bytes, tmp_path: Path) -> None:
    made = await meanwhile("generate", "a", "b", "-o", "-")
    assert made.stdout_bytes == picture
    assert "/b/a.png" in made.stderr
    assert list(tmp_path.glob("-*")) == []
    assert "both want the output" in run("generate", "a", "b", "-o", "-", "--json", expect=2)
