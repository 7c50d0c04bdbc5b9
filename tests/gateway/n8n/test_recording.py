"""Every verdict times every failing write: what only this process knows is recorded, whatever goes wrong meanwhile."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest

from gateway.n8n import recording, retries
from gateway.n8n.answers import Answer, Verdict
from gateway.n8n.reports import Completed, Failed
from gateway.n8n.webhook import Webhook
from gateway.settings import Settings
from storage import dispatch
from storage.database.base import Database
from storage.errors import DatabaseUnavailable
from storage.queries import sending
from storage.request import Request
from tests.people import People, Person
from tests.running import SECONDS, RunningGateway, eventually, running_gateway
from tests.scripted_n8n import ScriptedN8n

NUL, HALF = "\x00", "\ud83d"

COMPLETED = Completed("b/a.png", "1", Decimal("0.04"), "7")

VERDICTS: dict[str, tuple[Answer, str, str | None]] = {
    # what n8n answered: the verdict, the status that the request has in the end, and the timeline's last word
    "accepted": (Answer(Verdict.ACCEPTED, "accepted", "7"), "processing", "accepted"),
    "accepted, with the picture": (Answer(Verdict.ACCEPTED, "accepted", "7", COMPLETED), "completed", "completed"),
    "accepted, with a failure": (Answer(Verdict.ACCEPTED, "x", None, Failed("no", None, None)), "failed", "failed"),
    "send again": (Answer(Verdict.SEND_AGAIN, "n8n answered 521"), "pending", "send_again"),
    "unregistered": (Answer(Verdict.UNREGISTERED, "n8n answered 404"), "pending", "send_again"),
    "refused": (Answer(Verdict.REFUSED, "n8n answered 403"), "failed", "refused"),
    "ran and failed": (Answer(Verdict.RAN_AND_FAILED, "The workflow failed"), "failed", "failed"),
    "in doubt": (Answer(Verdict.IN_DOUBT, "n8n answered 502"), "pending", "in_doubt"),
}


class Breaking:
    """A database whose writes fail at the mark or after it, in one of the ways in which they do."""

    def __init__(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        self.failing = 0
        self.way = ""
        self.failed = 0
        self.only: tuple[str, ...] = ("_in_transaction", "_write", "_chain_each")
        for name in self.only:
            monkeypatch.setattr(database, name, self._breaking(name, getattr(database, name)))

    def _breaking(self, name: str, write: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def breaking(*arguments: Any) -> Any:
            # A claim that is lost in its commit is not due before its lease has run out, which no test here waits for.
            if self.failing <= 0 or name not in self.only or sending.CLAIM in arguments:
                return await write(*arguments)
            self.failing -= 1
            self.failed += 1
            if self.way == "lost in the commit":
                await write(*arguments)
            if self.way == "unforeseen":
                raise RuntimeError("a trigger of somebody else")
            raise DatabaseUnavailable("gone")

        return breaking


@dataclasses.dataclass
class Stand:
    gateway: RunningGateway
    breaking: Breaking
    person: Person
    answers: list[Answer]
    sent: list[str]

    async def submitted(self) -> str:
        return await self.gateway.submitted(self.person.id)

    async def kinds(self, request_id: str) -> list[str]:
        rows = await self.gateway.state.database.all(
            "SELECT kind FROM ai_request_events WHERE request_id = :id ORDER BY id", id=request_id
        )
        return [row["kind"] for row in rows]

    async def until_kind(self, request_id: str, kind: str) -> None:
        async def noted() -> bool:
            return kind in await self.kinds(request_id)

        await eventually(noted)


@pytest.fixture
async def stand(settings: Settings, users_table: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stand]:
    """A gateway whose POSTs get the test's answers; each comes with writes that begin to fail."""
    monkeypatch.setattr(recording, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(recording, "LONGEST_PAUSE_SECONDS", 0.02)
    monkeypatch.setattr(retries, "FIRST_RETRY_SECONDS", 3600.0)
    monkeypatch.setattr(retries, "LONGEST_RETRY_SECONDS", 3600.0)
    async with running_gateway(settings) as gateway:
        person = await People(gateway.state.database, users_table).person()
        stand = Stand(gateway, Breaking(gateway.state.database, monkeypatch), person, [], [])
        yield stand


def answering(stand: Stand, monkeypatch: pytest.MonkeyPatch, answer: Answer, way: str, failing: int) -> None:
    async def send(_: Webhook, request: Request) -> Answer:
        stand.sent.append(request.id)
        stand.breaking.way, stand.breaking.failing = way, failing
        return answer

    monkeypatch.setattr(Webhook, "send", send)


@pytest.mark.parametrize("name", list(VERDICTS))
@pytest.mark.parametrize(
    ("way", "failing"),
    [("unavailable", 12), ("lost in the commit", 1), ("unforeseen", 2), ("unforeseen", 4)],
)
async def test_every_verdict_is_recorded_whatever_fails(
    stand: Stand, monkeypatch: pytest.MonkeyPatch, name: str, way: str, failing: int
) -> None:
    answer, status, kind = VERDICTS[name]
    answering(stand, monkeypatch, answer, way, failing)
    request_id = await stand.submitted()
    assert kind is not None
    await stand.until_kind(request_id, kind)
    body = await stand.gateway.body(stand.person.id, request_id)
    assert body["status"] == status
    assert stand.breaking.failed >= failing
    assert stand.sent == [request_id]
    if status == "completed":
        assert (body["storageKey"], body["storageId"]) == ("b/a.png", "1")
        assert len(await stand.gateway.state.database.all("SELECT id FROM assets")) == 1


@pytest.mark.parametrize("name", [name for name in VERDICTS if name != "accepted, with the picture"])
@pytest.mark.parametrize("text", [NUL, HALF, "x" * 1_000_000])
async def test_a_text_that_the_database_refuses_costs_the_text_and_not_the_verdict(
    stand: Stand, monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    """Whoever makes answers cleans them; this is what holds if one does not."""
    answer, status, kind = VERDICTS[name]
    report = answer.report
    if isinstance(report, Failed):
        report = dataclasses.replace(report, message=text, execution_id=text)
    answer = dataclasses.replace(answer, reason=text, execution_id=answer.execution_id and text, report=report)
    answering(stand, monkeypatch, answer, "", 0)
    request_id = await stand.submitted()
    assert kind is not None
    await stand.until_kind(request_id, kind)
    assert (await stand.gateway.body(stand.person.id, request_id))["status"] == status


async def test_a_picture_whose_record_breaks_is_tried_for_longer_than_anything_else(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(stand, monkeypatch, VERDICTS["accepted, with the picture"][0], "unforeseen", 40)
    request_id = await stand.submitted()
    await stand.gateway.until(stand.person.id, request_id, "completed")
    assert stand.breaking.failed >= 40


async def test_a_sending_that_breaks_in_itself_is_in_doubt(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: Any) -> Answer:
        raise RuntimeError("who would have thought")

    monkeypatch.setattr(Webhook, "_send", broken)
    request_id = await stand.submitted()
    await stand.until_kind(request_id, "in_doubt")


@pytest.mark.parametrize("secret", ["two\nlines", "ends with a space ", "ümlaut"])
async def test_a_header_that_cannot_be_sent_ends_the_request(
    stand: Stand, n8n: ScriptedN8n, monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    headers = Webhook._headers

    def unsendable(webhook: Webhook, request: Request) -> dict[str, str]:
        return headers(webhook, request) | {"X-Webhook-Secret": secret}

    monkeypatch.setattr(Webhook, "_headers", unsendable)
    request_id = await stand.submitted()
    body = await stand.gateway.until(stand.person.id, request_id, "failed")
    assert body["errorCode"] == "dispatch_refused"
    assert secret not in body["errorMessage"]
    assert n8n.received == []


METADATA = [
    "[]",
    "null",
    '"text"',
    "7",
    "{}",
    '{"traceId": "no trace"}',
    '{"traceId": "two\\r\\nlines: x"}',
    '{"traceId": ["a"]}',
    '{"traceId": "00000000000000000000000000000000"}',
]


@pytest.mark.parametrize("metadata", METADATA)
async def test_rows_that_other_tools_write_are_sent_and_called_back_for(
    gateway: RunningGateway, ada: Person, n8n: ScriptedN8n, metadata: str
) -> None:
    database = gateway.state.database
    await database.all(
        "INSERT INTO ai_image_requests (user_id, organization_id, product, brand, request_metadata, dispatch_due_at) "
        "VALUES (:user, :organization, 'Shoes', 'Nike', :metadata, NOW())",
        user=ada.id,
        organization=ada.organizations[0],
        metadata=metadata,
    )
    row = await database.one("SELECT id FROM ai_image_requests")
    assert row is not None
    request_id = str(row["id"])
    received = await n8n.until_received(request_id)
    assert received.headers["traceparent"].startswith(f"00-{request_id.replace('-', '')}-")
    await gateway.until(ada.id, request_id, "processing")
    answer = await n8n.call_back(received, status="completed", Key="b/a.png", Id="1")
    assert answer.status_code == 200
    assert n8n.times(request_id) == 1


def breaking_mark(
    stand: Stand, monkeypatch: pytest.MonkeyPatch, mark: str, release: str, failing: int
) -> asyncio.Event:
    """Let the next mark fail in the way `mark`, and its release, `failing` times, in the way `release`.

    Returns what is set once the release has failed.
    """
    end_lease, failed = dispatch.release, asyncio.Event()

    async def releasing(*arguments: Any) -> None:
        if not failed.is_set() and stand.breaking.only == ("_chain_each",):
            assert stand.breaking.failed == 1, "the mark"
            stand.breaking.only, stand.breaking.way, stand.breaking.failing = ("_write",), release, failing
        try:
            await end_lease(*arguments)
        except DatabaseUnavailable:
            failed.set()
            raise

    monkeypatch.setattr(dispatch, "release", releasing)
    # Of a single request the mark is the first chain.
    stand.breaking.only, stand.breaking.way, stand.breaking.failing = ("_chain_each",), mark, 1
    return failed


async def dispatch_columns(stand: Stand, request_id: str) -> tuple[int, bool]:
    """How often it was sent, and whether it is marked."""
    row = await stand.gateway.state.database.one(
        "SELECT dispatch_attempts, dispatch_sending_at FROM ai_image_requests WHERE id = :id", id=request_id
    )
    assert row is not None
    return row["dispatch_attempts"], row["dispatch_sending_at"] is not None


WAYS = ("unavailable", "lost in the commit")


@pytest.mark.parametrize("mark", WAYS)
@pytest.mark.parametrize(("release", "failing"), [("unavailable", 0), *((way, 12) for way in WAYS)])
async def test_a_mark_that_the_database_does_not_confirm_is_given_back_and_sent_once(
    stand: Stand, monkeypatch: pytest.MonkeyPatch, mark: str, release: str, failing: int
) -> None:
    """Marked or not, nothing was sent: only this process knows that, so it must say so, or the request is stranded."""
    monkeypatch.setattr("gateway.n8n.dispatcher.POLL_SECONDS", 0.01)  # claimed again while the release is repeated
    failed = breaking_mark(stand, monkeypatch, mark, release, failing)

    async def send(_: Webhook, request: Request) -> Answer:
        stand.sent.append(request.id)
        return VERDICTS["accepted"][0]

    monkeypatch.setattr(Webhook, "send", send)
    request_id = await stand.submitted()
    await stand.gateway.until(stand.person.id, request_id, "processing")
    assert failed.is_set() is (failing > 0)
    await eventually(lambda: asyncio.sleep(0, not dispatching()))  # a release that comes late undoes nothing
    assert await dispatch_columns(stand, request_id) == (1, True)
    marks = ["sending"] if mark == "unavailable" else ["sending", "sending"]
    assert await stand.kinds(request_id) == ["submitted", *marks, "accepted"]
    assert stand.sent == [request_id]


def dispatching() -> list[str]:
    return [name for task in asyncio.all_tasks() if (name := task.get_name()).startswith("dispatch-")]


@pytest.mark.parametrize("mark", WAYS)
async def test_a_stopping_process_gives_back_what_it_could_not_mark(
    settings: Settings, users_table: str, n8n: ScriptedN8n, monkeypatch: pytest.MonkeyPatch, mark: str
) -> None:
    """The database comes back while the process stops: the next one sends the request, once."""
    monkeypatch.setattr(recording, "PAUSE_SECONDS", 3600.0)
    monkeypatch.setattr(recording, "LONGEST_PAUSE_SECONDS", 3600.0)
    with monkeypatch.context() as patched:
        async with running_gateway(settings) as gateway:
            person = await People(gateway.state.database, users_table).person()
            stand = Stand(gateway, Breaking(gateway.state.database, patched), person, [], [])
            failed = breaking_mark(stand, patched, mark, "unavailable", 3)
            request_id = await stand.submitted()
            async with asyncio.timeout(SECONDS):
                await failed.wait()
    assert n8n.received == []
    async with running_gateway(settings) as gateway:
        await n8n.until_received(request_id)
        await gateway.until(person.id, request_id, "processing")
    assert n8n.times(request_id) == 1


async def test_a_mark_that_breaks_again_and_again_ends_the_request(
    stand: Stand, n8n: ScriptedN8n, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("a trigger of somebody else")

    monkeypatch.setattr("storage.dispatch.mark_sending", broken)
    monkeypatch.setattr("storage.dispatch.LEASE_SECONDS", 0.05)
    request_id = await stand.submitted()
    body = await stand.gateway.until(stand.person.id, request_id, "failed")
    assert (body["errorCode"], body["errorMessage"]) == ("dispatch_refused", "The request could not be sent.")
    assert n8n.received == []


# -- a process that stops ---------------------------------------------------------------------------------------------


async def test_a_stopping_process_records_what_it_knows_within_its_grace(
    settings: Settings, users_table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database comes back while the process stops: the picture is not lost."""
    monkeypatch.setattr(recording, "PAUSE_SECONDS", 3600.0)
    monkeypatch.setattr(recording, "LONGEST_PAUSE_SECONDS", 3600.0)
    async with running_gateway(settings) as gateway:
        person = await People(gateway.state.database, users_table).person()
        stand = Stand(gateway, Breaking(gateway.state.database, monkeypatch), person, [], [])
        answering(stand, monkeypatch, VERDICTS["accepted, with the picture"][0], "unavailable", 3)
        request_id = await stand.submitted()
        await eventually(lambda: asyncio.sleep(0, stand.breaking.failed == 1))
    assert stand.breaking.failed == 3
    async with running_gateway(settings, worker=False) as gateway:
        assert (await gateway.body(person.id, request_id))["status"] == "completed"


async def test_a_post_that_is_cut_by_the_end_of_its_process_is_in_doubt_and_said_to_be(
    settings: Settings, users_table: str, n8n: ScriptedN8n
) -> None:
    from tests.scripted_n8n import never

    n8n.script = never
    async with running_gateway(settings.model_copy(update={"drain_seconds": 0.0})) as gateway:
        person = await People(gateway.state.database, users_table).person()
        request_id = await gateway.submitted(person.id)
        await n8n.until_received(request_id)
    async with running_gateway(settings, worker=False) as gateway:
        rows = await gateway.state.database.all("SELECT kind FROM ai_request_events ORDER BY id")
        assert [row["kind"] for row in rows][-1] == "in_doubt"
