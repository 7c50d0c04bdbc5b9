"""Alerts, counts of incidents, and the processes that live.

An alert is one row, however many processes see the trouble. It ends when nobody has raised it until `quiet_at`. Its
start and its end are told by whoever takes the row for a moment; what was not told is told later.
"""

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
"""Begin the alert, begin it anew, or keep it up."""

RESOLVE_ALERTS = """
UPDATE ai_gateway_alerts SET ended_at = NOW() WHERE ended_at IS NULL AND quiet_at <= NOW()"""
"""End what nobody raises any more."""

CLAIM_NOTIFICATIONS = """
UPDATE ai_gateway_alerts SET telling_until = AFTER(:seconds)
WHERE name IN (
    SELECT name FROM ai_gateway_alerts
    WHERE (telling_until IS NULL OR telling_until <= NOW())
      AND (told_at IS NULL OR (ended_at IS NOT NULL AND told_end_at IS NULL))
    ORDER BY name FOR UPDATE SKIP LOCKED)
RETURNING name, summary, count, since, ended_at, told_at"""
"""Take what has not been told yet, for a moment."""

RECORD_NOTIFICATION = """
UPDATE ai_gateway_alerts SET telling_until = NULL,
    told_at = CASE WHEN :ended = 1 AND ended_at IS NULL THEN NULL ELSE coalesce(told_at, NOW()) END,
    told_end_at = CASE WHEN :ended = 1 AND ended_at IS NOT NULL THEN NOW() ELSE told_end_at END
WHERE name = :name"""
"""It has been told; an alert that began anew meanwhile is to be told again."""

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
INSERT INTO ai_gateway_processes (name, seen_at, connections, bus_healthy)
VALUES (:name, NOW(), :connections, :bus_healthy)
ON CONFLICT (name) DO UPDATE SET
    seen_at = excluded.seen_at, connections = excluded.connections, bus_healthy = excluded.bus_healthy"""
"""The process lives."""

PROCESS_GONE = "DELETE FROM ai_gateway_processes WHERE name = :name OR seen_at < AFTER(:minus_window)"
"""The process has ended; what was not seen for long is dropped too."""

PROCESSES = """
SELECT count(*) AS processes, coalesce(sum(connections), 0) AS connections FROM ai_gateway_processes
WHERE seen_at > AFTER(:minus_window)"""
"""How many processes live, and their connections together."""
