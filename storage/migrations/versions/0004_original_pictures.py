"""What the original design left open on its rows: which asset a picture became, and when a failure was final."""

from alembic import op

from storage.migrations.statements import execute

revision = "0004"
down_revision = "0003"

POSTGRES = (
    # The library lists requests with an asset. The original design wrote the asset, and not which request it was of.
    """
UPDATE ai_image_requests AS request SET asset_id = (
    SELECT CAST(assets.id AS text) FROM assets
    WHERE assets.user_id = request.user_id AND assets.organization_id = request.organization_id
      AND right(assets.file_url, length(request.storage_key) + 1) = '/' || request.storage_key
    ORDER BY assets.id LIMIT 1)
WHERE request.status = 'completed' AND request.asset_id IS NULL AND request.storage_key IS NOT NULL""",
    """
UPDATE ai_image_requests SET completed_at = updated_at, version = version + 1
WHERE status IN ('completed', 'failed') AND completed_at IS NULL""",
)

SQLITE: tuple[str, ...] = ()  # the original design knew PostgreSQL alone


def upgrade() -> None:
    """Fill it in, in the words of the database at hand."""
    execute(op, POSTGRES, SQLITE)
