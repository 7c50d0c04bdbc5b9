"""Codes of sign-in links that have been used."""

FORGET_EXPIRED = "DELETE FROM ai_gateway_sign_ins WHERE expires_at < NOW()"
"""A code that has ended needs no memory."""

SPEND = """
INSERT INTO ai_gateway_sign_ins (id, expires_at) VALUES (:id, AFTER(:seconds))
ON CONFLICT (id) DO NOTHING RETURNING CAST(id AS text) AS id"""
"""Use a code up, if nobody has."""
