"""The database's identity, made once and kept in it: what processes tell each other over a shared Redis carries it."""

from alembic import op

from storage.migrations.statements import execute

revision = "0006"
down_revision = "0005"

POSTGRES = (
    "CREATE TABLE IF NOT EXISTS ai_gateway_identity (id uuid PRIMARY KEY DEFAULT gen_random_uuid())",
    "INSERT INTO ai_gateway_identity SELECT gen_random_uuid() WHERE NOT EXISTS (SELECT 1 FROM ai_gateway_identity)",
    "ALTER TABLE ai_gateway_identity ENABLE ROW LEVEL SECURITY",
    "REVOKE ALL ON ai_gateway_identity FROM PUBLIC",
    """
DO $$ BEGIN
    IF to_regrole('anon') IS NOT NULL AND to_regrole('authenticated') IS NOT NULL THEN
        REVOKE ALL ON ai_gateway_identity FROM anon, authenticated;
    END IF;
END $$""",
)

SQLITE = (
    "CREATE TABLE ai_gateway_identity (id TEXT PRIMARY KEY)",
    "INSERT INTO ai_gateway_identity VALUES (lower(hex(randomblob(16))))",
)


def upgrade() -> None:
    """Make it, in the words of the database at hand."""
    execute(op, POSTGRES, SQLITE)
