"""The rules of a submission, and the row that it makes."""

from storage.queries.rows import COLUMNS

SUBMITTED_WITH_KEY = f"""
SELECT {COLUMNS}, idempotency_key, idempotency_hash, created_at > AFTER(:minus_day) AS remembered
FROM ai_image_requests WHERE user_id = :user_id AND idempotency_key = :idempotency_key"""
"""What the user's idempotency key has made, and whether that still counts."""

FORGET_KEY = """
UPDATE ai_image_requests SET idempotency_key = NULL, idempotency_hash = NULL
WHERE user_id = :user_id AND idempotency_key = :idempotency_key"""
"""Free the user's key, which has grown old."""

USED = """
SELECT count(*) AS used, min(created_at) AS oldest, NOW() AS now FROM (
    SELECT created_at FROM ai_image_requests
    WHERE user_id = :user_id AND created_at > AFTER(:minus_window) AND retry_of IS NULL -- that is an administrator's
    ORDER BY created_at DESC LIMIT :quota
) AS recent"""
"""How much of the rolling window's quota is used, and when what is next to leave the window was submitted."""

# A member may have several rows for one organization, one for each role: the app's own table may allow that.
_JOINED = """
    SELECT DISTINCT organization_id FROM organization_members
    WHERE user_id = :user_id AND organization_id = coalesce(:organization_id, organization_id)"""

RULES = f"""
SELECT used, oldest, now,
    (SELECT count(*) FROM ({_JOINED} LIMIT 2) AS joined) AS memberships,
    ({_JOINED} LIMIT 1) AS organization_id
FROM ({USED}) AS quota"""
"""What a submission is judged by: the quota, and the user's organizations (where one is named, that one alone) as far
as one differs from several."""

ORGANIZATIONS = f"""
SELECT count(*) AS organizations FROM organizations WHERE id IN ({_JOINED})"""
"""How many of the user's organizations (where one is named, of that one) exist."""

INSERT = f"""
INSERT INTO ai_image_requests (
    id, user_id, organization_id, product, brand, request_metadata, idempotency_key, idempotency_hash, retry_of,
    picture_token, cost_estimate, created_at, updated_at, dispatch_due_at, deadline_at,
    cancel_at)
VALUES (
    :id, :user_id, :organization_id, :product, :brand, :metadata, :idempotency_key, :idempotency_hash, :retry_of,
    :picture_token, :cost_estimate, NOW(), NOW(), NOW(), AFTER(:deadline),
    AFTER(:cancel_after))
RETURNING {COLUMNS}"""
"""The new request, due to be sent at once. A step in a chain, which the event follows."""
