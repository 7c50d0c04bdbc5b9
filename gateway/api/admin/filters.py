"""What an administrator may select requests by: the same in lists, exports and bulk actions."""

from collections.abc import Mapping
from datetime import UTC, datetime

from gateway.api.documents.schemas import TEXT, UUID_OR_EMPTY, Schema, parameter, trimmed_text
from gateway.api.errors import ApiError
from gateway.api.parsing import MAX_TEXT, text_field
from gateway.ids import parse_id
from gateway.state import State
from storage import administration, directory
from storage.lifecycle import Status
from storage.times import instant

_SEARCH = (
    "Text in product, brand, error, request id, execution id, the user's id or e-mail address, the organization's id "
    "or name."
)

FILTER_FIELDS: dict[str, Schema] = {
    "status": {"enum": [*Status, "stuck", "unfinished", ""]},
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
        ("status", "Only these."),
        ("organizationId", "Only this organization's."),
        ("userId", "Only this user's."),
        ("errorCode", "Only with this error."),
        ("q", _SEARCH),
        ("since", "Not before this time or day (ISO 8601)."),
        ("until", "Before this time or day (ISO 8601)."),
    )
]


async def filters_of(asked: Mapping[str, str], state: State) -> dict[str, object]:
    """The filters in `asked`, as `storage.administration` takes them.

    Raises:
        ApiError: 400.
    """
    filters: dict[str, object] = {}
    status = asked.get("status")
    if status == "stuck":
        filters["minus_stuck"] = -state.settings.ai_stuck_after_seconds
    elif status == "unfinished":
        filters["open"] = True
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
        pattern = administration.like(text)
        organizations, users = await directory.named(state.database, pattern)
        filters |= {"text": pattern, "organizations": organizations, "users": users}
    for name in ("since", "until"):
        if text := asked.get(name):
            filters[name] = _moment(text, name)
    return filters


def _moment(text: str, name: str) -> datetime:
    try:
        return instant(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ApiError(400, "invalid_parameter", f"{name} must be a time such as 2026-01-31T12:00:00Z.") from error
