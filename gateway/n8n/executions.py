"""n8n's executions, asked before a request is given up (n8n's public API, `N8N_API_URL` and `N8N_API_KEY`).

A callback can be lost, and n8n's answer too; n8n itself knows what became of the workflow. An execution belongs to a
request if the payload that its webhook took holds the request's id and its callback secret, which only the gateway
sends. Everything else in an execution's data may hold what users typed or what anyone posted to another workflow.
"""

import asyncio
import time
from collections.abc import Iterator, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from gateway.auth.callback_secrets import CallbackSecrets
from gateway.http_client import UnusableAnswer, ask, decode, new_client
from gateway.n8n.reports import Completed, Failed, InvalidReport, clean_error, parse_report
from gateway.settings import Settings

ASK_SECONDS = 30.0
"""Longest time for one request's questions; with the last answer below the lease under which they are asked."""

ANSWER_SECONDS = 10.0
"""Longest wait for one answer."""

MAX_ANSWER = 32 * 1024 * 1024
"""Most of an answer that is read, in bytes: an execution's data may hold its picture."""

MAX_PAGES = 4
PAGE = 250
"""n8n's own limit."""

MAX_CANDIDATES = 200
"""Most executions that are looked into for one request."""

CLOCKS_APART = timedelta(seconds=60)
"""Difference forgiven between n8n's clock and the database's."""

_UNFINISHED = {"new", "running", "waiting", "unknown"}


class ExecutionsUnavailable(Exception):
    """n8n does not answer, or does not let us ask.

    Args:
        reason: the sentence for logs and timelines.
        is_passing: whether asking again may help.
    """

    def __init__(self, reason: str, *, is_passing: bool = True) -> None:
        super().__init__(reason)
        self.is_passing = is_passing


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

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def try_out(self) -> None:
        """Read one execution's summary.

        Raises:
            ExecutionsUnavailable: we may not, or n8n is away.
        """
        try:
            found = await self._get("/executions", {"limit": "1"}, time.monotonic() + ASK_SECONDS)
        except UnusableAnswer as error:
            raise ExecutionsUnavailable(str(error)) from error
        if found is None:
            raise ExecutionsUnavailable("there is no such API")

    async def of_request(self, request_id: str, execution_id: str | None, sent_at: datetime) -> Running | Ended | None:
        """What became of the request's execution; None if n8n has none.

        Args:
            request_id: the request.
            execution_id: n8n's number for it, if it is known.
            sent_at: when the request was sent, by the database's clock.

        Raises:
            ExecutionsUnavailable: n8n cannot be asked, or has run so much that the search had to end early.
        """
        search = _Search(request_id, sent_at, time.monotonic() + ASK_SECONDS)
        try:
            return await self._find(search, execution_id)
        except UnusableAnswer as error:
            raise ExecutionsUnavailable(str(error)) from error
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:  # JSON, but not n8n's
            raise ExecutionsUnavailable(f"an answer of an unexpected form ({type(error).__name__})") from error

    async def stop(self, execution_id: str) -> None:
        """Stop a running execution, one that `of_request` has just found.

        Raises:
            ExecutionsUnavailable: it was not stopped.
        """
        until = time.monotonic() + ASK_SECONDS
        try:
            status, _ = await ask(self._http, "POST", f"/executions/{execution_id}/stop", most=MAX_ANSWER, until=until)
        except UnusableAnswer as error:
            raise ExecutionsUnavailable(str(error)) from error
        if status in (404, 405):  # the execution was there a moment ago, so it is the way to stop it that is not
            raise ExecutionsUnavailable("this n8n cannot stop executions (2.10 and newer can)", is_passing=False)
        if status in (401, 403):
            raise ExecutionsUnavailable("N8N_API_KEY may not stop executions", is_passing=False)
        if status != 200:
            raise ExecutionsUnavailable(f"n8n's API answered {status}")

    async def _find(self, search: "_Search", execution_id: str | None) -> Running | Ended | None:
        # n8n's API knows numbers only; whatever else a callback called its execution is no help here.
        if execution_id is not None and execution_id.isascii() and execution_id.isdigit():
            found = await self._look_into(execution_id, search)
            if found is not None:
                return found
        candidates, complete = await self._candidates(search)
        best: Running | Ended | None = None
        for candidate in candidates:
            found = await self._look_into(candidate, search)
            if isinstance(found, Ended) and isinstance(found.report, Completed):
                return found
            # n8n lets people run an execution again: a picture counts most, then a run that may still bring one.
            if found is not None and not isinstance(best, Running):
                best = found
        if best is None and not complete:
            raise ExecutionsUnavailable("n8n has run too much since to search it all")
        return best

    async def _candidates(self, search: "_Search") -> tuple[list[str], bool]:
        """The ids of executions that may have begun with our POST, the likeliest first, and whether these are all."""
        began: dict[str, datetime] = {}
        complete = True
        for query in ({"status": "running"}, {"status": "waiting"}, {}):  # without a status, running ones are left out
            found, whole = await self._list(query, search)
            began |= found
            complete = complete and whole
        nearest = sorted(began, key=lambda candidate: abs(began[candidate] - search.sent_at))
        return nearest[:MAX_CANDIDATES], complete and len(nearest) <= MAX_CANDIDATES

    async def _list(self, query: dict[str, str], search: "_Search") -> tuple[dict[str, datetime], bool]:
        """Executions since our POST and when they began, and whether these are all."""
        since = search.sent_at - CLOCKS_APART
        began: dict[str, datetime] = {}
        cursor = None
        for _ in range(MAX_PAGES):
            paging = {"limit": str(PAGE), **({"cursor": cursor} if cursor else {})}
            page = await self._get("/executions", {**query, **paging}, search.until)
            for execution in page["data"] if page is not None else []:
                # What waits for a place has not begun: it may be ours.
                started = execution.get("startedAt")
                moment = datetime.fromisoformat(started) if started else search.sent_at
                if moment < since:
                    return began, True  # newest first
                began[str(execution["id"])] = moment
            cursor = page.get("nextCursor") if page is not None else None
            if not cursor:
                return began, True
        return began, False

    async def _look_into(self, execution_id: str, search: "_Search") -> Running | Ended | None:
        execution = await self._get(f"/executions/{execution_id}", {"includeData": "true"}, search.until)
        if execution is None or not self._belongs(execution, search.request_id):
            return None
        if execution.get("status") in _UNFINISHED:
            return Running(execution_id)
        return Ended(execution_id, outcome_of(execution, self._buckets))

    def _belongs(self, execution: dict[str, Any], request_id: str) -> bool:
        """Whether the execution took our POST: it holds the request's id and its secret, which only we have sent."""
        return any(
            named == request_id and self._callback_secrets.opens(secret, request_id)
            for named, secret in payloads_of(execution)
        )

    async def _get(self, path: str, query: dict[str, str], until: float) -> dict[str, Any] | None:
        status, content = await ask(self._http, "GET", path, most=MAX_ANSWER, until=until, params=query)
        if status == 404:
            return None
        if status != 200:
            raise UnusableAnswer(f"n8n's API answered {status}")
        found = await asyncio.to_thread(decode, content)
        if not isinstance(found, dict):
            raise UnusableAnswer("an answer that is no object")
        return found


@dataclass(frozen=True, slots=True)
class _Search:
    request_id: str
    sent_at: datetime
    until: float
    """When the search must end (`time.monotonic`)."""


def outcome_of(execution: dict[str, Any], buckets: Set[str]) -> Completed | Failed | None:
    """What a finished execution came to; None if it went well and left no picture: somebody else may still bring it.

    A picture counts whatever came after it: perhaps only the callback failed.
    """
    execution_id = str(execution.get("id"))
    failure: object = None
    for item in reversed(list(_items_in_order(execution))):
        if isinstance(item.get("Key"), str) and isinstance(item.get("Id"), str):
            try:
                report = parse_report({**item, "status": "completed", "executionId": execution_id}, buckets)
            except InvalidReport as error:
                return Failed(f"The workflow's picture cannot be used: {error}", None, execution_id)
            assert isinstance(report, Completed), "it says so"  # noqa: S101
            return report
        if failure is None and item.get("error"):
            failure = item["error"]
    result = (execution.get("data") or {}).get("resultData") or {}
    status = execution.get("status")
    reason = result.get("error") or failure
    if reason:
        return Failed(clean_error(reason), None, execution_id)
    if status == "success":
        return None
    return Failed(f"The workflow {status or 'failed'}.", None, execution_id)


def payloads_of(execution: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The request and the secret in each payload that the execution's webhook took."""
    for item in (*_items_in_order(execution), *_items_waiting(execution)):
        body = item.get("body") if "webhookUrl" in item else None
        named, secret = (body.get("requestId"), body.get("callbackSecret")) if isinstance(body, dict) else (None, None)
        if isinstance(named, str) and isinstance(secret, str):
            yield named.lower(), secret


def _items_in_order(execution: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The JSON of every item that every node put out, in the order in which the nodes ran."""
    nodes = ((execution.get("data") or {}).get("resultData") or {}).get("runData") or {}
    runs = [run for node_runs in nodes.values() for run in node_runs if isinstance(run, dict)]
    for run in sorted(runs, key=lambda run: (run.get("startTime", 0), run.get("executionIndex", 0))):
        yield from _items(run.get("data"))


def _items_waiting(execution: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The JSON of the items that the next nodes are to take; a running execution may have nothing else yet."""
    for entry in ((execution.get("data") or {}).get("executionData") or {}).get("nodeExecutionStack") or []:
        yield from _items(entry.get("data"))


def _items(data: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - n8n's JSON
    for output in (data or {}).get("main") or []:
        for item in output or []:
            if isinstance(item, dict) and isinstance(item.get("json"), dict):
                yield item["json"]
