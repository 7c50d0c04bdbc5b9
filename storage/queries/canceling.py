"""Cancellations: the guarded UPDATE, those that are due by themselves, and executions of n8n that are to be stopped.

`cancel_at` is when a request is canceled by itself (`Cancel-After`). `stop_at` is when n8n is next to be asked to stop
what it runs for a canceled request; null where n8n cannot have it, or nothing is left to stop. Whoever stops moves it
to the end of a lease first, so that no two processes stop the same, and a crash only delays.
"""

from storage.lifecycle import Event
from storage.queries.rows import COLUMNS, NEXT_VERSION, OPEN, guard

CANCEL = f"""
UPDATE ai_image_requests
SET status = 'failed', error_message = :error_message, error_code = :error_code, cost = NULL,
    version = {NEXT_VERSION}, updated_at = NOW(), completed_at = NOW(), dispatch_due_at = NULL,
    stop_at = CASE WHEN dispatch_sending_at IS NOT NULL THEN NOW() END
WHERE id = :id AND {guard(Event.CANCELED)}
RETURNING {COLUMNS}"""
"""It is not wanted any more. What was not sent never is (claims and marks take `pending` alone) and costs nothing."""

DUE = f"SELECT id FROM ai_image_requests WHERE {OPEN} AND cancel_at <= NOW() ORDER BY cancel_at LIMIT :limit"
"""What is to be canceled by itself now."""

CLAIM_STOPS = f"""
UPDATE ai_image_requests SET stop_at = AFTER(:seconds)
WHERE id IN (
    SELECT id FROM ai_image_requests WHERE stop_at <= NOW() ORDER BY stop_at LIMIT :limit FOR UPDATE SKIP LOCKED)
RETURNING {COLUMNS}, dispatch_sending_at, NOW() AS now"""
"""Take what n8n is to stop, for the time of a lease."""

POSTPONE_STOP = "UPDATE ai_image_requests SET stop_at = AFTER(:seconds) WHERE id = :id AND stop_at IS NOT NULL"
"""Try again later."""

END_STOP = f"""
UPDATE ai_image_requests SET stop_at = NULL WHERE id = :id AND stop_at IS NOT NULL RETURNING {COLUMNS}"""
"""Nothing is left to stop."""
