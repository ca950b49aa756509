-- name: record_alert
-- Put an alert into the outbox, once.
-- What is no news only where the last thing that was told of its subject came before it and is no end.
INSERT INTO temporal_pipeline.alert (subject, state, since, severity, about, title, details)
SELECT CAST(:subject AS text), CAST(:state AS text), CAST(:since AS timestamptz), CAST(:severity AS text),
       CAST(:about AS text), CAST(:title AS text), CAST(:details AS jsonb)
WHERE CAST(:is_news AS boolean) OR (
    SELECT told.state <> 'resolved' AND told.since < CAST(:since AS timestamptz) FROM temporal_pipeline.alert told
    WHERE told.subject = CAST(:subject AS text) ORDER BY told.id DESC LIMIT 1
)
ON CONFLICT (subject, state, since) DO NOTHING;

-- name: forget_old_messages
-- Drop messages from before some time; they are younger than the alerts in them.
DELETE FROM temporal_pipeline.alert_message WHERE created_at < CAST(:before AS timestamptz);

-- name: forget_old_alerts
-- Drop alerts from before some time, except where a message that is still there holds them.
DELETE FROM temporal_pipeline.alert a
WHERE a.recorded_at < CAST(:before AS timestamptz)
  AND NOT EXISTS (SELECT FROM temporal_pipeline.alert_in_message m WHERE m.alert_id = a.id);

-- name: claim_waiting_message
-- Take the oldest message of a channel that is due and that nobody else is sending, until the claim runs out.
-- With `again` also one that waits for its next attempt, or was given up.
UPDATE temporal_pipeline.alert_message
SET attempts = attempts + 1, claimed_until = CAST(:claimed_until AS timestamptz)
WHERE id = (
    SELECT m.id FROM temporal_pipeline.alert_message m
    WHERE m.channel = CAST(:channel AS text) AND m.delivered_at IS NULL
      AND coalesce(m.claimed_until, '-infinity') <= CAST(:now AS timestamptz)
      AND (m.given_up_at IS NULL AND m.due_at <= CAST(:now AS timestamptz) OR CAST(:again AS boolean))
    ORDER BY m.created_at, m.id
    LIMIT 1
    FOR UPDATE SKIP LOCKED
)
RETURNING id, attempts, created_at;

-- name: gather_message
-- Make one message, claimed, of all alerts that the channel was not sent yet, unless one of its messages still waits.
WITH gathered AS (
    SELECT a.id FROM temporal_pipeline.alert a
    WHERE NOT EXISTS (
        SELECT FROM temporal_pipeline.alert_in_message sent
        WHERE sent.channel = CAST(:channel AS text) AND sent.alert_id = a.id
    ) AND NOT EXISTS (
        SELECT FROM temporal_pipeline.alert_message waiting
        WHERE waiting.channel = CAST(:channel AS text) AND waiting.delivered_at IS NULL
          AND waiting.given_up_at IS NULL
    )
), message AS (
    INSERT INTO temporal_pipeline.alert_message (id, channel, created_at, attempts, due_at, claimed_until)
    SELECT CAST(:id AS uuid), CAST(:channel AS text), CAST(:now AS timestamptz), 1, CAST(:now AS timestamptz),
           CAST(:claimed_until AS timestamptz)
    WHERE EXISTS (SELECT FROM gathered)
    RETURNING id
)
INSERT INTO temporal_pipeline.alert_in_message (channel, alert_id, message_id)
SELECT CAST(:channel AS text), gathered.id, message.id FROM gathered CROSS JOIN message
-- Somebody else gathers at the same time.
ON CONFLICT (channel, alert_id) DO NOTHING;

-- name: drop_empty_message
-- Take a message back for which nothing was left to gather.
DELETE FROM temporal_pipeline.alert_message m
WHERE m.id = CAST(:id AS uuid)
  AND NOT EXISTS (SELECT FROM temporal_pipeline.alert_in_message i WHERE i.message_id = m.id);

-- name: alerts_of_message
-- The most severe alerts of a message, the latest ones first, and how many there are.
SELECT a.id, a.subject, a.state, a.since, a.severity, a.about, a.title, a.details, a.recorded_at,
       count(*) OVER () AS total
FROM temporal_pipeline.alert_in_message i JOIN temporal_pipeline.alert a ON a.id = i.alert_id
WHERE i.message_id = CAST(:id AS uuid)
ORDER BY array_position(CAST('{critical,warning,info}' AS text[]), a.severity), a.since DESC, a.id
LIMIT CAST(:limit AS int);

-- name: mark_delivered
-- The receiver has taken a message.
UPDATE temporal_pipeline.alert_message
SET delivered_at = CAST(:now AS timestamptz), claimed_until = NULL, failure = NULL, given_up_at = NULL
WHERE id = CAST(:id AS uuid);

-- name: mark_failed
-- The receiver has not taken a message: why, and when it is tried again, if it is; unless it was claimed since.
UPDATE temporal_pipeline.alert_message
SET failure = CAST(:failure AS text), due_at = CAST(:due_at AS timestamptz), claimed_until = NULL,
    given_up_at = CASE WHEN CAST(:is_given_up AS boolean) THEN CAST(:now AS timestamptz) END
WHERE id = CAST(:id AS uuid) AND attempts = CAST(:attempts AS int) AND delivered_at IS NULL;

-- name: due_alerts
-- What would be sent to a channel now: alerts of its messages that are due, else those that it was not sent yet.
WITH waiting AS (
    SELECT m.id, m.attempts, m.given_up_at,
           (m.given_up_at IS NULL AND m.due_at <= CAST(:now AS timestamptz) OR CAST(:again AS boolean))
           AND coalesce(m.claimed_until, '-infinity') <= CAST(:now AS timestamptz) AS is_due
    FROM temporal_pipeline.alert_message m
    WHERE m.channel = CAST(:channel AS text) AND m.delivered_at IS NULL
)
SELECT a.state, a.severity, a.title, a.since, a.details, waiting.attempts
FROM temporal_pipeline.alert a
LEFT JOIN temporal_pipeline.alert_in_message i ON i.alert_id = a.id AND i.channel = CAST(:channel AS text)
LEFT JOIN waiting ON waiting.id = i.message_id
WHERE CASE WHEN i.alert_id IS NOT NULL THEN waiting.is_due
           ELSE NOT EXISTS (SELECT FROM waiting WHERE given_up_at IS NULL AND NOT is_due) END
ORDER BY array_position(CAST('{critical,warning,info}' AS text[]), a.severity), a.since DESC, a.id;

-- name: latest_alerts
-- The latest alerts, and how far each is with each channel; a message that waits or was given up says why.
SELECT a.recorded_at, a.severity, a.state, a.title, a.since, a.details, coalesce(sent.channels, '[]') AS channels
FROM temporal_pipeline.alert a
LEFT JOIN LATERAL (
    SELECT jsonb_agg(jsonb_build_object(
        'channel', m.channel, 'attempts', m.attempts, 'delivered_at', m.delivered_at, 'given_up_at', m.given_up_at,
        'next_attempt_at', CASE WHEN m.delivered_at IS NULL AND m.given_up_at IS NULL THEN m.due_at END,
        'failure', m.failure
    ) ORDER BY m.channel) AS channels
    FROM temporal_pipeline.alert_in_message i JOIN temporal_pipeline.alert_message m ON m.id = i.message_id
    WHERE i.alert_id = a.id
) sent ON true
ORDER BY a.id DESC
LIMIT CAST(:limit AS int);

-- name: undelivered_messages
-- Messages that were given up, or wait longer than some time, with why.
SELECT m.channel, m.created_at, m.attempts, m.failure, m.given_up_at IS NOT NULL AS is_given_up, m.due_at,
       (SELECT count(*) FROM temporal_pipeline.alert_in_message i WHERE i.message_id = m.id) AS alerts
FROM temporal_pipeline.alert_message m
WHERE m.delivered_at IS NULL
  AND (m.given_up_at IS NOT NULL OR m.created_at < now() - CAST(:longer_than AS interval))
ORDER BY m.created_at, m.id;
