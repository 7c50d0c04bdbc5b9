"""What statements about requests share: the columns that make a `Request`, and guards from the table of states."""

from storage.lifecycle import Event, Status, sources

COLUMNS = """
    id, user_id, organization_id, product, brand, status, version, progress, storage_key, storage_id, error_message,
    error_code, cost, created_at, updated_at, completed_at, n8n_execution_id, request_metadata, retry_of,
    dispatch_attempts, picture_token"""
"""What `Request.from_row` reads."""

OPEN = f"status IN ('{Status.PENDING}', '{Status.PROCESSING}')"
"""Not final yet; written as the partial indexes are, so that they are used."""


def guard(event: Event) -> str:
    """The condition that `event` may change the row, from `lifecycle.TRANSITIONS`."""
    return "status IN (" + ", ".join(f"'{status}'" for status in sources(event)) + ")"
