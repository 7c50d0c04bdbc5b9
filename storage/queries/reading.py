"""What the database says of itself, and reads of requests: by id, owner, execution and time of their last change."""

from storage.queries.rows import COLUMNS, OPEN

PING = "SELECT NOW() AS now"
"""The database's time; also shows that it answers."""

SCHEMA_VERSION = "SELECT version_num FROM ai_gateway_schema"
"""The newest migration that has been applied."""

REQUEST = f"SELECT {COLUMNS} FROM ai_image_requests WHERE id = :id"
"""One request, whoever owns it."""

REQUESTS = f"SELECT {COLUMNS} FROM ai_image_requests WHERE id = ANY(:ids)"
"""Those of the ids that exist, whoever owns them."""

REQUESTS_FOR_CERTAIN = f"SELECT {COLUMNS} FROM ai_image_requests WHERE id = ANY(:ids) ORDER BY id FOR UPDATE"
"""The same, after changes that are under way, by a server that takes writes: one that was demoted or fenced refuses."""

REQUEST_OF_EXECUTION = """
SELECT id FROM ai_image_requests WHERE n8n_execution_id = :execution_id ORDER BY created_at DESC LIMIT 1"""
"""The newest request of an execution: n8n numbers its executions anew after a reset."""


def _recent(owner: str) -> str:
    """Unfinished first, then the newest. Each half reads an index of its own, and no further than the limit."""
    unfinished, finished = [
        f"""
    SELECT * FROM (
        SELECT {COLUMNS}, {rank} AS rank FROM ai_image_requests WHERE {owner}{condition}
        ORDER BY created_at DESC LIMIT :limit) AS half"""
        for rank, condition in ((0, OPEN), (1, f"NOT ({OPEN})"))
    ]
    return f"""
SELECT {COLUMNS} FROM ({unfinished}
    UNION ALL{finished}
) AS halves ORDER BY rank, created_at DESC LIMIT :limit"""


RECENT = _recent("")
"""Everyone's requests: unfinished first, then the newest."""

RECENT_OF_USER = _recent("user_id = :user_id AND ")
"""A user's requests: unfinished first, then the newest."""

CHANGED = f"""
SELECT {COLUMNS} FROM ai_image_requests
WHERE updated_at >= :since AND (updated_at > :since OR id > :after_id)
ORDER BY updated_at, id LIMIT :limit"""
"""A page in the order of change; `after_id` goes on where the last page ended."""

CHANGED_OF_USERS = f"""
SELECT {COLUMNS} FROM ai_image_requests
WHERE updated_at >= :since AND (updated_at > :since OR id > :after_id) AND user_id = ANY(:user_ids)
ORDER BY updated_at, id LIMIT :limit"""
"""The same, of these users."""
