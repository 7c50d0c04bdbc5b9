"""A token that opens one picture of a private bucket, when n8n is to be asked about a request, and a deadline for rows
that other tools insert: the app that is being replaced may still do so."""

from alembic import op

from storage.migrations.statements import execute

revision = "0002"
down_revision = "0001"

POSTGRES = (
    """
ALTER TABLE ai_image_requests
    ADD COLUMN IF NOT EXISTS picture_token uuid NOT NULL DEFAULT gen_random_uuid(),
    ADD COLUMN IF NOT EXISTS ask_at timestamptz,
    ALTER COLUMN deadline_at SET DEFAULT now() + interval '15 minutes'""",
    """
CREATE INDEX IF NOT EXISTS idx_ai_requests_ask ON ai_image_requests((coalesce(ask_at, deadline_at)))
    WHERE status IN ('pending', 'processing')""",
)

# A version 4 UUID (RFC 9562, section 5.4) in lower-case hyphenated text.
_UUID = (
    "lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || '-' || "
    "substr('89ab', 1 + (abs(random()) % 4), 1) || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6)))"
)

# A column that SQLite adds later cannot have such a default: a trigger completes the rows of other tools.
SQLITE = (
    "ALTER TABLE ai_image_requests ADD COLUMN picture_token TEXT",
    "ALTER TABLE ai_image_requests ADD COLUMN ask_at TEXT",
    f"UPDATE ai_image_requests SET picture_token = {_UUID}",
    f"""
CREATE TRIGGER ai_image_requests_of_other_tools AFTER INSERT ON ai_image_requests WHEN NEW.picture_token IS NULL
BEGIN
    UPDATE ai_image_requests SET picture_token = {_UUID},
        deadline_at = coalesce(NEW.deadline_at, strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '+15 minutes'))
    WHERE id = NEW.id;
END""",
    """
CREATE INDEX idx_ai_requests_ask ON ai_image_requests(coalesce(ask_at, deadline_at))
    WHERE status IN ('pending', 'processing')""",
)


def upgrade() -> None:
    """Add the columns, in the words of the database at hand."""
    execute(op, POSTGRES, SQLITE)
