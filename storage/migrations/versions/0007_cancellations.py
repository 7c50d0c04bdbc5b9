"""When a request is canceled by itself, when n8n is to be asked to stop what it runs for a canceled one, and which
sign-in links have been used."""

from alembic import op

from storage.migrations.statements import execute

revision = "0007"
down_revision = "0006"

_INDEXES = (
    """
CREATE INDEX IF NOT EXISTS idx_ai_requests_cancel ON ai_image_requests(cancel_at)
    WHERE cancel_at IS NOT NULL AND status IN ('pending', 'processing')""",
    "CREATE INDEX IF NOT EXISTS idx_ai_requests_stop ON ai_image_requests(stop_at) WHERE stop_at IS NOT NULL",
)

POSTGRES = (
    """
ALTER TABLE ai_image_requests
    ADD COLUMN IF NOT EXISTS cancel_at timestamptz,
    ADD COLUMN IF NOT EXISTS stop_at timestamptz""",
    *_INDEXES,
    "CREATE TABLE IF NOT EXISTS ai_gateway_sign_ins (id uuid PRIMARY KEY, expires_at timestamptz NOT NULL)",
    "ALTER TABLE ai_gateway_sign_ins ENABLE ROW LEVEL SECURITY",
    "REVOKE ALL ON ai_gateway_sign_ins FROM PUBLIC",
    """
DO $$ BEGIN
    IF to_regrole('anon') IS NOT NULL AND to_regrole('authenticated') IS NOT NULL THEN
        REVOKE ALL ON ai_gateway_sign_ins FROM anon, authenticated;
    END IF;
END $$""",
)

SQLITE = (
    "ALTER TABLE ai_image_requests ADD COLUMN cancel_at TEXT",
    "ALTER TABLE ai_image_requests ADD COLUMN stop_at TEXT",
    *_INDEXES,
    "CREATE TABLE ai_gateway_sign_ins (id TEXT PRIMARY KEY, expires_at TEXT NOT NULL)",
)


def upgrade() -> None:
    """Add the columns, in the words of the database at hand."""
    execute(op, POSTGRES, SQLITE)
