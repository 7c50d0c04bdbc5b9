"""What the gateway and n8n have said to each other about a request, without the secrets in it."""

from collections.abc import Sequence
from typing import Any

from gateway.api.documents.schemas import TEXT, Schema, object_of
from gateway.auth.redaction import secrets_of, text_without
from gateway.n8n.webhook import payload_of
from gateway.state import State
from storage.administration import Timeline, TimelineEntry
from storage.lifecycle import Event
from storage.request import Request
from storage.times import rfc3339

EXCHANGE: Schema = object_of(
    sent={"type": ["object", "null"], "additionalProperties": TEXT},
    reported={"type": "array", "items": object_of(at=TEXT, report={"type": "object"})},
)

_STATUSES = {
    Event.ACCEPTED: "accepted",
    Event.PROGRESSED: "processing",
    Event.COMPLETED: "completed",
    Event.FAILED: "failed",
}
"""The events that n8n's answers, callbacks and executions cause, and each one's status in its report."""

_FIELDS = {"key": "Key", "id": "Id"}
"""Details of an event that have another name in a report."""


def exchange_of(found: Timeline, state: State) -> dict[str, Any]:
    """What was sent, null if nothing was yet; and what was reported, oldest first."""
    was_sent = found.sent_at is not None or any(entry.kind == "sending" for entry in found.events)
    return {
        "sent": payload_of(found.request, state.settings) if was_sent else None,
        "reported": [
            {"at": rfc3339(entry.at), "report": _report(entry)} for entry in found.events if entry.kind in _STATUSES
        ],
    }


def _report(entry: TimelineEntry) -> dict[str, Any]:
    return {
        "status": _STATUSES[Event(entry.kind)],
        **{_FIELDS.get(name, name): value for name, value in entry.detail.items() if name != "assetRefused"},
    }


def without_secrets(shown: Any, request: Request, state: State) -> Any:  # noqa: ANN401 - whatever JSON holds
    """`shown` with every secret in its texts left out: n8n's words may quote what it was sent."""
    return _without(secrets_of(request.id, state.settings, state.callback_secrets), shown)


def _without(secrets: Sequence[str], shown: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
    if isinstance(shown, str):
        return text_without(secrets, shown)
    if isinstance(shown, dict):
        return {name: _without(secrets, value) for name, value in shown.items()}
    if isinstance(shown, list):
        return [_without(secrets, value) for value in shown]
    return shown
