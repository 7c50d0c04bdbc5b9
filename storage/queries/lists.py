"""Pages of requests and assets, newest first, each from where the last one ended; and one request's timeline."""

from collections.abc import Collection

from storage.lifecycle import Status
from storage.queries.rows import COLUMNS

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
    "text": "lower(product || ' ' || brand) LIKE lower(:text) ESCAPE '!'",
    "since": "created_at >= :since",
    "until": "created_at < :until",
}
"""Each filter that an administrator may combine with others."""


def list_of_everyone(filters: Collection[str]) -> str:
    """The administrator's list with these of the filters."""
    conditions = " AND ".join(
        ["(created_at, id) < (:before, :before_id)"] + [FILTERS[name] for name in sorted(filters)]
    )
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
