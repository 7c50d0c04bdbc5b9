"""Bindings: which changes of which rows a channel is to be told of."""

from dataclasses import dataclass
from typing import Any, Literal

from gateway.ids import parse_id
from gateway.realtime.supabase.messages import JoinRefused

SCHEMA = "public"
TABLE = "ai_image_requests"

EVENTS = ("INSERT", "UPDATE", "*")
"""The events that can be bound. Rows are never deleted here, so nobody could be told of it."""


@dataclass(frozen=True, slots=True)
class Binding:
    """One `postgres_changes` binding of a channel.

    Attributes:
        id: what its events carry, as JSON.
        request_id: the one request it is about; None for all of the user's.
        user_id: the owner whom the filter names, if it names one.
    """

    id: bytes
    event: Literal["INSERT", "UPDATE", "*"]
    request_id: str | None
    user_id: str | None

    def is_about(self, request_id: str) -> bool:
        """Whether changes of the request concern it."""
        return self.request_id is None or self.request_id == request_id


def parse_binding(asked: dict[str, Any], binding_id: int) -> Binding:
    """The binding that a client asks for.

    Raises:
        JoinRefused: another table, event or filter than is offered here.
    """
    event, schema, table, condition = (asked.get(name) for name in ("event", "schema", "table", "filter"))
    if schema != SCHEMA or table != TABLE:
        raise _refused(f"only changes of {SCHEMA}.{TABLE} are offered")
    if event not in EVENTS:
        raise _refused(f"the event must be one of {', '.join(EVENTS)}")
    request_id, user_id = _parse_filter(condition)
    return Binding(b"%d" % binding_id, event, request_id, user_id)


def _parse_filter(condition: object) -> tuple[str | None, str | None]:
    """The request's and the owner's id in a filter. Without a filter it is about all own rows, as with row level
    security."""
    if condition is None or condition == "":
        return None, None
    column, _, value = condition.partition("=eq.") if isinstance(condition, str) else ("", "", "")
    parsed = parse_id(value)
    if parsed is None or column not in ("id", "user_id"):
        raise _refused("the filter must be id=eq.<uuid> or user_id=eq.<uuid>")
    return (parsed, None) if column == "id" else (None, parsed)


def _refused(reason: str) -> JoinRefused:
    return JoinRefused(f"RealtimeDisabledForConfiguration: Unable to subscribe to changes: {reason}", for_ever=True)
