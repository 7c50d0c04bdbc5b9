"""The deadline sweeper: ends what has passed its deadline without a word from n8n. Any number of processes may run one.

Where n8n's API may be used, n8n is asked before a request is given up, soon after its sending is in doubt, and now and
then while it is worked on: what has finished is recovered, what runs gets more time, what broke fails with its reason,
and what n8n does not have is sent again.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from structlog.contextvars import bind_contextvars

from gateway.n8n.execution_search import Ended, Finding, Lookup, Running
from gateway.n8n.executions import Executions, ExecutionsUnavailable
from gateway.n8n.put_off import ROW_ERRORS, PutOff
from gateway.n8n.reports import Completed, Failed, apply_report
from gateway.realtime.announcer import Announcer
from gateway.telemetry.logging import log_fields, reason_of
from storage import dispatch, probes, reads, transitions
from storage.database.base import Database
from storage.errors import DatabaseUnavailable, StatementRefused
from storage.lifecycle import Event, Status
from storage.probes import Probe

log = structlog.get_logger(__name__)

SWEEP_SECONDS = 1.0
"""How often the database is asked for overdue requests."""

BATCH = 100
"""Most requests failed in one sweep."""

PROBE_SECONDS = 5.0
"""How often n8n is asked: one search serves all requests that are due by then."""

MAX_PROBES = 100
"""Most requests about which n8n is asked in one search."""

PROBE_AGAIN_SECONDS = 30.0
"""Least pause before n8n is asked again about a request; it grows with the time that the request has taken."""

LONGEST_PAUSE_SECONDS = 300.0

DISPROVED_SECONDS = 30.0
"""How long after its sending a request of which n8n has no execution may be sent again: by then n8n, which creates an
execution before it does anything else, has seen the POST if it ever will."""

UNSEEN_ATTEMPTS = 2
"""How often a request may be sent by the word of an n8n that has shown no execution of ours yet: perhaps it is another
one, or its API key may not see the workflow."""

UNREACHABLE_SECONDS = 300.0
"""How long past its deadline a request waits for an n8n that cannot be asked: it may only be restarting."""

LONGEST_FACTOR = 4
"""A running execution gets more time up to so many times `AI_DEADLINE_SECONDS`: one that hangs must end some day."""

NOT_IN_TIME = "The image was not ready in time. Please try again."


class DeadlineSweeper:
    """One process's share of the sweeping and probing.

    Args:
        database: where the requests are.
        announcer: told of what changes.
        deadline_seconds: how long a request may take (`AI_DEADLINE_SECONDS`).
        attempts: how often a request may be sent (`N8N_ATTEMPTS`).
        executions: n8n's API, where it may be used.
    """

    def __init__(
        self,
        database: Database,
        announcer: Announcer,
        deadline_seconds: float,
        executions: Executions | None = None,
        *,
        attempts: int = 1,
    ) -> None:
        self._database = database
        self._announcer = announcer
        self._deadline_seconds = deadline_seconds
        self._executions = executions
        self._put_off = PutOff()
        self._attempts = attempts

    async def run(self) -> None:
        """Sweep and probe until cancelled. What n8n need not be asked about never waits for what it is asked."""
        async with asyncio.TaskGroup() as loops:
            loops.create_task(self._repeat(self.sweep, SWEEP_SECONDS, BATCH))
            if self._executions is not None:
                loops.create_task(self._repeat(self.probe, PROBE_SECONDS))

    async def _repeat(self, step: Callable[[], Awaitable[int]], pause: float, full: int | None = None) -> None:
        """Do `step` every `pause` seconds, and at once after one that found `full`."""
        while True:
            try:
                found = await step()
            except (DatabaseUnavailable, StatementRefused) as error:
                log.warning("sweep_failed", reason=reason_of(error))
                found = 0
            if full is None or found < full:
                await asyncio.sleep(pause)

    async def sweep(self) -> int:
        """Give up what is overdue and about which nobody can be asked; how many were found."""
        limit = BATCH + len(self._put_off)
        overdue = self._put_off.others(
            await reads.overdue(self._database, limit, unsent_only=self._executions is not None)
        )
        for request_id in overdue:
            try:
                await self._give_up(request_id, NOT_IN_TIME)
            except ROW_ERRORS as error:
                log.warning("deadline_not_recorded", request_id=request_id, reason=reason_of(error))
                self._put_off.add(request_id)
        return len(overdue)

    async def _give_up(self, request_id: str, message: str) -> None:
        applied = await transitions.fail(self._database, request_id, Event.DEADLINE_PASSED, message, actor="recovery")
        self._announcer.announce_change(applied, actor="recovery")

    async def probe(self) -> int:
        """Ask n8n about what is overdue, in doubt or silent; how many requests there were."""
        assert self._executions is not None, "nobody asks without it"  # noqa: S101
        taken = await probes.claim_probes(self._database, MAX_PROBES)
        if not taken:
            return 0
        try:
            found = await self._executions.of_requests(map(_lookup, taken))
        except ExecutionsUnavailable as error:
            log.warning("n8n_not_asked", reason=str(error), requests=len(taken))
            found = {}
        settled = await asyncio.gather(*(self._settle(probe, found) for probe in taken), return_exceptions=True)
        for outcome in settled:
            if isinstance(outcome, BaseException):
                raise outcome
        return len(taken)

    async def _settle(self, probe: Probe, found: dict[str, Finding | None]) -> None:
        request, overdue = probe.request, probe.overdue_seconds
        bind_contextvars(**log_fields(request))  # each probe has a task of its own
        if request.id not in found:
            if overdue >= UNREACHABLE_SECONDS:
                await self._give_up(request.id, f"{NOT_IN_TIME} n8n could not be asked what became of it.")
            else:
                await probes.postpone_probe(self._database, request.id, PROBE_AGAIN_SECONDS / 2)
            return
        finding = found[request.id]
        log.info("n8n_asked", found=type(finding).__name__, overdue=overdue >= 0)
        match finding:
            case Ended(_, Completed() | Failed() as report):
                await apply_report(self._database, self._announcer, request.id, report, actor="recovery")
            case Running(execution_id):
                await self._runs(probe, execution_id)
            case Ended() if overdue >= 0:
                await self._give_up(request.id, f"{NOT_IN_TIME} The workflow ended without a picture.")
            case None if overdue >= 0:
                await self._give_up(request.id, f"{NOT_IN_TIME} n8n has no execution of it.")
            case None if self._is_disproved(probe):
                await dispatch.send_disproved(self._database, request, actor="recovery")
            case _:
                await self._ask_later(probe)

    def _is_disproved(self, probe: Probe) -> bool:
        """Whether n8n's not knowing the request proves that its sending never reached it."""
        executions, request, attempts = self._executions, probe.request, self._attempts
        if executions is None or not executions.sees_our_workflow:
            attempts = min(attempts, UNSEEN_ATTEMPTS)
        return (
            (executions is None or executions.sees_queued)
            and request.status is Status.PENDING
            and request.n8n_execution_id is None
            and request.dispatch_attempts < attempts
            and _age(probe) >= DISPROVED_SECONDS
        )

    async def _ask_later(self, probe: Probe) -> None:
        pause = min(pause_before_asking(_age(probe)), -probe.overdue_seconds)
        await probes.postpone_probe(self._database, probe.request.id, max(0.0, pause))

    async def _runs(self, probe: Probe, execution_id: str) -> None:
        request, database = probe.request, self._database
        if request.status is Status.PENDING:
            applied = await transitions.start(
                database, request.id, Event.ACCEPTED, actor="recovery", execution_id=execution_id
            )
            self._announcer.announce_change(applied, actor="recovery")
        if probe.overdue_seconds < 0:
            # Whatever n8n answered may be lost, and perhaps no callback will come.
            await self._ask_later(probe)
            return
        deadline = self._deadline_seconds
        if _age(probe) >= LONGEST_FACTOR * deadline:
            await self._give_up(request.id, f"{NOT_IN_TIME} n8n still runs it.")
            return
        await probes.extend_deadline(database, request.id, deadline / 4, actor="recovery", execution_id=execution_id)


def pause_before_asking(age: float) -> float:
    """Seconds until n8n is asked again about a request that was sent `age` seconds ago."""
    return min(max(PROBE_AGAIN_SECONDS, age / 2), LONGEST_PAUSE_SECONDS)


def _lookup(probe: Probe) -> Lookup:
    request = probe.request
    return Lookup(request.id, request.n8n_execution_id, probe.sent_at, overdue=probe.overdue_seconds >= 0)


def _age(probe: Probe) -> float:
    """Seconds since the request was sent."""
    return (probe.now - probe.sent_at).total_seconds()
