"""What users and organizations have spent this month (UTC), and what unfinished requests may still cost."""

from storage.queries.rows import OPEN

ORGANIZATIONS_OF_USER = """
SELECT DISTINCT organization_id FROM organization_members
WHERE user_id = :user_id AND organization_id IS NOT NULL ORDER BY organization_id LIMIT :limit"""
"""The organizations that the user is a member of, each once, whatever number of rows says so."""

SPENT_BY_USER = f"""
SELECT TOTAL(cost) AS spent, TOTAL(expected) AS reserved FROM (
    SELECT cost, CASE WHEN cost IS NULL AND {OPEN} THEN cost_estimate END AS expected
    FROM ai_image_requests WHERE user_id = :user_id AND created_at >= MONTH()) AS amounts"""
"""The user's settled and expected costs."""

COMMITTED = f"""
SELECT TOTAL(amount) AS total, NOW() AS now, MONTH() AS month FROM (
    SELECT coalesce(cost, CASE WHEN {OPEN} THEN cost_estimate END) AS amount
    FROM ai_image_requests WHERE organization_id = :organization_id AND created_at >= MONTH()) AS amounts"""
"""What of an organization's budget is gone (settled, or expected of what is unfinished), and in which month."""
