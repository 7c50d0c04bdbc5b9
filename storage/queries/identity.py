"""Which database this is."""

IDENTITY = "SELECT CAST(id AS text) AS id FROM ai_gateway_identity ORDER BY id LIMIT 1"
"""What was made once and is kept in the database; its copies have it too."""
