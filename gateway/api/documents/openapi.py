"""The HTTP endpoints as an OpenAPI document."""

from gateway import __version__
from gateway.api.documents.openapi_admin import administration
from gateway.api.documents.schemas import (
    FLAG,
    MAYBE_TEXT,
    NAME,
    NUMBER,
    PAGING,
    READ_ERRORS,
    REQUEST_ID,
    TEXT,
    USER,
    Schema,
    content,
    errors,
    object_of,
    page_of,
    parameter,
    ref,
    schemas,
)
from storage.lifecycle import Status


def openapi() -> Schema:
    """The HTTP endpoints (OpenAPI 3.1)."""
    generate: Schema = {
        "summary": "Submit a request",
        "description": "Answers once the request is durable. It is sent to n8n within a second.",
        "security": USER,
        "parameters": [
            parameter(
                "Idempotency-Key",
                "header",
                "For 24 hours, the same key and body mean the same request.",
                {"type": "string", "minLength": 1, "maxLength": 255},
            ),
            parameter(
                "Cancel-After",
                "header",
                "Seconds after which the request is canceled by itself, if it has not ended.",
                {"type": "integer", "minimum": 1, "maximum": 86_400},
            ),
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "properties": {
                            "Product": NAME,
                            "Your Brand": NAME,
                            "organizationId": {"type": ["string", "null"], "format": "uuid"},
                        },
                        "required": ["Product", "Your Brand"],
                    }
                }
            },
        },
        "responses": {
            "202": content(
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
            **errors(
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
            "200": content(ref("Body"), "Completed."),
            "202": content(ref("Body"), "Not final within `AI_SYNC_TIMEOUT_SECONDS`: it goes on, see `Location`."),
            "500": content(
                {
                    "type": "object",
                    "properties": {"error": {"type": "string"}, "code": {"type": "string"}, "request": ref("Body")},
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
        "security": USER,
        "parameters": [parameter("status", "query", "Only these.", {"enum": list(Status)}), *PAGING],
        "responses": page_of("requests", ref("Body")),
    }
    cancel = {
        "summary": "Cancel an unfinished request, as its owner or an administrator",
        "description": (
            "What was not sent to n8n never is. What n8n works on is stopped there, where its API may be used; a "
            "picture that comes all the same still wins."
        ),
        "security": USER,
        "parameters": [REQUEST_ID],
        "responses": {"200": content(ref("Body"), "Canceled; a repeat answers the same.")}
        | READ_ERRORS
        | errors((404, "Unknown, or another user's."), (409, "It ended otherwise.")),
    }
    assets = {
        "summary": "Own assets, newest first",
        "security": USER,
        "parameters": PAGING,
        "responses": page_of(
            "assets",
            object_of(
                id=TEXT,
                name=TEXT,
                type=TEXT,
                format=MAYBE_TEXT,
                status=MAYBE_TEXT,
                fileUrl=MAYBE_TEXT,
                requestId=TEXT,
                product=TEXT,
                brand=TEXT,
                createdAt=TEXT,
            ),
        ),
    }
    number: Schema = {"type": "integer"}
    organization = object_of(organizationId=TEXT, budget=maybe_amount, committed=amount, remaining=maybe_amount)
    usage = {
        "summary": "Own costs of this month (UTC) and remaining limits",
        "security": USER,
        "responses": {
            "200": content(
                object_of(
                    limit=object_of(quota=number, remaining=number, windowSeconds=number, resetSeconds=number),
                    month=object_of(spent=amount, reserved=amount),
                    organizations={"type": "array", "items": organization},
                    typicalSeconds={"type": ["number", "null"]},
                ),
                "`typicalSeconds` is the median of the last completions.",
            ),
            **READ_ERRORS,
        },
    }
    image = {
        "summary": "The picture of a private bucket",
        "parameters": [
            REQUEST_ID,
            parameter("token", "path", "What makes the URL unguessable.", {"type": "string"}, required=True),
        ],
        "responses": {
            "302": {"description": "`Location` is a signed URL that soon ends."},
            **errors((404, "No such picture."), (503, "The object store, or the database, is briefly unavailable.")),
        },
    }
    status = {
        "summary": "Read a request",
        "security": USER,
        "parameters": [
            REQUEST_ID,
            parameter(
                "wait",
                "query",
                "Seconds to wait for something newer than `version` (or than If-None-Match names).",
                {"type": "integer", "minimum": 0, "maximum": 60},
            ),
            parameter("version", "query", "The version already seen.", {"type": "integer", "minimum": 0}),
            parameter("If-None-Match", "header", 'The ETag already seen, `"v<version>"`.', {"type": "string"}),
        ],
        "responses": {
            "200": content(ref("Body"), "The request; its `ETag` is its version."),
            "304": {"description": "Nothing newer than If-None-Match names."},
            **errors(
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
        "security": USER,
        "parameters": [
            REQUEST_ID,
            parameter("Last-Event-ID", "header", "The version already seen.", {"type": "string"}),
        ],
        "responses": {
            "200": {"description": "The stream.", "content": {"text/event-stream": {"schema": {"type": "string"}}}},
            "204": {"description": "Final, and already seen: do not come back."},
            **errors(
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
                            "progress": NUMBER,
                            "cost": NUMBER,
                            "executionId": {"type": ["string", "integer"]},
                        },
                    }
                }
            },
        },
        "responses": {
            "200": content(
                {
                    "type": "object",
                    "properties": {"success": {"const": True}, "duplicate": FLAG, "ignored": FLAG},
                    "required": ["success"],
                    "additionalProperties": False,
                },
                "Taken. `duplicate`: it was already so. `ignored`: it came too late.",
            ),
            **errors(
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
            "/api/ai-requests/{request_id}/cancel": {"post": cancel},
            "/api/assets": {"get": assets},
            "/api/usage": {"get": usage},
            "/api/ai-images/{request_id}/{token}": {"get": image},
            **administration(),
            "/api/ai-status/{request_id}/events": {"get": events},
            "/healthz": {"get": {"summary": "Liveness", "responses": {"200": content(probe, "The process answers.")}}},
            "/readyz": {
                "get": {
                    "summary": "Readiness",
                    "responses": {"200": content(probe, "Ready."), "503": content(probe, "`checks` says what is not.")},
                }
            },
            "/metrics": {
                "get": {
                    "summary": "Prometheus metrics",
                    "responses": {
                        "200": {"description": "Metrics.", "content": {"text/plain": {"schema": {"type": "string"}}}},
                        **errors((401, "`METRICS_TOKEN` is set, and this was not it.")),
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


def _document(summary: str) -> Schema:
    return {"summary": summary, "responses": {"200": content({"type": "object"}, "The document.")}}
