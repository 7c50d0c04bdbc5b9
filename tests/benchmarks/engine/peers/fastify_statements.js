// The gateway's rules as PostgreSQL statements, in as few round trips as they allow: one for a poll or a callback, four
// for a submission (BEGIN with the lock, the checks, the writes, COMMIT). Each has a name, so pg prepares it once.
"use strict";

const COLUMNS = `id, user_id, organization_id, product, brand, status, version, progress, storage_key, storage_id,
  error_message, error_code, cost, created_at, updated_at, completed_at, picture_token`;

const named = (name, text) => (...values) => ({ name, text, values });

exports.ownRequest = named(
  "own_request",
  `SELECT ${COLUMNS} FROM ai_image_requests WHERE id = $1 AND user_id = $2`,
);

exports.request = named("request", `SELECT ${COLUMNS} FROM ai_image_requests WHERE id = $1`);

// The user's lock orders concurrent submissions, so count and insert cannot interleave. `userId` is a UUID by now.
exports.beginLocked = (userId) =>
  `BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('ai_image_requests:user:${userId}', 0))`;

// The request that the key already made, the organizations, and what is taken of the rolling hour.
exports.submissionChecks = named(
  "submission_checks",
  `SELECT recent.taken, recent.oldest, statement_timestamp() AS now, same.id AS same_id, same.idempotency_hash,
    ARRAY(SELECT organization_id FROM organization_members WHERE user_id = $1 LIMIT 2) AS organizations
  FROM (
    SELECT count(*)::integer AS taken, min(created_at) AS oldest FROM (
      SELECT created_at FROM ai_image_requests
      WHERE user_id = $1 AND created_at > statement_timestamp() - interval '1 hour' AND retry_of IS NULL
      ORDER BY created_at DESC LIMIT $2
    ) AS hour
  ) AS recent
  LEFT JOIN ai_image_requests AS same ON same.user_id = $1 AND same.idempotency_key = $3
    AND same.created_at > statement_timestamp() - interval '24 hours'`,
);

exports.submit = named(
  "submit",
  `WITH made AS (
    INSERT INTO ai_image_requests (
      id, user_id, organization_id, product, brand, request_metadata, idempotency_key, idempotency_hash, picture_token,
      created_at, updated_at, dispatch_due_at, deadline_at)
    VALUES ($1, $2, $3, $4, $5, '{}', $6, $7, $8, statement_timestamp(), statement_timestamp(), statement_timestamp(),
      statement_timestamp() + interval '15 minutes')
    RETURNING ${COLUMNS}
  ), told AS (
    INSERT INTO ai_request_events (request_id, version, at, kind, actor, detail)
    SELECT id, version, statement_timestamp(), 'submitted', 'user:' || user_id, '{}' FROM made
  )
  SELECT * FROM made`,
);

exports.progress = named(
  "progress",
  `WITH changed AS (
    UPDATE ai_image_requests
    SET status = 'processing', progress = coalesce($2::integer, progress), version = version + 1,
      updated_at = statement_timestamp(), dispatch_due_at = NULL, probe_at = NULL
    WHERE id = $1 AND status IN ('pending', 'processing')
      AND (status = 'pending' OR $2::integer > coalesce(progress, -1))
    RETURNING ${COLUMNS}
  ), told AS (
    INSERT INTO ai_request_events (request_id, version, at, kind, actor, detail)
    SELECT id, version, statement_timestamp(), 'progressed', 'n8n', jsonb_build_object('progress', $2::integer)
    FROM changed
  )
  SELECT * FROM changed`,
);

// The asset first, because the request names it; the row is locked before, so that it is made once.
exports.complete = named(
  "complete",
  `WITH current AS (
    SELECT id, user_id, organization_id, product, brand FROM ai_image_requests
    WHERE id = $1 AND status IN ('pending', 'processing', 'failed') FOR UPDATE
  ), asset AS (
    INSERT INTO assets (organization_id, user_id, name, type, format, file_url, status)
    SELECT organization_id, user_id, 'AI Generated: ' || product || ' - ' || brand, 'image', 'PNG', $4, 'approved'
    FROM current
    RETURNING id
  ), changed AS (
    UPDATE ai_image_requests AS request
    SET status = 'completed', progress = 100, storage_key = $2, storage_id = $3, error_message = NULL,
      error_code = NULL, cost = coalesce(request.cost, request.cost_estimate), version = version + 1,
      updated_at = statement_timestamp(), completed_at = statement_timestamp(), dispatch_due_at = NULL,
      asset_id = (SELECT id::text FROM asset)
    FROM current WHERE request.id = current.id
    RETURNING ${COLUMNS.split(",").map((column) => `request.${column.trim()}`).join(", ")}
  ), told AS (
    INSERT INTO ai_request_events (request_id, version, at, kind, actor, detail)
    SELECT id, version, statement_timestamp(), 'completed', 'n8n',
      jsonb_build_object('key', $2::text, 'id', $3::text) FROM changed
  )
  SELECT * FROM changed`,
);
