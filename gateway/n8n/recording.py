"""What a verdict changes in the database, and how it gets there whatever the database does meanwhile.

Once a request is marked as being sent, only this process knows what came of the POST: a picture that was paid for, or a
proof that n8n did not start. So a verdict is written down again and again while the process lives.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable

import structlog

from gateway.n8n.answers import Answer, Verdict
from gateway.n8n.reports import Completed, apply_report
from gateway.n8n.retries import retry_delay
from gateway.realtime.announcer import Announcer
from gateway.settings import Settings
from gateway.telemetry.logging import reason_of
from storage import dispatch, transitions
from storage.database.base import Database
from storage.errors import DatabaseUnavailable
from storage.lifecycle import Event
from storage.request import Request

log = structlog.get_logger(__name__)

UNREGISTERED_SECONDS = 60.0
"""How long an unknown webhook may be n8n starting up; after that the workflow is not active."""

PAUSE_SECONDS = 0.5
"""Pause after the first write that failed; it doubles up to `LONGEST_PAUSE_SECONDS`."""

LONGEST_PAUSE_SECONDS = 5.0

HURRIED_PAUSE_SECONDS = 0.25
"""The pause while the process stops: little time is left."""

UNFORESEEN_ATTEMPTS = 3
"""How often a write that breaks for another reason than an absent database is tried; then a barer one is."""


class VerdictRecorder:
    """Writes verdicts down.

    Args:
        settings: how many attempts there are.
        database: where the requests are.
        announcer: told of what an answer changes.
        actor: who the timeline says did it.
    """

    def __init__(self, settings: Settings, database: Database, announcer: Announcer, *, actor: str) -> None:
        self._attempts = settings.n8n_attempts
        self._deadline_seconds = settings.ai_deadline_seconds
        self._database = database
        self._announcer = announcer
        self._actor = actor
        self._hurry = asyncio.Event()

    def hurry(self) -> None:
        """The process stops: try in quick succession from here on."""
        self._hurry.set()

    async def record(self, request: Request, lease: str, answer: Answer) -> None:
        """Write down what `answer` means for `request`; returns when it is written, or cannot be."""
        # A picture is tried in full for as long as the request may take: perhaps only its asset's table refuses.
        patience = self._deadline_seconds if isinstance(answer.report, Completed) else 0.0
        full = lambda: self._write(request, lease, answer)  # noqa: E731
        bare = lambda: self._write(request, lease, answer.bare())  # noqa: E731
        if not await self._retry(full, patience) and not await self._retry(bare):
            log.error("dispatch_unrecorded", verdict=answer.verdict.value)

    async def release(self, request: Request, lease: str) -> None:
        """End the lease: nothing was sent under it, and this process alone knows."""
        await self._retry(lambda: dispatch.release(self._database, request.id, lease))

    async def not_marked(self, request: Request, lease: str, reason: str) -> None:
        """Try later what broke before it was sent; end what does so again and again, or it would do so for ever."""
        if request.dispatch_attempts >= UNFORESEEN_ATTEMPTS:
            await self._retry(lambda: self._fail(request, Event.REFUSED, "The request could not be sent.", reason))
            return
        answer = Answer(Verdict.SEND_AGAIN, reason)
        await self._retry(lambda: self._send_again(request, lease, answer))  # unmarked, its lease runs out

    async def _retry(self, write: Callable[[], Awaitable[None]], patience: float = 0.0) -> bool:
        """Call `write`, which may be repeated, until it has written; whether it has.

        Args:
            write: what is to be written.
            patience: for how long, in seconds, it is repeated though something unforeseen is wrong with it.
        """
        unforeseen, began = 0, asyncio.get_running_loop().time()
        for attempt in itertools.count(1):
            try:
                await write()
            except DatabaseUnavailable as error:
                if attempt & (attempt - 1) == 0:  # the first, the second, the fourth, …
                    log.warning("dispatch_record_failed", attempt=attempt, reason=reason_of(error))
            except Exception:
                unforeseen += 1
                if unforeseen <= UNFORESEEN_ATTEMPTS:
                    log.exception("dispatch_record_broke", attempt=attempt)
                tired = asyncio.get_running_loop().time() - began >= patience
                if unforeseen >= UNFORESEEN_ATTEMPTS and (tired or self._hurry.is_set()):
                    return False
            else:
                return True
            await self._pause(attempt)
        raise AssertionError("unreachable")

    async def _pause(self, attempt: int) -> None:
        if self._hurry.is_set():
            await asyncio.sleep(HURRIED_PAUSE_SECONDS)
            return
        seconds = min(LONGEST_PAUSE_SECONDS, PAUSE_SECONDS * 2.0 ** min(attempt - 1, 10))
        try:
            async with asyncio.timeout(seconds):
                await self._hurry.wait()
        except TimeoutError:
            pass

    async def _write(self, request: Request, lease: str, answer: Answer) -> None:
        match answer.verdict:
            case Verdict.IN_DOUBT:
                await dispatch.record_in_doubt(self._database, request, lease, answer.reason)
            case Verdict.SEND_AGAIN | Verdict.UNREGISTERED:
                await self._send_again(request, lease, answer)
            case Verdict.REFUSED:
                await self._fail(request, Event.REFUSED, "The workflow refused the request.", answer.reason)
            case _ if answer.report is not None:
                await apply_report(self._database, self._announcer, request.id, answer.report, actor="n8n")
            case Verdict.RAN_AND_FAILED:
                await self._fail(request, Event.FAILED, answer.reason)
            case Verdict.ACCEPTED:
                applied = await transitions.start(
                    self._database, request.id, Event.ACCEPTED, actor=self._actor, execution_id=answer.execution_id
                )
                self._announcer.announce_change(applied, actor=self._actor)

    async def _send_again(self, request: Request, lease: str, answer: Answer) -> None:
        attempts = request.dispatch_attempts
        if attempts >= self._attempts:
            message = f"The workflow could not be reached in {attempts} attempts."
            await self._fail(request, Event.EXHAUSTED, message, answer.reason)
            return
        unregistered = answer.verdict is Verdict.UNREGISTERED
        if unregistered and await dispatch.seconds_unregistered(self._database, request.id) > UNREGISTERED_SECONDS:
            await self._fail(request, Event.REFUSED, "The workflow is not active.", answer.reason)
            return
        await dispatch.send_again(
            self._database,
            request.id,
            lease,
            delay=retry_delay(attempts),
            reason=answer.reason,
            unregistered=unregistered,
        )

    async def _fail(self, request: Request, event: Event, message: str, original: str | None = None) -> None:
        applied = await transitions.fail(
            self._database, request.id, event, message, actor=self._actor, original=original
        )
        self._announcer.announce_change(applied, actor=self._actor)
