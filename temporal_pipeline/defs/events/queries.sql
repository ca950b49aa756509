-- name: entities_to_watch
-- Topics and users with frozen periods that this method has not searched, or with a crawl since they were watched.
WITH unsearched AS (
    SELECT p.entity_type, p.entity_id, array_agg(p.id ORDER BY p.period_number) AS periods,
           min(p.period_number) AS first_period,
           max(least(p.period_end, now())) - min(greatest(p.period_start, '1970-01-01')) AS duration
    FROM temporal_pipeline.period_stage frozen
    JOIN analysis_periods p ON p.id = frozen.period_id AND p.status = 'active'
    WHERE frozen.stage = 'snapshots'
      AND NOT EXISTS (
          SELECT FROM temporal_pipeline.period_stage done
          WHERE done.period_id = p.id AND done.stage = 'events' AND done.method = CAST(:method AS text)
      )
      AND p.period_end >= coalesce(CAST(:since AS timestamptz), '-infinity')
    GROUP BY p.entity_type, p.entity_id
)
SELECT entity_type, entity_id, e.name, e.crawl_interval, coalesce(u.periods, '{}') AS periods, u.first_period, u.duration,
       NOT EXISTS (
           SELECT FROM temporal_pipeline.entity_watch w
           WHERE w.entity_type = e.entity_type AND w.entity_id = e.entity_id AND w.method = CAST(:method AS text)
       ) AS is_new
FROM (
    SELECT entity_type, entity_id FROM unsearched
    UNION SELECT entity_type, entity_id FROM temporal_pipeline.crawled_since_watched
) wanted
LEFT JOIN unsearched u USING (entity_type, entity_id)
JOIN temporal_pipeline.entity e USING (entity_type, entity_id)
WHERE CAST(:entity_ids AS uuid[]) IS NULL OR entity_id = ANY (CAST(:entity_ids AS uuid[]))
ORDER BY entity_type, is_new, entity_id;

-- name: gather_hours
-- Freeze what some periods have by the hour; what is there stays as it was.
INSERT INTO temporal_pipeline.period_hour
    (period_id, entity_type, entity_id, hour, posts, approvals, replies, reactions)
SELECT h.period_id, p.entity_type, p.entity_id, h.hour, h.posts, h.approvals, h.replies, h.reactions
FROM temporal_pipeline.member_hour h JOIN analysis_periods p ON p.id = h.period_id
WHERE h.period_id = ANY (CAST(:periods AS uuid[]))
ON CONFLICT (period_id, hour) DO NOTHING;

-- name: watch_state
-- How far topics and users were watched, what was covered by then, and where their new periods begin.
-- Where periods were analysed again, the begin of the first event of those that they replace.
-- And before when crawls count: not beyond what waits for a period or was not frozen yet, for that is no silence.
SELECT wanted.entity_id, w.watched_until, w.covered, fresh.first_hour, known.first_hour AS first_hour_of_all,
       greatest('1970-01-01', least(now(), waiting.since, unfrozen.since,
                                    CASE WHEN unfrozen.is_there THEN coalesce(unfrozen.frozen_until, '1970-01-01') END))
           AS until,
       replaced.onset AS replaced_onset
FROM unnest(CAST(:entity_ids AS uuid[])) AS wanted (entity_id)
LEFT JOIN temporal_pipeline.entity_watch w
  ON w.entity_type = CAST(:entity_type AS text) AND w.entity_id = wanted.entity_id
     AND w.method = CAST(:method AS text)
LEFT JOIN (
    SELECT h.entity_id, min(h.hour) AS first_hour
    FROM temporal_pipeline.period_hour h
    WHERE h.period_id = ANY (CAST(:periods AS uuid[])) GROUP BY h.entity_id
) fresh ON fresh.entity_id = wanted.entity_id
LEFT JOIN LATERAL (
    SELECT h.hour AS first_hour FROM temporal_pipeline.period_hour h
    WHERE h.entity_type = CAST(:entity_type AS text) AND h.entity_id = wanted.entity_id
      -- A post dated 1970 by mistake is not where the history begins.
      AND h.hour >= coalesce(CAST(extract(epoch FROM w.watched_until - CAST(:history AS interval)) / 3600 AS int), 0)
    ORDER BY h.hour LIMIT 1
) known ON true
LEFT JOIN (
    SELECT CASE CAST(:entity_type AS text) WHEN 'topic' THEN c.topic_id ELSE c.user_id END AS entity_id,
           -- From the begin of the crawl that found it: that crawl is no proof of silence.
           min(least(c.crawled_at, t.started_at, t.created_at)) AS since
    FROM contents c JOIN tasks t ON t.id = c.task_id
    WHERE c.analysis_period_id IS NULL AND (c.topic_id IS NOT NULL OR c.user_id IS NOT NULL)
      AND CASE CAST(:entity_type AS text) WHEN 'topic' THEN c.topic_id ELSE c.user_id END
          = ANY (CAST(:entity_ids AS uuid[]))
    GROUP BY 1
) waiting ON waiting.entity_id = wanted.entity_id
LEFT JOIN LATERAL (
    SELECT bool_or(done.period_id IS NULL) AS is_there,
           max(p.period_end) FILTER (WHERE done.period_id IS NOT NULL AND p.status = 'active'
                                     AND p.period_end BETWEEN '1970-01-01' AND '9998-12-31') AS frozen_until,
           min(CASE WHEN done.period_id IS NULL THEN (
               SELECT min(least(c.crawled_at, t.started_at, t.created_at))
               FROM contents c JOIN tasks t ON t.id = c.task_id WHERE c.analysis_period_id = p.id
           ) END) AS since
    FROM analysis_periods p
    -- A period counts once its hours are there, or are read now.
    LEFT JOIN temporal_pipeline.period_stage done ON done.period_id = p.id
        AND (done.stage = 'events' OR done.stage = 'snapshots' AND p.id = ANY (CAST(:periods AS uuid[])))
    WHERE p.entity_type = CAST(:entity_type AS text) AND p.entity_id = wanted.entity_id
      AND p.status IN ('active', 'draft')
) unfrozen ON true
LEFT JOIN (
    SELECT old.entity_id, min(v.metadata->>'onset') AS onset
    FROM analysis_periods again
    JOIN analysis_periods old
      ON old.entity_type = again.entity_type AND old.entity_id = again.entity_id
         AND old.period_number = again.period_number AND (old.status = 'superseded' OR old.superseded_by IS NOT NULL)
    JOIN temporal_events v ON v.period_id = old.id AND v.metadata->>'detector' = CAST(:detector AS text)
    WHERE again.id = ANY (CAST(:periods AS uuid[])) AND again.entity_type = CAST(:entity_type AS text)
    GROUP BY old.entity_id
) replaced ON replaced.entity_id = wanted.entity_id;

-- name: hourly_activity
-- Posts by the hour and their reception for many topics or users, each from an hour of its own on (counted from 1970).
-- `ungathered`: periods whose hours are not written yet and are read from their members (a dry run writes nothing).
SELECT entity_id, array_agg(hour ORDER BY hour) AS hours, array_agg(posts ORDER BY hour) AS posts,
       array_agg(approvals ORDER BY hour) AS approvals, array_agg(replies ORDER BY hour) AS replies,
       array_agg(reactions ORDER BY hour) AS reactions
FROM (
    SELECT entity_id, hour, sum(posts) AS posts, sum(approvals) AS approvals, sum(replies) AS replies,
           sum(reactions) AS reactions
    FROM (
        SELECT h.entity_id, h.hour, h.posts, h.approvals, h.replies, h.reactions
        FROM unnest(CAST(:entity_ids AS uuid[]), CAST(:since AS int[])) AS w (entity_id, since)
        JOIN temporal_pipeline.period_hour h
          ON h.entity_type = CAST(:entity_type AS text) AND h.entity_id = w.entity_id AND h.hour >= w.since
        JOIN analysis_periods p ON p.id = h.period_id AND p.status = 'active'
        WHERE NOT h.period_id = ANY (CAST(:ungathered AS uuid[]))
        UNION ALL
        SELECT p.entity_id, h.hour, h.posts, h.approvals, h.replies, h.reactions
        FROM temporal_pipeline.member_hour h JOIN analysis_periods p ON p.id = h.period_id
        WHERE h.period_id = ANY (CAST(:ungathered AS uuid[]))
    ) counted
    GROUP BY entity_id, hour
) summed
GROUP BY entity_id;

-- name: known_events
-- What this detector has recorded for many topics or users; the events of superseded periods are history.
-- An end that Python has no name for is told as the nearest that it has one for: it is not ours either way.
SELECT v.id, v.entity_id, v.severity, v.resolution_note, v.metadata - 'history' AS metadata,
       CASE WHEN v.resolved_at IS NOT NULL
            THEN least(greatest(v.resolved_at, '1970-01-01'), '9998-12-31') END AS resolved_at
FROM temporal_events v JOIN analysis_periods p ON p.id = v.period_id
WHERE v.entity_type = CAST(:entity_type AS text) AND v.entity_id = ANY (CAST(:entity_ids AS uuid[]))
  AND v.metadata->>'detector' = CAST(:detector AS text)
  -- What somebody has ended stays ended, also when its period is analysed again.
  AND (p.status <> 'superseded' AND p.superseded_by IS NULL OR v.metadata->>'state' = 'dismissed')
ORDER BY v.entity_id, v.metadata->>'onset', v.id;

-- name: period_figures
-- The active periods of some topics or users from 30 before a number of each on, and the posts of those before.
SELECT w.entity_id, p.id, p.period_number, p.period_start, p.period_end, p.analyzed_at, p.content_count,
       temporal_pipeline.metric_number(p.metrics->'contents_per_hour') AS posts_per_hour,
       (SELECT CASE WHEN count(value) > 0 THEN sum(value) / nullif(p.content_count, 0) END
        FROM unnest(CAST('{total_likes,total_retweets,total_replies,total_quotes}' AS text[])) AS counted (metric),
             temporal_pipeline.metric_number(p.metrics->metric) AS value) AS reactions_per_post,
       p.posts_before
FROM unnest(CAST(:entity_ids AS uuid[]), CAST(:since AS int[])) AS w (entity_id, since)
CROSS JOIN LATERAL (
    SELECT p.*, sum(p.content_count) OVER (ORDER BY p.period_number) - p.content_count AS posts_before
    FROM analysis_periods p
    WHERE p.entity_type = CAST(:entity_type AS text) AND p.entity_id = w.entity_id AND p.status = 'active'
) p
WHERE p.period_number >= w.since - 30 AND p.period_start BETWEEN '1970-01-01' AND '9998-12-31' AND p.period_end BETWEEN '1970-01-01' AND '9998-12-31'
ORDER BY w.entity_id, p.period_number;

-- name: detecting_post
-- The post that made an hour an alarm: the n-th of them in the order in which they were crawled.
SELECT c.id, CASE WHEN c.crawled_at BETWEEN '1970-01-01' AND '9998-12-31' THEN c.crawled_at END AS crawled_at
FROM contents c
WHERE (CAST(:entity_type AS text) = 'topic' AND c.topic_id = CAST(:entity_id AS uuid)
       OR CAST(:entity_type AS text) = 'user' AND c.user_id = CAST(:entity_id AS uuid))
  AND c.analysis_period_id IS NOT NULL
  AND coalesce(c.published_at, c.crawled_at) >= CAST(:start AS timestamptz)
  AND coalesce(c.published_at, c.crawled_at) < CAST(:end AS timestamptz)
ORDER BY c.crawled_at, c.id
OFFSET CAST(:nth AS int) - 1 LIMIT 1;

-- name: posts_of_hours
-- The posts of some hours of a topic or user as they were frozen, with their reactions; those with most first.
SELECT c.id, left(s.text_snapshot, 2000) AS text, s.relevance_score, p.id AS period_id, p.period_number,
       CAST(floor(extract(epoch FROM coalesce(c.published_at, c.crawled_at)) / 3600) AS int) AS hour,
       (SELECT coalesce(sum(greatest(temporal_pipeline.metric_number(c.metrics->counted.metric), 0)), 0)
        FROM unnest(CAST('{like_count,retweet_count,reply_count,quote_count}' AS text[])) AS counted (metric)
       ) AS reactions
FROM contents c
JOIN period_content_snapshots s ON s.content_id = c.id
JOIN analysis_periods p ON p.id = s.period_id AND p.status = 'active'
     AND p.entity_type = CAST(:entity_type AS text) AND p.entity_id = CAST(:entity_id AS uuid)
WHERE (CAST(:entity_type AS text) = 'topic' AND c.topic_id = CAST(:entity_id AS uuid)
       OR CAST(:entity_type AS text) = 'user' AND c.user_id = CAST(:entity_id AS uuid))
  AND c.analysis_period_id IS NOT NULL
  AND coalesce(c.published_at, c.crawled_at) >= CAST(:start AS timestamptz)
  AND coalesce(c.published_at, c.crawled_at) < CAST(:end AS timestamptz)
  AND CAST(floor(extract(epoch FROM coalesce(c.published_at, c.crawled_at)) / 3600) AS bigint)
      = ANY (CAST(:hours AS bigint[]))
ORDER BY reactions DESC, c.id
LIMIT CAST(:limit AS int);

-- name: last_posts_before
-- The last posts of a topic or user that were published before some time, with the periods that have them.
SELECT c.id, p.id AS period_id, p.period_number, CAST(floor(extract(epoch FROM c.published_at) / 3600) AS int) AS hour,
       left(s.text_snapshot, 2000) AS text, s.relevance_score, CAST(0 AS double precision) AS reactions
FROM contents c
JOIN period_content_snapshots s ON s.content_id = c.id
JOIN analysis_periods p ON p.id = s.period_id AND p.status = 'active'
     AND p.entity_type = CAST(:entity_type AS text) AND p.entity_id = CAST(:entity_id AS uuid)
WHERE (CAST(:entity_type AS text) = 'topic' AND c.topic_id = CAST(:entity_id AS uuid)
       OR CAST(:entity_type AS text) = 'user' AND c.user_id = CAST(:entity_id AS uuid))
  AND c.analysis_period_id IS NOT NULL AND c.published_at IS NOT NULL
  AND coalesce(c.published_at, c.crawled_at) < CAST(:before AS timestamptz)
  AND coalesce(c.published_at, c.crawled_at) >= CAST(:before AS timestamptz) - interval '14 days'
ORDER BY c.published_at DESC, c.id
LIMIT CAST(:limit AS int);

-- name: period_at
-- The entity's active period in which something became known: the first that ends after it, else the latest.
SELECT p.id
FROM analysis_periods p
WHERE p.entity_type = CAST(:entity_type AS text) AND p.entity_id = CAST(:entity_id AS uuid) AND p.status = 'active'
ORDER BY p.period_end < CAST(:known_at AS timestamptz),
         CASE WHEN p.period_end >= CAST(:known_at AS timestamptz) THEN p.period_number END,
         p.period_number DESC
LIMIT 1;

-- name: texts_between
-- A sample of the texts of a topic or user in some time; ids are random, so their order is as good as a lot.
SELECT left(c.text, 2000) AS text
FROM contents c
WHERE (CAST(:entity_type AS text) = 'topic' AND c.topic_id = CAST(:entity_id AS uuid)
       OR CAST(:entity_type AS text) = 'user' AND c.user_id = CAST(:entity_id AS uuid))
  AND c.analysis_period_id IS NOT NULL AND c.text IS NOT NULL
  AND coalesce(c.published_at, c.crawled_at) >= CAST(:start AS timestamptz)
  AND coalesce(c.published_at, c.crawled_at) < CAST(:end AS timestamptz)
ORDER BY c.id
LIMIT CAST(:limit AS int);

-- name: move_events_of_others
-- What people or the application recorded, and what they ended or took back the end of, belongs to the period that took the place of its own.
UPDATE temporal_events v SET period_id = standing.id
FROM analysis_periods own, analysis_periods standing
WHERE own.id = v.period_id AND own.status = 'superseded'
  AND standing.entity_type = own.entity_type AND standing.entity_id = own.entity_id
  AND standing.period_number = own.period_number AND standing.status = 'active'
  AND v.entity_type = CAST(:entity_type AS text) AND v.entity_id = ANY (CAST(:entity_ids AS uuid[]))
  AND (v.metadata->>'detector' IS DISTINCT FROM CAST(:detector AS text)
       OR v.metadata->>'state' = 'dismissed'
       OR v.resolution_note IS DISTINCT FROM v.metadata->>'resolution_note'
       OR v.resolved_at IS DISTINCT FROM CASE
           WHEN v.metadata->>'resolved_at' ~ '^[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-9]{2}:[0-9]{2}:[0-9.]+([+]00:00|Z)$'
           THEN CAST(v.metadata->>'resolved_at' AS timestamptz) END);

-- name: close_events_of_superseded_periods
-- What was open in a period that was analysed again is open no longer: its successor's events take its place.
UPDATE temporal_events v
SET resolved_at = now(), resolution_note = CAST(:resolution_note AS text), last_updated_at = now(),
    metadata = v.metadata || jsonb_build_object(
        'state', 'superseded', 'resolved_at', now(), 'resolution_note', CAST(:resolution_note AS text),
        'history', coalesce(v.metadata->'history', '[]')
                   || jsonb_build_object('at', now(), 'state', 'superseded', 'resolved_at', now()))
FROM analysis_periods p
WHERE p.id = v.period_id AND (p.status = 'superseded' OR p.superseded_by IS NOT NULL)
  AND v.entity_type = CAST(:entity_type AS text) AND v.entity_id = ANY (CAST(:entity_ids AS uuid[]))
  AND v.metadata->>'detector' = CAST(:detector AS text)
  AND v.metadata->>'state' IN ('active', 'recovering') AND v.resolved_at IS NULL;

-- name: open_event
-- Record a new event.
INSERT INTO temporal_events
    (period_id, entity_type, entity_id, event_type, severity, title, description, first_detected_at,
     last_updated_at, resolved_at, resolution_note, metadata)
VALUES (CAST(:period_id AS uuid), CAST(:entity_type AS text), CAST(:entity_id AS uuid), CAST(:event_type AS text),
        CAST(:severity AS text), CAST(:title AS text), CAST(:description AS text),
        CAST(:first_detected_at AS timestamptz), now(), CAST(:resolved_at AS timestamptz),
        CAST(:resolution_note AS text),
        CAST(:metadata AS jsonb) || jsonb_build_object('evidence_at', now(), 'history',
            jsonb_build_array(CAST(:entry AS jsonb) || jsonb_build_object('at', now()))))
RETURNING id;

-- name: lock_ours
-- An event of ours, locked, unless somebody has set its end since it was read.
SELECT v.id FROM temporal_events v
WHERE v.id = CAST(:event_id AS uuid) AND v.metadata->>'state' <> 'dismissed'
  AND v.resolved_at IS NOT DISTINCT FROM CAST(CAST(:ended AS text) AS timestamptz)
  AND v.resolution_note IS NOT DISTINCT FROM CAST(:note AS text)
FOR UPDATE;

-- name: update_event
-- Bring an event of ours up to date with what is known now; its history says what was known when.
UPDATE temporal_events v
SET period_id = coalesce(CAST(:period_id AS uuid), v.period_id), severity = CAST(:severity AS text), title = CAST(:title AS text),
    description = CAST(:description AS text), last_updated_at = now(), resolved_at = CAST(:resolved_at AS timestamptz),
    resolution_note = CAST(:resolution_note AS text),
    metadata = v.metadata || CAST(:metadata AS jsonb) || jsonb_build_object('evidence_at', now(), 'history',
        coalesce(v.metadata->'history', '[]') || (CAST(:entry AS jsonb) || jsonb_build_object('at', now())))
WHERE v.id = CAST(:event_id AS uuid);

-- name: resolve_event
-- End an event of ours that is found no longer, and tell its title; its figures and its evidence stay.
UPDATE temporal_events v
SET last_updated_at = now(), resolved_at = CAST(:resolved_at AS timestamptz),
    resolution_note = CAST(:resolution_note AS text),
    metadata = v.metadata || CAST(:metadata AS jsonb) || jsonb_build_object('history',
        coalesce(v.metadata->'history', '[]') || (CAST(:entry AS jsonb) || jsonb_build_object('at', now())))
WHERE v.id = CAST(:event_id AS uuid)
RETURNING v.title;

-- name: note_on_event
-- Remember what became of an event whose end somebody else has set: only we read it, its columns are theirs.
UPDATE temporal_events v
SET metadata = v.metadata || CAST(:metadata AS jsonb) || jsonb_build_object('history',
        coalesce(v.metadata->'history', '[]') || CASE WHEN v.metadata->>'state' = 'dismissed' THEN '[]'
            ELSE jsonb_build_array(jsonb_build_object(
                'at', now(), 'state', 'dismissed', 'resolved_at', v.resolved_at, 'severity', v.severity,
                'title', v.title)) END)
WHERE v.id = CAST(:event_id AS uuid);

-- name: drop_outdated_evidence
-- Forget the evidence that an earlier update of the event wrote; what other people added has another time.
DELETE FROM event_contents k
USING temporal_events v
WHERE k.event_id = CAST(:event_id AS uuid) AND v.id = k.event_id
  AND to_jsonb(k.added_at) = v.metadata->'evidence_at';

-- name: add_evidence
-- The posts that make up an event with their weights; those that were deleted meanwhile are left out.
WITH weighed AS (
    SELECT * FROM unnest(CAST(:content_ids AS uuid[]), CAST(:weights AS float8[])) AS w (content_id, weight)
), still_there AS (
    SELECT id FROM contents WHERE id IN (SELECT content_id FROM weighed) FOR KEY SHARE
)
INSERT INTO event_contents (event_id, content_id, relevance_to_event, added_at)
SELECT CAST(:event_id AS uuid), content_id, weight, now()
FROM weighed JOIN still_there ON id = content_id
ON CONFLICT (event_id, content_id) DO NOTHING;

-- name: mark_searched
-- From now on these periods count as searched for events.
INSERT INTO temporal_pipeline.period_stage (period_id, stage, method)
SELECT p.id, 'events', CAST(:method AS text)
FROM analysis_periods p WHERE p.id = ANY (CAST(:periods AS uuid[]))
ON CONFLICT (period_id, stage) DO UPDATE SET method = excluded.method;

-- name: mark_watched
-- How far some topics or users are watched now, and what time their crawls cover up to there.
INSERT INTO temporal_pipeline.entity_watch (entity_type, entity_id, watched_until, covered, method)
SELECT w.entity_type, w.entity_id, w.watched_until, w.covered, CAST(:method AS text)
FROM jsonb_to_recordset(CAST(:watched AS jsonb))
     AS w (entity_type text, entity_id uuid, watched_until timestamptz, covered jsonb)
ON CONFLICT (entity_type, entity_id)
DO UPDATE SET watched_until = excluded.watched_until, covered = excluded.covered, method = excluded.method;

-- name: tell_ends_of_replaced_events
-- Tell the end of what was told to be open, but was not found again when its period was analysed again.
INSERT INTO temporal_pipeline.alert (subject, state, since, severity, about, title, details)
SELECT DISTINCT ON (told.subject)
       told.subject, 'resolved', greatest(w.watched_until, told.since), told.severity, told.about, told.title,
       told.details || jsonb_build_object('note', CAST(:note AS text))
FROM jsonb_to_recordset(CAST(:watched AS jsonb)) AS w (entity_type text, entity_id uuid, watched_until timestamptz)
JOIN temporal_events v
  ON v.entity_type = w.entity_type AND v.entity_id = w.entity_id AND v.metadata->>'state' = 'superseded'
     AND v.metadata->>'detector' = CAST(:detector AS text)
CROSS JOIN LATERAL (
    SELECT * FROM temporal_pipeline.alert a
    WHERE a.subject = concat_ws(':', 'event', v.entity_type, v.entity_id, left(v.metadata->>'key', CAST(:longest_key AS int)))
    ORDER BY a.id DESC LIMIT 1
) told
WHERE told.state <> 'resolved' AND told.details->>'event_id' = CAST(v.id AS text)
  -- What took its place speaks for itself, or was dismissed.
  AND NOT EXISTS (
      SELECT FROM temporal_events other
      WHERE other.entity_type = v.entity_type AND other.entity_id = v.entity_id
        AND other.metadata->>'key' = v.metadata->>'key' AND other.metadata->>'state' <> 'superseded'
        AND (other.resolved_at IS NULL OR other.metadata->>'last_breach' >= v.metadata->>'onset')
  )
ORDER BY told.subject, v.id
ON CONFLICT (subject, state, since) DO NOTHING;

-- name: event_state
-- How many events there are, of whomever, and what identifies the present state of ours.
SELECT count(*) AS events, count(*) FILTER (WHERE resolved_at IS NULL AND metadata->>'state' IS DISTINCT FROM 'superseded') AS open_events,
       CAST(coalesce(sum(hashtextextended(
           concat_ws(' ', entity_id, severity, resolved_at, metadata - 'evidence_at' - 'history'), 0
       )) FILTER (WHERE metadata->>'detector' = CAST(:detector AS text)), 0) AS text) AS digest
FROM temporal_events;

-- name: most_severe_events
-- The ten most severe events, open ones and later ones first, each with its weightiest evidence.
-- Those of superseded periods are history. Times as text: those that others wrote may be infinite.
SELECT e.name AS entity, v.severity, v.title, best.text AS evidence,
       coalesce(v.metadata->>'state', CASE WHEN v.resolved_at IS NULL THEN 'open' ELSE 'resolved' END) AS state,
       coalesce(to_char(v.first_detected_at, 'YYYY-MM-DD HH24:MI'), v.first_detected_at::text) AS detected,
       coalesce(to_char(v.resolved_at, 'YYYY-MM-DD HH24:MI'), v.resolved_at::text) AS resolved
FROM (
    SELECT v.* FROM temporal_events v JOIN analysis_periods p ON p.id = v.period_id AND p.status <> 'superseded' AND p.superseded_by IS NULL
    ORDER BY array_position(CAST('{critical,warning,info}' AS text[]), CAST(v.severity AS text)),
             v.resolved_at IS NOT NULL, v.first_detected_at DESC, v.id
    LIMIT 10
) v
LEFT JOIN temporal_pipeline.entity e ON e.entity_type = v.entity_type AND e.entity_id = v.entity_id
LEFT JOIN LATERAL (
    SELECT left(coalesce(c.text, c.source_url), 160) AS text
    FROM event_contents k JOIN contents c ON c.id = k.content_id
    WHERE k.event_id = v.id ORDER BY k.relevance_to_event DESC NULLS LAST, c.id LIMIT 1
) best ON true
ORDER BY array_position(CAST('{critical,warning,info}' AS text[]), CAST(v.severity AS text)),
         v.resolved_at IS NOT NULL, v.first_detected_at DESC, v.id;

-- name: volume_events_without_evidence
-- Bursts of ours without a single post that shows them, though their period has posts.
SELECT v.id, v.title, v.first_detected_at
FROM temporal_events v
JOIN analysis_periods p ON p.id = v.period_id AND p.status = 'active'
WHERE v.metadata->>'key' = 'volume_up' AND v.metadata->>'detector' = CAST(:detector AS text)
  AND NOT EXISTS (SELECT FROM event_contents k WHERE k.event_id = v.id)
  -- Where the application has deleted the posts there is nothing to show.
  AND EXISTS (SELECT FROM period_content_snapshots s WHERE s.period_id = v.period_id)
ORDER BY v.first_detected_at, v.id;

-- name: evidence_out_of_range
-- Evidence of our events whose weight is missing or not between 0 and 1.
SELECT v.id, v.title, k.content_id, k.relevance_to_event
FROM temporal_events v JOIN event_contents k ON k.event_id = v.id
WHERE v.metadata->>'detector' = CAST(:detector AS text)
  AND to_jsonb(k.added_at) = v.metadata->'evidence_at'
  AND (k.relevance_to_event BETWEEN 0 AND 1) IS NOT TRUE
ORDER BY v.id, k.content_id;


-- name: search_runs
-- Finished runs of those search queries that have lately found nothing, or are known for it, with what they found.
-- From `reach` before each entity's `since` on, up to when its crawls count.
WITH wanted AS (
    SELECT * FROM unnest(CAST(:entity_ids AS uuid[]), CAST(:since AS timestamptz[]), CAST(:untils AS timestamptz[]),
                         CAST(:reaches AS interval[])) AS w (entity_id, since, until, reach)
), run AS NOT MATERIALIZED (
    SELECT w.entity_id, t.id, t.payload->>'query' AS query, coalesce(t.started_at, t.created_at) AS began,
           t.completed_at AS ended, w.since, w.reach, t.result
    FROM wanted w JOIN tasks t ON t.payload->>'topic_id' = CAST(w.entity_id AS text)
    WHERE CAST(:entity_type AS text) = 'topic' AND (t.label LIKE 'crawler:%' OR t.label LIKE 'searcher:%')
      AND (t.status = 'completed' OR t.completed_at IS NOT NULL AND t.status <> 'failed')
      AND t.payload->>'query' IS NOT NULL AND coalesce(t.started_at, t.created_at) <= w.until
    UNION ALL
    SELECT w.entity_id, t.id, t.payload->>'query' AS query, coalesce(t.started_at, t.created_at) AS began,
           t.completed_at AS ended, w.since, w.reach, t.result
    FROM wanted w JOIN tasks t ON t.payload->>'user_id' = CAST(w.entity_id AS text)
    WHERE CAST(:entity_type AS text) = 'user' AND (t.label LIKE 'crawler:%' OR t.label LIKE 'searcher:%')
      AND (t.status = 'completed' OR t.completed_at IS NOT NULL AND t.status <> 'failed')
      AND t.payload->>'query' IS NOT NULL AND coalesce(t.started_at, t.created_at) <= w.until
), empty AS MATERIALIZED (
    SELECT DISTINCT run.entity_id, run.query
    FROM run
    WHERE run.began > run.since
      AND coalesce(temporal_pipeline.metric_number(run.result->'tweets_found'), 0) = 0
    UNION
    SELECT * FROM unnest(CAST(:known_entities AS uuid[]), CAST(:known_queries AS text[])) AS k (entity_id, query)
)
SELECT run.entity_id, run.query, run.began, coalesce(run.ended, run.began) AS ended,
       CAST(coalesce(temporal_pipeline.metric_number(run.result->'tweets_found'),
                     (SELECT count(*) FROM contents c WHERE c.task_id = run.id)) AS bigint) AS found
FROM empty JOIN run ON run.entity_id = empty.entity_id AND run.query = empty.query
WHERE run.began >= greatest(run.since - run.reach, '1970-01-01')
ORDER BY run.entity_id, run.query, run.began, run.id;

-- name: remember_alerts
-- Alerts of the application's older memory as events of their entity's Period 0, each once.
INSERT INTO temporal_events
    (period_id, entity_type, entity_id, event_type, severity, title, description, first_detected_at,
     last_updated_at, resolved_at, resolution_note, metadata)
SELECT p.id, a.entity_type, a.entity_id, 'risk',
       CASE lower(a.level) WHEN 'critical' THEN 'critical' WHEN 'error' THEN 'critical' WHEN 'high' THEN 'critical'
            WHEN 'warning' THEN 'warning' WHEN 'warn' THEN 'warning' WHEN 'medium' THEN 'warning' ELSE 'info' END,
       left(coalesce(a.message, ''), 256), coalesce(a.message, ''), a.created_at, now(), a.resolved_at,
       CASE WHEN a.resolved_at IS NOT NULL THEN 'resolved in alerts' END,
       jsonb_build_object('source', 'alerts', 'source_id', a.id)
FROM alerts a
JOIN analysis_periods p
  ON p.entity_type = a.entity_type AND p.entity_id = a.entity_id AND p.period_number = 0 AND p.status = 'active'
WHERE a.created_at IS NOT NULL AND NOT EXISTS (
    SELECT FROM temporal_events v
    WHERE v.entity_type = a.entity_type AND v.entity_id = a.entity_id
      AND v.metadata->>'source' = 'alerts' AND v.metadata->'source_id' = to_jsonb(a.id)
);

-- name: remember_notes
-- Notes of the application's older memory as observations in their entity's Period 0, each once.
INSERT INTO temporal_events
    (period_id, entity_type, entity_id, event_type, severity, title, description, first_detected_at,
     last_updated_at, resolved_at, resolution_note, metadata)
SELECT p.id, n.entity_type, n.entity_id, 'observation', 'info', left(coalesce(n.note, ''), 256),
       coalesce(n.note, ''), n.created_at, now(), CASE WHEN n.is_active IS FALSE THEN n.created_at END,
       CASE WHEN n.is_active IS FALSE THEN 'no longer active in analysis_notes' END,
       jsonb_build_object('source', 'analysis_notes', 'source_id', n.id, 'category', n.category)
FROM analysis_notes n
JOIN analysis_periods p
  ON p.entity_type = n.entity_type AND p.entity_id = n.entity_id AND p.period_number = 0 AND p.status = 'active'
WHERE n.created_at IS NOT NULL AND NOT EXISTS (
    SELECT FROM temporal_events v
    WHERE v.entity_type = n.entity_type AND v.entity_id = n.entity_id
      AND v.metadata->>'source' = 'analysis_notes' AND v.metadata->'source_id' = to_jsonb(n.id)
);

-- name: evidence_of_earlier_periods
-- Evidence that is frozen only in periods before the event's own.
SELECT v.id, v.title, k.content_id
FROM temporal_events v
JOIN analysis_periods own ON own.id = v.period_id AND own.status = 'active'
JOIN event_contents k ON k.event_id = v.id
WHERE v.metadata->>'detector' = CAST(:detector AS text)
  AND to_jsonb(k.added_at) = v.metadata->'evidence_at'
  AND NOT EXISTS (
      SELECT FROM period_content_snapshots s
      JOIN analysis_periods p ON p.id = s.period_id AND p.status = 'active' AND p.entity_type = own.entity_type
           AND p.entity_id = own.entity_id AND p.period_number >= own.period_number
      WHERE s.content_id = k.content_id
  )
ORDER BY v.id, k.content_id;

-- name: keys_open_twice
-- Keys of an entity with more than one open event of ours.
SELECT entity_type, entity_id, metadata->>'key' AS key, count(*) AS open_events
FROM temporal_events
WHERE metadata->>'detector' = CAST(:detector AS text) AND resolved_at IS NULL
  AND metadata->>'state' IN ('active', 'recovering')
GROUP BY 1, 2, 3 HAVING count(*) > 1
ORDER BY 1, 2, 3;

-- name: onsets_per_week
-- Topics and users with more than one burst of posts per week of being watched, after their first fortnight.
SELECT v.entity_type, v.entity_id, e.name, count(*) AS onsets, round(CAST(weeks.weeks AS numeric), 1) AS weeks
FROM temporal_events v
JOIN analysis_periods p ON p.id = v.period_id AND p.status <> 'superseded' AND p.superseded_by IS NULL
JOIN temporal_pipeline.entity e ON e.entity_type = v.entity_type AND e.entity_id = v.entity_id
JOIN temporal_pipeline.entity_watch w ON w.entity_type = v.entity_type AND w.entity_id = v.entity_id
CROSS JOIN LATERAL (
    SELECT extract(epoch FROM w.watched_until - CAST(w.covered->0->>0 AS timestamptz)) / 604800 AS weeks
) weeks
WHERE v.metadata->>'detector' = CAST(:detector AS text) AND v.metadata->>'key' = 'volume_up'
GROUP BY v.entity_type, v.entity_id, e.name, weeks.weeks
HAVING weeks.weeks >= 2 AND count(*) > weeks.weeks
ORDER BY count(*) / weeks.weeks DESC, v.entity_id;

-- name: open_events_with_news
-- Topics and users with an open event, and a crawl that has closed an hour since they were watched: it may have ended.
SELECT DISTINCT crawled.entity_type, crawled.entity_id, crawled.newest
FROM temporal_events v
JOIN temporal_pipeline.crawled_since_watched crawled USING (entity_type, entity_id)
JOIN temporal_pipeline.entity e USING (entity_type, entity_id)
WHERE v.resolved_at IS NULL AND v.metadata->>'state' IN ('active', 'recovering')
  AND date_trunc('hour', crawled.newest) > crawled.watched_until
  -- An entity that fails is tried again when something new waits for it.
  AND NOT EXISTS (
      SELECT FROM temporal_pipeline.problem p
      WHERE p.stage = 'events' AND p.entity_type = crawled.entity_type AND p.entity_id = crawled.entity_id
  )
ORDER BY entity_type, entity_id;
