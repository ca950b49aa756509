-- name: old_drafts
-- Drafts that nobody has closed for some time, whose they are, how many contents point to them, and the reason if one is known.
SELECT d.entity_type, coalesce(e.name, '(gone)') AS entity, d.period_number AS period, d.created_at AS since,
       (SELECT count(*) FROM contents c WHERE c.analysis_period_id = d.id) AS contents,
       CASE WHEN k.period_id IS NULL THEN 'the application''s own, left alone' ELSE failed.reason END AS reason,
       k.period_id IS NOT NULL AS ours
FROM analysis_periods d
LEFT JOIN temporal_pipeline.period_cut k ON k.period_id = d.id
LEFT JOIN temporal_pipeline.entity e ON e.entity_type = d.entity_type AND e.entity_id = d.entity_id
LEFT JOIN temporal_pipeline.problem failed
  ON failed.stage = 'periods' AND failed.entity_type = d.entity_type AND failed.entity_id = d.entity_id
WHERE d.status = 'draft' AND d.created_at < now() - CAST(:age AS interval)
ORDER BY d.created_at, d.id;

-- name: forgotten_events
-- Open events that no run looks at any more, and why.
SELECT v.entity_type, coalesce(e.name, '(gone)') AS entity, v.title, v.severity, v.first_detected_at::text AS detected,
       CASE WHEN e.entity_id IS NULL THEN 'its topic or user is gone'
            WHEN v.metadata->>'detector' IS DISTINCT FROM CAST(:detector AS text)
                THEN 'not found by us: whoever recorded it ends it'
            WHEN w.watched_until IS NULL THEN 'its topic or user was never watched'
            ELSE 'not crawled since ' || to_char(w.watched_until AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') || ' UTC'
       END AS reason
FROM temporal_events v
JOIN analysis_periods p ON p.id = v.period_id AND p.status <> 'superseded' AND p.superseded_by IS NULL
LEFT JOIN temporal_pipeline.entity e ON e.entity_type = v.entity_type AND e.entity_id = v.entity_id
LEFT JOIN temporal_pipeline.entity_watch w ON w.entity_type = v.entity_type AND w.entity_id = v.entity_id
WHERE v.resolved_at IS NULL AND v.metadata->>'state' IS DISTINCT FROM 'superseded'
  AND v.first_detected_at < now() - CAST(:age AS interval)
  AND (e.entity_id IS NULL OR w.watched_until IS NULL OR w.watched_until < now() - CAST(:age AS interval)
       OR v.metadata->>'detector' IS DISTINCT FROM CAST(:detector AS text))
  AND NOT EXISTS (
      SELECT FROM temporal_pipeline.crawled_since_watched crawled
      WHERE v.metadata->>'detector' = CAST(:detector AS text)
        AND crawled.entity_type = v.entity_type AND crawled.entity_id = v.entity_id
  )
ORDER BY array_position(CAST('{critical,warning,info}' AS text[]), CAST(v.severity AS text)), v.first_detected_at, v.id;

-- name: old_superseded_periods
-- Periods of ours that others took the place of so long ago that they are put away.
SELECT p.id, p.entity_type, coalesce(e.name, '(gone)') AS entity, p.period_number AS period, r.ended_at AS superseded_at,
       p.supersession_reason AS reason
FROM analysis_periods p
JOIN temporal_pipeline.recorded_period r ON r.id = p.id
JOIN temporal_pipeline.period_cut ours ON ours.period_id = p.id
LEFT JOIN temporal_pipeline.entity e ON e.entity_type = p.entity_type AND e.entity_id = p.entity_id
WHERE p.status = 'superseded' AND p.superseded_by IS NOT NULL AND r.ended_at < now() - CAST(:age AS interval)
ORDER BY r.ended_at, p.id;

-- name: archive
-- Put superseded periods away: they stay as they are, under another status.
UPDATE analysis_periods SET status = 'archived'
WHERE id = ANY (CAST(:periods AS uuid[])) AND status = 'superseded';

-- name: our_tables
-- The tables that are ours and the trend view, with the statement that vacuums each, and whether this role may.
SELECT CAST(CAST(c.oid AS regclass) AS text) AS name, format('VACUUM (ANALYZE) %s', CAST(c.oid AS regclass)) AS statement,
       -- For others PostgreSQL only warns, and leaves the table out.
       pg_has_role(c.relowner, 'USAGE') OR pg_has_role(d.datdba, 'USAGE')
       OR CASE WHEN current_setting('server_version_num')::int >= 170000
               THEN has_table_privilege(c.oid, 'MAINTAIN') ELSE false END AS may_vacuum,
       coalesce(s.n_dead_tup, 0) AS dead_rows, pg_total_relation_size(c.oid) AS bytes
FROM pg_class c
JOIN pg_database d ON d.datname = current_database()
LEFT JOIN pg_stat_all_tables s ON s.relid = c.oid
WHERE c.relnamespace = to_regnamespace('temporal_pipeline') AND c.relkind = 'r'
   OR c.oid IN (
       to_regclass('public.analysis_periods'),
       to_regclass('public.period_content_snapshots'),
       to_regclass('public.temporal_events'),
       to_regclass('public.event_contents'),
       to_regclass('public.crawl_effectiveness'),
       to_regclass('public.mv_period_metrics_trend')
   )
ORDER BY 1;
