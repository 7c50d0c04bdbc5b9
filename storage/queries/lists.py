"""Pages of a user's requests and assets, newest first, each from where the last one ended."""

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

RECENT_SECONDS = """
SELECT SECONDS(completed_at) AS seconds FROM ai_image_requests
WHERE status = 'completed' AND completed_at > AFTER(:minus_window) AND SECONDS(completed_at) >= 0
ORDER BY completed_at DESC LIMIT :limit"""
"""How long the last completions took."""
