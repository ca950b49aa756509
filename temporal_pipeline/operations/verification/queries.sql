-- name: one_moment
-- Let every claim see the same moment while crawlers write; nothing is written.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY;

-- name: room_for_sums
-- Sums over all contents fit into memory; compiling them for a second would take longer than they do.
SELECT set_config('work_mem', '64MB', true), set_config('jit', 'off', true);

-- name: lost_columns
-- Columns of the application that are not there any more; a table that not every database has may be missing.
SELECT split_part(wanted.name, '.', 1) AS "table", split_part(wanted.name, '.', 2) AS "column"
FROM unnest(CAST(:columns AS text[])) AS wanted (name)
LEFT JOIN pg_attribute a ON a.attrelid = to_regclass(split_part(wanted.name, '.', 1))
                        AND a.attname = split_part(wanted.name, '.', 2) AND NOT a.attisdropped
WHERE a.attname IS NULL
  AND (to_regclass(split_part(wanted.name, '.', 1)) IS NOT NULL
       OR split_part(wanted.name, '.', 1) = ANY (CAST(:required_tables AS text[])))
ORDER BY 1, 2;

-- name: missing_extensions
-- Which of the named extensions the database does not have.
SELECT wanted.name AS extension
FROM unnest(CAST(:names AS text[])) AS wanted (name)
WHERE NOT EXISTS (SELECT FROM pg_extension e WHERE e.extname = wanted.name)
ORDER BY 1;

-- name: invalid_indexes
-- Indexes of some tables that a build left unusable; those that are being built right now are not meant.
SELECT CAST(CAST(i.indexrelid AS regclass) AS text) AS index, CAST(CAST(i.indrelid AS regclass) AS text) AS "table"
FROM unnest(CAST(:tables AS text[])) AS wanted (name)
JOIN pg_index i ON i.indrelid = to_regclass(wanted.name) AND NOT i.indisvalid
WHERE NOT EXISTS (SELECT FROM pg_stat_progress_create_index b WHERE b.index_relid = i.indexrelid)
ORDER BY 1;

-- name: unvalidated_constraints
-- Constraints of some tables that old rows may break; those that neither bear our name nor lead to our tables are the application's.
SELECT CAST(CAST(c.conrelid AS regclass) AS text) AS "table", c.conname AS "constraint",
       c.conname = ANY (CAST(:our_names AS text[])) OR EXISTS (
           SELECT FROM unnest(CAST(:our_tables AS text[])) AS our (name)
           WHERE to_regclass(our.name) IN (c.conrelid, c.confrelid)
       ) AS ours
FROM unnest(CAST(:tables AS text[])) AS wanted (name)
JOIN pg_constraint c ON c.conrelid = to_regclass(wanted.name) AND NOT c.convalidated
ORDER BY 1, 2;

-- name: missing_privileges
-- What the owner of contents, as whom the application works, may not do with the tables that were made for it.
SELECT o.rolname AS role, wanted.name AS "table", privilege.name AS privilege
FROM pg_class contents
JOIN pg_roles o ON o.oid = contents.relowner
CROSS JOIN unnest(CAST(:tables AS text[])) AS wanted (name)
CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS privilege (name)
WHERE contents.oid = to_regclass('contents') AND to_regclass(wanted.name) IS NOT NULL
  AND NOT has_table_privilege(o.oid, to_regclass(wanted.name), privilege.name)
ORDER BY 2, 3;

-- name: an_entity
-- The topic or user whose period was made last, to ask for.
SELECT entity_type, entity_id, period_number FROM analysis_periods
WHERE status = 'active' ORDER BY analyzed_at DESC LIMIT 1;

-- name: v_period_timeline
-- Ask the view for an entity's latest period.
SELECT * FROM v_period_timeline
WHERE entity_type = CAST(:entity_type AS text) AND entity_id = CAST(:entity_id AS uuid)
ORDER BY period_number DESC LIMIT 1;

-- name: v_entity_timeline_summary
-- Ask the view for an entity.
SELECT * FROM v_entity_timeline_summary
WHERE entity_type = CAST(:entity_type AS text) AND entity_id = CAST(:entity_id AS uuid);

-- name: v_crawl_effectiveness_ranking
-- Ask the view for an entity's best query.
SELECT * FROM v_crawl_effectiveness_ranking
WHERE entity_type = CAST(:entity_type AS text) AND entity_id = CAST(:entity_id AS uuid)
LIMIT 1;

-- name: get_period_by_number
-- Ask the function for a period.
SELECT * FROM get_period_by_number(
    CAST(:entity_type AS varchar), CAST(:entity_id AS uuid), CAST(:period_number AS int));

-- name: get_content_timeline
-- Ask the function for what was known of an entity in the time of all calendars.
SELECT count(*) FROM get_content_timeline(CAST(:entity_type AS varchar), CAST(:entity_id AS uuid));

-- name: detect_metric_anomalies
-- Ask the function for an entity's unusual periods.
SELECT count(*) FROM detect_metric_anomalies(
    CAST(:entity_type AS varchar), CAST(:entity_id AS uuid), 'total_contents');

-- name: recompute_metrics_delta
-- Ask the function for a period that there is not, so that it writes nothing.
SELECT recompute_metrics_delta('00000000-0000-0000-0000-000000000000');

-- name: unlinked_contents_without_owner
-- How many contents belong to nobody and to no period: they are never linked.
SELECT count(*) FROM contents WHERE topic_id IS NULL AND user_id IS NULL AND analysis_period_id IS NULL;

-- name: contents_in_total
-- How many contents there are.
SELECT count(*) FROM contents;

-- name: unlinked_due_contents
-- Contents that the last finished cut of their owner had to link and did not, per cut; the application held some of them at that time.
WITH last_cut AS (
    SELECT DISTINCT ON (k.entity_type, k.entity_id) k.entity_type, k.entity_id, c.*
    FROM temporal_pipeline.period_cut k
    JOIN temporal_pipeline.cut c ON c.id = k.cut_id
    WHERE k.ready AND c.kind = 'update' AND c.finished_at IS NOT NULL
    ORDER BY k.entity_type, k.entity_id, c.id DESC
)
SELECT c.id AS cut, c.held, count(*) AS contents, (array_agg(due.id ORDER BY due.id))[1:3] AS first_contents
FROM contents due
JOIN last_cut c ON c.entity_id = coalesce(due.topic_id, due.user_id)
               AND c.entity_type = CASE WHEN due.topic_id IS NOT NULL THEN 'topic' ELSE 'user' END
JOIN temporal_pipeline.prepared_content done ON done.content_id = due.id AND done.prepared_at <= c.started_at
WHERE due.analysis_period_id IS NULL AND (due.topic_id IS NOT NULL OR due.user_id IS NOT NULL)
  AND due.crawled_at <= c.instant AND due.crawled_at >= coalesce(c.since, '0001-01-02')
GROUP BY c.id, c.held
ORDER BY c.id;

-- name: periods_against_contents
-- In one pass over contents and one over members: their totals, and beside them each period that these contradict.
WITH pointer AS (
    SELECT c.analysis_period_id AS id, count(*) AS contents,
           count(*) FILTER (
               WHERE coalesce(c.topic_id, c.user_id) <> p.entity_id
                  OR CASE WHEN c.topic_id IS NOT NULL THEN 'topic' ELSE 'user' END <> p.entity_type
           ) AS of_others,
           count(*) FILTER (WHERE c.crawled_at < p.period_start) AS before_start,
           count(*) FILTER (WHERE c.crawled_at >= p.period_end) AS after_end
    FROM contents c LEFT JOIN analysis_periods p ON p.id = c.analysis_period_id
    WHERE c.analysis_period_id IS NOT NULL
    GROUP BY c.analysis_period_id
), member AS (
    SELECT period_id AS id, count(*) AS members, count(*) FILTER (WHERE contribution_type = 'late_arrival') AS late
    FROM period_content_snapshots GROUP BY period_id
), named AS (
    SELECT id, x.contents, x.of_others, x.before_start, x.after_end, m.members, m.late
    FROM pointer x FULL JOIN member m USING (id)
), period AS MATERIALIZED (
    SELECT coalesce(p.id, n.id) AS period_id, p.entity_type, p.entity_id, p.period_number, p.status, k.period_id IS NOT NULL AS ours,
           p.status = 'superseded' OR p.superseded_by IS NOT NULL AS is_superseded,
           coalesce(n.contents, 0) AS contents, coalesce(n.members, 0) AS members, p.content_count,
           n.before_start, n.after_end, coalesce(n.late, 0) AS late,
           -- What belonged to a topic or user that is gone stays where it was.
           n.of_others > 0 AND e.entity_id IS NOT NULL AS has_contents_of_others,
           c.finished_at IS NOT NULL AS cut_is_finished, done.period_id IS NOT NULL AS frozen,
           -- Its contents are on their way, or the next run moves them.
           EXISTS (
               SELECT FROM temporal_pipeline.period_cut next JOIN temporal_pipeline.cut again ON again.id = next.cut_id
               WHERE next.period_id = p.superseded_by AND again.finished_at IS NULL
           ) AS is_being_replaced,
           p.id IS NULL AS is_missing
    FROM named n
    FULL JOIN analysis_periods p ON p.id = n.id
    LEFT JOIN temporal_pipeline.entity e ON e.entity_type = p.entity_type AND e.entity_id = p.entity_id
    LEFT JOIN temporal_pipeline.period_cut k ON k.period_id = p.id
    LEFT JOIN temporal_pipeline.cut c ON c.id = k.cut_id
    LEFT JOIN temporal_pipeline.period_stage done ON done.period_id = p.id AND done.stage = 'snapshots'
), total AS (
    SELECT coalesce(sum(contents) FILTER (WHERE NOT is_missing), 0) AS linked,
           coalesce(sum(members) FILTER (WHERE NOT is_missing), 0) AS all_members,
           coalesce(sum(greatest(content_count - members, 0)) FILTER (WHERE status = 'active' AND ours AND frozen), 0)
               AS deleted_since
    FROM period
), contradicted AS (
    SELECT * FROM (
        SELECT *,
               is_superseded AND contents > 0 AND NOT is_being_replaced AS is_superseded_with_contents,
               status = 'draft' AND contents > 0 AND cut_is_finished AS is_left_over_with_contents,
               status = 'active' AND (
                   after_end > 0 OR before_start > 0 AND (period_number = 0 OR frozen AND before_start > late)
               ) AS is_outside_of_bounds,
               status = 'active' AND frozen AND (members > content_count AND ours OR members < contents) AS is_miscounted,
               status = 'active' AND frozen AND members <> content_count AND NOT ours AS differs_from_application
        FROM period
    ) flagged
    WHERE is_missing OR has_contents_of_others OR is_superseded_with_contents OR is_left_over_with_contents
       OR is_outside_of_bounds OR is_miscounted OR differs_from_application
)
SELECT * FROM total LEFT JOIN contradicted ON true
ORDER BY entity_type, entity_id, period_number;

-- name: members_in_two_periods
-- Contents that are members of two active periods of one topic or user.
WITH several AS MATERIALIZED (
    -- Most contents are members once; those are sorted out by an index alone.
    SELECT content_id FROM period_content_snapshots GROUP BY content_id HAVING count(*) > 1
)
SELECT p.entity_type, p.entity_id, s.content_id, min(p.period_number) AS first_period,
       max(p.period_number) AS last_period
FROM several
JOIN period_content_snapshots s USING (content_id)
JOIN analysis_periods p ON p.id = s.period_id AND p.status = 'active'
GROUP BY p.entity_type, p.entity_id, s.content_id
HAVING count(*) > 1
ORDER BY 1, 2, 3
LIMIT 1000;

-- name: owners_by_period_zero
-- Topics and users that own linked contents, and how many of these have no Period 0 although nothing hinders it.
WITH sharing AS (
    -- Whoever shares contents with a topic has a period in the topic's cut.
    SELECT DISTINCT c.user_id AS entity_id
    FROM contents c JOIN temporal_pipeline.period_cut k ON k.period_id = c.analysis_period_id
    WHERE c.topic_id IS NOT NULL AND c.user_id IS NOT NULL AND c.analysis_period_id IS NOT NULL
), period AS (
    SELECT p.entity_type, p.entity_id, bool_or(p.period_number = 0 AND p.status IN ('active', 'archived')) AS has_zero,
           bool_or(k.period_id IS NOT NULL) AS ours, bool_or(p.status = 'draft') AS has_draft
    FROM analysis_periods p LEFT JOIN temporal_pipeline.period_cut k ON k.period_id = p.id
    GROUP BY p.entity_type, p.entity_id
)
SELECT e.entity_type, e.entity_id, e.name, coalesce(p.has_zero, false) AS has_zero, coalesce(p.ours, true) AS ours,
       coalesce(p.has_draft, false) OR failed.entity_id IS NOT NULL AS is_excused
FROM temporal_pipeline.entity e
LEFT JOIN period p ON p.entity_type = e.entity_type AND p.entity_id = e.entity_id
LEFT JOIN sharing s ON s.entity_id = e.entity_id AND e.entity_type = 'user'
LEFT JOIN temporal_pipeline.problem failed
  ON failed.stage = 'periods' AND failed.entity_type = e.entity_type AND failed.entity_id = e.entity_id
WHERE p.entity_id IS NOT NULL OR s.entity_id IS NOT NULL OR failed.entity_id IS NOT NULL
ORDER BY e.entity_type, e.name, e.entity_id;

-- name: gaps_in_numbering
-- Topics and users whose period numbers do not run from 0 without a gap, or of which two active periods bear the same one.
SELECT p.entity_type, p.entity_id, min(p.period_number) AS first, max(p.period_number) AS last,
       count(DISTINCT p.period_number) AS numbers,
       count(*) FILTER (WHERE p.status = 'active') - count(DISTINCT p.period_number) FILTER (WHERE p.status = 'active')
           AS duplicates,
       bool_or(k.period_id IS NOT NULL) AS ours
FROM analysis_periods p LEFT JOIN temporal_pipeline.period_cut k ON k.period_id = p.id
WHERE p.status <> 'draft'
GROUP BY p.entity_type, p.entity_id
HAVING min(p.period_number) <> 0 OR max(p.period_number) + 1 <> count(DISTINCT p.period_number)
    OR count(*) FILTER (WHERE p.status = 'active')
       <> count(DISTINCT p.period_number) FILTER (WHERE p.status = 'active')
ORDER BY 1, 2
LIMIT 1000;

-- name: periods_out_of_order
-- Active periods that begin before the one with the number before them has ended.
SELECT entity_type, entity_id, period_number, period_start, end_before, ours
FROM (
    SELECT p.*, k.period_id IS NOT NULL AS ours,
           lag(p.period_end) OVER (PARTITION BY p.entity_type, p.entity_id ORDER BY p.period_number) AS end_before
    FROM analysis_periods p LEFT JOIN temporal_pipeline.period_cut k ON k.period_id = p.id
    WHERE p.status = 'active'
) following
WHERE period_start < end_before
ORDER BY 1, 2, 3
LIMIT 1000;

-- name: broken_supersessions
-- Superseded periods that do not lead, by successors of the same owner and number, to one that stands; and standing ones with a successor.
-- One that was archived after it had been superseded has its successor still.
WITH RECURSIVE period AS (
    SELECT *, status = 'superseded' OR status = 'archived' AND superseded_by IS NOT NULL AS is_replaced
    FROM analysis_periods
), chain (start, id, entity_type, entity_id, period_number, status, is_replaced, successor) AS (
    SELECT id, id, entity_type, entity_id, period_number, status, is_replaced, superseded_by
    FROM period WHERE is_replaced
    UNION ALL
    SELECT chain.start, p.id, p.entity_type, p.entity_id, p.period_number, p.status, p.is_replaced, p.superseded_by
    FROM chain JOIN period p ON p.id = chain.successor AND chain.is_replaced
) CYCLE id SET is_cycle USING path, judged AS (
    SELECT start, bool_or(status IN ('active', 'archived') AND NOT is_replaced) AS arrives,
           count(DISTINCT (entity_type, entity_id, period_number)) > 1 AS strays
    FROM chain WHERE NOT is_cycle GROUP BY start
), branching AS (
    SELECT superseded_by FROM analysis_periods WHERE superseded_by IS NOT NULL
    GROUP BY superseded_by HAVING count(*) > 1
)
SELECT p.id AS period_id, p.entity_type, p.entity_id, p.period_number, p.status,
       CASE WHEN NOT p.is_replaced THEN 'stands and has a successor'
            WHEN p.superseded_by IS NULL THEN 'has no successor'
            WHEN j.strays THEN 'its successor is another''s or has another number'
            WHEN NOT j.arrives THEN 'leads to none that stands'
            ELSE 'shares its successor'
       END AS reason,
       EXISTS (SELECT FROM temporal_pipeline.period_cut k WHERE k.period_id = p.id) AS ours
FROM period p
LEFT JOIN judged j ON j.start = p.id
WHERE p.is_replaced AND (j.strays OR NOT j.arrives)
   OR NOT p.is_replaced AND p.superseded_by IS NOT NULL
   OR p.superseded_by IN (SELECT superseded_by FROM branching)
ORDER BY 2, 3, 4, 1
LIMIT 1000;

-- name: references_to_missing_rows
-- Rows other than contents and members that name a period, an event or a row that there is not; the foreign keys forbid it.
SELECT what, count(*) AS rows, (array_agg(missing ORDER BY missing))[1:3] AS first_missing
FROM (
    SELECT 'temporal_events.period_id' AS what, t.period_id AS missing
    FROM temporal_events t LEFT JOIN analysis_periods p ON p.id = t.period_id WHERE p.id IS NULL
    UNION ALL
    SELECT 'event_contents.event_id', t.event_id
    FROM event_contents t LEFT JOIN temporal_events e ON e.id = t.event_id WHERE e.id IS NULL
    UNION ALL
    SELECT 'crawl_effectiveness.period_id', t.period_id
    FROM crawl_effectiveness t LEFT JOIN analysis_periods p ON p.id = t.period_id WHERE p.id IS NULL
    UNION ALL
    SELECT 'tasks.period_id', t.period_id
    FROM tasks t LEFT JOIN analysis_periods p ON p.id = t.period_id WHERE t.period_id IS NOT NULL AND p.id IS NULL
    UNION ALL
    SELECT 'tasks.effectiveness_id', t.effectiveness_id
    FROM tasks t LEFT JOIN crawl_effectiveness e ON e.id = t.effectiveness_id
    WHERE t.effectiveness_id IS NOT NULL AND e.id IS NULL
    UNION ALL
    SELECT 'chat_messages.period_id', t.period_id
    FROM chat_messages t LEFT JOIN analysis_periods p ON p.id = t.period_id
    WHERE t.period_id IS NOT NULL AND p.id IS NULL
    UNION ALL
    SELECT 'topics.last_period_id', t.last_period_id
    FROM topics t LEFT JOIN analysis_periods p ON p.id = t.last_period_id
    WHERE t.last_period_id IS NOT NULL AND p.id IS NULL
    UNION ALL
    SELECT 'users.last_period_id', t.last_period_id
    FROM users t LEFT JOIN analysis_periods p ON p.id = t.last_period_id
    WHERE t.last_period_id IS NOT NULL AND p.id IS NULL
    UNION ALL
    SELECT 'analysis_periods.superseded_by', t.superseded_by
    FROM analysis_periods t LEFT JOIN analysis_periods p ON p.id = t.superseded_by
    WHERE t.superseded_by IS NOT NULL AND p.id IS NULL
) dangling
GROUP BY what
ORDER BY what;

-- name: rows_of_another_entity
-- Events and effectiveness that name another topic or user than their period does.
SELECT derived.what, derived.id, derived.entity_type, derived.entity_id, p.id AS period_id,
       EXISTS (SELECT FROM temporal_pipeline.period_cut k WHERE k.period_id = p.id) AS ours
FROM (
    SELECT 'temporal_events' AS what, id, entity_type, entity_id, period_id FROM temporal_events
    UNION ALL
    SELECT 'crawl_effectiveness', id, entity_type, entity_id, period_id FROM crawl_effectiveness
) derived
JOIN analysis_periods p ON p.id = derived.period_id
WHERE (p.entity_type, p.entity_id) <> (derived.entity_type, derived.entity_id)
ORDER BY 1, 2
LIMIT 1000;

-- name: rows_of_everything
-- How many rows refer to periods.
SELECT (SELECT count(*) FROM analysis_periods) AS periods,
       (SELECT count(*) FROM temporal_events) AS events,
       (SELECT count(*) FROM crawl_effectiveness) AS effectiveness;

-- name: unfinished_cuts
-- Cuts that were begun and not finished, and whether a process works on periods right now.
SELECT c.id AS cut, c.run_id, c.instant, c.started_at,
       (SELECT count(*) FROM temporal_pipeline.period_cut k JOIN analysis_periods p ON p.id = k.period_id
        WHERE k.cut_id = c.id AND p.status = 'draft') AS drafts
FROM temporal_pipeline.cut c
WHERE c.finished_at IS NULL
ORDER BY c.id;

-- name: open_drafts
-- Drafts of ours that are not closed yet, with their topic or user and whether their cut counts as finished.
SELECT p.entity_type, p.entity_id, coalesce(e.name, '(gone)') AS name, k.cut_id AS cut,
       c.finished_at IS NOT NULL AS cut_is_finished
FROM analysis_periods p
JOIN temporal_pipeline.period_cut k ON k.period_id = p.id
JOIN temporal_pipeline.cut c ON c.id = k.cut_id
LEFT JOIN temporal_pipeline.entity e ON e.entity_type = p.entity_type AND e.entity_id = p.entity_id
WHERE p.status = 'draft'
ORDER BY 1, 3, 2;
