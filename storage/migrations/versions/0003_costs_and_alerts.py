"""What a request is expected to cost; alerts, counts and processes; indexes for lists, sums and the dashboard."""

from alembic import op

from storage.migrations.statements import execute

revision = "0003"
down_revision = "0002"

_INDEXES = (
    # Lists are read in this order, page by page, by their owner, or filtered by an administrator.
    "CREATE INDEX IF NOT EXISTS idx_ai_requests_list ON ai_image_requests(created_at DESC, id DESC)",
    "CREATE INDEX IF NOT EXISTS idx_ai_requests_user_list ON ai_image_requests(user_id, created_at DESC, id DESC)",
    """
CREATE INDEX IF NOT EXISTS idx_ai_requests_organization_list
    ON ai_image_requests(organization_id, created_at DESC, id DESC)""",
    "CREATE INDEX IF NOT EXISTS idx_ai_requests_status_list ON ai_image_requests(status, created_at DESC, id DESC)",
    "CREATE INDEX IF NOT EXISTS idx_ai_requests_completed_at ON ai_image_requests(completed_at DESC)",
    "CREATE INDEX IF NOT EXISTS idx_assets_user_id ON assets(user_id)",
    # The ones above begin with the same columns; every index costs each submission.
    "DROP INDEX IF EXISTS idx_ai_requests_user_created",
    "DROP INDEX IF EXISTS idx_ai_requests_user_id",
    "DROP INDEX IF EXISTS idx_ai_requests_org_id",
    "DROP INDEX IF EXISTS idx_ai_requests_status",
    "DROP INDEX IF EXISTS idx_ai_requests_created_at",
)

POSTGRES = (
    "ALTER TABLE ai_image_requests ADD COLUMN IF NOT EXISTS cost_estimate numeric",
    *_INDEXES,
    # The budget's sum, and the dashboard's, without a visit to the table.
    """
CREATE INDEX IF NOT EXISTS idx_ai_requests_costs
    ON ai_image_requests(organization_id, created_at) INCLUDE (status, cost, cost_estimate)""",
    """
CREATE INDEX IF NOT EXISTS idx_ai_requests_stats
    ON ai_image_requests(created_at) INCLUDE (status, error_code, completed_at, cost, user_id, organization_id)""",
    """
CREATE TABLE IF NOT EXISTS ai_gateway_alerts (
    name text PRIMARY KEY,
    summary text NOT NULL,
    count integer NOT NULL,
    since timestamptz NOT NULL,
    seen_at timestamptz NOT NULL,
    quiet_at timestamptz NOT NULL,
    ended_at timestamptz,
    told_at timestamptz,
    told_end_at timestamptz,
    telling_until timestamptz)""",
    """
CREATE TABLE IF NOT EXISTS ai_gateway_counts (
    hour timestamptz NOT NULL,
    name text NOT NULL,
    count bigint NOT NULL,
    PRIMARY KEY (hour, name))""",
    """
CREATE TABLE IF NOT EXISTS ai_gateway_processes (
    name text PRIMARY KEY,
    seen_at timestamptz NOT NULL,
    connections integer NOT NULL,
    bus_healthy boolean NOT NULL)""",
    "ALTER TABLE ai_gateway_alerts ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE ai_gateway_counts ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE ai_gateway_processes ENABLE ROW LEVEL SECURITY",
    "REVOKE ALL ON ai_gateway_alerts, ai_gateway_counts, ai_gateway_processes FROM PUBLIC",
    """
DO $$ BEGIN
    IF to_regrole('anon') IS NOT NULL AND to_regrole('authenticated') IS NOT NULL THEN
        REVOKE ALL ON ai_gateway_alerts, ai_gateway_counts, ai_gateway_processes FROM anon, authenticated;
    END IF;
END $$""",
)

SQLITE = (
    "ALTER TABLE ai_image_requests ADD COLUMN cost_estimate TEXT",
    *_INDEXES,
    "CREATE INDEX idx_ai_requests_costs ON ai_image_requests(organization_id, created_at, status, cost, cost_estimate)",
    """
CREATE TABLE ai_gateway_alerts (
    name TEXT PRIMARY KEY,
    summary TEXT NOT NULL,
    count INTEGER NOT NULL,
    since TEXT NOT NULL,
    seen_at TEXT NOT NULL,
    quiet_at TEXT NOT NULL,
    ended_at TEXT,
    told_at TEXT,
    told_end_at TEXT,
    telling_until TEXT)""",
    """
CREATE TABLE ai_gateway_counts (
    hour TEXT NOT NULL, name TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (hour, name))""",
    """
CREATE TABLE ai_gateway_processes (
    name TEXT PRIMARY KEY,
    seen_at TEXT NOT NULL,
    connections INTEGER NOT NULL,
    bus_healthy INTEGER NOT NULL)""",
)


def upgrade() -> None:
    """Add them, in the words of the database at hand."""
    execute(op, POSTGRES, SQLITE)
