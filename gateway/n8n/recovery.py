"""The watch: ends what has passed its deadline without a word from n8n. Any number of processes may run one.

Where n8n's API may be used, n8n is asked before a request is given up, and soon after its sending is in doubt: what has
finished is recovered, what runs gets more time, what is lost fails with its reason.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from structlog.contextvars import bind_contextvars

from gateway.n8n.executions import Ended, Executions, ExecutionsUnavailable, Running
from gateway.n8n.reports import Completed, Failed, apply_report
from gateway.state import Gateway, log_fields
from storage import probes, reads, transitions
from storage.errors import DatabaseUnavailable
from storage.lifecycle import Event, Status
from storage.probes import Probe

log = structlog.get_logger(__name__)

LOOK_SECONDS = 1.0
"""How often the database is asked for overdue requests."""

BATCH = 100
"""Most requests failed in one look."""

CLAIM_PROBES = 10
"""Most requests about which n8n is asked at once."""

AGAIN_SECONDS = 30.0
"""When n8n is asked again about a request of which it knows nothing yet: a POST may wait in its queue."""

UNREACHABLE_SECONDS = 300.0
"""How long past its deadline a request waits for an n8n that cannot be asked: it may only be restarting."""

LONGEST_FACTOR = 4
"""A running execution gets more time up to so many times `AI_DEADLINE_SECONDS`: one that hangs must end some day."""

NOT_IN_TIME = "The image was not ready in time. Please try again."


class DeadlineSweeper:
    """One process's watch over every request.

    Args:
        gateway: the process.
        executions: n8n's API, where it may be used.
    """

    def __init__(self, gateway: Gateway, executions: Executions | None = None) -> None:
        self._gateway = gateway
        self._executions = executions

    async def run(self) -> None:
        """Look until cancelled. What n8n need not be asked about never waits for what it is asked."""
        async with asyncio.TaskGroup() as looking:
            looking.create_task(self._keep(self.look, BATCH))
            if self._executions is not None:
                looking.create_task(self._keep(self.ask, CLAIM_PROBES))

    async def _keep(self, look: Callable[[], Awaitable[int]], full: int) -> None:
        while True:
            try:
                found = await look()
            except DatabaseUnavailable as error:
                log.warning("watch_failed", reason=str(error)[:200])
                found = 0
            if found < full:
                await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> int:
        """Give up what is overdue and about which nobody can be asked; how many were found."""
        overdue = await reads.overdue(self._gateway.database, BATCH, unsent_only=self._executions is not None)
        for request_id in overdue:
            await self._give_up(request_id, NOT_IN_TIME)
        return len(overdue)

    async def _give_up(self, request_id: str, message: str) -> None:
        applied = await transitions.fail(
            self._gateway.database, request_id, Event.DEADLINE_PASSED, message, actor="watch"
        )
        self._gateway.announce_change(applied, actor="watch")

    async def ask(self) -> int:
        """Ask n8n about what is overdue or in doubt; how many there were."""
        taken = await probes.claim_probes(self._gateway.database, CLAIM_PROBES)
        settled = await asyncio.gather(*map(self._settle, taken), return_exceptions=True)
        for outcome in settled:
            if isinstance(outcome, BaseException):
                raise outcome
        return len(taken)

    async def _settle(self, question: Probe) -> None:
        assert self._executions is not None, "nobody asks without it"  # noqa: S101
        request, overdue = question.request, question.overdue_seconds
        bind_contextvars(**log_fields(request))  # each question has a task of its own
        try:
            found = await self._executions.of_request(request.id, request.n8n_execution_id, question.sent_at)
        except ExecutionsUnavailable as error:
            log.warning("n8n_not_asked", reason=str(error))
            if overdue >= UNREACHABLE_SECONDS:
                await self._give_up(request.id, f"{NOT_IN_TIME} n8n could not be asked what became of it.")
            else:
                await probes.postpone_probe(self._gateway.database, request.id, AGAIN_SECONDS / 2)
            return
        log.info("n8n_asked", found=type(found).__name__, overdue=overdue >= 0)
        match found:
            case Ended(_, Completed() | Failed() as report):
                await apply_report(self._gateway, request.id, report, actor="watch")
            case Running(execution_id):
                await self._runs(question, execution_id)
            case Ended() if overdue >= 0:
                await self._give_up(request.id, f"{NOT_IN_TIME} The workflow ended without a picture.")
            case None if overdue >= 0:
                await self._give_up(request.id, f"{NOT_IN_TIME} n8n has no execution of it.")
            case _:
                await probes.postpone_probe(self._gateway.database, request.id, min(AGAIN_SECONDS, -overdue))

    async def _runs(self, question: Probe, execution_id: str) -> None:
        request, database = question.request, self._gateway.database
        if request.status is Status.PENDING:
            applied = await transitions.start(
                database, request.id, Event.ACCEPTED, actor="watch", execution_id=execution_id
            )
            self._gateway.announce_change(applied, actor="watch")
        if question.overdue_seconds < 0:
            # It was in doubt: whatever n8n answered is lost, and perhaps no callback will come.
            await probes.postpone_probe(database, request.id, min(AGAIN_SECONDS, -question.overdue_seconds))
            return
        deadline = self._gateway.settings.ai_deadline_seconds
        if (question.now - question.sent_at).total_seconds() >= LONGEST_FACTOR * deadline:
            await self._give_up(request.id, f"{NOT_IN_TIME} n8n still runs it.")
            return
        await probes.extend_deadline(database, request.id, deadline / 4, actor="watch", execution_id=execution_id)
