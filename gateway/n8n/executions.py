"""n8n's executions, asked before a request is given up (n8n's public API, `N8N_API_URL` and `N8N_API_KEY`).

A callback can be lost, and n8n's answer too; n8n itself knows what became of the workflow. An execution belongs to a
request if the payload that its webhook took holds the request's id and its callback secret, which only the gateway
sends.

Executions are large (one may hold its picture) and many. So one listing serves every request that waits, an execution's
data is fetched once for each status that it has, and all of it together stays within a budget.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from gateway.auth.callback_secrets import CallbackSecrets
from gateway.http_client import UnusableAnswer, ask, decode, new_client
from gateway.n8n.api_budget import BYTES_PER_MINUTE, CALLS_PER_MINUTE, ApiBudget
from gateway.n8n.execution_data import UNFINISHED, has_items, outcome_of, payloads_of
from gateway.n8n.reports import Completed, Failed
from gateway.settings import Settings
from gateway.telemetry import metrics

log = structlog.get_logger(__name__)

ASK_SECONDS = 30.0
"""Longest time for one search; with the last answer below the lease under which it is made."""

ANSWER_SECONDS = 10.0
"""Longest wait for one answer."""

MAX_ANSWER = 32 * 1024 * 1024
"""Most of an answer that is read, in bytes: an execution's data may hold its picture."""

MAX_PAGES = 4
PAGE = 250
"""n8n's own limit."""

MAX_CANDIDATES = 200
"""Most executions whose data is fetched in one search."""

MAX_BROKEN = 3
"""So many executions in a row that cannot be read end a search."""

MAX_KNOWN = 10_000
"""Most executions that are remembered, a few hundred bytes each."""

CLOCKS_APART = timedelta(seconds=60)
"""Difference forgiven between n8n's clock and the database's."""

_OTHER_MODES = frozenset({"trigger", "error", "cli", "internal", "integrated", "evaluation", "chat"})
"""How executions begin that no POST to a webhook began."""


class ExecutionsUnavailable(Exception):
    """n8n does not answer, or does not let us ask."""


@dataclass(frozen=True, slots=True)
class Running:
    """n8n works on it."""

    execution_id: str


@dataclass(frozen=True, slots=True)
class Ended:
    """It is over; `report` is what the callback would have said."""

    execution_id: str
    report: Completed | Failed | None
    """None: it went well, and left no picture."""


Finding = Running | Ended


@dataclass(frozen=True, slots=True)
class Question:
    """What became of this request?"""

    request_id: str
    execution_id: str | None
    """n8n's number for it, if it is known."""
    sent_at: datetime
    """When the request was sent, by the database's clock."""
    overdue: bool = False
    """Whether the answer decides: then n8n's number alone is not believed, for n8n may have numbered anew."""


@dataclass(frozen=True, slots=True)
class _Summary:
    """An execution as it is listed."""

    id: str
    status: str
    began_at: datetime | None
    workflow_id: str | None


@dataclass(frozen=True, slots=True)
class _Known:
    """What was once read of an execution."""

    status: str
    owner: str | None
    """The request whose POST it took; None if it is none of ours."""
    finding: Finding | None
    is_clear: bool = True
    """False: its data could not be read, or does not hold yet what its webhook took."""


class Executions:
    """n8n's memory of what it ran."""

    def __init__(self, settings: Settings, callback_secrets: CallbackSecrets) -> None:
        self._callback_secrets = callback_secrets
        base = settings.n8n_api_url.rstrip("/")
        key = settings.n8n_api_key.get_secret_value() if settings.n8n_api_key else ""
        self._buckets = settings.allowed_buckets
        self._http = new_client(
            base_url=base if base.endswith("/api/v1") else f"{base}/api/v1",
            headers={"X-N8N-API-KEY": key, "Accept-Encoding": "identity"},
            timeout=ANSWER_SECONDS,
        )
        self._budget = ApiBudget(CALLS_PER_MINUTE, BYTES_PER_MINUTE)
        self._known: OrderedDict[tuple[str, datetime | None], _Known] = OrderedDict()
        self._workflows: set[str] = set()
        """The workflows that took our requests: theirs are looked into first."""

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def try_out(self) -> None:
        """Read one execution's summary.

        Raises:
            ExecutionsUnavailable: we may not, or n8n is away.
        """
        try:
            found = await self._get("list", "/executions", {"limit": "1"}, time.monotonic() + ASK_SECONDS)
        except UnusableAnswer as error:
            raise ExecutionsUnavailable(str(error)) from error
        if found is None:
            raise ExecutionsUnavailable("there is no such API")

    async def of_requests(self, questions: Iterable[Question]) -> dict[str, Finding | None]:
        """What became of each request's execution, by the request's id.

        None says that n8n has no execution of it. A request that is missing could not be found out about this time:
        n8n has run so much, or holds so much data, that the search had to end early.

        Raises:
            ExecutionsUnavailable: n8n cannot be asked, or was asked enough for now.
        """
        if not self._budget.is_worth_a_search:
            raise ExecutionsUnavailable("it has been asked enough for now")
        search = _Search({question.request_id: question for question in questions}, time.monotonic() + ASK_SECONDS)
        try:
            await self._list(search)
            await self._add_unlisted(search)
        except UnusableAnswer as error:
            raise ExecutionsUnavailable(str(error)) from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:  # JSON, but not n8n's
            raise ExecutionsUnavailable(f"an answer of an unexpected form ({type(error).__name__})") from error
        await self._look_into(search)
        return search.findings()

    async def _list(self, search: "_Search") -> None:
        """Fill `search` with the executions that may have begun with one of its POSTs."""
        for status in ("running", "waiting", "new", None):  # without a status, running ones are left out
            cursor = None
            for _ in range(MAX_PAGES):
                query = {"limit": str(PAGE), **({"status": status} if status else {})}
                page = await self._get(
                    "list", "/executions", {**query, **({"cursor": cursor} if cursor else {})}, search.until
                )
                if page is None:
                    break  # an n8n that does not know this status
                if search.add(page["data"]):
                    break  # newest first: the rest began before
                cursor = page.get("nextCursor")
                if not cursor:
                    break
            else:
                search.is_complete = False

    async def _add_unlisted(self, search: "_Search") -> None:
        """Add those whose number is known and that the listing did not reach."""
        for question in search.questions.values():
            # n8n's API knows numbers only; whatever else a callback called its execution is no help here.
            named = question.execution_id
            if named is None or named in search.listed or not (named.isascii() and named.isdigit()):
                continue
            if self._budget.is_spent:
                search.is_complete = False
                return
            execution = await self._get("execution", f"/executions/{named}", {}, search.until)
            if execution is not None:
                search.listed[named] = _summary_of(execution)

    async def _look_into(self, search: "_Search") -> None:
        fetched = broken = 0
        for summary in search.candidates(self._workflows):
            if search.is_answered:
                return
            if search.take_by_number(summary):
                continue
            known = self._recall(summary)
            if known is None:
                if fetched >= MAX_CANDIDATES or broken >= MAX_BROKEN or self._budget.is_spent:
                    search.is_complete = False
                    continue  # what is known already still counts
                fetched += 1
                known = await self._read(summary, search.until)
                broken = broken + 1 if known is None else 0
            search.take(known)

    def _recall(self, summary: _Summary) -> _Known | None:
        known = self._known.get((summary.id, summary.began_at))
        if known is None or known.status != summary.status:
            return None
        self._known.move_to_end((summary.id, summary.began_at))
        return known

    async def _read(self, summary: _Summary, until: float) -> _Known | None:
        """Fetch the execution's data and remember what it says; None if it could not be had."""
        try:
            execution = await self._get("execution", f"/executions/{summary.id}", {"includeData": "true"}, until)
            known = _Known(summary.status, None, None) if execution is None else self._understand(summary, execution)
        except UnusableAnswer as error:
            log.warning("n8n_execution_unreadable", execution_id=summary.id, reason=str(error))
            if error.received <= MAX_ANSWER:
                return None
            known = _Known(summary.status, None, None, is_clear=False)  # it will be as large the next time
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            log.warning("n8n_execution_unreadable", execution_id=summary.id, reason=type(error).__name__)
            known = _Known(summary.status, None, None, is_clear=False)
        self._known[summary.id, summary.began_at] = known
        while len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)
        if known.owner is not None and summary.workflow_id is not None:
            self._workflows.add(summary.workflow_id)
        return known

    def _understand(self, summary: _Summary, execution: dict[str, Any]) -> _Known:
        # It took our POST if it holds a request's id and that request's secret, which only we have sent.
        owner = next(
            (named for named, secret in payloads_of(execution) if self._callback_secrets.opens(secret, named)), None
        )
        status = str(execution.get("status"))
        unfinished = status in UNFINISHED
        if owner is None:
            return _Known(summary.status, None, None, is_clear=not unfinished or has_items(execution))
        finding = Running(summary.id) if unfinished else Ended(summary.id, outcome_of(execution, self._buckets))
        return _Known(status, owner, finding)

    async def _get(self, kind: str, path: str, query: dict[str, str], until: float) -> dict[str, Any] | None:
        """The object at `path`; None if there is none, or n8n does not know what was asked for."""
        received = 0
        try:
            status, content = await ask(self._http, "GET", path, most=MAX_ANSWER, until=until, params=query)
            received = len(content)
        except UnusableAnswer as error:
            received = error.received
            raise
        finally:
            self._budget.spend(received)
            metrics.N8N_API_CALLS.labels(kind).inc()
            metrics.N8N_API_BYTES.inc(received)
        if status == 404 or (status == 400 and query.get("status") == "new"):
            return None
        if status != 200:
            raise UnusableAnswer(f"n8n's API answered {status}")
        found = await asyncio.to_thread(decode, content)
        if not isinstance(found, dict):
            raise UnusableAnswer("an answer that is no object")
        return found


class _Search:
    """One search: the questions, what is listed, and what has been found."""

    def __init__(self, questions: dict[str, Question], until: float) -> None:
        self.questions = questions
        self.until = until
        """When it must end (`time.monotonic`)."""
        self.listed: dict[str, _Summary] = {}
        self.is_complete = True
        """Whether no execution has been left out: only then does finding none prove that there is none."""
        self._since = (
            min((question.sent_at for question in questions.values()), default=datetime.now(UTC)) - CLOCKS_APART
        )
        self._found: dict[str, Finding] = {}

    def add(self, executions: list[dict[str, Any]]) -> bool:
        """Add a page of the listing; whether what follows began before all of our POSTs."""
        for execution in executions:
            summary = _summary_of(execution)
            if summary.began_at is not None and summary.began_at < self._since:
                return True
            if execution.get("mode") not in _OTHER_MODES:
                self.listed[summary.id] = summary  # the last status that was listed counts
        return False

    def candidates(self, workflows: set[str]) -> list[_Summary]:
        """What is listed, the likeliest first."""
        named = {question.execution_id for question in self.questions.values()}
        sent = [question.sent_at for question in self.questions.values()]

        def unlikeliness(summary: _Summary) -> tuple[bool, bool, timedelta]:
            began_at = summary.began_at
            apart = timedelta() if began_at is None else min(abs(began_at - moment) for moment in sent)
            return summary.id not in named, summary.workflow_id not in workflows, apart

        return sorted(self.listed.values(), key=unlikeliness)

    @property
    def is_answered(self) -> bool:
        """Whether there is nothing better to be found."""
        return len(self._found) == len(self.questions) and all(map(_has_picture, self._found.values()))

    def take_by_number(self, summary: _Summary) -> bool:
        """Whether n8n's number says enough: that one works on a request which has time."""
        if summary.status not in UNFINISHED:
            return False
        of = [question for question in self.questions.values() if question.execution_id == summary.id]
        if not of or any(question.overdue for question in of):
            return False
        for question in of:
            self._found.setdefault(question.request_id, Running(summary.id))
        return True

    def take(self, known: _Known | None) -> None:
        """Count what an execution says."""
        if known is None or not known.is_clear:
            self.is_complete = False
        if known is None or known.owner not in self.questions or known.finding is None:
            return
        # n8n lets people run an execution again: a picture counts most, then a run that may still bring one.
        before = self._found.get(known.owner)
        if _has_picture(known.finding) or not (_has_picture(before) or isinstance(before, Running)):
            self._found[known.owner] = known.finding

    def findings(self) -> dict[str, Finding | None]:
        """What was found; where nothing was, None if that proves something."""
        none: dict[str, Finding | None] = dict.fromkeys(self.questions) if self.is_complete else {}
        return none | self._found


def _has_picture(finding: Finding | None) -> bool:
    return isinstance(finding, Ended) and isinstance(finding.report, Completed)


def _summary_of(execution: dict[str, Any]) -> _Summary:
    started = execution.get("startedAt")  # what waits for a place has not begun: it may be ours
    began_at = datetime.fromisoformat(started) if started else None
    if began_at is not None and began_at.tzinfo is None:
        began_at = began_at.replace(tzinfo=UTC)
    workflow_id = execution.get("workflowId")
    return _Summary(
        str(execution["id"]), str(execution.get("status")), began_at, None if workflow_id is None else str(workflow_id)
    )
