"""The life of a request: the guarded UPDATE of each event, the asset of a completion, and the timeline."""

from storage.lifecycle import ERROR_CODES, Event
from storage.queries.rows import COLUMNS, NEXT_VERSION, OPEN, guard

TOKEN_PLACE = "{picture_token}"  # noqa: S105 - a placeholder
"""Stands in a URL for the request's own token, which only the database knows before the change."""

START = {
    event: f"""
UPDATE ai_image_requests
SET status = 'processing', progress = coalesce(CAST(:progress AS integer), progress),
    n8n_execution_id = coalesce(n8n_execution_id, CAST(:execution_id AS text)),
    version = {NEXT_VERSION}, updated_at = NOW(), dispatch_due_at = NULL,
    probe_at = CASE WHEN probe_at IS NULL THEN NULL
        WHEN deadline_at > NOW() AND deadline_at < AFTER(:probe) THEN deadline_at
        ELSE AFTER(:probe) END
WHERE id = :id AND {guard(event)}
  AND (status = 'pending' OR CAST(:progress AS integer) > coalesce(progress, -1))
RETURNING {COLUMNS}"""
    for event in (Event.ACCEPTED, Event.PROGRESSED)
}
"""n8n works on it. A report in `processing` changes something only if its progress is higher than the last one. Where
n8n can be probed, it is after a while without another report, and at the deadline at the latest."""

FILE_URL = f"replace(:file_url, '{TOKEN_PLACE}', CAST(picture_token AS text))"


def insert_asset(file_url: str) -> str:
    """The picture in the app's library; to be ended by where its request comes from."""
    return f"""
INSERT INTO assets (organization_id, user_id, name, type, format, file_url, status)
SELECT organization_id, user_id, substr('AI Generated: ' || product || ' - ' || brand, 1, NAME_LENGTH), 'image', 'PNG',
    {file_url}, 'approved'
FROM ai_image_requests"""


RETURN_ASSET = "RETURNING CAST(id AS text) AS id"
"""What kind of id the library gives is its affair."""

INSERT_ASSET = f"""{insert_asset(FILE_URL)}
WHERE id = :id AND {guard(Event.COMPLETED)} FOR UPDATE
{RETURN_ASSET}"""
"""The picture of a completion in the app's library, where that takes it."""


def _complete(asset: str) -> str:
    return f"""
UPDATE ai_image_requests
SET status = 'completed', progress = 100, storage_key = :storage_key, storage_id = :storage_id,
    asset_id = {asset}, error_message = NULL, error_code = NULL, cost = coalesce(:cost, cost, cost_estimate),
    n8n_execution_id = coalesce(n8n_execution_id, CAST(:execution_id AS text)),
    version = {NEXT_VERSION}, updated_at = NOW(), completed_at = NOW(), dispatch_due_at = NULL
WHERE id = :id AND {guard(Event.COMPLETED)}
RETURNING {COLUMNS}"""


COMPLETE = _complete("(SELECT id FROM asset)")
"""The picture exists: it wins over everything but another picture. A step after `asset` in a chain."""

COMPLETE_OWING = _complete("NULL")
"""The same, where the library refuses the asset."""

FAIL: dict[Event, str] = {
    event: f"""
UPDATE ai_image_requests
SET status = 'failed', error_message = :error_message, error_code = :error_code, cost = :cost,
    n8n_execution_id = coalesce(n8n_execution_id, CAST(:execution_id AS text)),
    version = {NEXT_VERSION}, updated_at = NOW(), completed_at = NOW(), dispatch_due_at = NULL
WHERE id = :id AND {guard(event)}{" AND deadline_at <= NOW()" if event is Event.DEADLINE_PASSED else ""}
RETURNING {COLUMNS}"""
    for event in ERROR_CODES
    if event is not Event.CANCELED
}
"""It has failed, for each reason; the deadline is looked at again, as it may have been moved."""

SET_EXECUTION = """
UPDATE ai_image_requests SET n8n_execution_id = :execution_id WHERE id = :id AND n8n_execution_id IS NULL"""
"""The execution that works for the request, where none was known."""

OVERDUE = f"SELECT id FROM ai_image_requests WHERE {OPEN} AND deadline_at <= NOW() ORDER BY deadline_at LIMIT :limit"
"""What should have ended, longest overdue first."""

OVERDUE_UNSENT = f"""
SELECT id FROM ai_image_requests WHERE {OPEN} AND deadline_at <= NOW() AND dispatch_sending_at IS NULL
ORDER BY deadline_at LIMIT :limit"""
"""The same, of what n8n cannot have."""

INSERT_EVENT = """
INSERT INTO ai_request_events (request_id, version, at, kind, actor, detail)
VALUES (:request_id, :version, NOW(), :kind, :actor, :detail)"""
"""A line of the timeline."""

INSERT_EVENT_OF_CHANGE = """
INSERT INTO ai_request_events (request_id, version, at, kind, actor, detail)
SELECT id, version, NOW(), :kind, :actor, :detail FROM changed"""
"""The line of what `changed`, a step before it in the same chain."""

INSERT_DELIVERED = """
INSERT INTO ai_request_events (request_id, version, at, kind, actor, detail)
SELECT id, CAST(:version AS integer), AFTER(:minus_age), 'delivered', :actor, :detail FROM ai_image_requests
WHERE id = :request_id AND NOT EXISTS (
    SELECT 1 FROM ai_request_events WHERE request_id = :request_id AND kind = 'delivered' AND version = :version)"""
"""That a version reached its owner's client: once, over all processes."""
