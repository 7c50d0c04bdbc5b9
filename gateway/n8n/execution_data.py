"""What an execution's data says, as n8n's public API serves it: whose it is, and what came of it.

Everything in it may hold what users typed, or what anyone posted to another workflow.
"""

from collections.abc import Collection, Iterator, Set
from typing import Any

from gateway.n8n.error_messages import explain
from gateway.n8n.reports import Completed, Failed, InvalidReport, parse_report

UNFINISHED = frozenset({"new", "running", "waiting", "unknown"})
"""The statuses of an execution that may still bring a picture; ``new`` waits for a place or a worker."""


def outcome_of(
    execution: dict[str, Any], buckets: Set[str], secrets: Collection[str] = ()
) -> Completed | Failed | None:
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
        message, original = explain(reason, secrets)
        return Failed(message, None, execution_id, original=original)
    if status == "success":
        return None
    return Failed(f"The workflow {status or 'failed'}.", None, execution_id)


def has_items(execution: dict[str, Any]) -> bool:
    """Whether the execution's data holds what its trigger took: some versions of n8n save that at the end alone."""
    return any(True for _ in (*_items_in_order(execution), *_items_waiting(execution)))


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
