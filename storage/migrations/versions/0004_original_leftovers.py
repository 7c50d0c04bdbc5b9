"""What the original design left open: which asset a picture became, when a failure was final, and who keeps
`updated_at` when other tools change a request."""

from alembic import op

from storage.migrations.statements import execute

# The Body's columns. The gateway raises the version with them; whoever else changes one (an SQL editor, a script with
# the service role) is helped to, so that every client comes to see it and none takes it for old news.
_CHANGED_ELSEWHERE = (
    "OLD.version = NEW.version AND ("
    + " OR ".join(
        f"OLD.{column} IS DISTINCT FROM NEW.{column}"
        for column in (
            *("status", "product", "brand", "storage_key", "storage_id", "error_message", "error_code"),
            *("created_at", "completed_at", "progress", "cost"),
        )
    )
    + ")"
)

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
    """
CREATE FUNCTION ai_image_requests_changed() RETURNS trigger LANGUAGE plpgsql SET search_path = '' AS $$ BEGIN
    NEW.version := OLD.version + 1;
    NEW.updated_at := now();
    RETURN NEW;
END $$""",
    "REVOKE ALL ON FUNCTION ai_image_requests_changed() FROM PUBLIC",
    f"""
CREATE TRIGGER ai_image_requests_changed BEFORE UPDATE ON ai_image_requests FOR EACH ROW
WHEN ({_CHANGED_ELSEWHERE}) EXECUTE FUNCTION ai_image_requests_changed()""",
)

SQLITE = (
    f"""
CREATE TRIGGER ai_image_requests_changed AFTER UPDATE ON ai_image_requests FOR EACH ROW
WHEN {_CHANGED_ELSEWHERE.replace("IS DISTINCT FROM", "IS NOT")} BEGIN
    UPDATE ai_image_requests SET version = version + 1, updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
    WHERE id = NEW.id;
END""",
)


def upgrade() -> None:
    """Fill it in, in the words of the database at hand."""
    execute(op, POSTGRES, SQLITE)
