"""Cancellations, after the answer to who asked for one: requests that are due to be canceled by themselves, and
executions of n8n that work on for nothing.

n8n is asked through its public API (``POST /executions/{id}/stop``, since n8n 2.10), off every request's path, within
bounds, and by one process at a time. The execution is looked up as for recovery, so nothing is stopped that did not
take our POST, and one whose number nobody knew yet is found. Whatever comes of it, the request is canceled already.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from structlog.contextvars import bind_contextvars

from gateway.n8n.execution_search import Ended, Finding, Lookup, Running
from gateway.n8n.executions import Executions, ExecutionsUnavailable
from gateway.n8n.put_off import ROW_ERRORS, PutOff
from gateway.n8n.reports import Completed, apply_report
from gateway.realtime.announcer import Announcer
from gateway.telemetry.logging import log_fields, reason_of
from storage import cancellations
from storage.cancellations import Stop
from storage.database.base import Database
from storage.errors import DatabaseUnavailable, StatementRefused

log = structlog.get_logger(__name__)

DRAIN_POLL_SECONDS = 1.0
"""How often the database is asked for what is to be canceled or stopped."""

BATCH = 100
"""Most requests canceled in one look."""

MAX_STOPS = 10
"""Most executions that n8n is asked about at once."""

STOP_AGAIN_SECONDS = 5.0
"""When n8n is asked again: an execution takes a moment to appear, and n8n may only be restarting."""

STOP_WITHIN_SECONDS = 120.0
"""How long after the cancellation n8n is asked at most."""

ACTOR = "cancellation"


class Cancellations:
    """One process's share of canceling.

    Args:
        database: where the requests are.
        announcer: told of what changes.
        executions: n8n's API, where it may be used.
    """

    def __init__(self, database: Database, announcer: Announcer, executions: Executions | None = None) -> None:
        self._database = database
        self._announcer = announcer
        self._executions = executions
        self._put_off = PutOff()

    async def run(self) -> None:
        """Look until cancelled. What is due never waits for n8n."""
        async with asyncio.TaskGroup() as looking:
            looking.create_task(self._keep(self.cancel_due, BATCH))
            looking.create_task(self._keep(self.stop, MAX_STOPS))

    async def _keep(self, look: Callable[[], Awaitable[int]], full: int) -> None:
        while True:
            try:
                found = await look()
            except (DatabaseUnavailable, StatementRefused) as error:
                log.warning("cancellations_failed", reason=reason_of(error))
                found = 0
            if found < full:
                await asyncio.sleep(DRAIN_POLL_SECONDS)

    async def cancel_due(self) -> int:
        """Cancel what was submitted with a `Cancel-After` that has passed; how many were found."""
        due = self._put_off.others(await cancellations.due(self._database, BATCH + len(self._put_off)))
        for request_id in due:
            try:
                applied = await cancellations.cancel(self._database, request_id, actor=ACTOR)
            except ROW_ERRORS as error:
                log.warning("cancellation_not_recorded", request_id=request_id, reason=reason_of(error))
                self._put_off.add(request_id)
            else:
                self._announcer.announce_change(applied, actor=ACTOR)
        return len(due)

    async def stop(self) -> int:
        """Ask n8n to stop what it runs for canceled requests; how many there were."""
        stops = await cancellations.claim_stops(self._database, MAX_STOPS)
        if not stops:
            return 0
        found: dict[str, Finding | None] = {}
        if self._executions is not None:
            try:
                found = await self._executions.of_requests(map(_lookup, stops))
            except ExecutionsUnavailable as error:
                log.warning("n8n_not_asked", reason=str(error), requests=len(stops))
        settled = await asyncio.gather(*(self._settle(stop, found) for stop in stops), return_exceptions=True)
        for outcome in settled:
            if isinstance(outcome, BaseException):
                raise outcome
        return len(stops)

    async def _settle(self, stop: Stop, found: dict[str, Finding | None]) -> None:
        request = stop.request
        bind_contextvars(**log_fields(request))  # each has a task of its own
        if self._executions is None:
            await self._end(stop, "not_stopped", "N8N_API_URL is not set")
            return
        match found.get(request.id):
            case Running(execution_id):
                await self._stop(stop, execution_id, self._executions)
            case Ended(execution_id, report):
                if isinstance(report, Completed):  # the picture exists and was paid for
                    await apply_report(self._database, self._announcer, request.id, report, actor=ACTOR)
                await self._end(stop, "not_stopped", "its execution had ended", execution_id)
            case None:
                asked = request.id in found
                await self._again(stop, "n8n has no execution of it" if asked else "n8n could not be asked")

    async def _stop(self, stop: Stop, execution_id: str, executions: Executions) -> None:
        try:
            await executions.stop(execution_id)
        except ExecutionsUnavailable as error:
            log.warning("n8n_not_stopped", reason=str(error), execution=execution_id)
            await self._again(stop, str(error), final=not error.is_passing)
        else:
            await self._end(stop, "stopped", None, execution_id)

    async def _again(self, stop: Stop, reason: str, *, final: bool = False) -> None:
        if final or stop.canceled_seconds >= STOP_WITHIN_SECONDS:
            await self._end(stop, "not_stopped", reason)
        else:
            await cancellations.postpone_stop(self._database, stop.request.id, STOP_AGAIN_SECONDS)

    async def _end(self, stop: Stop, kind: str, reason: str | None, execution_id: str | None = None) -> None:
        detail: dict[str, object] = {"reason": reason, "executionId": execution_id}
        await cancellations.end_stop(self._database, stop.request.id, kind, detail, actor=ACTOR)
        log.info("n8n_stop", outcome=kind, reason=reason, execution=execution_id)


def _lookup(stop: Stop) -> Lookup:
    request = stop.request
    # As if overdue: n8n's number alone is no proof that the execution is this request's.
    return Lookup(request.id, request.n8n_execution_id, stop.sent_at, overdue=True)
