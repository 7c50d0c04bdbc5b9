"""Assets that the app's library has refused and that are tried again."""

from alembic import op

from storage.migrations.statements import execute

revision = "0008"
down_revision = "0007"

POSTGRES = (
    """
CREATE TABLE IF NOT EXISTS ai_gateway_owed_assets (
    request_id uuid PRIMARY KEY REFERENCES ai_image_requests(id) ON DELETE CASCADE,
    file_url text NOT NULL,
    reason text NOT NULL,
    attempts integer NOT NULL,
    since timestamptz NOT NULL,
    due_at timestamptz NOT NULL)""",
    "ALTER TABLE ai_gateway_owed_assets ENABLE ROW LEVEL SECURITY",
    "REVOKE ALL ON ai_gateway_owed_assets FROM PUBLIC",
    """
DO $$ BEGIN
    IF to_regrole('anon') IS NOT NULL AND to_regrole('authenticated') IS NOT NULL THEN
        REVOKE ALL ON ai_gateway_owed_assets FROM anon, authenticated;
    END IF;
END $$""",
)

SQLITE = (
    """
CREATE TABLE ai_gateway_owed_assets (
    request_id TEXT PRIMARY KEY REFERENCES ai_image_requests(id) ON DELETE CASCADE,
    file_url TEXT NOT NULL,
    reason TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    since TEXT NOT NULL,
    due_at TEXT NOT NULL)""",
)


def upgrade() -> None:
    """Create the table, in the words of the database at hand."""
    execute(op, POSTGRES, SQLITE)
