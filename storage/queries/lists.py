"""Pages of requests and assets, newest first, each from where the last one ended; and one request's timeline."""

from collections.abc import Collection

from storage.lifecycle import Status
from storage.queries.rows import COLUMNS, OPEN

LIST_OF_USER = f"""
SELECT {COLUMNS} FROM ai_image_requests
WHERE user_id = :user_id AND (created_at, id) < (:before, :before_id)
ORDER BY created_at DESC, id DESC LIMIT :limit"""
"""A page of the user's requests."""

LIST_OF_USER_BY_STATUS = f"""
SELECT {COLUMNS} FROM ai_image_requests
WHERE user_id = :user_id AND status = :status AND (created_at, id) < (:before, :before_id)
ORDER BY created_at DESC, id DESC LIMIT :limit"""
"""The same, of one status."""

LIST_WITH_ASSET = f"""
SELECT {COLUMNS}, asset_id FROM ai_image_requests
WHERE user_id = :user_id AND asset_id IS NOT NULL AND (created_at, id) < (:before, :before_id)
ORDER BY created_at DESC, id DESC LIMIT :limit"""
"""The same, of those that have become an asset."""

ASSETS = """
SELECT CAST(id AS text) AS id, name, type, format, file_url, status FROM assets
WHERE user_id = :user_id AND CAST(id AS text) = ANY(:ids)"""
"""The user's assets with these ids. The app's own table: what kind of id it has is its affair."""

STUCK = "status = 'processing' AND coalesce(dispatch_sending_at, created_at) < AFTER(:minus_stuck)"
"""In processing for longer than `minus_stuck` seconds."""

FILTERS = {
    "status": "status = :status",
    "stuck": STUCK,
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


def selection(filters: Collection[str]) -> str:
    """The condition that all of these filters make."""
    return " AND ".join([FILTERS[name] for name in sorted(filters)] or ["TRUE"])


def count_of_everyone(filters: Collection[str]) -> str:
    """How many there are with these filters, up to `limit`: to count a million takes longer than anybody waits."""
    found = f"SELECT 1 FROM ai_image_requests WHERE {selection(filters)} LIMIT :limit"
    return f"SELECT count(*) AS requests FROM ({found}) AS found"


def ids_of_everyone(filters: Collection[str], status: str) -> str:
    """The ids of those with these filters that `status` holds for, oldest first."""
    conditions = f"{selection(filters)} AND {status}"
    return f"SELECT id FROM ai_image_requests WHERE {conditions} ORDER BY created_at, id LIMIT :limit"


def newer_of_everyone(filters: Collection[str]) -> str:
    """The page before one that begins at a row, oldest first."""
    conditions = f"(created_at, id) > (:after, :after_id) AND {selection(filters)}"
    return f"SELECT {COLUMNS} FROM ai_image_requests WHERE {conditions} ORDER BY created_at, id LIMIT :limit"


def list_of_everyone(filters: Collection[str]) -> str:
    """The administrator's list with these of the filters."""
    conditions = f"(created_at, id) < (:before, :before_id) AND {selection(filters)}"
    return f"SELECT {COLUMNS} FROM ai_image_requests WHERE {conditions} ORDER BY created_at DESC, id DESC LIMIT :limit"


DETAILS = """
SELECT cost_estimate, deadline_at, dispatch_sending_at FROM ai_image_requests WHERE id = :id"""
"""What is expected of a request and the Body does not say."""

EVENTS = """
SELECT version, at, kind, actor, detail FROM ai_request_events WHERE request_id = :id ORDER BY id LIMIT :limit"""
"""A request's timeline, oldest first."""

RETRY = f"SELECT status FROM ai_image_requests WHERE retry_of = :id AND status <> '{Status.FAILED}' LIMIT 1"
"""Whether a retry of the request has not failed, and what it is at."""

RECENT_SECONDS = """
SELECT SECONDS(completed_at) AS seconds FROM ai_image_requests
WHERE status = 'completed' AND completed_at > AFTER(:minus_window) ORDER BY completed_at DESC LIMIT :limit"""
"""How long the last completions took."""
