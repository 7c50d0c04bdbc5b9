"""Supabase Realtime's channels in the AsyncAPI document: frames of vsn 2.0.0, as arrays."""

import msgspec

from gateway.api.documents.schemas import Schema, ref
from gateway.realtime.supabase import messages
from gateway.realtime.supabase.bindings import EVENTS, SCHEMA, TABLE
from gateway.realtime.supabase.endpoint import PATH
from gateway.realtime.supabase.session import HEARTBEAT_TOPIC

_REF: Schema = {"type": ["string", "integer", "null"]}
_TOPIC: Schema = {"type": "string", "pattern": f"^{messages.TOPIC_PREFIX}"}

_BINDING: Schema = {
    "type": "object",
    "description": "What to be told of. The filter is id=eq.<uuid> or user_id=eq.<uuid>; without it, all own rows.",
    "properties": {
        "event": {"enum": list(EVENTS)},
        "schema": {"const": SCHEMA},
        "table": {"const": TABLE},
        "filter": {"type": "string"},
    },
    "required": ["event", "schema", "table"],
}

_CHANGES: Schema = {
    "type": "object",
    "properties": {
        "ids": {"type": "array", "items": {"type": "integer"}},
        "data": {
            "type": "object",
            "properties": {
                "schema": {"const": SCHEMA},
                "table": {"const": TABLE},
                "type": {"enum": ["INSERT", "UPDATE"]},
                "commit_timestamp": {"type": "string", "format": "date-time"},
                "columns": {"type": "array", "items": {"type": "object", "required": ["name", "type"]}},
                "record": {**ref("Body"), "description": "The Body, and beside it the row's columns in snake_case."},
                "old_record": {"type": "object", "properties": {"id": {"type": "string"}}},
                "errors": {"type": "null"},
            },
            "required": ["schema", "table", "type", "commit_timestamp", "columns", "record", "errors"],
        },
    },
    "required": ["ids", "data"],
}


def _frame(event: str, payload: Schema, topic: Schema = _TOPIC) -> Schema:
    """``[join_ref, ref, topic, event, payload]``."""
    return {
        "type": "array",
        "prefixItems": [_REF, _REF, topic, {"const": event}, payload],
        "minItems": 5,
        "maxItems": 5,
    }


_PUSHES: dict[str, Schema] = {
    "JoinPush": _frame("phx_join", ref("Join")),
    "LeavePush": _frame("phx_leave", {"type": "object"}),
    "AccessTokenPush": _frame("access_token", ref("AccessToken")),
    "HeartbeatPush": _frame("heartbeat", {"type": "object"}, {"const": HEARTBEAT_TOPIC}),
}
_ANSWERS: dict[str, Schema] = {
    "ReplyMessage": _frame("phx_reply", ref("Reply"), {"type": "string"}),
    "SystemMessage": _frame("system", ref("System")),
    "ChangesMessage": _frame("postgres_changes", _CHANGES),
    "ErrorMessage": _frame("phx_error", ref("Empty")),
    "CloseMessage": _frame("phx_close", ref("Empty"), {"type": "string"}),
}

NAMES = (*_PUSHES, *_ANSWERS)


def channel() -> Schema:
    """The channel, at the path where Supabase's clients look for it."""
    return {
        "address": PATH,
        "description": (
            "Supabase Realtime's `postgres_changes`, for its own clients. `vsn` in the query chooses between these "
            "arrays (2.0.0) and objects with the same parts (1.0.0, also when it is absent)."
        ),
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in NAMES},
    }


def operations() -> Schema:
    """What clients push, and what they are told."""
    return {
        name: {
            "action": action,
            "channel": {"$ref": "#/channels/supabase"},
            "messages": [{"$ref": f"#/channels/supabase/messages/{message}"} for message in names],
        }
        for name, action, names in (("push", "receive", _PUSHES), ("tell", "send", _ANSWERS))
    }


def schemas() -> Schema:
    """The frames, and the payloads from the types that the code itself uses."""
    types = [messages.Join, messages.AccessToken, messages.Reply, messages.System, messages.Empty]
    _, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    components["JoinConfig"]["properties"]["postgres_changes"]["items"] = _BINDING
    return {**components, **_PUSHES, **_ANSWERS}
