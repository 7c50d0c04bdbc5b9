"""A PostgreSQL with Supabase's roles, functions, default grants and publication, in each state of a project.

What matters of Supabase's images: the public roles are granted every new table, `auth.uid()` reads the claims of the
request, and `postgres` (here `project`) is no superuser, but bypasses row level security and owns the publication.
"""

ROLES = """
DO $$ BEGIN
    IF to_regrole('anon') IS NULL THEN
        CREATE ROLE anon NOLOGIN NOINHERIT;
        CREATE ROLE authenticated NOLOGIN NOINHERIT;
        CREATE ROLE service_role NOLOGIN NOINHERIT BYPASSRLS;
        CREATE ROLE authenticator LOGIN NOINHERIT;
        GRANT anon, authenticated, service_role TO authenticator;
        CREATE ROLE project LOGIN CREATEROLE BYPASSRLS;
        GRANT anon, authenticated, service_role TO project;
    END IF;
END $$;
"""

PROJECT = """
CREATE SCHEMA auth;
CREATE TABLE auth.users (id uuid PRIMARY KEY, email text, raw_app_meta_data jsonb, created_at timestamptz);
CREATE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql STABLE AS $$
    SELECT coalesce(nullif(current_setting('request.jwt.claim.sub', true), ''),
        nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid
$$;
GRANT USAGE ON SCHEMA auth TO anon, authenticated, service_role, project;
GRANT ALL ON auth.users TO project;
GRANT USAGE ON SCHEMA public TO anon, authenticated, service_role;
GRANT CREATE ON SCHEMA public TO project;
ALTER DEFAULT PRIVILEGES FOR ROLE project IN SCHEMA public GRANT ALL ON TABLES TO anon, authenticated, service_role;
ALTER DEFAULT PRIVILEGES FOR ROLE project IN SCHEMA public GRANT ALL ON SEQUENCES TO anon, authenticated, service_role;
CREATE PUBLICATION supabase_realtime;
ALTER PUBLICATION supabase_realtime OWNER TO project;
"""

ADA = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
EVE = "eeeeeeee-eeee-4eee-8eee-eeeeeeeeeeee"
ACME = "11111111-1111-4111-8111-111111111111"
EVIL = "22222222-2222-4222-8222-222222222222"

# The app's own tables, with columns, policies and a row for each role of its own.
APP = f"""
SET ROLE project;
CREATE TABLE organizations (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text NOT NULL, plan text DEFAULT 'free');
CREATE TABLE organization_members (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    organization_id uuid NOT NULL REFERENCES organizations(id) ON DELETE CASCADE,
    user_id uuid NOT NULL REFERENCES auth.users(id) ON DELETE CASCADE,
    role text NOT NULL DEFAULT 'member', UNIQUE (organization_id, user_id, role));
ALTER TABLE organization_members ENABLE ROW LEVEL SECURITY;
CREATE POLICY "Members see their memberships" ON organization_members FOR SELECT TO authenticated
    USING (user_id = auth.uid());
CREATE TABLE assets (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    organization_id uuid NOT NULL REFERENCES organizations(id) ON DELETE CASCADE,
    user_id uuid REFERENCES auth.users(id),
    name text NOT NULL, type text NOT NULL, format text, file_url text, status text DEFAULT 'pending', tags text[]);
ALTER TABLE assets ENABLE ROW LEVEL SECURITY;
CREATE POLICY "Members see their assets" ON assets FOR SELECT TO authenticated USING (user_id = auth.uid());
RESET ROLE;
INSERT INTO auth.users (id) VALUES ('{ADA}'), ('{EVE}');
INSERT INTO organizations (id, name) VALUES ('{ACME}', 'Acme'), ('{EVIL}', 'Evil');
INSERT INTO organization_members (organization_id, user_id) VALUES ('{ACME}', '{ADA}'), ('{EVIL}', '{EVE}');
"""

# The original design document's migration, word for word.
ORIGINAL = """
SET ROLE project;
CREATE TABLE ai_image_requests (
  id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
  user_id UUID NOT NULL REFERENCES auth.users(id) ON DELETE CASCADE,
  organization_id UUID NOT NULL REFERENCES organizations(id) ON DELETE CASCADE,
  product TEXT NOT NULL,
  brand TEXT NOT NULL,
  status TEXT NOT NULL DEFAULT 'pending', -- 'pending', 'processing', 'completed', 'failed'
  storage_key TEXT,
  storage_id TEXT,
  error_message TEXT,
  created_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
  updated_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
  completed_at TIMESTAMP WITH TIME ZONE,
  n8n_execution_id TEXT,
  request_metadata JSONB DEFAULT '{}'::jsonb
);
CREATE INDEX idx_ai_requests_user_id ON ai_image_requests(user_id);
CREATE INDEX idx_ai_requests_org_id ON ai_image_requests(organization_id);
CREATE INDEX idx_ai_requests_status ON ai_image_requests(status);
CREATE INDEX idx_ai_requests_created_at ON ai_image_requests(created_at DESC);
ALTER TABLE ai_image_requests ENABLE ROW LEVEL SECURITY;
CREATE POLICY "Users can view their own AI requests" ON ai_image_requests
  FOR SELECT USING (user_id = auth.uid());
CREATE POLICY "Users can create AI requests" ON ai_image_requests
  FOR INSERT WITH CHECK (user_id = auth.uid());
-- Service role can update (for callback)
CREATE POLICY "Service can update AI requests" ON ai_image_requests
  FOR UPDATE USING (true);
RESET ROLE;
"""

ROWS = f"""
INSERT INTO assets (id, organization_id, user_id, name, type, format, file_url, status) VALUES
    ('00000000-0000-4000-8000-00000000000a', '{ACME}', '{ADA}', 'AI Generated: Shoes - Nike', 'image', 'PNG',
     'https://project.supabase.co/storage/v1/object/public/ai-images/1.png', 'approved'),
    ('00000000-0000-4000-8000-00000000000b', '{EVIL}', '{EVE}', 'not of that request', 'image', 'PNG',
     'https://project.supabase.co/storage/v1/object/public/ai-images/1.png', 'approved');
INSERT INTO ai_image_requests (id, user_id, organization_id, product, brand, status, storage_key, storage_id,
    created_at, updated_at, completed_at, request_metadata) VALUES
    ('00000000-0000-4000-8000-000000000001', '{ADA}', '{ACME}', 'Shoes', 'Nike', 'completed', 'ai-images/1.png', 's1',
     now() - interval '1 day', now() - interval '1 day', now() - interval '1 day', '{{"source": "app"}}'),
    ('00000000-0000-4000-8000-000000000002', '{ADA}', '{ACME}', 'Shoes', 'Nike', 'processing', NULL, NULL,
     now(), NULL, NULL, NULL),
    ('00000000-0000-4000-8000-000000000003', '{ADA}', '{ACME}', 'Shoes', 'Nike', 'pending', NULL, NULL,
     NULL, NULL, NULL, '{{}}'),
    ('00000000-0000-4000-8000-000000000004', '{ADA}', '{ACME}', 'Shoes', 'Nike', 'done?', NULL, NULL,
     now(), now(), NULL, '{{}}'),
    ('00000000-0000-4000-8000-000000000005', '{EVE}', '{EVIL}', 'Hats', 'Evil', 'failed', NULL, NULL,
     now(), now(), now(), '{{}}');
"""

PUBLISHED = "ALTER PUBLICATION supabase_realtime ADD TABLE ai_image_requests;"

STATES = {
    "a new project": ROLES + PROJECT,
    "the app's tables": ROLES + PROJECT + APP,
    "the original design": ROLES + PROJECT + APP + ORIGINAL + ROWS,
    "the original design, published": ROLES + PROJECT + APP + ORIGINAL + ROWS + PUBLISHED,
    "everything published": ROLES
    + PROJECT.replace("PUBLICATION supabase_realtime;", "PUBLICATION supabase_realtime FOR ALL TABLES;")
    + APP,
}
