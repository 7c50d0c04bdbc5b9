"""Assets that the app's library has refused: owed, and tried again.

`due_at` is when the asset is next to be tried. Whoever tries moves it to the end of a lease first, so that no two
processes try the same, and a crash only delays.
"""

from storage.queries.life import FILE_URL, RETURN_ASSET, insert_asset

OWE = f"""
INSERT INTO ai_gateway_owed_assets (request_id, file_url, reason, attempts, since, due_at)
SELECT id, {FILE_URL}, CAST(:reason AS text), 1, NOW(), AFTER(:pause) FROM changed
RETURNING request_id"""
"""The asset of what `changed`, a step before it in the same chain."""

CLAIM = """
UPDATE ai_gateway_owed_assets SET attempts = attempts + 1, due_at = AFTER(:seconds)
WHERE request_id IN (
    SELECT request_id FROM ai_gateway_owed_assets WHERE due_at <= NOW()
    ORDER BY due_at LIMIT :limit FOR UPDATE SKIP LOCKED)
RETURNING request_id, attempts"""
"""Take what is due, for the time of a lease."""

SETTLE = "DELETE FROM ai_gateway_owed_assets WHERE request_id = :id RETURNING file_url"
"""It is owed no more: whoever deletes the row writes the asset, in the same chain."""

INSERT_OWED_ASSET = f"""{insert_asset("(SELECT file_url FROM owed)")}
WHERE id = :id AND EXISTS (SELECT 1 FROM owed)
{RETURN_ASSET}"""
"""The asset, after `owed` in a chain."""

SET_ASSET = """
UPDATE ai_image_requests SET asset_id = (SELECT id FROM asset) WHERE id = :id AND EXISTS (SELECT 1 FROM owed)
RETURNING id, version"""
"""Which asset it is, as far as the library says; no part of the Body, so the version stays. After `owed` and `asset` in
a chain."""

POSTPONE = """
UPDATE ai_gateway_owed_assets SET reason = :reason, due_at = AFTER(:pause) WHERE request_id = :id"""
"""Refused again."""

OUTSTANDING = """
SELECT count(*) AS owed,
    (SELECT reason FROM ai_gateway_owed_assets ORDER BY since DESC, request_id LIMIT 1) AS reason
FROM ai_gateway_owed_assets"""
"""How many are owed, and why the newest one was refused."""
