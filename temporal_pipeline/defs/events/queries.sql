-- name: entities_to_watch
-- Topics and users with frozen periods that were not searched for events yet, their crawl interval, and where their last period ends.
-- A period that the application made without an end, or with one that cannot be, ends now.
SELECT p.entity_type, p.entity_id, e.name, e.crawl_interval, array_agg(p.id ORDER BY p.period_number) AS periods,
       (SELECT max(CASE WHEN latest.period_end BETWEEN '1970-01-01' AND now() + interval '1 year'
                        THEN latest.period_end ELSE now() END)
        FROM analysis_periods latest
        WHERE latest.entity_type = p.entity_type AND latest.entity_id = p.entity_id
          AND latest.status = 'active') AS until
FROM temporal_pipeline.period_stage frozen
JOIN analysis_periods p ON p.id = frozen.period_id AND p.status = 'active'
JOIN temporal_pipeline.entity e ON e.entity_type = p.entity_type AND e.entity_id = p.entity_id
WHERE frozen.stage = 'snapshots'
  AND NOT EXISTS (
      SELECT FROM temporal_pipeline.period_stage done WHERE done.period_id = p.id AND done.stage = 'events'
  )
  AND p.period_end >= coalesce(CAST(:since AS timestamptz), '-infinity')
  AND (CAST(:entity_ids AS uuid[]) IS NULL OR p.entity_id = ANY (CAST(:entity_ids AS uuid[])))
GROUP BY p.entity_type, p.entity_id, e.name, e.crawl_interval
ORDER BY p.entity_type, p.entity_id;

-- name: hourly_counts
-- Linked posts per hour of many topics or users, hours counted from 1970, within `history` before each one's end.
SELECT entity_id, array_agg(hour ORDER BY hour) AS hours, array_agg(posts ORDER BY hour) AS posts
FROM (
    SELECT w.entity_id, count(*) AS posts,
           CAST(floor(extract(epoch FROM coalesce(c.published_at, c.crawled_at)) / 3600) AS bigint) AS hour
    FROM unnest(CAST(:entity_ids AS uuid[]), CAST(:untils AS timestamptz[])) AS w (entity_id, until)
    JOIN contents c ON c.topic_id = w.entity_id
    WHERE CAST(:entity_type AS text) = 'topic' AND c.analysis_period_id IS NOT NULL
      AND coalesce(c.published_at, c.crawled_at) >= w.until - CAST(:history AS interval)
      AND coalesce(c.published_at, c.crawled_at) < w.until
    GROUP BY 1, 3
    UNION ALL
    SELECT w.entity_id, count(*),
           CAST(floor(extract(epoch FROM coalesce(c.published_at, c.crawled_at)) / 3600) AS bigint)
    FROM unnest(CAST(:entity_ids AS uuid[]), CAST(:untils AS timestamptz[])) AS w (entity_id, until)
    JOIN contents c ON c.user_id = w.entity_id
    WHERE CAST(:entity_type AS text) = 'user' AND c.analysis_period_id IS NOT NULL
      AND coalesce(c.published_at, c.crawled_at) >= w.until - CAST(:history AS interval)
      AND coalesce(c.published_at, c.crawled_at) < w.until
    GROUP BY 1, 3
) counted
GROUP BY entity_id;

-- name: known_events
-- The events that this detector has recorded for many topics or users; those of superseded periods are history.
-- An end that Python has no name for is told as the nearest that it has one for: it is not ours either way.
SELECT v.id, v.entity_id, v.severity, v.resolution_note, v.metadata,
       CASE WHEN v.resolved_at IS NOT NULL
            THEN least(greatest(v.resolved_at, '1970-01-01'), '9998-12-31') END AS resolved_at
FROM temporal_events v JOIN analysis_periods p ON p.id = v.period_id
WHERE v.entity_type = CAST(:entity_type AS text) AND v.entity_id = ANY (CAST(:entity_ids AS uuid[]))
  AND v.metadata->>'key' = CAST(:key AS text)
  AND split_part(v.metadata->>'method', '-', 1) = CAST(:method_family AS text)
  AND p.status <> 'superseded'
ORDER BY v.entity_id, v.metadata->>'onset', v.id;

-- name: detecting_post
-- The post that made an hour an alarm: the n-th of them in the order in which they were crawled; known by the hour's end.
SELECT c.id, greatest(CAST(:end AS timestamptz), CASE WHEN c.crawled_at <= '9998-12-31' THEN c.crawled_at END)
             AS known_at
FROM contents c
WHERE (CAST(:entity_type AS text) = 'topic' AND c.topic_id = CAST(:entity_id AS uuid)
       OR CAST(:entity_type AS text) = 'user' AND c.user_id = CAST(:entity_id AS uuid))
  AND c.analysis_period_id IS NOT NULL
  AND (c.published_at >= CAST(:start AS timestamptz) AND c.published_at < CAST(:end AS timestamptz)
       OR c.published_at IS NULL
          AND c.crawled_at >= CAST(:start AS timestamptz) AND c.crawled_at < CAST(:end AS timestamptz))
ORDER BY c.crawled_at, c.id
OFFSET CAST(:nth AS int) - 1 LIMIT 1;

-- name: period_of_post
-- The entity's active period that has a post: by pointer, by snapshot, by its time; else the entity's latest one.
SELECT p.id
FROM contents c
JOIN analysis_periods p ON p.entity_type = CAST(:entity_type AS text) AND p.entity_id = CAST(:entity_id AS uuid)
    AND p.status = 'active'
WHERE c.id = CAST(:content_id AS uuid)
ORDER BY p.id = c.analysis_period_id IS TRUE DESC,
         EXISTS (SELECT FROM period_content_snapshots s WHERE s.period_id = p.id AND s.content_id = c.id) DESC,
         c.crawled_at >= p.period_start AND c.crawled_at < p.period_end DESC,
         CASE WHEN c.crawled_at >= p.period_start AND c.crawled_at < p.period_end THEN p.period_number END,
         p.period_number DESC
LIMIT 1;

-- name: posts_of_hours
-- The posts of some hours of a topic or user with their reactions, those with most reactions first.
SELECT c.id, left(c.text, 2000) AS text, c.relevance_score,
       (SELECT coalesce(sum(greatest(temporal_pipeline.metric_number(c.metrics->counted.metric), 0)), 0)
        FROM unnest(CAST('{like_count,retweet_count,reply_count,quote_count}' AS text[])) AS counted (metric)
       ) AS reactions
FROM contents c
WHERE (CAST(:entity_type AS text) = 'topic' AND c.topic_id = CAST(:entity_id AS uuid)
       OR CAST(:entity_type AS text) = 'user' AND c.user_id = CAST(:entity_id AS uuid))
  AND c.analysis_period_id IS NOT NULL
  AND (c.published_at >= CAST(:start AS timestamptz) AND c.published_at < CAST(:end AS timestamptz)
       OR c.published_at IS NULL
          AND c.crawled_at >= CAST(:start AS timestamptz) AND c.crawled_at < CAST(:end AS timestamptz))
  AND CAST(floor(extract(epoch FROM coalesce(c.published_at, c.crawled_at)) / 3600) AS bigint)
      = ANY (CAST(:hours AS bigint[]))
ORDER BY reactions DESC, c.id
LIMIT CAST(:limit AS int);

-- name: texts_between
-- A sample of the texts of a topic or user in some time; ids are random, so their order is as good as a lot.
SELECT left(c.text, 2000) AS text
FROM contents c
WHERE (CAST(:entity_type AS text) = 'topic' AND c.topic_id = CAST(:entity_id AS uuid)
       OR CAST(:entity_type AS text) = 'user' AND c.user_id = CAST(:entity_id AS uuid))
  AND c.analysis_period_id IS NOT NULL AND c.text IS NOT NULL
  AND (c.published_at >= CAST(:start AS timestamptz) AND c.published_at < CAST(:end AS timestamptz)
       OR c.published_at IS NULL
          AND c.crawled_at >= CAST(:start AS timestamptz) AND c.crawled_at < CAST(:end AS timestamptz))
ORDER BY c.id
LIMIT CAST(:limit AS int);

-- name: open_event
-- Record a new event.
INSERT INTO temporal_events
    (period_id, entity_type, entity_id, event_type, severity, title, description, first_detected_at,
     last_updated_at, resolved_at, resolution_note, metadata)
VALUES (CAST(:period_id AS uuid), CAST(:entity_type AS text), CAST(:entity_id AS uuid), 'anomaly',
        CAST(:severity AS text), CAST(:title AS text), CAST(:description AS text),
        CAST(:first_detected_at AS timestamptz), now(), CAST(:resolved_at AS timestamptz),
        CAST(:resolution_note AS text),
        CAST(:metadata AS jsonb) || jsonb_build_object('evidence_at', now()))
RETURNING id;

-- name: update_event
-- Bring an event of ours up to date with what is known now; an end that others set is theirs.
UPDATE temporal_events
SET severity = CAST(:severity AS text), title = CAST(:title AS text),
    description = CAST(:description AS text), last_updated_at = now(),
    resolved_at = CASE WHEN CAST(:end_is_ours AS boolean) THEN CAST(:resolved_at AS timestamptz) ELSE resolved_at END,
    resolution_note = CASE WHEN CAST(:end_is_ours AS boolean) THEN CAST(:resolution_note AS text)
                           ELSE resolution_note END,
    metadata = metadata || CAST(:metadata AS jsonb) || jsonb_build_object('evidence_at', now())
WHERE id = CAST(:event_id AS uuid);

-- name: resolve_event
-- Set or take back an event's end if it is ours, without a look at its figures.
UPDATE temporal_events
SET resolved_at = CASE WHEN CAST(:end_is_ours AS boolean) THEN CAST(:resolved_at AS timestamptz) ELSE resolved_at END,
    resolution_note = CASE WHEN CAST(:end_is_ours AS boolean) THEN CAST(:resolution_note AS text)
                           ELSE resolution_note END,
    last_updated_at = now(), metadata = metadata || CAST(:metadata AS jsonb)
WHERE id = CAST(:event_id AS uuid);

-- name: drop_outdated_evidence
-- Forget the evidence that an earlier update of the event wrote; what other people added has another time.
DELETE FROM event_contents k
USING temporal_events v
WHERE k.event_id = CAST(:event_id AS uuid) AND v.id = k.event_id
  AND k.added_at = CAST(v.metadata->>'evidence_at' AS timestamptz);

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
ON CONFLICT (period_id, stage) DO NOTHING;

-- name: event_state
-- How many events there are, of whomever, and what identifies the present state of ours.
SELECT count(*) AS events,
       CAST(coalesce(sum(hashtextextended(
           concat_ws(' ', entity_id, severity, resolved_at, metadata - 'evidence_at'), 0
       )) FILTER (WHERE metadata->>'key' = CAST(:key AS text)), 0) AS text) AS digest
FROM temporal_events;

-- name: latest_events
-- The ten events that were updated last, each with its weightiest evidence; those of superseded periods are history.
-- Times as text: those that others wrote may be infinite.
SELECT e.name AS entity, v.severity, v.title, best.text AS evidence,
       coalesce(to_char(v.first_detected_at, 'YYYY-MM-DD HH24:MI'), v.first_detected_at::text) AS detected,
       coalesce(to_char(v.resolved_at, 'YYYY-MM-DD HH24:MI'), v.resolved_at::text) AS resolved
FROM temporal_events v
JOIN analysis_periods p ON p.id = v.period_id AND p.status <> 'superseded'
LEFT JOIN temporal_pipeline.entity e ON e.entity_type = v.entity_type AND e.entity_id = v.entity_id
LEFT JOIN LATERAL (
    SELECT left(coalesce(c.text, c.source_url), 160) AS text
    FROM event_contents k JOIN contents c ON c.id = k.content_id
    WHERE k.event_id = v.id ORDER BY k.relevance_to_event DESC NULLS LAST, c.id LIMIT 1
) best ON true
ORDER BY v.last_updated_at DESC, v.first_detected_at DESC, v.id
LIMIT 10;

-- name: volume_events_without_evidence
-- Events of ours without a single post that shows them.
SELECT v.id, v.title, v.first_detected_at
FROM temporal_events v
WHERE v.metadata->>'key' = CAST(:key AS text)
  AND NOT EXISTS (SELECT FROM event_contents k WHERE k.event_id = v.id)
ORDER BY v.first_detected_at, v.id;

-- name: evidence_out_of_range
-- Evidence of our events whose weight is missing or not between 0 and 1.
SELECT v.id, v.title, k.content_id, k.relevance_to_event
FROM temporal_events v JOIN event_contents k ON k.event_id = v.id
WHERE v.metadata->>'key' = CAST(:key AS text)
  AND k.added_at = CAST(v.metadata->>'evidence_at' AS timestamptz)
  AND (k.relevance_to_event BETWEEN 0 AND 1) IS NOT TRUE
ORDER BY v.id, k.content_id;

