"""Bindings: which changes of which rows a channel is to be told of."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple

import msgspec

from gateway.ids import parse_id
from gateway.realtime.subscriber import MAX_SEEN
from gateway.realtime.supabase.messages import JoinRefused
from gateway.realtime.update import Update

SCHEMA = "public"
TABLE = "ai_image_requests"

EVENTS = ("INSERT", "UPDATE", "*")
"""The events that can be bound. Rows are never deleted here, so nobody could be told of it."""


CLOCK_SECONDS = 60.0
"""How far the database's clock and ours may differ. What was made so shortly before a join was read by it."""


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


class Events(NamedTuple):
    """The ids of the bindings that see an INSERT in an update, and of those that see an UPDATE."""

    inserted: list[bytes]
    updated: list[bytes]


class Bindings:
    """All bindings of a channel, and which of them see what in an update.

    Versions may be skipped, so a request's first one need not be what is seen first of it: an INSERT is whatever is
    first seen of a request that was made since the join.
    """

    __slots__ = ("_bindings", "_joined_at", "_old", "all_own", "request_ids")

    def __init__(self, bindings: list[Binding]) -> None:
        self._bindings = bindings
        self.request_ids = list(dict.fromkeys(b.request_id for b in bindings if b.request_id is not None))
        """The requests that are bound one by one."""
        self.all_own = any(binding.request_id is None for binding in bindings)
        """Whether all of the user's are."""
        self._joined_at = 0.0
        self._old: dict[str, None] = {}
        """Requests made about the time of the join or since, whose INSERT is told already or is none."""

    def __len__(self) -> int:
        return len(self._bindings)

    def answer_to(self, asked: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The bindings as the client sent them, each with its id."""
        return [{**sent, "id": int(made.id)} for sent, made in zip(asked, self._bindings, strict=True)]

    def are_of(self, user_id: str) -> bool:
        """Whether no filter names another user."""
        return all(binding.user_id in (None, user_id) for binding in self._bindings)

    def begin(self, joined_at: float, updates: Iterable[Update]) -> None:
        """From now on (Unix seconds), requests that are not among `updates` may be new."""
        self._joined_at = joined_at
        for update in updates:
            self.inserted(update.request_id)

    def inserted(self, request_id: str) -> None:
        """The request is known: nothing that comes of it is an INSERT."""
        self._old[request_id] = None
        if len(self._old) > MAX_SEEN:
            del self._old[next(iter(self._old))]

    def events_of(self, update: Update) -> Events:
        """Who sees what in the update. Of a new request's later version, INSERT and UPDATE are told both."""
        events = Events([], [])
        new: bool | None = None
        for binding in self._bindings:
            if not binding.is_about(update.request_id):
                continue
            if binding.event == "UPDATE":
                if update.version > 1:
                    events.updated.append(binding.id)
                continue
            if new is None:
                new = self._is_new(update)
            if new:
                events.inserted.append(binding.id)
            elif binding.event == "*":
                events.updated.append(binding.id)
        return events

    def shown(self, update: Update) -> list[bytes]:
        """The ids of the bindings that are shown the row as it is, as an UPDATE."""
        return [b.id for b in self._bindings if b.event != "INSERT" and b.is_about(update.request_id)]

    def _is_new(self, update: Update) -> bool:
        if update.request_id in self._old:
            return False
        return update.version == 1 or _created_at(update) > self._joined_at - CLOCK_SECONDS


class _Created(msgspec.Struct, rename="camel"):
    created_at: str


_decode_created = msgspec.json.Decoder(_Created).decode


def _created_at(update: Update) -> float:
    """When the request was made, in Unix seconds."""
    return datetime.fromisoformat(_decode_created(update.body).created_at).timestamp()


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
