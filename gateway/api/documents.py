"""`/api/openapi.json` and `/api/asyncapi.json`: what there is, made from the types that the code itself uses."""

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway import __version__
from gateway.realtime import messages
from gateway.realtime.close_codes import CloseCode
from gateway.responses import json_response
from storage.lifecycle import Status
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
    components["Subscribed"]["properties"]["requests"]["items"] = _ref("Body")
    components["ApiError"] = {
        "type": "object",
        "description": "A refusal: a sentence for people and a word for machines.",
        "properties": {"error": {"type": "string"}, "code": {"type": "string", "pattern": "^[a-z0-9_]+$"}},
        "required": ["error", "code"],
        "additionalProperties": False,
    }
    return components


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(schema: Schema, description: str) -> Schema:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _errors(*statuses: tuple[int, str]) -> Schema:
    return {str(status): _json(_ref("ApiError"), description) for status, description in statuses}


def _parameter(name: str, where: str, description: str, schema: Schema, *, required: bool = False) -> Schema:
    return {"name": name, "in": where, "description": description, "required": required, "schema": schema}


def _object(**properties: Schema) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _page(name: str, item: Schema) -> Schema:
    """The answers of an endpoint that lists something."""
    page = _object(**{name: {"type": "array", "items": item}, "nextCursor": _MAYBE_TEXT})
    return {
        "200": _json(page, "A page; `nextCursor` is null on the last one."),
        **_errors((400, "An unusable parameter.")),
        **_READ_ERRORS,
    }


_TEXT: Schema = {"type": "string"}
_MAYBE_TEXT: Schema = {"type": ["string", "null"]}
_READ_ERRORS = _errors(
    (401, "No good credential."), (403, "A cookie from a foreign page."), (503, "Briefly unavailable.")
)
_REQUEST_ID = _parameter("request_id", "path", "The request.", {"type": "string"}, required=True)
_PAGING = [
    _parameter("limit", "query", "Most entries (20).", {"type": "integer", "minimum": 1, "maximum": 100}),
    _parameter("cursor", "query", "The last page's `nextCursor`.", {"type": "string"}),
]
_NAME = {"type": "string", "minLength": 1, "maxLength": 200}
_FLAG = {"type": "boolean"}
_USER: list[Schema] = [{"bearer": []}, {"session": []}]
_NUMBER = {"type": ["number", "string", "null"]}


def openapi() -> Schema:
    """The HTTP endpoints (OpenAPI 3.1)."""
    generate: Schema = {
        "summary": "Submit a request",
        "description": "Answers once the request is durable. It is sent to n8n within a second.",
        "security": _USER,
        "parameters": [
            _parameter(
                "Idempotency-Key",
                "header",
                "For 24 hours, the same key and body mean the same request.",
                {"type": "string", "minLength": 1, "maxLength": 255},
            )
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "properties": {
                            "Product": _NAME,
                            "Your Brand": _NAME,
                            "organizationId": {"type": ["string", "null"], "format": "uuid"},
                        },
                        "required": ["Product", "Your Brand"],
                    }
                }
            },
        },
        "responses": {
            "202": _json(
                {
                    "type": "object",
                    "properties": {
                        "requestId": {"type": "string", "format": "uuid"},
                        "status": {"const": "pending"},
                        "message": {"type": "string"},
                    },
                    "required": ["requestId", "status", "message"],
                },
                "Accepted; `Location`, `RateLimit-Policy` and `RateLimit` come along.",
            ),
            **_errors(
                (400, "A missing or unusable field, or no organization."),
                (401, "No good credential."),
                (402, "The organization's budget for the month is spent; `Retry-After` says when it renews."),
                (403, "Not a member of the organization, or a cookie from a foreign page."),
                (408, "The body did not arrive in time."),
                (413, "The body is larger than 64 KiB."),
                (415, "Not application/json."),
                (422, "The Idempotency-Key was used with another body."),
                (429, "The hour's quota is used up; `Retry-After` says when there is room."),
                (503, "Briefly unavailable."),
            ),
        },
    }
    generate_sync = generate | {
        "summary": "Submit a request and wait for its end",
        "description": "With `AI_GENERATION_MODE=sync`, `/api/ai-generate` does this too.",
        "responses": generate["responses"]
        | {
            "200": _json(_ref("Body"), "Completed."),
            "202": _json(_ref("Body"), "Not final within `AI_SYNC_TIMEOUT_SECONDS`: it goes on, see `Location`."),
            "500": _json(
                {
                    "type": "object",
                    "properties": {"error": {"type": "string"}, "code": {"type": "string"}, "request": _ref("Body")},
                    "required": ["error", "code", "request"],
                },
                "The generation failed.",
            ),
        },
    }
    amount: Schema = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?$"}
    maybe_amount: Schema = {"type": ["string", "null"]}
    history = {
        "summary": "Own requests, newest first",
        "security": _USER,
        "parameters": [_parameter("status", "query", "Only these.", {"enum": list(Status)}), *_PAGING],
        "responses": _page("requests", _ref("Body")),
    }
    assets = {
        "summary": "Own assets, newest first",
        "security": _USER,
        "parameters": _PAGING,
        "responses": _page(
            "assets",
            _object(
                id=_TEXT,
                name=_TEXT,
                type=_TEXT,
                format=_MAYBE_TEXT,
                status=_MAYBE_TEXT,
                fileUrl=_MAYBE_TEXT,
                requestId=_TEXT,
                product=_TEXT,
                brand=_TEXT,
                createdAt=_TEXT,
            ),
        ),
    }
    number: Schema = {"type": "integer"}
    organization = _object(organizationId=_TEXT, budget=maybe_amount, committed=amount, remaining=maybe_amount)
    usage = {
        "summary": "Own costs of this month (UTC) and remaining limits",
        "security": _USER,
        "responses": {
            "200": _json(
                _object(
                    limit=_object(quota=number, remaining=number, windowSeconds=number, resetSeconds=number),
                    month=_object(spent=amount, reserved=amount),
                    organizations={"type": "array", "items": organization},
                    typicalSeconds={"type": ["number", "null"]},
                ),
                "`typicalSeconds` is the median of the last completions.",
            ),
            **_READ_ERRORS,
        },
    }
    image = {
        "summary": "The picture of a private bucket",
        "parameters": [
            _REQUEST_ID,
            _parameter("token", "path", "What makes the URL unguessable.", {"type": "string"}, required=True),
        ],
        "responses": {
            "302": {"description": "`Location` is a signed URL that soon ends."},
            **_errors((404, "No such picture."), (503, "The object store, or the database, is briefly unavailable.")),
        },
    }
    status = {
        "summary": "Read a request",
        "security": _USER,
        "parameters": [
            _REQUEST_ID,
            _parameter(
                "wait",
                "query",
                "Seconds to wait for something newer than `version` (or than If-None-Match names).",
                {"type": "integer", "minimum": 0, "maximum": 60},
            ),
            _parameter("version", "query", "The version already seen.", {"type": "integer", "minimum": 0}),
            _parameter("If-None-Match", "header", 'The ETag already seen, `"v<version>"`.', {"type": "string"}),
        ],
        "responses": {
            "200": _json(_ref("Body"), "The request; its `ETag` is its version."),
            "304": {"description": "Nothing newer than If-None-Match names."},
            **_errors(
                (400, "An unusable parameter."),
                (401, "No good credential."),
                (403, "A cookie from a foreign page."),
                (404, "Unknown, another user's, or no id at all."),
                (429, "Too many open connections."),
                (503, "Briefly unavailable, or overloaded."),
            ),
        },
    }
    events = {
        "summary": "Watch a request by Server-Sent Events",
        "description": "`id` is the version, `event` is `update`, `data` is the Body. Ends after a final status.",
        "security": _USER,
        "parameters": [
            _REQUEST_ID,
            _parameter("Last-Event-ID", "header", "The version already seen.", {"type": "string"}),
        ],
        "responses": {
            "200": {"description": "The stream.", "content": {"text/event-stream": {"schema": {"type": "string"}}}},
            "204": {"description": "Final, and already seen: do not come back."},
            **_errors(
                (401, "No good credential."),
                (403, "A cookie from a foreign page."),
                (404, "As above."),
                (429, "Too many open connections."),
                (503, "Briefly unavailable, or overloaded."),
            ),
        },
    }
    callback = {
        "summary": "Report on a request (n8n)",
        "security": [{"callbackSecret": []}],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "properties": {
                            "requestId": {"type": "string"},
                            "status": {"enum": ["processing", "completed", "failed"]},
                            "Key": {"type": "string"},
                            "Id": {"type": "string"},
                            "error": {"description": "Anything; cleaned and cut to 2,000 characters."},
                            "progress": _NUMBER,
                            "cost": _NUMBER,
                            "executionId": {"type": ["string", "integer"]},
                        },
                    }
                }
            },
        },
        "responses": {
            "200": _json(
                {
                    "type": "object",
                    "properties": {"success": {"const": True}, "duplicate": _FLAG, "ignored": _FLAG},
                    "required": ["success"],
                    "additionalProperties": False,
                },
                "Taken. `duplicate`: it was already so. `ignored`: it came too late.",
            ),
            **_errors(
                (400, "Missing or wrong fields."),
                (401, "No good secret."),
                (404, "There is no such request."),
                (409, "Completed with another Key or Id."),
                (503, "Briefly unavailable."),
            ),
        },
    }
    probe = {"type": "object", "properties": {"status": {"type": "string"}}, "required": ["status"]}
    return {
        "openapi": "3.1.0",
        "info": {"title": "AI Image Gateway", "version": __version__, "license": {"name": "MIT", "identifier": "MIT"}},
        "paths": {
            "/api/ai-generate": {"post": generate},
            "/api/ai-generate-sync": {"post": generate_sync},
            "/api/ai-callback": {"post": callback},
            "/api/ai-status/{request_id}": {"get": status},
            "/api/ai-requests": {"get": history},
            "/api/assets": {"get": assets},
            "/api/usage": {"get": usage},
            "/api/ai-images/{request_id}/{token}": {"get": image},
            **_administration(),
            "/api/ai-status/{request_id}/events": {"get": events},
            "/healthz": {"get": {"summary": "Liveness", "responses": {"200": _json(probe, "The process answers.")}}},
            "/readyz": {
                "get": {
                    "summary": "Readiness",
                    "responses": {"200": _json(probe, "Ready."), "503": _json(probe, "`checks` says what is not.")},
                }
            },
            "/metrics": {
                "get": {
                    "summary": "Prometheus metrics",
                    "responses": {
                        "200": {"description": "Metrics.", "content": {"text/plain": {"schema": {"type": "string"}}}},
                        **_errors((401, "`METRICS_TOKEN` is set, and this was not it.")),
                    },
                }
            },
            "/api/openapi.json": {"get": _document("This document")},
            "/api/asyncapi.json": {"get": _document("The WebSocket's document")},
        },
        "components": {
            "schemas": schemas(),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "A Supabase access token."},
                "session": {"type": "apiKey", "in": "cookie", "name": "sb-<ref>-auth-token"},
                "callbackSecret": {"type": "apiKey", "in": "header", "name": "X-Callback-Secret"},
            },
        },
    }


def _administration() -> Schema:
    """The endpoints of administrators."""
    count, text, when = {"type": "integer"}, _TEXT, _MAYBE_TEXT
    seconds: Schema = {"type": ["number", "null"]}
    statuses = dict.fromkeys(("requests", *Status), count)
    shown: Schema = {
        "allOf": [_ref("Body")],
        "properties": {
            "userId": text,
            "organizationId": text,
            "executionId": _MAYBE_TEXT,
            "retryOf": _MAYBE_TEXT,
            "attempts": count,
        },
    }
    event = _object(at=text, version=count, kind=text, actor=text, detail={"type": "object"})
    days = _parameter("days", "query", "How far back (7).", {"type": "integer", "minimum": 1, "maximum": 90})
    errors = _READ_ERRORS | _errors((403, "Not an administrator, or a cookie from a foreign page."))
    one = errors | _errors((404, "Unknown."))
    stats = _object(
        days=count,
        totals=_object(**statuses, cost=text),
        successRate=seconds,
        seconds=_object(mean=seconds, p50=seconds, p95=seconds),
        errors={"type": "object", "additionalProperties": count},
        byHour={"type": "array", "items": _object(hour=text, **statuses, cost=text)},
        byDay={"type": "array", "items": _object(day=text, **statuses, cost=text)},
        byUser={"type": "array", "items": _object(userId=text, requests=count, cost=text)},
        byOrganization={"type": "array", "items": _object(organizationId=text, requests=count, cost=text)},
        queue=_object(waiting=count, sending=count, processing=count, stuck=count, oldestSeconds={"type": "number"}),
        connections=count,
        processes=count,
        callbackFailures=count,
        dispatchFailures=count,
        alerts={
            "type": "array",
            "items": _object(name=text, summary=text, count=count, since=text, endedAt=when),
        },
    )
    filters = [
        _parameter("status", "query", "Only these.", {"enum": [*Status, "stuck"]}),
        _parameter("organizationId", "query", "Only this organization's.", {"type": "string", "format": "uuid"}),
        _parameter("userId", "query", "Only this user's.", {"type": "string", "format": "uuid"}),
        _parameter("q", "query", "Words in product or brand.", {"type": "string", "maxLength": 200}),
        _parameter("since", "query", "Not before.", {"type": "string", "format": "date-time"}),
        _parameter("until", "query", "Before.", {"type": "string", "format": "date-time"}),
    ]
    timeline = _object(
        request=shown,
        costEstimate=_MAYBE_TEXT,
        sentAt=when,
        deadlineAt=when,
        events={"type": "array", "items": event},
    )
    reason = {"type": "object", "properties": {"reason": {"type": "string", "maxLength": 200}}}
    name = _parameter("name", "path", "Which.", {"enum": ["hours", "days", "costs"]}, required=True)
    svg = {"description": "SVG.", "content": {"image/svg+xml": {"schema": {"type": "string"}}}}
    retried = _object(requestId=text, retryOf=text, status={"const": "pending"})
    return {
        "/api/admin/stats": {
            "get": {
                "summary": "Statistics, what goes on now, and alerts",
                "security": _USER,
                "parameters": [days],
                "responses": {"200": _json(stats, "Statistics.")} | errors | _errors((400, "An unusable parameter.")),
            }
        },
        "/api/admin/charts/{name}.svg": {
            "get": {
                "summary": "A chart",
                "security": _USER,
                "parameters": [name, days],
                "responses": {"200": svg} | one | _errors((400, "An unusable parameter.")),
            }
        },
        "/api/admin/requests": {
            "get": {
                "summary": "Everyone's requests, newest first",
                "security": _USER,
                "parameters": [*filters, *_PAGING],
                "responses": _page("requests", shown) | errors,
            }
        },
        "/api/admin/requests/{request_id}": {
            "get": {
                "summary": "A request and what happened to it",
                "security": _USER,
                "parameters": [_REQUEST_ID],
                "responses": {"200": _json(timeline, "The timeline.")} | one,
            }
        },
        "/api/admin/requests/{request_id}/retry": {
            "post": {
                "summary": "Submit a failed request anew",
                "security": _USER,
                "parameters": [_REQUEST_ID],
                "responses": {"202": _json(retried, "Submitted.")}
                | one
                | _errors((402, "The organization's budget is spent."), (409, "Not failed, or already retried.")),
            }
        },
        "/api/admin/requests/{request_id}/fail": {
            "post": {
                "summary": "End an unfinished request",
                "security": _USER,
                "parameters": [_REQUEST_ID],
                "requestBody": {"content": {"application/json": {"schema": reason}}},
                "responses": {"200": _json(_ref("Body"), "Failed.")}
                | one
                | _errors(
                    (400, "An unusable reason."), (409, "Already final."), (413, "Too large."), (415, "No JSON.")
                ),
            }
        },
    }


def _document(summary: str) -> Schema:
    return {"summary": summary, "responses": {"200": _json({"type": "object"}, "The document.")}}


def asyncapi() -> Schema:
    """The WebSocket and its messages (AsyncAPI 3.0)."""
    names = [kind.__name__ for kind in (*COMMANDS, *MESSAGES)]
    codes = "\n".join(
        f"- {code.value} {code.reason}{'' if code.reconnect else ' (do not connect again)'}" for code in CloseCode
    )
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "AI Image Gateway",
            "version": __version__,
            "description": (
                "JSON text frames, at most 16 KiB from the client. Who you are: an Authorization header, the session "
                f"cookie, or a first `auth` frame.\n\nClose codes:\n{codes}"
            ),
        },
        "channels": {
            "realtime": {
                "address": "/ws",
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
            }
        },
        "operations": {
            "command": {
                "action": "receive",
                "channel": {"$ref": "#/channels/realtime"},
                "messages": [{"$ref": f"#/channels/realtime/messages/{kind.__name__}"} for kind in COMMANDS],
            },
            "inform": {
                "action": "send",
                "channel": {"$ref": "#/channels/realtime"},
                "messages": [{"$ref": f"#/channels/realtime/messages/{kind.__name__}"} for kind in MESSAGES],
            },
        },
        "components": {
            "messages": {name: {"name": name, "payload": _ref(name)} for name in names},
            "schemas": schemas(),
        },
    }


async def openapi_json(request: Request) -> Response:
    """The HTTP document."""
    return json_response(openapi())


async def asyncapi_json(request: Request) -> Response:
    """The WebSocket document."""
    return json_response(asyncapi())


routes = [
    Route("/api/openapi.json", openapi_json, methods=["GET"]),
    Route("/api/asyncapi.json", asyncapi_json, methods=["GET"]),
]
