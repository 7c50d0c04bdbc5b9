"""Every SQL statement of the gateway, on one page.

Written for PostgreSQL, with parameters as ``:name``. SQLite gets the same text through `sqlite.translate`, which knows
three of its words: ``NOW()``, ``= ANY(:list)`` and ``FOR UPDATE SKIP LOCKED``. These words are ours on both:

    AFTER(:seconds)         the time that many seconds from now (before now, when negative)
    MONTH()                 when this month began, in UTC
    SECONDS(column)         seconds from `created_at` to `column`
    HOUR_OF(column)         the hour of a time in UTC, as ``2026-01-31T12``

All times are the database's, so processes need not agree on a clock. Amounts of money are exact: where SQLite would sum
them as floating point numbers, equal amounts are counted here and summed as decimals by the caller.

`version` and `updated_at` change exactly when the Body does. What only the dispatcher needs leaves both alone.
"""

from storage.lifecycle import Event, Status, sources

COLUMNS = """
    id, user_id, organization_id, product, brand, status, version, progress, storage_key, storage_id, error_message,
    error_code, cost, created_at, updated_at, completed_at, n8n_execution_id, request_metadata, retry_of,
    dispatch_attempts, picture_token"""

OPEN = f"status IN ('{Status.PENDING}', '{Status.PROCESSING}')"
"""Not final yet; written as the partial indexes are, so that they are used."""


def _guard(event: Event) -> str:
    return "status IN (" + ", ".join(f"'{status}'" for status in sources(event)) + ")"


# -- reading ----------------------------------------------------------------------------------------------------------

PING = "SELECT NOW() AS now"

REQUEST = f"SELECT {COLUMNS} FROM ai_image_requests WHERE id = :id"

OWN_REQUEST = f"SELECT {COLUMNS} FROM ai_image_requests WHERE id = :id AND user_id = :user_id"

OWN_REQUESTS = f"SELECT {COLUMNS} FROM ai_image_requests WHERE id = ANY(:ids) AND user_id = :user_id"

# n8n numbers its executions anew after a reset: the newest request with that number is meant.
REQUEST_OF_EXECUTION = """
SELECT id FROM ai_image_requests WHERE n8n_execution_id = :execution_id ORDER BY created_at DESC LIMIT 1"""

UNFINISHED_OF_USER = f"""
SELECT {COLUMNS} FROM ai_image_requests WHERE user_id = :user_id AND {OPEN} ORDER BY created_at DESC LIMIT :limit"""

FINISHED_OF_USER = f"""
SELECT {COLUMNS} FROM ai_image_requests WHERE user_id = :user_id AND NOT ({OPEN}) ORDER BY created_at DESC
LIMIT :limit"""

UNFINISHED = f"SELECT {COLUMNS} FROM ai_image_requests WHERE {OPEN} ORDER BY created_at DESC LIMIT :limit"

FINISHED = f"SELECT {COLUMNS} FROM ai_image_requests WHERE NOT ({OPEN}) ORDER BY created_at DESC LIMIT :limit"

# Pages in the order of change; `after_id` goes on where the last page ended.
CHANGED = f"""
SELECT {COLUMNS} FROM ai_image_requests
WHERE updated_at >= :since AND (updated_at > :since OR id > :after_id)
ORDER BY updated_at, id LIMIT :limit"""

CHANGED_OF_USERS = f"""
SELECT {COLUMNS} FROM ai_image_requests
WHERE updated_at >= :since AND (updated_at > :since OR id > :after_id) AND user_id = ANY(:user_ids)
ORDER BY updated_at, id LIMIT :limit"""

# -- lists: newest first, each page from where the last one ended -----------------------------------------------------

LIST_OF_USER = f"""
SELECT {COLUMNS} FROM ai_image_requests
WHERE user_id = :user_id AND (created_at < :before OR (created_at = :before AND id < :before_id))
ORDER BY created_at DESC, id DESC LIMIT :limit"""

LIST_OF_USER_BY_STATUS = f"""
SELECT {COLUMNS} FROM ai_image_requests
WHERE user_id = :user_id AND status = :status
  AND (created_at < :before OR (created_at = :before AND id < :before_id))
ORDER BY created_at DESC, id DESC LIMIT :limit"""

LIST_WITH_ASSET = f"""
SELECT {COLUMNS}, asset_id FROM ai_image_requests
WHERE user_id = :user_id AND asset_id IS NOT NULL
  AND (created_at < :before OR (created_at = :before AND id < :before_id))
ORDER BY created_at DESC, id DESC LIMIT :limit"""

# The app's own table: what kind of id it has is its affair.
ASSETS = """
SELECT CAST(id AS text) AS id, name, type, format, file_url, status FROM assets
WHERE user_id = :user_id AND CAST(id AS text) = ANY(:ids)"""

ORGANIZATIONS_OF_USER = """
SELECT organization_id FROM organization_members WHERE user_id = :user_id ORDER BY organization_id LIMIT :limit"""

SPENT_BY_USER = f"""
SELECT amount, is_spent, count(*) AS times FROM (
    SELECT coalesce(cost, CASE WHEN {OPEN} THEN cost_estimate END) AS amount,
        CASE WHEN cost IS NULL THEN 0 ELSE 1 END AS is_spent
    FROM ai_image_requests WHERE user_id = :user_id AND created_at >= MONTH()) AS amounts
WHERE amount IS NOT NULL GROUP BY amount, is_spent"""

RECENT_SECONDS = """
SELECT SECONDS(completed_at) AS seconds FROM ai_image_requests
WHERE status = 'completed' AND completed_at > AFTER(:minus_window) ORDER BY completed_at DESC LIMIT :limit"""

MONTH_ENDS = "SELECT NOW() AS now, MONTH() AS month"

# -- submitting -------------------------------------------------------------------------------------------------------

MEMBERSHIP = """
SELECT organization_id FROM organization_members WHERE user_id = :user_id AND organization_id = :organization_id"""

MEMBERSHIPS = "SELECT organization_id FROM organization_members WHERE user_id = :user_id LIMIT 2"

SUBMITTED_WITH_KEY = f"""
SELECT {COLUMNS}, idempotency_hash FROM ai_image_requests
WHERE user_id = :user_id AND idempotency_key = :idempotency_key AND created_at > AFTER(:minus_day)"""

FORGET_KEY = """
UPDATE ai_image_requests SET idempotency_key = NULL, idempotency_hash = NULL
WHERE user_id = :user_id AND idempotency_key = :idempotency_key"""

# How many of the rolling window's places are taken, and the moment at which the next one becomes free was submitted.
TAKEN = """
SELECT count(*) AS taken, min(created_at) AS oldest, NOW() AS now FROM (
    SELECT created_at FROM ai_image_requests WHERE user_id = :user_id AND created_at > AFTER(:minus_window)
    ORDER BY created_at DESC LIMIT :quota
) AS recent"""

INSERT = f"""
INSERT INTO ai_image_requests (
    id, user_id, organization_id, product, brand, request_metadata, idempotency_key, idempotency_hash, retry_of,
    picture_token, cost_estimate, created_at, updated_at, dispatch_due_at, deadline_at)
VALUES (
    :id, :user_id, :organization_id, :product, :brand, :metadata, :idempotency_key, :idempotency_hash, :retry_of,
    :picture_token, :cost_estimate, NOW(), NOW(), NOW(), AFTER(:deadline))
RETURNING {COLUMNS}"""

# What of a month's budget is gone: what has been settled, and what unfinished requests are expected to cost.
COMMITTED = f"""
SELECT amount, count(*) AS times FROM (
    SELECT coalesce(cost, CASE WHEN {OPEN} THEN cost_estimate END) AS amount
    FROM ai_image_requests WHERE organization_id = :organization_id AND created_at >= MONTH()) AS amounts
WHERE amount IS NOT NULL GROUP BY amount"""

INSERT_EVENT = """
INSERT INTO ai_request_events (request_id, version, at, kind, actor, detail)
VALUES (:request_id, :version, NOW(), :kind, :actor, :detail)"""

# -- the life of a request --------------------------------------------------------------------------------------------

# A progress report in `processing` changes something only if it is higher than the last one.
START = {
    event: f"""
UPDATE ai_image_requests
SET status = 'processing', progress = coalesce(CAST(:progress AS integer), progress),
    n8n_execution_id = coalesce(n8n_execution_id, CAST(:execution_id AS text)),
    version = version + 1, updated_at = NOW(), dispatch_due_at = NULL, ask_at = NULL
WHERE id = :id AND {_guard(event)}
  AND (status = 'pending' OR CAST(:progress AS integer) > coalesce(progress, -1))
RETURNING {COLUMNS}"""
    for event in (Event.ACCEPTED, Event.PROGRESSED)
}

COMPLETE = f"""
UPDATE ai_image_requests
SET status = 'completed', progress = 100, storage_key = :storage_key, storage_id = :storage_id,
    error_message = NULL, error_code = NULL, cost = coalesce(:cost, cost, cost_estimate),
    n8n_execution_id = coalesce(n8n_execution_id, CAST(:execution_id AS text)),
    version = version + 1, updated_at = NOW(), completed_at = NOW(), dispatch_due_at = NULL
WHERE id = :id AND {_guard(Event.COMPLETED)}
RETURNING {COLUMNS}"""

FAIL = {
    event: f"""
UPDATE ai_image_requests
SET status = 'failed', error_message = :error_message, error_code = :error_code, cost = :cost,
    n8n_execution_id = coalesce(n8n_execution_id, CAST(:execution_id AS text)),
    version = version + 1, updated_at = NOW(), completed_at = NOW(), dispatch_due_at = NULL
WHERE id = :id AND {_guard(event)}{" AND deadline_at <= NOW()" if event is Event.DEADLINE_PASSED else ""}
RETURNING {COLUMNS}"""
    for event in (Event.FAILED, Event.REFUSED, Event.EXHAUSTED, Event.DEADLINE_PASSED, Event.FAILED_BY_ADMIN)
}

INSERT_ASSET = """
INSERT INTO assets (organization_id, user_id, name, type, format, file_url, status)
VALUES (:organization_id, :user_id, :name, 'image', 'PNG', :file_url, 'approved')
RETURNING CAST(id AS text) AS id"""

SET_ASSET = "UPDATE ai_image_requests SET asset_id = :asset_id WHERE id = :id"

SET_EXECUTION = """
UPDATE ai_image_requests SET n8n_execution_id = :execution_id WHERE id = :id AND n8n_execution_id IS NULL"""

OVERDUE = f"SELECT id FROM ai_image_requests WHERE {OPEN} AND deadline_at <= NOW() ORDER BY deadline_at LIMIT :limit"

# -- dispatching ------------------------------------------------------------------------------------------------------
# `dispatch_due_at` is when the row may next be claimed. A claim moves it to the end of the lease, so a claimer that
# died before the "sending" mark gives the row back by doing nothing. A marked row is never claimed again. Every claim
# has a lease of its own, so a statement that is repeated after a lost answer cannot touch what a later claim has done.

CLAIM = f"""
UPDATE ai_image_requests
SET dispatch_leased_by = :lease, dispatch_due_at = AFTER(:seconds), dispatch_attempts = dispatch_attempts + 1
WHERE id IN (
    SELECT id FROM ai_image_requests
    WHERE status = 'pending' AND dispatch_sending_at IS NULL AND dispatch_due_at <= NOW()
    ORDER BY dispatch_due_at LIMIT :limit FOR UPDATE SKIP LOCKED)
RETURNING {COLUMNS}"""

MARK_SENDING = f"""
UPDATE ai_image_requests SET dispatch_sending_at = NOW(), deadline_at = AFTER(:deadline), ask_at = AFTER(:ask)
WHERE id = :id AND dispatch_leased_by = :lease AND dispatch_sending_at IS NULL AND status = 'pending'
  AND dispatch_due_at > NOW()
RETURNING {COLUMNS}"""

SEND_AGAIN = f"""
UPDATE ai_image_requests
SET dispatch_sending_at = NULL, dispatch_leased_by = NULL, dispatch_due_at = AFTER(:delay), ask_at = NULL,
    dispatch_unregistered_since =
        CASE WHEN :unregistered = 1 THEN coalesce(dispatch_unregistered_since, NOW()) ELSE NULL END
WHERE id = :id AND dispatch_leased_by = :lease AND dispatch_sending_at IS NOT NULL AND status = 'pending'
RETURNING {COLUMNS}"""

# Marked or not: only who knows that nothing was sent may call it.
RELEASE = """
UPDATE ai_image_requests
SET dispatch_leased_by = NULL, dispatch_due_at = NOW(), dispatch_attempts = dispatch_attempts - 1,
    dispatch_sending_at = NULL, ask_at = NULL
WHERE id = :id AND dispatch_leased_by = :lease AND status = 'pending'"""

UNREGISTERED_SINCE = """
SELECT dispatch_unregistered_since AS since, NOW() AS now FROM ai_image_requests WHERE id = :id"""

# -- asking n8n -------------------------------------------------------------------------------------------------------
# `ask_at` is when n8n is next to be asked what became of a request; where it is null, that is at the deadline. Whoever
# asks moves it to the end of a lease first, so that several processes do not ask the same, and a crash only delays.

QUESTIONS = f"""
UPDATE ai_image_requests SET ask_at = AFTER(:seconds)
WHERE id IN (
    SELECT id FROM ai_image_requests WHERE {OPEN} AND coalesce(ask_at, deadline_at) <= NOW()
    ORDER BY coalesce(ask_at, deadline_at) LIMIT :limit FOR UPDATE SKIP LOCKED)
RETURNING {COLUMNS}, dispatch_sending_at, deadline_at, NOW() AS now"""

ASK_AGAIN = f"UPDATE ai_image_requests SET ask_at = AFTER(:seconds) WHERE id = :id AND {OPEN}"

# Only what is overdue: a request that was sent anew meanwhile has all its time.
MORE_TIME = f"""
UPDATE ai_image_requests SET deadline_at = AFTER(:seconds), ask_at = NULL
WHERE id = :id AND {OPEN} AND deadline_at <= NOW()
RETURNING {COLUMNS}"""

ASK_SOON = f"""
UPDATE ai_image_requests SET ask_at = AFTER(:seconds)
WHERE id = :id AND {OPEN} AND dispatch_sending_at IS NOT NULL AND ask_at IS NOT NULL"""
