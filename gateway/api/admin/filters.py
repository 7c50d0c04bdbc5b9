"""What an administrator may select requests by: the same in lists, exports and bulk actions."""

from collections.abc import Mapping
from datetime import UTC, datetime

from gateway.api.documents.schemas import TEXT, UUID_OR_EMPTY, Schema, parameter, trimmed_text
from gateway.api.errors import ApiError
from gateway.api.parsing import MAX_TEXT, text_field
from gateway.ids import parse_id
from gateway.state import State
from storage import directory, selection
from storage.lifecycle import Status
from storage.times import parse

_SEARCH = (
    "Text in product, brand, error, request id, execution id, the user's id or e-mail address, the organization's id "
    "or name."
)

_FLAGS = {
    "unfinished": "open",
    "waiting": "waiting",
    "sending": "sending",
    "not_taken": "not_taken",
    "not_in_library": "not_in_library",
}
"""What may stand for a status, besides ``stuck``, and its name in `storage.queries.selecting.FILTERS`."""

_STATUS = (
    "Only these. stuck: in processing for too long; unfinished: pending or processing; waiting: not sent to n8n yet; "
    "sending: on the way to n8n, or in doubt; not_taken: n8n refused it, did not take it at once, or may not have it; "
    "not_in_library: completed, and refused by the app's library."
)

FILTER_FIELDS: dict[str, Schema] = {
    "status": {"enum": [*Status, "stuck", *_FLAGS, ""]},
    "organizationId": UUID_OR_EMPTY,
    "userId": UUID_OR_EMPTY,
    "errorCode": TEXT,
    "q": trimmed_text(MAX_TEXT, may_be_empty=True),
    "since": TEXT,
    "until": TEXT,
}

FILTER_PARAMETERS = [
    parameter(name, "query", description, FILTER_FIELDS[name])
    for name, description in (
        ("status", _STATUS),
        ("organizationId", "Only this organization's."),
        ("userId", "Only this user's."),
        ("errorCode", "Only with this error."),
        ("q", _SEARCH),
        ("since", "Not before this time or day (ISO 8601)."),
        ("until", "Before this time or day (ISO 8601)."),
    )
]


async def filters_of(asked: Mapping[str, str], state: State) -> dict[str, object]:
    """The filters in `asked`, as `storage.selection` takes them.

    Raises:
        ApiError: 400.
    """
    filters: dict[str, object] = {}
    status = asked.get("status")
    if status == "stuck":
        filters["minus_stuck"] = -state.settings.ai_stuck_after_seconds
    elif status in _FLAGS:
        filters[_FLAGS[status]] = True
    elif status:
        if status not in [*Status]:
            raise ApiError(400, "invalid_parameter", f"status must be one of {', '.join(Status)}.")
        filters["status"] = status
    for name, column in (("organizationId", "organization_id"), ("userId", "user_id")):
        if text := asked.get(name):
            if (parsed := parse_id(text)) is None:
                raise ApiError(400, "invalid_parameter", f"{name} must be a UUID.")
            filters[column] = parsed
    if code := text_field(asked.get("errorCode") or "", "errorCode"):
        filters["error_code"] = code
    if text := text_field(asked.get("q") or "", "q"):
        pattern = selection.like(text)
        organizations, users = await directory.named(state.database, pattern)
        filters |= {"text": pattern, "organizations": organizations, "users": users}
    for name in ("since", "until"):
        if text := asked.get(name):
            filters[name] = _moment(text, name)
    return filters


def _moment(text: str, name: str) -> datetime:
    try:
        return parse(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ApiError(400, "invalid_parameter", f"{name} must be a time such as 2026-01-31T12:00:00Z.") from error
