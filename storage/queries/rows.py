"""What statements about requests share: the columns that make a `Request`, and guards from the table of states."""

from collections.abc import Mapping
from functools import lru_cache

from storage.lifecycle import Event, Status, sources

COLUMNS = """
    id, user_id, organization_id, product, brand, status, version, progress, storage_key, storage_id, error_message,
    error_code, cost, created_at, updated_at, completed_at, n8n_execution_id, request_metadata, retry_of,
    dispatch_attempts, picture_token"""
"""What `Request.from_row` reads."""

MOST = 2**31 - 1
"""The greatest number that an integer column takes. Only another tool writes it."""

NEXT_VERSION = f"CASE WHEN version < {MOST} THEN version + 1 ELSE 1 END"
"""The version of a change. After the greatest one they start anew: a picture that was paid for must not be refused for
it. Whoever is ahead of the database is sent the row as it is."""

NEXT_ATTEMPT = f"CASE WHEN dispatch_attempts < {MOST} THEN dispatch_attempts + 1 ELSE {MOST} END"
"""The count of attempts with one more: one row must not hold up what is claimed with it."""

OPEN = f"status IN ('{Status.PENDING}', '{Status.PROCESSING}')"
"""Not final yet; written as the partial indexes are, so that they are used."""


def guard(event: Event) -> str:
    """The condition that `event` may change the row, from `lifecycle.TRANSITIONS`."""
    return "status IN (" + ", ".join(f"'{status}'" for status in sources(event)) + ")"


_FREE = "SELECT id, IMPATIENT() AS lock_timeout FROM ai_image_requests WHERE id = :id FOR UPDATE SKIP LOCKED"


@lru_cache(maxsize=64)
def if_free(steps: tuple[tuple[str, str], ...]) -> Mapping[str, str]:
    """A chain that changes the row ``:id``, as one that does nothing where somebody else holds that row.

    Those that share a transaction must not wait for one of them, nor meet another such transaction in a deadlock.
    """
    return {"free": _FREE} | {
        name: sql.replace("WHERE id = :id", "WHERE id = (SELECT id FROM free)") for name, sql in steps
    }
