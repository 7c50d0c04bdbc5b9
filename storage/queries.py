"""Every SQL statement of the gateway, on one page.

Written in the words of `database.dialect`. All times are the database's, so processes need not agree on a clock.

`version` and `updated_at` change exactly when the Body does. What only the dispatcher needs leaves both alone.
"""

from collections.abc import Collection

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

# Whoever owns them.
REQUESTS = f"SELECT {COLUMNS} FROM ai_image_requests WHERE id = ANY(:ids)"


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

RECENT_OF_USER = _recent("user_id = :user_id AND ")

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
WHERE user_id = :user_id AND (created_at, id) < (:before, :before_id)
ORDER BY created_at DESC, id DESC LIMIT :limit"""

LIST_OF_USER_BY_STATUS = f"""
SELECT {COLUMNS} FROM ai_image_requests
WHERE user_id = :user_id AND status = :status AND (created_at, id) < (:before, :before_id)
ORDER BY created_at DESC, id DESC LIMIT :limit"""

LIST_WITH_ASSET = f"""
SELECT {COLUMNS}, asset_id FROM ai_image_requests
WHERE user_id = :user_id AND asset_id IS NOT NULL AND (created_at, id) < (:before, :before_id)
ORDER BY created_at DESC, id DESC LIMIT :limit"""

# The app's own table: what kind of id it has is its affair.
ASSETS = """
SELECT CAST(id AS text) AS id, name, type, format, file_url, status FROM assets
WHERE user_id = :user_id AND CAST(id AS text) = ANY(:ids)"""

ORGANIZATIONS_OF_USER = """
SELECT organization_id FROM organization_members WHERE user_id = :user_id ORDER BY organization_id LIMIT :limit"""

SPENT_BY_USER = f"""
SELECT TOTAL(cost) AS spent, TOTAL(expected) AS reserved FROM (
    SELECT cost, CASE WHEN cost IS NULL AND {OPEN} THEN cost_estimate END AS expected
    FROM ai_image_requests WHERE user_id = :user_id AND created_at >= MONTH()) AS amounts"""

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
    SELECT created_at FROM ai_image_requests
    WHERE user_id = :user_id AND created_at > AFTER(:minus_window) AND retry_of IS NULL -- that is an administrator's
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
SELECT TOTAL(amount) AS total FROM (
    SELECT coalesce(cost, CASE WHEN {OPEN} THEN cost_estimate END) AS amount
    FROM ai_image_requests WHERE organization_id = :organization_id AND created_at >= MONTH()) AS amounts"""

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

OVERDUE_UNSENT = f"""
SELECT id FROM ai_image_requests WHERE {OPEN} AND deadline_at <= NOW() AND dispatch_sending_at IS NULL
ORDER BY deadline_at LIMIT :limit"""

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

CLAIM_PROBES = f"""
UPDATE ai_image_requests SET ask_at = AFTER(:seconds)
WHERE id IN (
    SELECT id FROM ai_image_requests
    WHERE {OPEN} AND coalesce(ask_at, deadline_at) <= NOW() AND dispatch_sending_at IS NOT NULL
    ORDER BY coalesce(ask_at, deadline_at) LIMIT :limit FOR UPDATE SKIP LOCKED)
RETURNING {COLUMNS}, dispatch_sending_at, deadline_at, NOW() AS now"""

POSTPONE_PROBE = f"UPDATE ai_image_requests SET ask_at = AFTER(:seconds) WHERE id = :id AND {OPEN}"

# Only what is overdue: a request that was sent anew meanwhile has all its time.
EXTEND_DEADLINE = f"""
UPDATE ai_image_requests SET deadline_at = AFTER(:seconds), ask_at = NULL
WHERE id = :id AND {OPEN} AND deadline_at <= NOW()
RETURNING {COLUMNS}"""

PROBE_SOON = f"""
UPDATE ai_image_requests SET ask_at = AFTER(:seconds)
WHERE id = :id AND {OPEN} AND dispatch_sending_at IS NOT NULL AND ask_at IS NOT NULL"""

# -- the dashboard ----------------------------------------------------------------------------------------------------

REQUESTS_BY_HOUR = """
SELECT HOUR_OF(created_at) AS hour, status, count(*) AS requests, TOTAL(cost) AS cost FROM ai_image_requests
WHERE created_at > AFTER(:minus_window) GROUP BY HOUR_OF(created_at), status"""

# Every duration to a tenth of a second, and how often it came: enough for the mean and every percentile.
DURATIONS = """
SELECT round(CAST(SECONDS(completed_at) AS numeric), 1) AS seconds, count(*) AS requests FROM ai_image_requests
WHERE status = 'completed' AND created_at > AFTER(:minus_window)
GROUP BY round(CAST(SECONDS(completed_at) AS numeric), 1)"""

ERRORS_BY_CODE = """
SELECT coalesce(error_code, 'unknown') AS error_code, count(*) AS requests FROM ai_image_requests
WHERE status = 'failed' AND created_at > AFTER(:minus_window) GROUP BY coalesce(error_code, 'unknown')"""

COSTS_BY_USER = """
SELECT user_id AS id, count(*) AS requests, TOTAL(cost) AS cost FROM ai_image_requests
WHERE created_at > AFTER(:minus_window) GROUP BY user_id
ORDER BY coalesce(sum(CAST(cost AS double precision)), 0) DESC, count(*) DESC LIMIT :limit"""

COSTS_BY_ORGANIZATION = """
SELECT organization_id AS id, count(*) AS requests, TOTAL(cost) AS cost FROM ai_image_requests
WHERE created_at > AFTER(:minus_window) GROUP BY organization_id
ORDER BY coalesce(sum(CAST(cost AS double precision)), 0) DESC, count(*) DESC LIMIT :limit"""

STUCK = "status = 'processing' AND coalesce(dispatch_sending_at, created_at) < AFTER(:minus_stuck)"

QUEUE = f"""
SELECT
    sum(CASE WHEN status = 'pending' AND dispatch_sending_at IS NULL THEN 1 ELSE 0 END) AS waiting,
    sum(CASE WHEN status = 'pending' AND dispatch_sending_at IS NOT NULL THEN 1 ELSE 0 END) AS sending,
    sum(CASE WHEN status = 'processing' THEN 1 ELSE 0 END) AS processing,
    sum(CASE WHEN {STUCK} THEN 1 ELSE 0 END) AS stuck,
    min(CASE WHEN status = 'pending' AND dispatch_sending_at IS NULL THEN created_at END) AS oldest,
    NOW() AS now
FROM ai_image_requests WHERE {OPEN}"""

# Each filter that an administrator may combine with others.
FILTERS = {
    "status": "status = :status",
    "stuck": STUCK,
    "organization_id": "organization_id = :organization_id",
    "user_id": "user_id = :user_id",
    "text": "lower(product || ' ' || brand) LIKE lower(:text) ESCAPE '!'",
    "since": "created_at >= :since",
    "until": "created_at < :until",
}


def list_of_everyone(filters: Collection[str]) -> str:
    """The administrator's list with these of the filters."""
    conditions = " AND ".join(
        ["(created_at, id) < (:before, :before_id)"] + [FILTERS[name] for name in sorted(filters)]
    )
    return f"SELECT {COLUMNS} FROM ai_image_requests WHERE {conditions} ORDER BY created_at DESC, id DESC LIMIT :limit"


DETAILS = """
SELECT cost_estimate, deadline_at, dispatch_sending_at FROM ai_image_requests WHERE id = :id"""

EVENTS = """
SELECT version, at, kind, actor, detail FROM ai_request_events WHERE request_id = :id ORDER BY id LIMIT :limit"""

RETRY = f"SELECT status FROM ai_image_requests WHERE retry_of = :id AND status <> '{Status.FAILED}' LIMIT 1"

INSERT_DELIVERED = """
INSERT INTO ai_request_events (request_id, version, at, kind, actor, detail)
SELECT id, CAST(:version AS integer), AFTER(:minus_age), 'delivered', :actor, :detail FROM ai_image_requests
WHERE id = :request_id AND NOT EXISTS (
    SELECT 1 FROM ai_request_events WHERE request_id = :request_id AND kind = 'delivered' AND version = :version)"""

# -- alerts, counts and processes -------------------------------------------------------------------------------------
# An alert is one row, however many processes see the trouble. It ends when nobody has seen it until `quiet_at`. Its
# start and its end are told by whoever takes the row for a moment; what was not told is told later.

RAISE_ALERT = """
INSERT INTO ai_gateway_alerts (name, summary, count, since, seen_at, quiet_at)
VALUES (:name, :summary, :count, NOW(), NOW(), AFTER(:quiet))
ON CONFLICT (name) DO UPDATE SET
    summary = excluded.summary, seen_at = excluded.seen_at, quiet_at = excluded.quiet_at,
    count = CASE WHEN ai_gateway_alerts.ended_at IS NULL THEN ai_gateway_alerts.count ELSE 0 END + excluded.count,
    since = CASE WHEN ai_gateway_alerts.ended_at IS NULL THEN ai_gateway_alerts.since ELSE excluded.since END,
    told_at = CASE WHEN ai_gateway_alerts.ended_at IS NULL OR ai_gateway_alerts.told_end_at IS NULL
        THEN ai_gateway_alerts.told_at END,
    told_end_at = NULL, ended_at = NULL"""

RESOLVE_ALERTS = """
UPDATE ai_gateway_alerts SET ended_at = NOW() WHERE ended_at IS NULL AND quiet_at <= NOW()"""

CLAIM_NOTIFICATIONS = """
UPDATE ai_gateway_alerts SET telling_until = AFTER(:seconds)
WHERE name IN (
    SELECT name FROM ai_gateway_alerts
    WHERE (telling_until IS NULL OR telling_until <= NOW())
      AND (told_at IS NULL OR (ended_at IS NOT NULL AND told_end_at IS NULL))
    ORDER BY name FOR UPDATE SKIP LOCKED)
RETURNING name, summary, count, since, ended_at, told_at"""

RECORD_NOTIFICATION = """
UPDATE ai_gateway_alerts SET telling_until = NULL,
    told_at = CASE WHEN :ended = 1 AND ended_at IS NULL THEN NULL ELSE coalesce(told_at, NOW()) END,
    told_end_at = CASE WHEN :ended = 1 AND ended_at IS NOT NULL THEN NOW() ELSE told_end_at END
WHERE name = :name"""

ALERTS = """
SELECT name, summary, count, since, ended_at FROM ai_gateway_alerts
WHERE ended_at IS NULL OR ended_at > AFTER(:minus_window) ORDER BY since DESC LIMIT :limit"""

ADD_COUNT = """
INSERT INTO ai_gateway_counts (hour, name, count) VALUES (:hour, :name, :count)
ON CONFLICT (hour, name) DO UPDATE SET count = ai_gateway_counts.count + excluded.count"""

COUNTS = """
SELECT name, sum(count) AS count FROM ai_gateway_counts WHERE hour > AFTER(:minus_window) GROUP BY name"""

FORGET_COUNTS = "DELETE FROM ai_gateway_counts WHERE hour < AFTER(:minus_window)"

PROCESS_SEEN = """
INSERT INTO ai_gateway_processes (name, seen_at, connections, bus_healthy)
VALUES (:name, NOW(), :connections, :bus_healthy)
ON CONFLICT (name) DO UPDATE SET
    seen_at = excluded.seen_at, connections = excluded.connections, bus_healthy = excluded.bus_healthy"""

PROCESS_GONE = "DELETE FROM ai_gateway_processes WHERE name = :name OR seen_at < AFTER(:minus_window)"

PROCESSES = """
SELECT count(*) AS processes, coalesce(sum(connections), 0) AS connections FROM ai_gateway_processes
WHERE seen_at > AFTER(:minus_window)"""
