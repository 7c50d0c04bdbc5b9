"""Everyone's requests as an administrator selects and orders them: filters, sorts, pages in both directions.

A page goes on from a place in the order: the row's sort key, its time and its id, compared as one value. Rows without
the key (no cost, no end yet) come last in both directions.
"""

from collections.abc import Collection

from storage.lifecycle import Event, Status
from storage.queries.rows import COLUMNS, OPEN

STUCK = "status = 'processing' AND coalesce(dispatch_sending_at, created_at) < AFTER(:minus_stuck)"
"""In processing for longer than `minus_stuck` seconds."""

WAITING = "status = 'pending' AND dispatch_sending_at IS NULL"
"""Not sent to n8n yet."""

SENDING = "status = 'pending' AND dispatch_sending_at IS NOT NULL"
"""On the way to n8n, or in doubt."""

FILTERS = {
    "status": "status = :status",
    "stuck": STUCK,
    "waiting": WAITING,
    "sending": SENDING,
    "not_taken": f"""EXISTS (
        SELECT 1 FROM ai_request_events WHERE request_id = ai_image_requests.id
        AND kind IN ('send_again', 'in_doubt', '{Event.REFUSED}', '{Event.EXHAUSTED}'))""",
    "not_in_library": "EXISTS (SELECT 1 FROM ai_gateway_owed_assets WHERE request_id = ai_image_requests.id)",
    "organization_id": "organization_id = :organization_id",
    "user_id": "user_id = :user_id",
    "open": OPEN,
    "error_code": "error_code = :error_code",
    "text": """(lower(product || ' ' || brand || ' ' || coalesce(error_message, '') || ' ' || coalesce(error_code, '')
        || ' ' || CAST(id AS text) || ' ' || coalesce(n8n_execution_id, '') || ' ' || CAST(user_id AS text) || ' '
        || CAST(organization_id AS text)) LIKE lower(:text) ESCAPE '!'
        OR user_id = ANY(:users) OR organization_id = ANY(:organizations))""",
    "since": "created_at >= :since",
    "until": "created_at < :until",
}
"""Each filter that an administrator may combine with others."""

KEYS = {"duration": "DURATION(completed_at)", "cost": "BILLIONTHS(cost)"}
"""What requests may be sorted by, besides their time."""


def selection(filters: Collection[str]) -> str:
    """The condition that all of these filters make."""
    return " AND ".join([FILTERS[name] for name in sorted(filters)] or ["TRUE"])


def count(filters: Collection[str]) -> str:
    """How many there are with these filters, up to `limit`: to count a million takes longer than anybody waits."""
    found = f"SELECT 1 FROM ai_image_requests WHERE {selection(filters)} LIMIT :limit"
    return f"SELECT count(*) AS requests FROM ({found}) AS found"


def ids(filters: Collection[str], status: str) -> str:
    """The ids of those with these filters that `status` holds for, oldest first."""
    conditions = f"{selection(filters)} AND {status}"
    return f"SELECT id FROM ai_image_requests WHERE {conditions} ORDER BY created_at, id LIMIT :limit"


def page(
    filters: Collection[str], sort: str, *, ascending: bool, backwards: bool = False, goes_on: bool = False
) -> str:
    """A page of those with these filters.

    Args:
        filters: names of `FILTERS`.
        sort: a name of `KEYS`, or ``time``.
        ascending: whether the smallest comes first.
        backwards: whether the page is read against its order, from its last row to its first.
        goes_on: whether it begins beyond the place ``:has_key``, ``:key``, ``:moment``, ``:place_id``.
    """
    key = KEYS.get(sort, "0")
    places = [("created_at", ":moment"), ("id", ":place_id")]
    if sort in KEYS:
        last = f"CASE WHEN {key} IS NULL THEN {int(ascending)} ELSE {int(not ascending)} END"
        places = [(last, ":has_key"), (f"coalesce({key}, 0)", ":key"), *places]
    rises = ascending is not backwards
    columns = ", ".join(column for column, _ in places)
    conditions = selection(filters)
    if goes_on:
        conditions = f"({columns}) {'>' if rises else '<'} ({', '.join(value for _, value in places)}) AND {conditions}"
    order = ", ".join(f"{column} {'ASC' if rises else 'DESC'}" for column, _ in places)
    shown = f"{COLUMNS}, dispatch_sending_at, {key} AS sort_key"
    return f"SELECT {shown} FROM ai_image_requests WHERE {conditions} ORDER BY {order} LIMIT :limit"


DETAILS = """
SELECT cost_estimate, deadline_at, dispatch_sending_at FROM ai_image_requests WHERE id = :id"""
"""What is expected of a request and the Body does not say."""

EVENTS = """
SELECT version, at, kind, actor, detail FROM ai_request_events WHERE request_id = :id ORDER BY id LIMIT :limit"""
"""A request's timeline, oldest first."""

_NEIGHBOUR = f"SELECT {COLUMNS} FROM ai_image_requests WHERE user_id = :user_id AND (created_at, id)"

BEFORE = f"{_NEIGHBOUR} < (:moment, :place_id) ORDER BY created_at DESC, id DESC LIMIT 1"
"""What the same user submitted before a request."""

AFTER = f"{_NEIGHBOUR} > (:moment, :place_id) ORDER BY created_at, id LIMIT 1"
"""What the same user submitted after it."""

RETRY = f"SELECT status FROM ai_image_requests WHERE retry_of = :id AND status <> '{Status.FAILED}' LIMIT 1"
"""Whether a retry of the request has not failed, and what it is at."""
