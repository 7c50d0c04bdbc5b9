"""The dispatcher: takes due requests from the database and sends them to n8n, each at most once.

Any number of processes may run one. What each of them may do is decided by rows, not by messages:

    claim (a lease) → mark "sending" (commit) → POST → record what the answer means

Killed before the mark, the lease runs out and another process sends the request. Killed after it, nobody sends it
again, unless n8n itself says that it has no such execution: it waits for its callback or its deadline.
"""

import asyncio
import uuid

import structlog
from structlog.contextvars import bind_contextvars

from gateway.n8n.answers import Answer, Verdict
from gateway.n8n.recording import VerdictRecorder
from gateway.n8n.webhook import Webhook
from gateway.realtime.announcer import Announcer
from gateway.settings import Settings
from gateway.tasks import stop_all
from gateway.telemetry import metrics
from gateway.telemetry.incidents import Incident, Incidents
from gateway.telemetry.logging import log_fields, reason_of
from storage import dispatch
from storage.database.base import Database
from storage.errors import DatabaseUnavailable
from storage.request import Request

log = structlog.get_logger(__name__)

POLL_SECONDS = 0.5
"""How often the database is asked for due requests when nobody has said that there are some."""

ALERTING_ATTEMPTS = 3
"""From this attempt on, an n8n that could not be reached is a trouble and no restart."""

GRACE_SECONDS = 30.0
"""How much later than the longest sending n8n is asked about a request whose sender has recorded nothing."""

RECORD_SECONDS = 5.0
"""How long a stopping process waits for verdicts to be recorded once every POST has ended."""


class Dispatcher:
    """One process's share of the dispatch.

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
        self._incidents = incidents
        self._webhook = webhook
        self._name = f"dispatcher:{process}"
        self._due = due
        self._recorder = VerdictRecorder(settings, database, announcer, actor=self._name)
        self._sending: set[asyncio.Task[None]] = set()
        self._posting: set[asyncio.Task[Answer]] = set()
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
                    await self._until_due()
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
            log.error("dispatch_task_failed", task=task.get_name(), exc_info=error)

    async def _until_due(self) -> None:
        try:
            async with asyncio.timeout(POLL_SECONDS):
                await self._due.wait()
        except TimeoutError:
            pass
        self._due.clear()

    def stop_claiming(self) -> None:
        """Begin to stop; what is being sent goes on."""
        self._stopping = True
        self._due.set()

    async def stop(self, grace_seconds: float) -> None:
        """Claim no more, and give what is under way `grace_seconds` to end.

        A POST that is still out then is cut: it is in doubt. What is known by then is recorded within `RECORD_SECONDS`;
        a row whose verdict could not be written stays marked.
        """
        self.stop_claiming()
        self._recorder.hurry()
        await self._idle.wait()  # what a last claim took is released by its task
        if self._sending:
            await asyncio.wait(set(self._sending), timeout=grace_seconds)
            for posting in self._posting:
                posting.cancel()
            if self._sending:
                await asyncio.wait(set(self._sending), timeout=RECORD_SECONDS)
            await stop_all(*self._sending)
        await self._webhook.aclose()

    # -- one request --------------------------------------------------------------------------------------------------

    async def _dispatch(self, claimed: Request, lease: str) -> None:
        bind_contextvars(**log_fields(claimed))  # this task's own
        try:
            request = None if self._stopping else await self._mark(claimed, lease)
        except DatabaseUnavailable as error:
            # Marked or not, it was not sent, and this process alone knows.
            log.warning("dispatch_mark_failed", reason=reason_of(error))
            await self._recorder.release(claimed, lease)
            return
        except Exception as error:
            log.exception("dispatch_mark_broke")
            self._incidents.count(Incident.DISPATCH_FAILED)
            await self._recorder.not_marked(claimed, lease, f"the mark could not be set ({type(error).__name__})")
            return
        if self._stopping:
            await self._recorder.release(claimed, lease)
            return
        if request is None:
            return  # ended meanwhile, or the lease was lost
        answer = await self._post(request)
        self._log(request, answer)
        try:
            await self._recorder.record(request, lease, answer)
        except asyncio.CancelledError:
            log.error("dispatch_unrecorded", verdict=answer.verdict.value)
            raise

    async def _mark(self, claimed: Request, lease: str) -> Request | None:
        settings = self._settings
        ask = settings.n8n_timeout_seconds + GRACE_SECONDS if settings.n8n_api_url else None
        return await dispatch.mark_sending(self._database, claimed.id, lease, settings.ai_deadline_seconds, ask)

    async def _post(self, request: Request) -> Answer:
        """Send it, in a task of its own that `stop` can cut without cutting what is recorded afterwards."""
        posting = asyncio.create_task(self._webhook.send(request), name=f"post-{request.id}")
        self._posting.add(posting)
        try:
            await asyncio.wait({posting})
        finally:
            self._posting.discard(posting)
            posting.cancel()  # nothing, unless this task itself was cancelled
        if posting.cancelled():
            return Answer(Verdict.IN_DOUBT, "the gateway stopped before n8n had answered")
        return posting.result()

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
