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
from gateway.realtime.announcer import Announcer
from gateway.telemetry.logging import log_fields, reason_of
from storage import probes, reads, transitions
from storage.database.base import Database
from storage.errors import DatabaseUnavailable
from storage.lifecycle import Event, Status
from storage.probes import Probe

log = structlog.get_logger(__name__)

SWEEP_SECONDS = 1.0
"""How often the database is asked for overdue requests."""

BATCH = 100
"""Most requests failed in one look."""

MAX_PROBES = 10
"""Most requests about which n8n is asked at once."""

PROBE_AGAIN_SECONDS = 30.0
"""When n8n is asked again about a request of which it knows nothing yet: a POST may wait in its queue."""

UNREACHABLE_SECONDS = 300.0
"""How long past its deadline a request waits for an n8n that cannot be asked: it may only be restarting."""

LONGEST_FACTOR = 4
"""A running execution gets more time up to so many times `AI_DEADLINE_SECONDS`: one that hangs must end some day."""

NOT_IN_TIME = "The image was not ready in time. Please try again."


class DeadlineSweeper:
    """One process's watch over every request.

    Args:
        database: where the requests are.
        announcer: told of what changes.
        deadline_seconds: how long a request may take (`AI_DEADLINE_SECONDS`).
        executions: n8n's API, where it may be used.
    """

    def __init__(
        self, database: Database, announcer: Announcer, deadline_seconds: float, executions: Executions | None = None
    ) -> None:
        self._database = database
        self._announcer = announcer
        self._deadline_seconds = deadline_seconds
        self._executions = executions

    async def run(self) -> None:
        """Look until cancelled. What n8n need not be asked about never waits for what it is asked."""
        async with asyncio.TaskGroup() as looking:
            looking.create_task(self._keep(self.sweep, BATCH))
            if self._executions is not None:
                looking.create_task(self._keep(self.probe, MAX_PROBES))

    async def _keep(self, sweep: Callable[[], Awaitable[int]], full: int) -> None:
        while True:
            try:
                found = await sweep()
            except DatabaseUnavailable as error:
                log.warning("sweep_failed", reason=reason_of(error))
                found = 0
            if found < full:
                await asyncio.sleep(SWEEP_SECONDS)

    async def sweep(self) -> int:
        """Give up what is overdue and about which nobody can be asked; how many were found."""
        overdue = await reads.overdue(self._database, BATCH, unsent_only=self._executions is not None)
        for request_id in overdue:
            await self._give_up(request_id, NOT_IN_TIME)
        return len(overdue)

    async def _give_up(self, request_id: str, message: str) -> None:
        applied = await transitions.fail(self._database, request_id, Event.DEADLINE_PASSED, message, actor="recovery")
        self._announcer.announce_change(applied, actor="recovery")

    async def probe(self) -> int:
        """Ask n8n about what is overdue or in doubt; how many there were."""
        taken = await probes.claim_probes(self._database, MAX_PROBES)
        settled = await asyncio.gather(*map(self._settle, taken), return_exceptions=True)
        for outcome in settled:
            if isinstance(outcome, BaseException):
                raise outcome
        return len(taken)

    async def _settle(self, probe: Probe) -> None:
        assert self._executions is not None, "nobody asks without it"  # noqa: S101
        request, overdue = probe.request, probe.overdue_seconds
        bind_contextvars(**log_fields(request))  # each probe has a task of its own
        try:
            found = await self._executions.of_request(request.id, request.n8n_execution_id, probe.sent_at)
        except ExecutionsUnavailable as error:
            log.warning("n8n_not_asked", reason=str(error))
            if overdue >= UNREACHABLE_SECONDS:
                await self._give_up(request.id, f"{NOT_IN_TIME} n8n could not be asked what became of it.")
            else:
                await probes.postpone_probe(self._database, request.id, PROBE_AGAIN_SECONDS / 2)
            return
        log.info("n8n_asked", found=type(found).__name__, overdue=overdue >= 0)
        match found:
            case Ended(_, Completed() | Failed() as report):
                await apply_report(self._database, self._announcer, request.id, report, actor="recovery")
            case Running(execution_id):
                await self._runs(probe, execution_id)
            case Ended() if overdue >= 0:
                await self._give_up(request.id, f"{NOT_IN_TIME} The workflow ended without a picture.")
            case None if overdue >= 0:
                await self._give_up(request.id, f"{NOT_IN_TIME} n8n has no execution of it.")
            case _:
                await probes.postpone_probe(self._database, request.id, min(PROBE_AGAIN_SECONDS, -overdue))

    async def _runs(self, probe: Probe, execution_id: str) -> None:
        request, database = probe.request, self._database
        if request.status is Status.PENDING:
            applied = await transitions.start(
                database, request.id, Event.ACCEPTED, actor="recovery", execution_id=execution_id
            )
            self._announcer.announce_change(applied, actor="recovery")
        if probe.overdue_seconds < 0:
            # It was in doubt: whatever n8n answered is lost, and perhaps no callback will come.
            await probes.postpone_probe(database, request.id, min(PROBE_AGAIN_SECONDS, -probe.overdue_seconds))
            return
        deadline = self._deadline_seconds
        if (probe.now - probe.sent_at).total_seconds() >= LONGEST_FACTOR * deadline:
            await self._give_up(request.id, f"{NOT_IN_TIME} n8n still runs it.")
            return
        await probes.extend_deadline(database, request.id, deadline / 4, actor="recovery", execution_id=execution_id)
