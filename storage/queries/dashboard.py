"""Counts, durations and costs of a span of time, and what is going on now."""

from storage.queries.rows import OPEN
from storage.queries.selecting import SENDING, STUCK, WAITING

REQUESTS_BY_HOUR = """
SELECT HOUR_OF(created_at) AS hour, status, count(*) AS requests, TOTAL(cost) AS cost FROM ai_image_requests
WHERE created_at > AFTER(:minus_window) GROUP BY HOUR_OF(created_at), status"""
"""How many requests of each status were submitted in each hour, and what they cost."""

DURATIONS = """
SELECT round(CAST(SECONDS(completed_at) AS numeric), 1) AS seconds, count(*) AS requests FROM ai_image_requests
WHERE status = 'completed' AND created_at > AFTER(:minus_window) AND SECONDS(completed_at) >= 0
GROUP BY round(CAST(SECONDS(completed_at) AS numeric), 1)"""
"""Every duration to a tenth of a second, and how often it came: enough for the mean and every percentile."""

ERRORS_BY_CODE = """
SELECT coalesce(error_code, 'unknown') AS error_code, count(*) AS requests FROM ai_image_requests
WHERE status = 'failed' AND created_at > AFTER(:minus_window) GROUP BY coalesce(error_code, 'unknown')"""
"""How often each error came."""

COSTS_BY_USER = """
SELECT user_id AS id, count(*) AS requests, TOTAL(cost) AS cost FROM ai_image_requests
WHERE created_at > AFTER(:minus_window) GROUP BY user_id
ORDER BY ROUGH_SUM(cost) DESC, count(*) DESC LIMIT :limit"""
"""Who cost most."""

COSTS_BY_ORGANIZATION = """
SELECT organization_id AS id, count(*) AS requests, TOTAL(cost) AS cost FROM ai_image_requests
WHERE created_at > AFTER(:minus_window) GROUP BY organization_id
ORDER BY ROUGH_SUM(cost) DESC, count(*) DESC LIMIT :limit"""
"""Which organization cost most."""

QUEUE = f"""
SELECT
    sum(CASE WHEN {WAITING} THEN 1 ELSE 0 END) AS waiting,
    sum(CASE WHEN {SENDING} THEN 1 ELSE 0 END) AS sending,
    sum(CASE WHEN status = 'processing' THEN 1 ELSE 0 END) AS processing,
    sum(CASE WHEN {STUCK} THEN 1 ELSE 0 END) AS stuck,
    min(CASE WHEN {WAITING} THEN created_at END) AS oldest,
    NOW() AS now
FROM ai_image_requests WHERE {OPEN}"""
"""What is unfinished now, and how long the oldest has waited to be sent."""
