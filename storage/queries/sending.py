"""Claims of what is due, the "sending" mark, and probes of what became of it.

`dispatch_due_at` is when the row may next be claimed. A claim moves it to the end of the lease, so a claimer that died
before the "sending" mark gives the row back by doing nothing. A marked row is never claimed again. Every claim has a
lease of its own, so a statement that is repeated after a lost answer cannot touch what a later claim has done.

`probe_at` is when n8n is next to be probed for what became of a request; where it is null, that is at the deadline.
Whoever probes moves it to the end of a lease first, so that no two processes probe the same, and a crash only delays.
"""

from storage.queries.rows import COLUMNS, NEXT_ATTEMPT, OPEN

CLAIM = f"""
UPDATE ai_image_requests
SET dispatch_leased_by = :lease, dispatch_due_at = AFTER(:seconds), dispatch_attempts = {NEXT_ATTEMPT}
WHERE id IN (
    SELECT id FROM ai_image_requests
    WHERE status = 'pending' AND dispatch_sending_at IS NULL AND dispatch_due_at <= NOW()
    ORDER BY dispatch_due_at LIMIT :limit FOR UPDATE SKIP LOCKED)
RETURNING {COLUMNS}"""
"""Take what is due, for the time of a lease."""

MARK_SENDING = f"""
UPDATE ai_image_requests SET dispatch_sending_at = NOW(), deadline_at = AFTER(:deadline), probe_at = AFTER(:probe)
WHERE id = :id AND dispatch_leased_by = :lease AND dispatch_sending_at IS NULL AND status = 'pending'
  AND dispatch_due_at > NOW()
RETURNING {COLUMNS}"""
"""It is about to be sent; the deadline starts anew."""

INSERT_SENDING = """
INSERT INTO ai_request_events (request_id, version, at, kind, actor, detail)
SELECT id, version, NOW(), 'sending', :lease, JSON_OBJECT('attempt', dispatch_attempts) FROM changed"""
"""Its line of the timeline, after the mark in a chain."""

SEND_AGAIN = f"""
UPDATE ai_image_requests
SET dispatch_sending_at = NULL, dispatch_leased_by = NULL, dispatch_due_at = AFTER(:delay), probe_at = NULL,
    dispatch_unregistered_since =
        CASE WHEN :unregistered = 1 THEN coalesce(dispatch_unregistered_since, NOW()) ELSE NULL END
WHERE id = :id AND dispatch_leased_by = :lease AND dispatch_sending_at IS NOT NULL AND status = 'pending'
RETURNING {COLUMNS}"""
"""n8n has not started it: due again after a delay."""

RELEASE = """
UPDATE ai_image_requests
SET dispatch_leased_by = NULL, dispatch_due_at = NOW(), dispatch_attempts = dispatch_attempts - 1,
    dispatch_sending_at = NULL, probe_at = NULL
WHERE id = :id AND dispatch_leased_by = :lease AND status = 'pending'"""
"""Give it back at once, marked or not: only who knows that nothing was sent may call it."""

SEND_DISPROVED = f"""
UPDATE ai_image_requests
SET dispatch_sending_at = NULL, dispatch_leased_by = NULL, dispatch_due_at = NOW(), probe_at = NULL
WHERE id = :id AND dispatch_attempts = :attempts AND dispatch_sending_at IS NOT NULL AND status = 'pending'
  AND deadline_at > NOW()
RETURNING {COLUMNS}"""
"""n8n has no execution of it: it is due again. The count of attempts tells the sending that was disproved from a later
one."""

UNREGISTERED_SINCE = """
SELECT dispatch_unregistered_since AS since, NOW() AS now FROM ai_image_requests WHERE id = :id"""
"""Since when n8n has not known the webhook."""

CLAIM_PROBES = f"""
UPDATE ai_image_requests SET probe_at = AFTER(:seconds)
WHERE id IN (
    SELECT id FROM ai_image_requests
    WHERE {OPEN} AND coalesce(probe_at, deadline_at) <= NOW() AND dispatch_sending_at IS NOT NULL
    ORDER BY coalesce(probe_at, deadline_at) LIMIT :limit FOR UPDATE SKIP LOCKED)
RETURNING {COLUMNS}, dispatch_sending_at, deadline_at, NOW() AS now"""
"""Take what is to be probed, for the time of a lease."""

POSTPONE_PROBE = f"UPDATE ai_image_requests SET probe_at = AFTER(:seconds) WHERE id = :id AND {OPEN}"
"""Probe later."""

PROBE_SOON = f"""
UPDATE ai_image_requests SET probe_at = AFTER(:seconds)
WHERE id = :id AND {OPEN} AND dispatch_sending_at IS NOT NULL AND probe_at IS NOT NULL"""
"""Probe soon, where n8n can be asked at all."""

EXTEND_DEADLINE = f"""
UPDATE ai_image_requests SET deadline_at = AFTER(:seconds), probe_at = NULL
WHERE id = :id AND {OPEN} AND deadline_at <= NOW()
RETURNING {COLUMNS}"""
"""More time for what is overdue; not for what was sent anew meanwhile, which has all its time."""
