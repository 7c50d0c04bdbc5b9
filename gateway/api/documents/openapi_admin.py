"""The administrators' endpoints, as a part of the OpenAPI document."""

from gateway.api.documents.schemas import (
    MAYBE_TEXT,
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
)
from storage.lifecycle import Status


def administration() -> Schema:
    """The endpoints of administrators."""
    count, text, when = {"type": "integer"}, TEXT, MAYBE_TEXT
    seconds: Schema = {"type": ["number", "null"]}
    statuses = dict.fromkeys(("requests", *Status), count)
    shown: Schema = {
        "allOf": [ref("Body")],
        "properties": {
            "userId": text,
            "organizationId": text,
            "executionId": MAYBE_TEXT,
            "retryOf": MAYBE_TEXT,
            "attempts": count,
        },
    }
    event = object_of(at=text, version=count, kind=text, actor=text, detail={"type": "object"})
    days = parameter("days", "query", "How far back (7).", {"type": "integer", "minimum": 1, "maximum": 90})
    refusals = READ_ERRORS | errors((403, "Not an administrator, or a cookie from a foreign page."))
    one = refusals | errors((404, "Unknown."))
    stats = object_of(
        days=count,
        totals=object_of(**statuses, cost=text),
        successRate=seconds,
        seconds=object_of(mean=seconds, p50=seconds, p95=seconds),
        errors={"type": "object", "additionalProperties": count},
        byHour={"type": "array", "items": object_of(hour=text, **statuses, cost=text)},
        byDay={"type": "array", "items": object_of(day=text, **statuses, cost=text)},
        byUser={"type": "array", "items": object_of(userId=text, requests=count, cost=text)},
        byOrganization={"type": "array", "items": object_of(organizationId=text, requests=count, cost=text)},
        queue=object_of(waiting=count, sending=count, processing=count, stuck=count, oldestSeconds={"type": "number"}),
        connections=count,
        processes=count,
        callbackFailures=count,
        dispatchFailures=count,
        alerts={
            "type": "array",
            "items": object_of(name=text, summary=text, count=count, since=text, endedAt=when),
        },
    )
    filters = [
        parameter("status", "query", "Only these.", {"enum": [*Status, "stuck"]}),
        parameter("organizationId", "query", "Only this organization's.", {"type": "string", "format": "uuid"}),
        parameter("userId", "query", "Only this user's.", {"type": "string", "format": "uuid"}),
        parameter("q", "query", "Words in product or brand.", {"type": "string", "maxLength": 200}),
        parameter("since", "query", "Not before.", {"type": "string", "format": "date-time"}),
        parameter("until", "query", "Before.", {"type": "string", "format": "date-time"}),
    ]
    timeline = object_of(
        request=shown,
        costEstimate=MAYBE_TEXT,
        sentAt=when,
        deadlineAt=when,
        events={"type": "array", "items": event},
    )
    reason = {"type": "object", "properties": {"reason": {"type": "string", "maxLength": 200}}}
    name = parameter("name", "path", "Which.", {"enum": ["hours", "days", "costs"]}, required=True)
    width = parameter(
        "width",
        "query",
        "Pixels it is shown at (760): it is drawn 280 to 800 wide, in steps of 40.",
        {"type": "integer", "minimum": 0, "maximum": 10_000},
    )
    svg = {"description": "SVG.", "content": {"image/svg+xml": {"schema": {"type": "string"}}}}
    retried = object_of(requestId=text, retryOf=text, status={"const": "pending"})
    return {
        "/api/admin/stats": {
            "get": {
                "summary": "Statistics, what goes on now, and alerts",
                "security": USER,
                "parameters": [days],
                "responses": {"200": content(stats, "Statistics.")}
                | refusals
                | errors((400, "An unusable parameter.")),
            }
        },
        "/api/admin/charts/{name}.svg": {
            "get": {
                "summary": "A chart",
                "security": USER,
                "parameters": [name, days, width],
                "responses": {"200": svg} | one | errors((400, "An unusable parameter.")),
            }
        },
        "/api/admin/requests": {
            "get": {
                "summary": "Everyone's requests, newest first",
                "security": USER,
                "parameters": [*filters, *PAGING],
                "responses": page_of("requests", shown) | refusals,
            }
        },
        "/api/admin/requests/{request_id}": {
            "get": {
                "summary": "A request and what happened to it",
                "security": USER,
                "parameters": [REQUEST_ID],
                "responses": {"200": content(timeline, "The timeline.")} | one,
            }
        },
        "/api/admin/requests/{request_id}/retry": {
            "post": {
                "summary": "Submit a failed request anew",
                "security": USER,
                "parameters": [REQUEST_ID],
                "responses": {"202": content(retried, "Submitted.")}
                | one
                | errors((402, "The organization's budget is spent."), (409, "Not failed, or already retried.")),
            }
        },
        "/api/admin/requests/{request_id}/fail": {
            "post": {
                "summary": "End an unfinished request",
                "security": USER,
                "parameters": [REQUEST_ID],
                "requestBody": {"content": {"application/json": {"schema": reason}}},
                "responses": {"200": content(ref("Body"), "Failed.")}
                | one
                | errors((400, "An unusable reason."), (409, "Already final."), (413, "Too large."), (415, "No JSON.")),
            }
        },
    }
