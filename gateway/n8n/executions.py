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
from datetime import datetime
from typing import Any

import structlog

from gateway.auth.callback_secrets import CallbackSecrets
from gateway.auth.redaction import secrets_of
from gateway.http_client import UnusableAnswer, ask, decode, new_client
from gateway.n8n.api_budget import BYTES_PER_MINUTE, CALLS_PER_MINUTE, ApiBudget
from gateway.n8n.execution_data import UNFINISHED, has_items, outcome_of, payloads_of
from gateway.n8n.execution_search import Ended, Finding, Known, Lookup, Running, Search, Summary, summary_of
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


class ExecutionsUnavailable(Exception):
    """n8n does not answer, or does not let us ask.

    Args:
        reason: the sentence for logs and timelines.
        is_passing: whether asking again may help.
    """

    def __init__(self, reason: str, *, is_passing: bool = True) -> None:
        super().__init__(reason)
        self.is_passing = is_passing


class Executions:
    """n8n's memory of what it ran."""

    def __init__(self, settings: Settings, callback_secrets: CallbackSecrets) -> None:
        self._settings = settings
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
        self._known: OrderedDict[tuple[str, datetime | None], Known] = OrderedDict()
        self._workflows: set[str] = set()
        """The workflows that took our requests: theirs are examined first."""
        self.sees_queued = True
        """False once n8n was caught hiding what waits for a place or a worker: 2.8 does not know that status, and in
        queue mode newer ones leave out what their process holds. That no execution is found proves nothing then."""

    @property
    def sees_our_workflow(self) -> bool:
        """Whether any of our requests has been found: then this is the right n8n, and the key may see the workflow."""
        return bool(self._workflows)

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

    async def of_requests(self, lookups: Iterable[Lookup]) -> dict[str, Finding | None]:
        """What became of each request's execution, by the request's id.

        None says that n8n has no execution of it. A request that is missing could not be found out about this time:
        n8n has run so much, or holds so much data, that the search had to end early.

        Raises:
            ExecutionsUnavailable: n8n cannot be asked, or was asked enough for now.
        """
        if not self._budget.is_worth_a_search:
            raise ExecutionsUnavailable("it has been asked enough for now")
        search = Search({lookup.request_id: lookup for lookup in lookups}, time.monotonic() + ASK_SECONDS)
        try:
            await self._list(search)
            await self._add_unlisted(search)
            await self._examine(search)
            await self._look_for_hidden(search)
        except UnusableAnswer as error:
            raise ExecutionsUnavailable(str(error)) from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:  # JSON, but not n8n's
            raise ExecutionsUnavailable(f"an answer of an unexpected form ({type(error).__name__})") from error
        return search.findings()

    async def stop(self, execution_id: str) -> None:
        """Stop a running execution, one that `of_requests` has just found.

        Raises:
            ExecutionsUnavailable: it was not stopped.
        """
        until = time.monotonic() + ASK_SECONDS
        try:
            status, _ = await ask(self._http, "POST", f"/executions/{execution_id}/stop", most=MAX_ANSWER, until=until)
        except UnusableAnswer as error:
            raise ExecutionsUnavailable(str(error)) from error
        finally:
            metrics.N8N_API_CALLS.labels("stop").inc()
        if status in (404, 405):  # the execution was there a moment ago, so it is the way to stop it that is not
            raise ExecutionsUnavailable("this n8n cannot stop executions (2.10 and newer can)", is_passing=False)
        if status in (401, 403):
            raise ExecutionsUnavailable("N8N_API_KEY may not stop executions", is_passing=False)
        if status != 200:
            raise ExecutionsUnavailable(f"n8n's API answered {status}")

    async def _list(self, search: Search) -> None:
        """Fill `search` with the executions that may have begun with one of its POSTs."""
        for status in ("running", "waiting", "new", None):  # without a status, running ones are left out
            cursor = None
            for _ in range(MAX_PAGES):
                query = {"limit": str(PAGE), **({"status": status} if status else {})}
                page = await self._get(
                    "list", "/executions", {**query, **({"cursor": cursor} if cursor else {})}, search.until
                )
                if page is None:
                    self.sees_queued = False
                    break  # an n8n that does not know this status
                if search.add(page["data"]):
                    break  # newest first: the rest began before
                cursor = page.get("nextCursor")
                if not cursor:
                    break
            else:
                search.is_complete = False

    async def _add_unlisted(self, search: Search) -> None:
        """Add those whose number is known and that the listing did not reach."""
        for lookup in search.lookups.values():
            # n8n's API knows numbers only; whatever else a callback called its execution is no help here.
            named = lookup.execution_id
            if named is None or named in search.listed or not (named.isascii() and named.isdigit()):
                continue
            if self._budget.is_spent:
                search.is_complete = False
                return
            execution = await self._get("execution", f"/executions/{named}", {}, search.until)
            if execution is not None:
                search.listed[named] = summary_of(execution)
                if search.listed[named].status == "new":
                    self.sees_queued = False

    async def _examine(self, search: Search) -> None:
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

    async def _look_for_hidden(self, search: Search) -> None:
        """Before finding none counts as a proof: what waits for a worker is in no listing, and found by its number."""
        if search.is_answered or not search.is_complete or not self.sees_queued:
            return
        if search.has_gap or self._budget.is_spent:
            search.is_complete = False
            return
        execution = await self._get("execution", f"/executions/{search.newest + 1}", {}, search.until)
        if execution is not None:
            search.is_complete = False  # it may be ours
            self.sees_queued = execution.get("status") != "new"

    def _recall(self, summary: Summary) -> Known | None:
        known = self._known.get((summary.id, summary.began_at))
        if known is None or known.status != summary.status:
            return None
        self._known.move_to_end((summary.id, summary.began_at))
        return known

    async def _read(self, summary: Summary, until: float) -> Known | None:
        """Fetch the execution's data and remember what it says; None if it could not be had."""
        try:
            execution = await self._get("execution", f"/executions/{summary.id}", {"includeData": "true"}, until)
            known = Known(summary.status, None, None) if execution is None else self._understand(summary, execution)
        except UnusableAnswer as error:
            log.warning("n8n_execution_unreadable", execution_id=summary.id, reason=str(error))
            if error.received <= MAX_ANSWER:
                return None
            known = Known(summary.status, None, None, is_clear=False)  # it will be as large the next time
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            log.warning("n8n_execution_unreadable", execution_id=summary.id, reason=type(error).__name__)
            known = Known(summary.status, None, None, is_clear=False)
        self._known[summary.id, summary.began_at] = known
        while len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)
        if known.owner is not None and summary.workflow_id is not None:
            self._workflows.add(summary.workflow_id)
        return known

    def _understand(self, summary: Summary, execution: dict[str, Any]) -> Known:
        # It took our POST if it holds a request's id and that request's secret, which only we have sent.
        owner = next(
            (named for named, secret in payloads_of(execution) if self._callback_secrets.opens(secret, named)), None
        )
        status = str(execution.get("status"))
        unfinished = status in UNFINISHED
        if owner is None:
            return Known(summary.status, None, None, is_clear=not unfinished or has_items(execution))
        secrets = secrets_of(owner, self._settings, self._callback_secrets)
        ended = None if unfinished else outcome_of(execution, self._buckets, secrets)
        finding = Running(summary.id) if unfinished else Ended(summary.id, ended)
        return Known(status, owner, finding)

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
