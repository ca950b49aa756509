-- name: unfrozen_periods
-- Active periods whose members were not frozen yet, small ones beside each other.
SELECT p.id, p.entity_type, p.entity_id, e.name, p.period_number, p.content_count
FROM analysis_periods p
JOIN temporal_pipeline.entity e ON e.entity_type = p.entity_type AND e.entity_id = p.entity_id
WHERE p.status = 'active'
  AND NOT EXISTS (
      SELECT FROM temporal_pipeline.period_stage done WHERE done.period_id = p.id AND done.stage = 'snapshots'
  )
ORDER BY p.entity_type, p.entity_id, p.period_number;

-- name: page_of_members
-- The next members of some periods, in order of content.
SELECT m.period_id, m.content_id
FROM temporal_pipeline.linked_content m
WHERE m.period_id = ANY (CAST(:periods AS uuid[]))
  AND (m.content_id, m.period_id) > (CAST(:after_content AS uuid), CAST(:after_period AS uuid))
ORDER BY m.content_id, m.period_id
LIMIT CAST(:batch_size AS int);

-- name: freeze_members
-- Members as they are now: text, key points and relevance. What is frozen already is never changed.
INSERT INTO period_content_snapshots
    (period_id, content_id, contribution_type, relevance_score, text_snapshot, key_points_snapshot)
SELECT p.id, c.id, CASE WHEN c.crawled_at < p.period_start THEN 'late_arrival' ELSE 'general' END,
       c.relevance_score, c.text, c.key_points
FROM unnest(CAST(:periods AS uuid[]), CAST(:contents AS uuid[])) AS m (period_id, content_id)
JOIN analysis_periods p ON p.id = m.period_id
JOIN contents c ON c.id = m.content_id
ON CONFLICT (period_id, content_id) DO NOTHING;

-- name: correct_content_counts
-- Members that the application deleted between closing and freezing are no members; its own periods are left alone.
UPDATE analysis_periods p SET content_count = frozen.members
FROM (
    SELECT wanted.id, count(s.content_id) AS members
    FROM unnest(CAST(:periods AS uuid[])) AS wanted (id)
    JOIN temporal_pipeline.period_cut ours ON ours.period_id = wanted.id
    LEFT JOIN period_content_snapshots s ON s.period_id = wanted.id
    GROUP BY wanted.id
) frozen
WHERE p.id = frozen.id AND p.content_count <> frozen.members;

-- name: mark_frozen
-- From now on the snapshot rows are the membership of these periods.
INSERT INTO temporal_pipeline.period_stage (period_id, stage, method, run_id)
SELECT id, 'snapshots', CAST(:method AS text), CAST(:run_id AS text) FROM unnest(CAST(:periods AS uuid[])) AS frozen (id)
ON CONFLICT (period_id, stage) DO NOTHING;

-- name: snapshot_count
-- All snapshot rows, and what identifies the set of frozen periods.
SELECT (SELECT count(*) FROM period_content_snapshots) AS snapshots,
       (SELECT coalesce(sum(hashtextextended(period_id::text, 0)), 0)::text
        FROM temporal_pipeline.period_stage WHERE stage = 'snapshots') AS digest;

-- name: late_arrivals
-- How many members of these periods were crawled before their period began.
SELECT count(*) FROM period_content_snapshots
WHERE period_id = ANY (CAST(:periods AS uuid[])) AND contribution_type = 'late_arrival';

-- name: miscounted_periods
-- Frozen periods of ours with more members than they count, and those of this run with linked contents that were left out.
WITH frozen AS (
    SELECT p.id, p.entity_type, p.entity_id, p.period_number, p.content_count,
           done.run_id IS NOT DISTINCT FROM CAST(:run_id AS text) AS of_this_run
    FROM temporal_pipeline.period_stage done
    JOIN analysis_periods p ON p.id = done.period_id AND p.status = 'active'
    JOIN temporal_pipeline.period_cut ours ON ours.period_id = p.id
    WHERE done.stage = 'snapshots'
), counted AS (
    SELECT f.id, count(s.content_id) AS members
    FROM frozen f LEFT JOIN period_content_snapshots s ON s.period_id = f.id GROUP BY f.id
), left_out AS (
    SELECT m.period_id AS id, count(*) AS contents
    FROM frozen f
    JOIN temporal_pipeline.linked_content m ON m.period_id = f.id
    LEFT JOIN period_content_snapshots s ON s.period_id = m.period_id AND s.content_id = m.content_id
    WHERE f.of_this_run AND s.content_id IS NULL
    GROUP BY m.period_id
)
SELECT f.entity_type, f.entity_id, f.period_number, f.content_count, c.members,
       coalesce(l.contents, 0) AS left_out, f.of_this_run
FROM frozen f JOIN counted c USING (id) LEFT JOIN left_out l USING (id)
WHERE c.members > f.content_count OR l.contents > 0
ORDER BY 1, 2, 3
LIMIT 1000;

-- name: deleted_members
-- Members of frozen periods of ours that the application has deleted since.
SELECT coalesce(sum(p.content_count - counted.members), 0)
FROM temporal_pipeline.period_stage done
JOIN analysis_periods p ON p.id = done.period_id AND p.status = 'active'
JOIN temporal_pipeline.period_cut ours ON ours.period_id = p.id
CROSS JOIN LATERAL (
    SELECT count(*) AS members FROM period_content_snapshots s WHERE s.period_id = p.id
) counted
WHERE done.stage = 'snapshots' AND counted.members < p.content_count;

-- name: application_periods_that_differ
-- Periods that the application made whose own count differs from what was frozen.
SELECT p.entity_type, p.entity_id, p.period_number, p.content_count, count(s.content_id) AS members
FROM temporal_pipeline.period_stage done
JOIN analysis_periods p ON p.id = done.period_id AND p.status = 'active'
LEFT JOIN period_content_snapshots s ON s.period_id = p.id
WHERE done.stage = 'snapshots'
  AND NOT EXISTS (SELECT FROM temporal_pipeline.period_cut ours WHERE ours.period_id = p.id)
GROUP BY p.id
HAVING p.content_count <> count(s.content_id)
ORDER BY 1, 2, 3
LIMIT 1000;
