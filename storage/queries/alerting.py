"""Alerts, counts of incidents, and the processes that live.

An alert is one row, however many processes raise it. It is resolved when nobody has raised it until `resolves_at`. Its
beginning and its resolution are notified by whoever claims the row for a moment; what failed is notified later.
"""

RAISE_ALERT = """
INSERT INTO ai_gateway_alerts (name, summary, count, since, last_seen_at, resolves_at)
VALUES (:name, :summary, :count, NOW(), NOW(), AFTER(:resolve))
ON CONFLICT (name) DO UPDATE SET
    summary = excluded.summary, last_seen_at = excluded.last_seen_at, resolves_at = excluded.resolves_at,
    count = CASE WHEN ai_gateway_alerts.ended_at IS NULL THEN ai_gateway_alerts.count ELSE 0 END + excluded.count,
    since = CASE WHEN ai_gateway_alerts.ended_at IS NULL THEN ai_gateway_alerts.since ELSE excluded.since END,
    notified_at = CASE WHEN ai_gateway_alerts.ended_at IS NULL OR ai_gateway_alerts.resolution_notified_at IS NULL
        THEN ai_gateway_alerts.notified_at END,
    resolution_notified_at = NULL, ended_at = NULL"""
"""Begin the alert, begin it anew, or keep it up."""

TAKE_ROOM = """
INSERT INTO ai_gateway_alerts (name, summary, count, since, last_seen_at, resolves_at)
VALUES (:name, :summary, 0, NOW(), NOW(), NOW())"""
"""Take up space as no alert, in a transaction that gives it back."""

GIVE_ROOM = "DELETE FROM ai_gateway_alerts WHERE name = :name"
"""Give it back."""

RESOLVE_ALERTS = """
UPDATE ai_gateway_alerts SET ended_at = NOW() WHERE ended_at IS NULL AND resolves_at <= NOW()"""
"""Resolve what nobody raises any more."""

CLAIM_NOTIFICATIONS = """
UPDATE ai_gateway_alerts SET notifying_until = AFTER(:seconds)
WHERE name IN (
    SELECT name FROM ai_gateway_alerts
    WHERE (notifying_until IS NULL OR notifying_until <= NOW())
      AND (notified_at IS NULL OR (ended_at IS NOT NULL AND resolution_notified_at IS NULL))
    ORDER BY name FOR UPDATE SKIP LOCKED)
RETURNING name, summary, count, since, ended_at, notified_at"""
"""Claim what has not been notified yet, for a moment."""

RECORD_NOTIFICATION = """
UPDATE ai_gateway_alerts SET notifying_until = NULL,
    notified_at = CASE WHEN :ended = 1 AND ended_at IS NULL THEN NULL ELSE coalesce(notified_at, NOW()) END,
    resolution_notified_at = CASE WHEN :ended = 1 AND ended_at IS NOT NULL THEN NOW() ELSE resolution_notified_at END
WHERE name = :name"""
"""It has been notified; an alert that began anew meanwhile is to be notified again."""

ALERTS = """
SELECT name, summary, count, since, ended_at FROM ai_gateway_alerts
WHERE ended_at IS NULL OR ended_at > AFTER(:minus_window) ORDER BY since DESC LIMIT :limit"""
"""What is wrong now or was a short time ago, newest first."""

ADD_COUNT = """
INSERT INTO ai_gateway_counts (hour, name, count) VALUES (:hour, :name, :count)
ON CONFLICT (hour, name) DO UPDATE SET count = ai_gateway_counts.count + excluded.count"""
"""Add to an hour's count."""

COUNTS = """
SELECT name, sum(count) AS count FROM ai_gateway_counts WHERE hour > AFTER(:minus_window) GROUP BY name"""
"""How often each thing was counted."""

FORGET_COUNTS = "DELETE FROM ai_gateway_counts WHERE hour < AFTER(:minus_window)"
"""Drop old counts."""

PROCESS_SEEN = """
INSERT INTO ai_gateway_processes (name, last_seen_at, connections, bus_healthy)
VALUES (:name, NOW(), :connections, :bus_healthy)
ON CONFLICT (name) DO UPDATE SET
    last_seen_at = excluded.last_seen_at, connections = excluded.connections, bus_healthy = excluded.bus_healthy"""
"""The process lives."""

PROCESS_GONE = "DELETE FROM ai_gateway_processes WHERE name = :name OR last_seen_at < AFTER(:minus_window)"
"""The process has ended; what was not seen for long is dropped too."""

PROCESS_NAMES = "SELECT name FROM ai_gateway_processes"
"""Every process that has not signed off."""

PROCESSES = """
SELECT count(*) AS processes, coalesce(sum(connections), 0) AS connections FROM ai_gateway_processes
WHERE last_seen_at > AFTER(:minus_window)"""
"""How many processes live, and their connections together."""
