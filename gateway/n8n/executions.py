"""n8n's executions, asked before a request is given up (n8n's public API, `N8N_API_URL` and `N8N_API_KEY`).

A callback can be lost, and n8n's answer too; n8n itself knows what became of the workflow. An execution belongs to a
request if the payload that its webhook took names the request: everything else in an execution's data may hold what
users typed, and another user's request id is among the things that can be typed.
"""

import asyncio
import time
from collections.abc import Iterator, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx
import msgspec

from gateway.n8n.news import Completed, Failed, InvalidNews, clean_error, parse_news
from gateway.settings import Settings

ASK_SECONDS = 30.0
"""Longest time for one request's questions: below the lease under which they are asked."""

ANSWER_SECONDS = 10.0
"""Longest wait for one answer."""

MAX_ANSWER = 32 * 1024 * 1024
"""Most of an answer that is read, in bytes: an execution's data may hold its picture."""

MAX_PAGES = 4
PAGE = 250
"""n8n's own limit."""

MAX_CANDIDATES = 50
"""Most executions that are looked into for one request."""

CLOCKS_APART = timedelta(seconds=60)
"""Difference forgiven between n8n's clock and the database's."""

_UNFINISHED = {"new", "running", "waiting", "unknown"}


class ExecutionsUnavailable(Exception):
    """n8n does not answer, or does not let us ask."""


@dataclass(frozen=True, slots=True)
class Running:
    """n8n works on it."""

    execution_id: str


@dataclass(frozen=True, slots=True)
class Ended:
    """It is over; `news` is what the callback would have said."""

    execution_id: str
    news: Completed | Failed


class Executions:
    """n8n's memory of what it ran."""

    def __init__(self, settings: Settings) -> None:
        base = settings.n8n_api_url.rstrip("/")
        key = settings.n8n_api_key.get_secret_value() if settings.n8n_api_key else ""
        self._buckets = settings.allowed_buckets
        self._http = httpx.AsyncClient(
            base_url=base if base.endswith("/api/v1") else f"{base}/api/v1",
            headers={"X-N8N-API-KEY": key, "Accept-Encoding": "identity"},
            timeout=ANSWER_SECONDS,
            trust_env=False,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def try_out(self) -> None:
        """Read one execution's summary.

        Raises:
            ExecutionsUnavailable: we may not, or n8n is away.
        """
        if await self._get("/executions", {"limit": "1"}) is None:
            raise ExecutionsUnavailable("there is no such API")

    async def of_request(self, request_id: str, execution_id: str | None, sent_at: datetime) -> Running | Ended | None:
        """What became of the request's execution; None if n8n has none.

        Args:
            request_id: the request.
            execution_id: n8n's number for it, if it is known.
            sent_at: when the request was sent, by the database's clock.

        Raises:
            ExecutionsUnavailable: n8n cannot be asked.
        """
        try:
            return await self._find(request_id, execution_id, sent_at)
        except (KeyError, TypeError, ValueError, AttributeError) as error:  # JSON, but not n8n's
            raise ExecutionsUnavailable(f"an answer of an unexpected form ({type(error).__name__})") from error

    async def _find(self, request_id: str, execution_id: str | None, sent_at: datetime) -> Running | Ended | None:
        until = time.monotonic() + ASK_SECONDS
        if execution_id is not None and (found := await self._look_into(execution_id, request_id)) is not None:
            return found
        best: Running | Ended | None = None
        for candidate in await self._near(sent_at):
            if time.monotonic() > until:
                raise ExecutionsUnavailable("the search took too long")
            found = await self._look_into(candidate, request_id)
            if isinstance(found, Ended) and isinstance(found.news, Completed):
                return found
            best = found or best  # n8n lets people run an execution again: the last one counts, a picture above all
        return best

    async def _near(self, sent_at: datetime) -> list[str]:
        """The ids of executions that may have begun with a POST at `sent_at`, the likeliest first, bounded."""
        began: dict[str, datetime] = {}
        for query in ({"status": "running"}, {"status": "waiting"}, {}):  # without a status, running ones are left out
            async for execution in self._list(query, since=sent_at - CLOCKS_APART):
                began[str(execution["id"])] = datetime.fromisoformat(execution["startedAt"])
        return sorted(began, key=lambda candidate: abs(began[candidate] - sent_at))[:MAX_CANDIDATES]

    async def _list(self, query: dict[str, str], since: datetime) -> Any:  # noqa: ANN401 - an async iterator of JSON
        cursor = None
        for _ in range(MAX_PAGES):
            page = await self._get(
                "/executions", {**query, "limit": str(PAGE), **({"cursor": cursor} if cursor else {})}
            )
            for execution in page["data"] if page is not None else []:
                if not execution.get("startedAt"):
                    continue
                if datetime.fromisoformat(execution["startedAt"]) < since:
                    return  # newest first
                yield execution
            cursor = page.get("nextCursor") if page is not None else None
            if not cursor:
                return

    async def _look_into(self, execution_id: str, request_id: str) -> Running | Ended | None:
        execution = await self._get(f"/executions/{execution_id}", {"includeData": "true"})
        if execution is None or request_id not in set(_requests_of(execution)):
            return None
        if execution.get("status") in _UNFINISHED:
            return Running(execution_id)
        return Ended(execution_id, outcome_of(execution, self._buckets))

    async def _get(self, path: str, query: dict[str, str]) -> dict[str, Any] | None:
        try:
            async with self._http.stream("GET", path, params=query) as answer:
                if answer.status_code == 404:
                    return None
                if answer.status_code != 200:
                    raise ExecutionsUnavailable(f"n8n's API answered {answer.status_code}")
                content = bytearray()
                async for chunk in answer.aiter_raw():
                    content += chunk
                    if len(content) > MAX_ANSWER:
                        raise ExecutionsUnavailable(f"an answer of more than {MAX_ANSWER} bytes")
            found = await asyncio.to_thread(msgspec.json.decode, bytes(content))
        except (httpx.HTTPError, msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ExecutionsUnavailable(type(error).__name__) from error
        if not isinstance(found, dict):
            raise ExecutionsUnavailable("an answer that is no object")
        return found


def outcome_of(execution: dict[str, Any], buckets: Set[str]) -> Completed | Failed:
    """What a finished execution came to. A picture counts whatever came after it: perhaps only the callback failed."""
    execution_id = str(execution.get("id"))
    failure: object = None
    for item in reversed(list(_items_in_order(execution))):
        if isinstance(item.get("Key"), str) and isinstance(item.get("Id"), str):
            try:
                news = parse_news({**item, "status": "completed", "executionId": execution_id}, buckets)
            except InvalidNews as error:
                return Failed(f"The workflow's picture cannot be used: {error}", None, execution_id)
            assert isinstance(news, Completed), "it says so"  # noqa: S101
            return news
        if failure is None and item.get("error"):
            failure = item["error"]
    result = (execution.get("data") or {}).get("resultData") or {}
    status = execution.get("status")
    reason = result.get("error") or failure
    if reason:
        return Failed(clean_error(reason), None, execution_id)
    if status == "success":
        return Failed("The workflow ended without a picture.", None, execution_id)
    return Failed(f"The workflow {status or 'failed'}.", None, execution_id)


def _requests_of(execution: dict[str, Any]) -> Iterator[str]:
    """The requests that the execution's webhook took."""
    for item in (*_items_in_order(execution), *_items_waiting(execution)):
        body = item.get("body") if "webhookUrl" in item else None
        if isinstance(body, dict) and isinstance(named := body.get("requestId"), str):
            yield named.lower()


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
