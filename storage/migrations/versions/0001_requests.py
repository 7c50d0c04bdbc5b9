"""Requests, their events, and the tables around them where they do not exist yet."""

from alembic import op

from storage.migrations.statements import execute

revision = "0001"
down_revision = None

# On PostgreSQL every statement may meet a bare database, one of Supabase's (with its users, organizations, members
# and assets), or one that already has the original design's table with rows and policies in it. Tables that exist are
# somebody's and stay as they are; those that are created here are closed to Supabase's public roles, to whom Supabase
# grants every new table.
POSTGRES = (
    """
DO $$ BEGIN
    IF to_regclass('auth.users') IS NULL THEN
        CREATE SCHEMA IF NOT EXISTS auth;
        CREATE TABLE auth.users (
            id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
            email text,
            created_at timestamptz NOT NULL DEFAULT now());
    END IF;
END $$""",
    """
DO $$ BEGIN
    IF to_regclass('organizations') IS NULL THEN
        CREATE TABLE organizations (
            id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
            name text NOT NULL,
            created_at timestamptz NOT NULL DEFAULT now());
        ALTER TABLE organizations ENABLE ROW LEVEL SECURITY;
        REVOKE ALL ON organizations FROM PUBLIC;
        IF to_regrole('anon') IS NOT NULL AND to_regrole('authenticated') IS NOT NULL THEN
            REVOKE ALL ON organizations FROM anon, authenticated;
        END IF;
    END IF;
END $$""",
    """
DO $$ BEGIN
    IF to_regclass('organization_members') IS NULL THEN
        CREATE TABLE organization_members (
            organization_id uuid NOT NULL REFERENCES organizations(id) ON DELETE CASCADE,
            user_id uuid NOT NULL REFERENCES auth.users(id) ON DELETE CASCADE,
            role text NOT NULL DEFAULT 'member',
            created_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (organization_id, user_id));
        ALTER TABLE organization_members ENABLE ROW LEVEL SECURITY;
        REVOKE ALL ON organization_members FROM PUBLIC;
        IF to_regrole('anon') IS NOT NULL AND to_regrole('authenticated') IS NOT NULL THEN
            REVOKE ALL ON organization_members FROM anon, authenticated;
        END IF;
    END IF;
END $$""",
    "CREATE INDEX IF NOT EXISTS idx_organization_members_user_id ON organization_members(user_id)",
    """
DO $$ BEGIN
    IF to_regclass('assets') IS NULL THEN
        CREATE TABLE assets (
            id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
            organization_id uuid NOT NULL REFERENCES organizations(id) ON DELETE CASCADE,
            user_id uuid NOT NULL REFERENCES auth.users(id) ON DELETE CASCADE,
            name text NOT NULL,
            type text NOT NULL,
            format text NOT NULL,
            file_url text NOT NULL,
            status text NOT NULL,
            created_at timestamptz NOT NULL DEFAULT now());
        ALTER TABLE assets ENABLE ROW LEVEL SECURITY;
        REVOKE ALL ON assets FROM PUBLIC;
        IF to_regrole('anon') IS NOT NULL AND to_regrole('authenticated') IS NOT NULL THEN
            REVOKE ALL ON assets FROM anon, authenticated;
        END IF;
    END IF;
END $$""",
    """
CREATE TABLE IF NOT EXISTS ai_image_requests (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL REFERENCES auth.users(id) ON DELETE CASCADE,
    organization_id uuid NOT NULL REFERENCES organizations(id) ON DELETE CASCADE,
    product text NOT NULL,
    brand text NOT NULL,
    status text NOT NULL DEFAULT 'pending',
    storage_key text,
    storage_id text,
    error_message text,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(),
    completed_at timestamptz,
    n8n_execution_id text,
    request_metadata jsonb DEFAULT '{}'::jsonb)""",
    """
ALTER TABLE ai_image_requests
    ADD COLUMN IF NOT EXISTS version integer NOT NULL DEFAULT 1,
    ADD COLUMN IF NOT EXISTS progress integer,
    ADD COLUMN IF NOT EXISTS error_code text,
    ADD COLUMN IF NOT EXISTS cost numeric,
    ADD COLUMN IF NOT EXISTS retry_of uuid,
    ADD COLUMN IF NOT EXISTS asset_id text,
    ADD COLUMN IF NOT EXISTS idempotency_key text,
    ADD COLUMN IF NOT EXISTS idempotency_hash text,
    ADD COLUMN IF NOT EXISTS dispatch_due_at timestamptz,
    ADD COLUMN IF NOT EXISTS dispatch_leased_by text,
    ADD COLUMN IF NOT EXISTS dispatch_attempts integer NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS dispatch_sending_at timestamptz,
    ADD COLUMN IF NOT EXISTS dispatch_unregistered_since timestamptz,
    ADD COLUMN IF NOT EXISTS deadline_at timestamptz""",
    # Rows of the original design: whatever still waits gets a deadline, whatever cannot be shown becomes a failure.
    """
UPDATE ai_image_requests SET
    created_at = coalesce(created_at, now()),
    updated_at = coalesce(updated_at, created_at, now()),
    request_metadata = coalesce(request_metadata, '{}'::jsonb),
    deadline_at = CASE WHEN status IN ('pending', 'processing') THEN now() + interval '15 minutes' END,
    error_message = CASE WHEN status IN ('pending', 'processing', 'completed', 'failed') THEN error_message
        ELSE coalesce(error_message, 'The request had the unknown status ' || status) END,
    status = CASE WHEN status IN ('pending', 'processing', 'completed', 'failed') THEN status ELSE 'failed' END
WHERE created_at IS NULL OR updated_at IS NULL OR request_metadata IS NULL
    OR status NOT IN ('completed', 'failed')""",
    """
ALTER TABLE ai_image_requests
    ALTER COLUMN created_at SET NOT NULL,
    ALTER COLUMN updated_at SET NOT NULL,
    ALTER COLUMN request_metadata SET NOT NULL,
    DROP CONSTRAINT IF EXISTS ai_image_requests_status_check,
    ADD CONSTRAINT ai_image_requests_status_check CHECK (status IN ('pending', 'processing', 'completed', 'failed')),
    DROP CONSTRAINT IF EXISTS ai_image_requests_progress_check,
    ADD CONSTRAINT ai_image_requests_progress_check CHECK (progress BETWEEN 0 AND 100)""",
    "CREATE INDEX IF NOT EXISTS idx_ai_requests_user_id ON ai_image_requests(user_id)",
    "CREATE INDEX IF NOT EXISTS idx_ai_requests_org_id ON ai_image_requests(organization_id)",
    "CREATE INDEX IF NOT EXISTS idx_ai_requests_status ON ai_image_requests(status)",
    "CREATE INDEX IF NOT EXISTS idx_ai_requests_created_at ON ai_image_requests(created_at DESC)",
    "CREATE INDEX IF NOT EXISTS idx_ai_requests_user_created ON ai_image_requests(user_id, created_at DESC)",
    "CREATE INDEX IF NOT EXISTS idx_ai_requests_updated_at ON ai_image_requests(updated_at, id)",
    """
CREATE INDEX IF NOT EXISTS idx_ai_requests_execution ON ai_image_requests(n8n_execution_id)
    WHERE n8n_execution_id IS NOT NULL""",
    """
CREATE UNIQUE INDEX IF NOT EXISTS idx_ai_requests_idempotency ON ai_image_requests(user_id, idempotency_key)
    WHERE idempotency_key IS NOT NULL""",
    """
CREATE INDEX IF NOT EXISTS idx_ai_requests_due ON ai_image_requests(dispatch_due_at)
    WHERE status = 'pending' AND dispatch_sending_at IS NULL""",
    """
CREATE INDEX IF NOT EXISTS idx_ai_requests_deadline ON ai_image_requests(deadline_at)
    WHERE status IN ('pending', 'processing')""",
    """
CREATE INDEX IF NOT EXISTS idx_ai_requests_open ON ai_image_requests(user_id, created_at DESC)
    WHERE status IN ('pending', 'processing')""",
    """
CREATE TABLE IF NOT EXISTS ai_request_events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    request_id uuid NOT NULL REFERENCES ai_image_requests(id) ON DELETE CASCADE,
    version integer NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    kind text NOT NULL,
    actor text NOT NULL,
    detail jsonb NOT NULL DEFAULT '{}'::jsonb)""",
    "CREATE INDEX IF NOT EXISTS idx_ai_request_events_request ON ai_request_events(request_id, id)",
    # Row level security. Users read their own requests; only the service writes. The original design's policies let
    # anyone update every row and let users forge rows of their own.
    "ALTER TABLE ai_image_requests ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE ai_request_events ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE ai_gateway_schema ENABLE ROW LEVEL SECURITY",
    'DROP POLICY IF EXISTS "Users can view their own AI requests" ON ai_image_requests',
    'DROP POLICY IF EXISTS "Users can create AI requests" ON ai_image_requests',
    'DROP POLICY IF EXISTS "Service can update AI requests" ON ai_image_requests',
    """
REVOKE ALL ON ai_image_requests, ai_request_events, ai_gateway_schema FROM PUBLIC""",
    """
DO $$ BEGIN
    IF to_regrole('anon') IS NOT NULL AND to_regrole('authenticated') IS NOT NULL THEN
        REVOKE ALL ON ai_image_requests, ai_request_events, ai_gateway_schema FROM anon, authenticated;
        GRANT SELECT ON ai_image_requests TO authenticated;
        IF to_regproc('auth.uid') IS NOT NULL THEN
            CREATE POLICY "Users can view their own AI requests" ON ai_image_requests
                FOR SELECT TO authenticated USING (user_id = (SELECT auth.uid()));
        END IF;
    END IF;
END $$""",
    """
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_publication WHERE pubname = 'supabase_realtime' AND NOT puballtables)
        AND NOT EXISTS (SELECT FROM pg_publication_tables
            WHERE pubname = 'supabase_realtime' AND schemaname = current_schema() AND tablename = 'ai_image_requests')
    THEN
        ALTER PUBLICATION supabase_realtime ADD TABLE ai_image_requests;
    END IF;
END $$""",
)

_NOW = "(strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))"
# A version 4 UUID (RFC 9562, section 5.4) in lower-case hyphenated text.
_UUID = (
    "(lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || '-' || "
    "substr('89ab', 1 + (abs(random()) % 4), 1) || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6))))"
)

SQLITE = (
    f"""
CREATE TABLE auth_users (
    id TEXT PRIMARY KEY DEFAULT {_UUID},
    email TEXT,
    created_at TEXT NOT NULL DEFAULT {_NOW})""",
    f"""
CREATE TABLE organizations (
    id TEXT PRIMARY KEY DEFAULT {_UUID},
    name TEXT NOT NULL,
    created_at TEXT NOT NULL DEFAULT {_NOW})""",
    f"""
CREATE TABLE organization_members (
    organization_id TEXT NOT NULL REFERENCES organizations(id) ON DELETE CASCADE,
    user_id TEXT NOT NULL REFERENCES auth_users(id) ON DELETE CASCADE,
    role TEXT NOT NULL DEFAULT 'member',
    created_at TEXT NOT NULL DEFAULT {_NOW},
    PRIMARY KEY (organization_id, user_id))""",
    "CREATE INDEX idx_organization_members_user_id ON organization_members(user_id)",
    f"""
CREATE TABLE assets (
    id TEXT PRIMARY KEY DEFAULT {_UUID},
    organization_id TEXT NOT NULL REFERENCES organizations(id) ON DELETE CASCADE,
    user_id TEXT NOT NULL REFERENCES auth_users(id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    type TEXT NOT NULL,
    format TEXT NOT NULL,
    file_url TEXT NOT NULL,
    status TEXT NOT NULL,
    created_at TEXT NOT NULL DEFAULT {_NOW})""",
    f"""
CREATE TABLE ai_image_requests (
    id TEXT PRIMARY KEY DEFAULT {_UUID},
    user_id TEXT NOT NULL REFERENCES auth_users(id) ON DELETE CASCADE,
    organization_id TEXT NOT NULL REFERENCES organizations(id) ON DELETE CASCADE,
    product TEXT NOT NULL,
    brand TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'processing', 'completed', 'failed')),
    storage_key TEXT,
    storage_id TEXT,
    error_message TEXT,
    created_at TEXT NOT NULL DEFAULT {_NOW},
    updated_at TEXT NOT NULL DEFAULT {_NOW},
    completed_at TEXT,
    n8n_execution_id TEXT,
    request_metadata TEXT NOT NULL DEFAULT '{{}}',
    version INTEGER NOT NULL DEFAULT 1,
    progress INTEGER CHECK (progress BETWEEN 0 AND 100),
    error_code TEXT,
    cost TEXT,
    retry_of TEXT,
    asset_id TEXT,
    idempotency_key TEXT,
    idempotency_hash TEXT,
    dispatch_due_at TEXT,
    dispatch_leased_by TEXT,
    dispatch_attempts INTEGER NOT NULL DEFAULT 0,
    dispatch_sending_at TEXT,
    dispatch_unregistered_since TEXT,
    deadline_at TEXT)""",
    "CREATE INDEX idx_ai_requests_user_id ON ai_image_requests(user_id)",
    "CREATE INDEX idx_ai_requests_org_id ON ai_image_requests(organization_id)",
    "CREATE INDEX idx_ai_requests_status ON ai_image_requests(status)",
    "CREATE INDEX idx_ai_requests_created_at ON ai_image_requests(created_at DESC)",
    "CREATE INDEX idx_ai_requests_user_created ON ai_image_requests(user_id, created_at DESC)",
    "CREATE INDEX idx_ai_requests_updated_at ON ai_image_requests(updated_at, id)",
    """
CREATE INDEX idx_ai_requests_execution ON ai_image_requests(n8n_execution_id) WHERE n8n_execution_id IS NOT NULL""",
    """
CREATE UNIQUE INDEX idx_ai_requests_idempotency ON ai_image_requests(user_id, idempotency_key)
    WHERE idempotency_key IS NOT NULL""",
    """
CREATE INDEX idx_ai_requests_due ON ai_image_requests(dispatch_due_at)
    WHERE status = 'pending' AND dispatch_sending_at IS NULL""",
    """
CREATE INDEX idx_ai_requests_deadline ON ai_image_requests(deadline_at) WHERE status IN ('pending', 'processing')""",
    """
CREATE INDEX idx_ai_requests_open ON ai_image_requests(user_id, created_at DESC)
    WHERE status IN ('pending', 'processing')""",
    f"""
CREATE TABLE ai_request_events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    request_id TEXT NOT NULL REFERENCES ai_image_requests(id) ON DELETE CASCADE,
    version INTEGER NOT NULL,
    at TEXT NOT NULL DEFAULT {_NOW},
    kind TEXT NOT NULL,
    actor TEXT NOT NULL,
    detail TEXT NOT NULL DEFAULT '{{}}')""",
    "CREATE INDEX idx_ai_request_events_request ON ai_request_events(request_id, id)",
)


def upgrade() -> None:
    """Create everything, in the words of the database at hand."""
    execute(op, POSTGRES, SQLITE)
