-- name: one_snapshot
-- All statements of an answer see the same state of the database.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;

-- name: limits_of_a_question
-- A question takes five seconds at the most, and each statement is planned for the values that it has.
SELECT set_config('statement_timeout', '5s', true), set_config('plan_cache_mode', 'force_custom_plan', true);

-- name: entities_called
-- Topics and users that have an id or a name, with how often they are crawled.
SELECT entity_type, entity_id, name, crawl_interval
FROM temporal_pipeline.entity
WHERE (entity_id = CAST(:id AS uuid) OR name = CAST(:name AS text))
  AND entity_type = coalesce(CAST(:entity_type AS text), entity_type)
ORDER BY entity_type, entity_id;

-- name: situation
-- What is known of an entity as a whole: its periods, where the last one ends, and whether a further one is being made.
WITH known AS (
    SELECT r.*, CASE WHEN r.ended_at <= coalesce(CAST(:as_of AS timestamptz), 'infinity') THEN r.ended_at END
               AS replaced_at
    FROM temporal_pipeline.recorded_period r
    WHERE r.entity_type = CAST(:entity_type AS text) AND r.entity_id = CAST(:entity_id AS uuid)
      AND r.recorded_at <= coalesce(CAST(:as_of AS timestamptz), 'infinity')
)
SELECT now() AS now, count(*) AS periods, min(period_number) AS first_number, max(period_number) AS last_number,
       min(period_start) AS first_start, max(period_end) AS last_end,
       CAST(:as_of AS timestamptz) IS NULL AND EXISTS (
           SELECT FROM analysis_periods d
           WHERE d.entity_type = CAST(:entity_type AS text) AND d.entity_id = CAST(:entity_id AS uuid)
             AND d.status = 'draft'
       ) AS draft_is_open,
       (SELECT relispopulated FROM pg_class WHERE oid = CAST('mv_period_metrics_trend' AS regclass))
           AS trend_view_is_filled
FROM known
WHERE replaced_at IS NULL;

-- name: trend_view_lags
-- Whether the trend view says less of an entity than its active periods.
SELECT (
    SELECT (count(*), max(analyzed_at)) FROM mv_period_metrics_trend
    WHERE entity_type = CAST(:entity_type AS text) AND entity_id = CAST(:entity_id AS uuid)
) IS DISTINCT FROM (
    SELECT (count(*), max(analyzed_at)) FROM analysis_periods
    WHERE entity_type = CAST(:entity_type AS text) AND entity_id = CAST(:entity_id AS uuid) AND status = 'active'
);

-- name: periods
-- Periods of an entity that overlap a window, as they were known, each with the metrics of the one before; newest first.
WITH known AS (
    SELECT r.*, CASE WHEN r.ended_at <= coalesce(CAST(:as_of AS timestamptz), 'infinity') THEN r.ended_at END
               AS replaced_at
    FROM temporal_pipeline.recorded_period r
    WHERE r.entity_type = CAST(:entity_type AS text) AND r.entity_id = CAST(:entity_id AS uuid)
      AND r.recorded_at <= coalesce(CAST(:as_of AS timestamptz), 'infinity')
), chosen AS (
    SELECT * FROM known
    WHERE (CAST(:include_superseded AS boolean) OR replaced_at IS NULL)
      AND period_end > coalesce(CAST(:since AS timestamptz), '-infinity')
      AND period_start < coalesce(CAST(:until AS timestamptz), 'infinity')
      AND (CAST(:after_number AS int) IS NULL
           OR (period_number, recorded_at, id)
              < (CAST(:after_number AS int), CAST(:after_time AS timestamptz), CAST(:after_id AS uuid)))
    ORDER BY period_number DESC, recorded_at DESC, id DESC
    LIMIT CAST(:limit AS int)
)
SELECT p.id AS period_id, chosen.period_number, chosen.period_start, chosen.period_end, chosen.recorded_at,
       CASE WHEN chosen.replaced_at IS NULL THEN 'active' ELSE p.status END AS status,
       CASE WHEN chosen.replaced_at IS NOT NULL THEN p.superseded_by END AS superseded_by,
       chosen.replaced_at AS superseded_at, p.completeness_score AS coverage,
       p.content_count, p.summary_short, p.duration_hours, p.quality_score, p.knowledge_version,
       CASE WHEN chosen.replaced_at IS NOT NULL THEN p.supersession_reason END AS supersession_reason,
       CASE WHEN 'summary' = ANY (CAST(:fields AS text[])) THEN p.summary END AS summary,
       CASE WHEN 'insights' = ANY (CAST(:fields AS text[])) THEN p.insights END AS insights,
       CASE WHEN 'metrics' = ANY (CAST(:fields AS text[])) THEN p.metrics END AS metrics,
       CASE WHEN 'knowledge_doc' = ANY (CAST(:fields AS text[])) THEN p.knowledge_doc END AS knowledge_doc,
       CASE WHEN 'knowledge_diff' = ANY (CAST(:fields AS text[])) THEN p.knowledge_diff END AS knowledge_diff,
       CASE WHEN 'tasks_summary' = ANY (CAST(:fields AS text[])) THEN p.tasks_summary END AS tasks_summary,
       CASE WHEN 'chat_summary' = ANY (CAST(:fields AS text[])) THEN p.chat_summary END AS chat_summary,
       CASE WHEN 'metrics_delta' = ANY (CAST(:fields AS text[])) THEN p.metrics END AS own_metrics,
       previous.metrics AS previous_metrics
FROM chosen JOIN analysis_periods p ON p.id = chosen.id
LEFT JOIN LATERAL (
    SELECT before.id FROM known before
    WHERE 'metrics_delta' = ANY (CAST(:fields AS text[]))
      AND before.period_number < chosen.period_number AND before.replaced_at IS NULL
    ORDER BY before.period_number DESC LIMIT 1
) before ON true
LEFT JOIN analysis_periods previous ON previous.id = before.id
ORDER BY chosen.period_number DESC, chosen.recorded_at DESC, chosen.id DESC;

-- name: period_to_compare
-- A period by its id, by its number, or the last one below a number; without any, the latest.
WITH known AS (
    SELECT r.*, CASE WHEN r.ended_at <= coalesce(CAST(:as_of AS timestamptz), 'infinity') THEN r.ended_at END
               AS replaced_at
    FROM temporal_pipeline.recorded_period r
    WHERE r.entity_type = CAST(:entity_type AS text) AND r.entity_id = CAST(:entity_id AS uuid)
      AND r.recorded_at <= coalesce(CAST(:as_of AS timestamptz), 'infinity')
), chosen AS (
    SELECT * FROM known
    WHERE CASE WHEN CAST(:period AS uuid) IS NOT NULL THEN id = CAST(:period AS uuid)
               ELSE replaced_at IS NULL
                    AND period_number = coalesce(CAST(:number AS int), period_number)
                    AND period_number < coalesce(CAST(:below AS int), 2147483647) END
    ORDER BY period_number DESC
    LIMIT 1
)
SELECT p.id AS period_id, chosen.period_number, chosen.period_start, chosen.period_end, chosen.recorded_at,
       CASE WHEN chosen.replaced_at IS NULL THEN 'active' ELSE p.status END AS status,
       CASE WHEN chosen.replaced_at IS NOT NULL THEN p.superseded_by END AS superseded_by,
       chosen.replaced_at AS superseded_at, p.completeness_score AS coverage,
       p.content_count, p.summary_short, p.duration_hours, p.quality_score, p.knowledge_version,
       CASE WHEN chosen.replaced_at IS NOT NULL THEN p.supersession_reason END AS supersession_reason,
       CASE WHEN 'summary' = ANY (CAST(:fields AS text[])) THEN p.summary END AS summary,
       CASE WHEN 'insights' = ANY (CAST(:fields AS text[])) THEN p.insights END AS insights,
       CASE WHEN 'metrics' = ANY (CAST(:fields AS text[])) THEN p.metrics END AS metrics,
       CASE WHEN 'knowledge_doc' = ANY (CAST(:fields AS text[])) THEN p.knowledge_doc END AS knowledge_doc,
       CASE WHEN 'knowledge_diff' = ANY (CAST(:fields AS text[])) THEN p.knowledge_diff END AS knowledge_diff,
       CASE WHEN 'tasks_summary' = ANY (CAST(:fields AS text[])) THEN p.tasks_summary END AS tasks_summary,
       CASE WHEN 'chat_summary' = ANY (CAST(:fields AS text[])) THEN p.chat_summary END AS chat_summary
FROM chosen JOIN analysis_periods p ON p.id = chosen.id;

-- name: contents
-- Posts of an entity that were published (else crawled) in a window, as they were frozen in the period that was active; newest first.
WITH known AS (
    SELECT r.*, CASE WHEN r.ended_at <= coalesce(CAST(:as_of AS timestamptz), 'infinity') THEN r.ended_at END
               AS replaced_at
    FROM temporal_pipeline.recorded_period r
    WHERE r.entity_type = CAST(:entity_type AS text) AND r.entity_id = CAST(:entity_id AS uuid)
      AND r.recorded_at <= coalesce(CAST(:as_of AS timestamptz), 'infinity')
)
SELECT c.id AS content_id, least(greatest(s.created_at, '1970-01-01'), '9998-12-31') AS recorded_at, s.period_id, s.contribution_type,
       least(greatest(coalesce(c.published_at, c.crawled_at), '1970-01-01'), '9998-12-31') AS happened_at,
       CASE WHEN c.published_at BETWEEN '1970-01-01' AND '9998-12-31' THEN c.published_at END AS published_at,
       CASE WHEN c.crawled_at BETWEEN '1970-01-01' AND '9998-12-31' THEN c.crawled_at END AS crawled_at,
       c.platform, coalesce(c.author_username, c.author_display_name) AS author, c.source_url AS url,
       s.text_snapshot AS text, s.relevance_score AS relevance, c.lang, c.hashtags,
       s.key_points_snapshot AS key_points,
       coalesce(t.payload->>'query', t.payload->>'username', t.payload->>'tweet_id') AS found_by,
       CASE WHEN CAST(:as_of AS timestamptz) IS NULL AND jsonb_typeof(c.metrics) = 'object' THEN c.metrics
       END AS engagement,
       p.period_number, 'active' AS period_status
FROM contents c
CROSS JOIN LATERAL (
    SELECT frozen.*
    -- A fence: a post has few snapshots, an entity may have thousands of periods.
    FROM (SELECT * FROM period_content_snapshots WHERE content_id = c.id OFFSET 0) frozen
    WHERE frozen.period_id = ANY (ARRAY(SELECT id FROM known WHERE replaced_at IS NULL))
      AND frozen.created_at <= coalesce(CAST(:as_of AS timestamptz), 'infinity')
    ORDER BY frozen.created_at DESC, frozen.id LIMIT 1
) s
JOIN analysis_periods p ON p.id = s.period_id
LEFT JOIN tasks t ON t.id = c.task_id
WHERE (CAST(:entity_type AS text) = 'topic' AND c.topic_id = CAST(:entity_id AS uuid)
       OR CAST(:entity_type AS text) = 'user' AND c.user_id = CAST(:entity_id AS uuid))
  AND c.analysis_period_id IS NOT NULL
  -- What was crawled later was not frozen yet.
  AND c.crawled_at <= coalesce(CAST(:as_of AS timestamptz), 'infinity')
  AND coalesce(c.published_at, c.crawled_at) >= coalesce(CAST(:since AS timestamptz), '-infinity')
  AND coalesce(c.published_at, c.crawled_at) < coalesce(CAST(:until AS timestamptz), 'infinity')
  AND (coalesce(c.published_at, c.crawled_at), c.id)
      < (coalesce(CAST(:after_time AS timestamptz), 'infinity'),
         coalesce(CAST(:after_id AS uuid), 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
ORDER BY coalesce(c.published_at, c.crawled_at) DESC, c.id DESC
LIMIT CAST(:limit AS int);

-- name: shared_contents
-- How many posts two periods share, how many of those have other texts, and how many only one of them has.
SELECT count(*) FILTER (WHERE earlier.content_id IS NULL) AS came,
       count(*) FILTER (WHERE later.content_id IS NULL) AS left,
       count(*) FILTER (WHERE earlier.content_id = later.content_id) AS kept,
       count(*) FILTER (WHERE earlier.content_id = later.content_id
                          AND earlier.text_snapshot IS DISTINCT FROM later.text_snapshot) AS reworded
FROM (
    SELECT content_id, text_snapshot FROM period_content_snapshots
    WHERE period_id = CAST(:after AS uuid) AND created_at <= coalesce(CAST(:as_of AS timestamptz), 'infinity')
) later
FULL JOIN (
    SELECT content_id, text_snapshot FROM period_content_snapshots
    WHERE period_id = CAST(:before AS uuid) AND created_at <= coalesce(CAST(:as_of AS timestamptz), 'infinity')
) earlier USING (content_id);

-- name: contents_that_came
-- Posts of a period that another one does not have, the most relevant first.
SELECT c.id AS content_id, least(greatest(s.created_at, '1970-01-01'), '9998-12-31') AS recorded_at, s.period_id, s.contribution_type,
       least(greatest(coalesce(c.published_at, c.crawled_at), '1970-01-01'), '9998-12-31') AS happened_at,
       CASE WHEN c.published_at BETWEEN '1970-01-01' AND '9998-12-31' THEN c.published_at END AS published_at,
       CASE WHEN c.crawled_at BETWEEN '1970-01-01' AND '9998-12-31' THEN c.crawled_at END AS crawled_at,
       c.platform, coalesce(c.author_username, c.author_display_name) AS author, c.source_url AS url,
       s.text_snapshot AS text, s.relevance_score AS relevance, c.lang, c.hashtags,
       s.key_points_snapshot AS key_points,
       coalesce(t.payload->>'query', t.payload->>'username', t.payload->>'tweet_id') AS found_by,
       CASE WHEN CAST(:as_of AS timestamptz) IS NULL AND jsonb_typeof(c.metrics) = 'object' THEN c.metrics
       END AS engagement
FROM period_content_snapshots s
JOIN contents c ON c.id = s.content_id
LEFT JOIN tasks t ON t.id = c.task_id
WHERE s.period_id = CAST(:after AS uuid) AND s.created_at <= coalesce(CAST(:as_of AS timestamptz), 'infinity')
  AND NOT EXISTS (
      SELECT FROM period_content_snapshots earlier
      WHERE earlier.period_id = CAST(:before AS uuid) AND earlier.content_id = s.content_id
        AND earlier.created_at <= coalesce(CAST(:as_of AS timestamptz), 'infinity')
  )
ORDER BY s.relevance_score DESC NULLS LAST, coalesce(c.published_at, c.crawled_at) DESC, c.id DESC
LIMIT CAST(:limit AS int);

-- name: texts_of_period
-- Texts of a bounded sample of a period's posts; ids are random, so their order is as good as a lot.
SELECT left(text_snapshot, CAST(:characters AS int)) AS text
FROM period_content_snapshots
WHERE period_id = CAST(:period AS uuid) AND text_snapshot IS NOT NULL
  AND created_at <= coalesce(CAST(:as_of AS timestamptz), 'infinity')
ORDER BY content_id
LIMIT CAST(:limit AS int);

-- name: events
-- Events of an entity in the state that they were known to be in; newest first.
-- What an event of ours was like earlier stands in its history; the times there are compared as text, since somebody may have spoilt them.
-- An event that was taken along when its period was analysed again, later than asked about, belonged to the period as it was known then;
-- so does what others recorded with a period that was superseded already.
WITH known AS (
    SELECT r.*, CASE WHEN r.ended_at <= coalesce(CAST(:as_of AS timestamptz), 'infinity') THEN r.ended_at END
               AS replaced_at
    FROM temporal_pipeline.recorded_period r
    WHERE r.entity_type = CAST(:entity_type AS text) AND r.entity_id = CAST(:entity_id AS uuid)
      AND r.recorded_at <= coalesce(CAST(:as_of AS timestamptz), 'infinity')
), recorded AS (
    SELECT v.*, known.id AS known_period, known.period_number,
           least(greatest(v.first_detected_at, '1970-01-01'), '9998-12-31') AS detected_at,
           coalesce(v.last_updated_at <= CAST(:as_of AS timestamptz), true) AS is_as_of,
           CASE WHEN jsonb_typeof(v.metadata->'history') = 'array' THEN v.metadata->'history' ELSE '[]' END AS history
    FROM temporal_events v
    JOIN analysis_periods own ON own.id = v.period_id
    JOIN known ON known.period_number = own.period_number AND known.replaced_at IS NULL
    LEFT JOIN known past ON past.id = own.id AND past.replaced_at IS NOT NULL
    WHERE v.entity_type = CAST(:entity_type AS text) AND v.entity_id = CAST(:entity_id AS uuid)
      AND v.created_at <= coalesce(CAST(:as_of AS timestamptz), 'infinity')
      AND (past.id IS NULL OR v.metadata->>'detector' IS DISTINCT FROM 'temporal_pipeline')
), dated AS (
    SELECT r.*, entry.said, entry.has_later,
           entry.said IS NOT NULL AND (entry.has_later OR NOT r.is_as_of) AS is_by_history,
           CASE WHEN r.metadata->>'onset' ~ '^[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-9]{2}:[0-9]{2}:[0-9]{2}([+]00:00|Z)$'
                THEN left(r.metadata->>'onset', 19) || '.000000'
                ELSE to_char(r.detected_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US') END COLLATE "C" AS began
    FROM recorded r
    CROSS JOIN LATERAL (
        SELECT (array_agg(change.entry ORDER BY change.at DESC, change.place DESC)
                FILTER (WHERE change.at <= coalesce(CAST(:as_of_text AS text), '~') COLLATE "C"))[1] AS said,
               coalesce(bool_or(change.at > coalesce(CAST(:as_of_text AS text), '~') COLLATE "C"), false) AS has_later
        FROM (
            SELECT entry, place, regexp_replace(entry->>'at', '([+]00:00|Z)$', '') COLLATE "C" AS at
            FROM jsonb_array_elements(r.history) WITH ORDINALITY AS element (entry, place)
        ) change
    ) entry
    -- An event of ours is known since its first change of state was.
    WHERE entry.said IS NOT NULL OR NOT entry.has_later
), told AS (
    SELECT d.*,
           CASE WHEN is_by_history THEN coalesce(said->>'title', d.title) ELSE d.title END AS told_title,
           CASE WHEN is_by_history AND said->>'severity' IN ('info', 'warning', 'critical') THEN said->>'severity'
                ELSE d.severity END AS told_severity,
           CASE WHEN is_by_history THEN coalesce(said->>'state', 'active')
                WHEN d.resolved_at <= coalesce(CAST(:as_of AS timestamptz), 'infinity')
                THEN CASE WHEN d.metadata->>'state' IN ('dismissed', 'expired') THEN d.metadata->>'state'
                          ELSE 'resolved' END
                WHEN d.metadata->>'state' = 'recovering' THEN 'recovering'
                ELSE 'active' END AS state,
           CASE WHEN is_by_history THEN said->>'resolved_at'
                WHEN d.resolved_at <= coalesce(CAST(:as_of AS timestamptz), 'infinity')
                THEN to_char(d.resolved_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US')
           END AS ended
    FROM dated d
)
SELECT id AS event_id, event_type, told_severity AS severity, told_title AS title, state,
       detected_at AS first_detected_at, ended,
       least(greatest(created_at, '1970-01-01'), '9998-12-31') AS recorded_at, known_period AS period_id, period_number,
       metadata->>'onset' AS onset,
       CASE WHEN is_as_of THEN description END AS description,
       CASE WHEN is_as_of AND state NOT IN ('active', 'recovering') THEN resolution_note END AS resolution_note,
       CASE WHEN is_as_of THEN metadata - 'history' END AS figures,
       CASE WHEN 'evidence_count' = ANY (CAST(:fields AS text[])) THEN (
           SELECT count(*) FROM event_contents k
           WHERE k.event_id = told.id AND k.added_at <= coalesce(CAST(:as_of AS timestamptz), 'infinity')
       ) END AS evidence_count
FROM told
WHERE (NOT CAST(:only_open AS boolean) OR state IN ('active', 'recovering'))
  AND began < coalesce(CAST(:until_text AS text), '~') COLLATE "C"
  AND (state IN ('active', 'recovering') OR coalesce(ended, '~') COLLATE "C" > coalesce(CAST(:since_text AS text), ''))
  AND event_type = coalesce(CAST(:event_type AS text), event_type)
  AND told_severity = coalesce(CAST(:severity AS text), told_severity)
  AND (CAST(:text AS text) IS NULL
       OR strpos(lower(concat_ws(' ', told_title, CASE WHEN is_as_of THEN description END)),
                 lower(CAST(:text AS text))) > 0)
  AND (CAST(:changed_after AS timestamptz) IS NULL
       OR detected_at > CAST(:changed_after AS timestamptz) AND detected_at <= CAST(:changed_until AS timestamptz)
       OR state NOT IN ('active', 'recovering')
          AND ended COLLATE "C" > CAST(:changed_after_text AS text)
          AND ended COLLATE "C" <= CAST(:changed_until_text AS text))
  AND (CAST(:after_time AS timestamptz) IS NULL
       OR (detected_at, id) < (CAST(:after_time AS timestamptz), CAST(:after_id AS uuid)))
ORDER BY detected_at DESC, id DESC
LIMIT CAST(:limit AS int);

-- name: evidence
-- The three weightiest posts of some events, with their texts as they were frozen in a period of the entity that was active.
WITH known AS (
    SELECT r.*, CASE WHEN r.ended_at <= coalesce(CAST(:as_of AS timestamptz), 'infinity') THEN r.ended_at END
               AS replaced_at
    FROM temporal_pipeline.recorded_period r
    WHERE r.entity_type = CAST(:entity_type AS text) AND r.entity_id = CAST(:entity_id AS uuid)
      AND r.recorded_at <= coalesce(CAST(:as_of AS timestamptz), 'infinity')
), best AS (
    SELECT e.event_id, e.place, k.*
    FROM unnest(CAST(:events AS uuid[])) WITH ORDINALITY AS e (event_id, place)
    CROSS JOIN LATERAL (
        SELECT c.id AS content_id, k.relevance_to_event AS weight,
               least(greatest(coalesce(c.published_at, c.crawled_at), '1970-01-01'), '9998-12-31') AS happened_at,
               coalesce(c.author_username, c.author_display_name) AS author
        FROM event_contents k JOIN contents c ON c.id = k.content_id
        WHERE k.event_id = e.event_id AND k.added_at <= coalesce(CAST(:as_of AS timestamptz), 'infinity')
        ORDER BY k.relevance_to_event DESC NULLS LAST, c.id LIMIT 3
    ) k
), frozen AS (
    SELECT DISTINCT ON (s.content_id) s.content_id, left(s.text_snapshot, CAST(:characters AS int)) AS excerpt
    FROM period_content_snapshots s JOIN known ON known.id = s.period_id AND known.replaced_at IS NULL
    WHERE s.content_id = ANY (ARRAY(SELECT content_id FROM best))
      AND s.created_at <= coalesce(CAST(:as_of AS timestamptz), 'infinity')
    ORDER BY s.content_id, s.created_at DESC, s.id
)
SELECT best.event_id, best.content_id, best.weight, best.happened_at, best.author, frozen.excerpt
FROM best LEFT JOIN frozen USING (content_id)
ORDER BY best.place, best.weight DESC NULLS LAST, best.content_id;

-- name: effectiveness
-- What the queries of an entity's periods were worth; newest period first, in it the best query first.
-- A judgement that was written later than asked about, since an earlier period was analysed again, is not told.
WITH known AS (
    SELECT r.*, CASE WHEN r.ended_at <= coalesce(CAST(:as_of AS timestamptz), 'infinity') THEN r.ended_at END
               AS replaced_at
    FROM temporal_pipeline.recorded_period r
    WHERE r.entity_type = CAST(:entity_type AS text) AND r.entity_id = CAST(:entity_id AS uuid)
      AND r.recorded_at <= coalesce(CAST(:as_of AS timestamptz), 'infinity')
)
SELECT e.id AS effectiveness_id, e.platform, e.query, e.period_id, known.period_number, known.period_start,
       known.period_end, least(greatest(e.created_at, '1970-01-01'), '9998-12-31') AS recorded_at,
       known.completeness_score AS coverage,
       judged.score AS effectiveness_score, e.total_found, e.relevant_count, e.high_value_count, e.avg_relevance,
       e.coverage_ratio, CASE WHEN judged.is_as_of THEN e.recommendations END AS recommendations,
       coalesce(judged.score, -1) AS rank
FROM known
JOIN crawl_effectiveness e ON e.period_id = known.id
LEFT JOIN temporal_pipeline.query_measurement m ON m.effectiveness_id = e.id
CROSS JOIN LATERAL (
    SELECT is_as_of, CASE WHEN is_as_of THEN e.effectiveness_score END AS score
    FROM (SELECT coalesce(m.rejudged_at <= CAST(:as_of AS timestamptz), true) AS is_as_of) known_by
) judged
WHERE known.replaced_at IS NULL
  AND e.entity_type = CAST(:entity_type AS text) AND e.entity_id = CAST(:entity_id AS uuid)
  AND e.created_at <= coalesce(CAST(:as_of AS timestamptz), 'infinity')
  AND known.period_end > coalesce(CAST(:since AS timestamptz), '-infinity')
  AND known.period_start < coalesce(CAST(:until AS timestamptz), 'infinity')
  AND (CAST(:text AS text) IS NULL OR strpos(lower(e.query), lower(CAST(:text AS text))) > 0)
  AND (CAST(:after_number AS int) IS NULL
       OR (known.period_number, coalesce(judged.score, -1), e.id)
          < (CAST(:after_number AS int), CAST(:after_rank AS double precision), CAST(:after_id AS uuid)))
ORDER BY known.period_number DESC, rank DESC, e.id DESC
LIMIT CAST(:limit AS int);

-- name: queries_of_two_periods
-- Queries that were measured in both of two periods. How one was judged before it was judged anew is not known any more.
SELECT b.platform, b.query, a.effectiveness_score AS score_before, b.effectiveness_score AS score_after,
       a.total_found AS found_before, b.total_found AS found_after
FROM crawl_effectiveness a
JOIN crawl_effectiveness b ON b.platform = a.platform AND b.query = a.query
WHERE a.period_id = CAST(:before AS uuid) AND b.period_id = CAST(:after AS uuid)
  AND a.created_at <= coalesce(CAST(:as_of AS timestamptz), 'infinity')
  AND b.created_at <= coalesce(CAST(:as_of AS timestamptz), 'infinity')
  AND a.effectiveness_score <> b.effectiveness_score
  AND NOT EXISTS (
      SELECT FROM temporal_pipeline.query_measurement m
      WHERE m.effectiveness_id IN (a.id, b.id) AND m.rejudged_at > CAST(:as_of AS timestamptz)
  )
ORDER BY abs(b.effectiveness_score - a.effectiveness_score) DESC, b.platform, b.query, a.id, b.id;
