"""Columns of probes, alerts and processes get the words that the field uses.

The first migration that takes a name away: gateways of before it do not work after it, so all are stopped for this one.
Nothing has been released that it could hurt. From here on each migration only adds again.
"""

from alembic import op

from storage.migrations.statements import execute

revision = "0005"
down_revision = "0004"

# Indexes, triggers and policies follow a renamed column by themselves, on both.
_COLUMNS = tuple(
    f"ALTER TABLE {table} RENAME COLUMN {old} TO {new}"
    for table, old, new in (
        ("ai_image_requests", "ask_at", "probe_at"),
        ("ai_gateway_alerts", "seen_at", "last_seen_at"),
        ("ai_gateway_alerts", "quiet_at", "resolves_at"),
        ("ai_gateway_alerts", "told_at", "notified_at"),
        ("ai_gateway_alerts", "told_end_at", "resolution_notified_at"),
        ("ai_gateway_alerts", "telling_until", "notifying_until"),
        ("ai_gateway_processes", "seen_at", "last_seen_at"),
    )
)

POSTGRES = (*_COLUMNS, "ALTER INDEX IF EXISTS idx_ai_requests_ask RENAME TO idx_ai_requests_probe")

SQLITE = (
    *_COLUMNS,
    "DROP INDEX idx_ai_requests_ask",
    """
CREATE INDEX idx_ai_requests_probe ON ai_image_requests(coalesce(probe_at, deadline_at))
    WHERE status IN ('pending', 'processing')""",
)


def upgrade() -> None:
    """Rename them, in the words of the database at hand."""
    execute(op, POSTGRES, SQLITE)
