"""JSON Schemas of what the gateway takes and gives, made from the types that the code itself uses."""

from typing import Any

import msgspec

from gateway.realtime.websocket import messages
from storage.request import Body

Schema = dict[str, Any]


class UpdateMessage(messages.Message, tag="update"):
    """A request's newest Body. Its version is higher than any that this connection has seen of the request."""

    request: Body


COMMANDS = (messages.Auth, messages.Subscribe, messages.Unsubscribe, messages.Ping)
MESSAGES = (
    messages.Welcome,
    messages.Authenticated,
    messages.Subscribed,
    UpdateMessage,
    messages.Unsubscribed,
    messages.Pong,
    messages.Expiring,
    messages.Drain,
    messages.Error,
)


def schemas() -> Schema:
    """The JSON Schemas of the Body and of every message, by name."""
    types = [Body, *COMMANDS, *MESSAGES]
    _, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    # The snapshot holds Bodies, which the code carries as bytes.
    components["Subscribed"]["properties"]["requests"]["items"] = ref("Body")
    components["ApiError"] = {
        "type": "object",
        "description": "A refusal: a sentence for people and a word for machines.",
        "properties": {"error": {"type": "string"}, "code": {"type": "string", "pattern": "^[a-z0-9_]+$"}},
        "required": ["error", "code"],
        "additionalProperties": False,
    }
    return components


def ref(name: str) -> Schema:
    """A reference to one of `schemas`."""
    return {"$ref": f"#/components/schemas/{name}"}


def content(schema: Schema, description: str) -> Schema:
    """A JSON answer."""
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def errors(*statuses: tuple[int, str]) -> Schema:
    """Refusals: what each status means."""
    return {str(status): content(ref("ApiError"), description) for status, description in statuses}


def parameter(name: str, where: str, description: str, schema: Schema, *, required: bool = False) -> Schema:
    """A parameter; `where` is query, header or path."""
    return {"name": name, "in": where, "description": description, "required": required, "schema": schema}


def json_body(schema: Schema, *, required: bool = True) -> Schema:
    """A JSON request body."""
    body: Schema = {"content": {"application/json": {"schema": schema}}}
    return {"required": True, **body} if required else body


def trimmed_text(most: int, *, may_be_empty: bool = False) -> Schema:
    """Text of 1 (or 0) to `most` characters, between white space that does not count."""
    text = rf"\S([\s\S]{{0,{most - 2}}}\S)?"
    return {"type": "string", "pattern": rf"^\s*({text})?\s*$" if may_be_empty else rf"^\s*{text}\s*$"}


def object_of(**properties: Schema) -> Schema:
    """An object with exactly these properties."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def page_of(name: str, item: Schema, **more: Schema) -> Schema:
    """The answers of an endpoint that lists something, and says `more` of it."""
    page = object_of(**{name: {"type": "array", "items": item}, "nextCursor": MAYBE_TEXT, **more})
    return {
        "200": content(page, "A page; `nextCursor` is null on the last one."),
        **errors((400, "An unusable parameter.")),
        **READ_ERRORS,
    }


COUNT: Schema = {"type": "integer"}
TEXT: Schema = {"type": "string"}
UUID_OR_EMPTY: Schema = {"anyOf": [{"type": "string", "format": "uuid"}, {"const": ""}]}
MAYBE_TEXT: Schema = {"type": ["string", "null"]}
READ_ERRORS = errors(
    (401, "No good credential."), (403, "A cookie from a foreign page."), (503, "Briefly unavailable.")
)
REQUEST_ID = parameter("request_id", "path", "The request.", {"type": "string"}, required=True)
FLAG: Schema = {"type": "boolean"}
USER: list[Schema] = [{"bearer": []}, {"session": []}]
