"""The dispatcher: takes due requests from the database and sends them to n8n, each at most once.

Any number of processes may run one. What each of them may do is decided by rows, not by messages:

    claim (a lease) → mark "sending" (commit) → POST → write down what the answer means

Killed before the mark, the lease runs out and another process sends the request. Killed after it, nobody sends it
again: it waits for its callback or its deadline.
"""

import asyncio
import random
import uuid
from collections.abc import Awaitable, Callable

import structlog
from structlog.contextvars import bind_contextvars

from gateway.n8n.reports import apply_report
from gateway.n8n.webhook import Answer, Verdict, Webhook
from gateway.realtime.announcer import Announcer
from gateway.settings import Settings
from gateway.tasks import stop_all
from gateway.telemetry import metrics
from gateway.telemetry.incidents import Incident, Incidents
from gateway.telemetry.logging import log_fields, reason_of
from storage import dispatch, transitions
from storage.database.base import Database
from storage.errors import DatabaseUnavailable
from storage.lifecycle import Event
from storage.request import Request

log = structlog.get_logger(__name__)

POLL_SECONDS = 0.5
"""How often the database is asked for due requests when nobody has said that there are some."""

FIRST_RETRY_SECONDS = 2.0
LONGEST_RETRY_SECONDS = 60.0

UNREGISTERED_SECONDS = 60.0
"""How long an unknown webhook may be n8n starting up; after that the workflow is not active."""

ALERTING_ATTEMPTS = 3
"""From this attempt on, an n8n that could not be reached is a trouble and no restart."""

SLACK_SECONDS = 30.0
"""How much later than the longest sending n8n is asked about a request whose sender has written nothing down."""

RECORD_SECONDS = 5.0
"""How long a stopping process waits for outcomes to be written down."""

RECORD_ATTEMPTS = 5
"""How often the outcome of a sending is written down again while the database is away. If all fail, the row stays
marked: it waits for the callback or the deadline."""


class Dispatcher:
    """One process's share of the sending.

    Args:
        settings: how many at once, how often, and how long.
        database: where the requests are.
        announcer: told of what an answer changes.
        incidents: where sendings that failed are counted.
        webhook: n8n's.
        process: this process's name, which its leases carry.
        due: set by whoever knows that something is to be sent; without it the database is polled.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        announcer: Announcer,
        incidents: Incidents,
        webhook: Webhook,
        *,
        process: str,
        due: asyncio.Event,
    ) -> None:
        self._settings = settings
        self._database = database
        self._announcer = announcer
        self._incidents = incidents
        self._webhook = webhook
        self._name = f"dispatcher:{process}"
        self._due = due
        self._sending: set[asyncio.Task[None]] = set()
        self._posting: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._idle = asyncio.Event()
        self._idle.set()

    async def run(self) -> None:
        """Claim and send until `stop`."""
        self._idle.clear()
        try:
            while not self._stopping:
                try:
                    full = await self._claim()
                except DatabaseUnavailable as error:
                    log.warning("dispatch_claim_failed", reason=reason_of(error))
                    full = False
                if not full:
                    await self._rest()
        finally:
            self._idle.set()

    async def _claim(self) -> bool:
        """Claim as many as may be sent at once; whether there may be more to claim right now."""
        free = self._settings.n8n_concurrency - len(self._sending)
        if free <= 0:
            return False
        lease = f"{self._name}:{uuid.uuid4().hex}"
        claimed = await dispatch.claim(self._database, lease, free)
        for request in claimed:
            task = asyncio.create_task(self._dispatch(request, lease), name=f"dispatch-{request.id}")
            self._sending.add(task)
            task.add_done_callback(self._sent)
        return len(claimed) == free

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        self._due.set()  # a place has become free
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("dispatch_broke", task=task.get_name(), exc_info=error)

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(POLL_SECONDS):
                await self._due.wait()
        except TimeoutError:
            pass
        self._due.clear()

    def claim_no_more(self) -> None:
        """Begin to stop; what is being sent goes on."""
        self._stopping = True
        self._due.set()

    async def stop(self, grace_seconds: float) -> None:
        """Claim no more, and give what is under way `grace_seconds` to end.

        A POST that is still out then is cut: its row stays marked, so it is in doubt and never sent again.
        """
        self.claim_no_more()
        await self._idle.wait()  # what a last claim took is released by its task
        if self._sending:
            await asyncio.wait(set(self._sending), timeout=grace_seconds)
            for task in self._posting:
                task.cancel()
            # The others only write down what they know. A row that could not be written stays marked.
            if self._sending:
                await asyncio.wait(set(self._sending), timeout=RECORD_SECONDS)
            await stop_all(*self._sending)
        await self._webhook.aclose()

    # -- one request --------------------------------------------------------------------------------------------------

    async def _dispatch(self, claimed: Request, lease: str) -> None:
        bind_contextvars(**log_fields(claimed))  # this task's own
        database, settings = self._database, self._settings
        deadline = settings.ai_deadline_seconds
        ask = settings.n8n_timeout_seconds + SLACK_SECONDS if settings.n8n_api_url else None
        try:
            request = (
                None if self._stopping else await dispatch.mark_sending(database, claimed.id, lease, deadline, ask)
            )
        except DatabaseUnavailable as error:
            # Marked or not, it was not sent, and this process alone knows.
            log.warning("dispatch_mark_failed", reason=reason_of(error))
            await self._record_persistently(lambda: dispatch.release(database, claimed.id, lease))
            return
        if self._stopping:
            await self._record_persistently(lambda: dispatch.release(database, claimed.id, lease))
            return
        if request is None:
            return  # ended meanwhile, or the lease was lost
        task = asyncio.current_task()
        assert task is not None, "a coroutine runs in a task"  # noqa: S101
        self._posting.add(task)
        try:
            answer = await self._webhook.send(request)
        finally:
            self._posting.discard(task)
        self._log(request, answer)
        await self._record_persistently(lambda: self._record(request, lease, answer))

    async def _record_persistently(self, write: Callable[[], Awaitable[None]]) -> None:
        """Write down what is known, again and again while the database is away. Every `write` may be repeated."""
        for attempt in range(1, RECORD_ATTEMPTS + 1):
            try:
                await write()
            except DatabaseUnavailable:
                log.warning("dispatch_record_failed", attempt=attempt)
                await asyncio.sleep(attempt)
            else:
                return

    def _log(self, request: Request, answer: Answer) -> None:
        metrics.DISPATCH_ATTEMPTS.labels(answer.verdict.value).inc()
        if answer.verdict not in (Verdict.ACCEPTED, Verdict.RAN_AND_FAILED) and (
            answer.verdict in (Verdict.REFUSED, Verdict.IN_DOUBT) or request.dispatch_attempts >= ALERTING_ATTEMPTS
        ):
            self._incidents.count(Incident.DISPATCH_FAILED)
        fields = {
            "execution_id": answer.execution_id or request.n8n_execution_id,
            "attempt": request.dispatch_attempts,
            "verdict": answer.verdict.value,
        }
        if answer.verdict is Verdict.ACCEPTED:
            log.info("dispatched", **fields)
        else:
            log.warning("dispatched", reason=answer.reason, **fields)

    async def _record(self, request: Request, lease: str, answer: Answer) -> None:
        match answer.verdict:
            case Verdict.ACCEPTED:
                await self._accepted(request, answer)
            case Verdict.SEND_AGAIN | Verdict.UNREGISTERED:
                await self._send_again(request, lease, answer)
            case Verdict.REFUSED:
                await self._fail(request, Event.REFUSED, f"The workflow refused the request: {answer.reason}.")
            case Verdict.RAN_AND_FAILED:
                await self._fail(request, Event.FAILED, answer.reason)
            case Verdict.IN_DOUBT:
                await dispatch.record_in_doubt(self._database, request, lease, answer.reason)

    async def _accepted(self, request: Request, answer: Answer) -> None:
        if answer.report is not None:
            await apply_report(self._database, self._announcer, request.id, answer.report, actor="n8n")
            return
        applied = await transitions.start(
            self._database,
            request.id,
            Event.ACCEPTED,
            actor=self._name,
            execution_id=answer.execution_id,
        )
        self._announcer.announce_change(applied, actor=self._name)

    async def _send_again(self, request: Request, lease: str, answer: Answer) -> None:
        if request.dispatch_attempts >= self._settings.n8n_attempts:
            times = request.dispatch_attempts
            await self._fail(request, Event.EXHAUSTED, f"The workflow could not be reached in {times} attempts.")
            return
        unregistered = answer.verdict is Verdict.UNREGISTERED
        if unregistered and await dispatch.seconds_unregistered(self._database, request.id) > UNREGISTERED_SECONDS:
            await self._fail(request, Event.REFUSED, f"The workflow is not active: {answer.reason}.")
            return
        delay = retry_delay(request.dispatch_attempts)
        await dispatch.send_again(
            self._database,
            request.id,
            lease,
            delay=delay,
            reason=answer.reason,
            unregistered=unregistered,
        )

    async def _fail(self, request: Request, event: Event, message: str) -> None:
        applied = await transitions.fail(self._database, request.id, event, message, actor=self._name)
        self._announcer.announce_change(applied, actor=self._name)


def retry_delay(attempts: int) -> float:
    """Seconds before attempt number `attempts` + 1: doubling, capped, and spread so that many do not return at once.

    The first lies between 1 and 3 seconds: an n8n that restarts quickly costs its users little.
    """
    longest = min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2.0 ** (attempts - 1))
    return longest * random.uniform(0.5, 1.5)  # noqa: S311 - spreads load, hides nothing
