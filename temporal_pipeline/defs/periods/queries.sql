-- name: waiting_entities
-- Primary owners of unlinked contents at an instant: how many wait, since when, and whether a period may be cut now.
WITH waiting AS (
    SELECT CASE WHEN c.topic_id IS NOT NULL THEN 'topic' ELSE 'user' END AS entity_type,
           coalesce(c.topic_id, c.user_id) AS entity_id,
           count(*) AS contents,
           min(c.crawled_at) AS oldest,
           max(c.crawled_at) AS newest,
           -- An infinite time has no difference to any other.
           min(greatest(least(coalesce(c.discovered_at, c.crawled_at), CAST(:instant AS timestamptz)), '0001-01-02'))
               AS waiting_since
    FROM contents c
    WHERE c.analysis_period_id IS NULL
      AND (c.topic_id IS NOT NULL OR c.user_id IS NOT NULL)
      AND c.crawled_at <= CAST(:instant AS timestamptz)
      AND c.crawled_at >= coalesce(CAST(:since AS timestamptz), '0001-01-02')
    GROUP BY 1, 2
), running AS (
    SELECT owner.entity_type, owner.entity_id
    FROM tasks t
    CROSS JOIN LATERAL (
        VALUES ('topic', t.payload->>'topic_id'), ('user', t.payload->>'user_id')
    ) AS owner (entity_type, entity_id)
    WHERE t.status = 'running' AND (t.label LIKE 'crawler:%' OR t.label LIKE 'searcher:%')
), considered AS (
    SELECT w.*, e.name,
           EXISTS (
               SELECT FROM running r WHERE r.entity_type = w.entity_type AND r.entity_id = w.entity_id::text
           ) AS crawl_is_running,
           EXISTS (
               SELECT FROM temporal_pipeline.period_cut k
               JOIN analysis_periods p ON p.id = k.period_id AND p.status = 'draft'
               WHERE k.entity_type = w.entity_type AND k.entity_id = w.entity_id
           ) AS draft_is_open,
           CAST(:instant AS timestamptz) - w.waiting_since > e.crawl_interval AS waited_enough,
           last.period_end IS NOT NULL AS has_period,
           last.period_end IS NULL OR w.newest >= last.period_end + e.crawl_interval / 2 AS far_enough
    FROM waiting w
    JOIN temporal_pipeline.entity e ON e.entity_type = w.entity_type AND e.entity_id = w.entity_id
    LEFT JOIN LATERAL (
        SELECT p.period_end FROM analysis_periods p
        WHERE p.entity_type = w.entity_type AND p.entity_id = w.entity_id AND p.status = 'active'
        ORDER BY p.period_number DESC LIMIT 1
    ) last ON true
    WHERE CAST(:entity_ids AS uuid[]) IS NULL OR w.entity_id = ANY (CAST(:entity_ids AS uuid[]))
)
SELECT entity_type, entity_id, name, contents, oldest, newest, waiting_since, has_period,
       CASE WHEN draft_is_open THEN 'an earlier period of it could not be closed'
            WHEN crawl_is_running AND NOT waited_enough THEN 'its crawl is running'
            WHEN CAST(:automatic AS boolean) AND NOT far_enough AND NOT waited_enough
                THEN 'too little time since its last period'
       END AS reason
FROM considered
ORDER BY entity_type, entity_id;

-- name: entities_without_period
-- Topics and users that have no active period yet.
SELECT e.entity_type, e.entity_id, e.name
FROM temporal_pipeline.entity e
WHERE NOT EXISTS (
    SELECT FROM analysis_periods p
    WHERE p.entity_type = e.entity_type AND p.entity_id = e.entity_id AND p.status = 'active'
)
ORDER BY e.entity_type, e.name, e.entity_id;

-- name: future_contents
-- How many owned contents wait because their crawl time lies after the instant (clock skew), or before all calendars.
SELECT count(*) FROM contents
WHERE analysis_period_id IS NULL AND (topic_id IS NOT NULL OR user_id IS NOT NULL)
  AND (crawled_at > CAST(:instant AS timestamptz) OR crawled_at < '0001-01-02');

-- name: unowned_contents
-- How many contents have neither topic nor user: they are counted and never linked.
SELECT count(*) FROM contents WHERE topic_id IS NULL AND user_id IS NULL;

-- name: unfinished_cuts
-- Cuts that a run began and did not bring to its end, oldest first.
SELECT id, instant, since FROM temporal_pipeline.cut
WHERE finished_at IS NULL AND kind = 'update' ORDER BY id;

-- name: cut_of_run
-- The cut that a run began itself.
SELECT id FROM temporal_pipeline.cut WHERE run_id = CAST(:run_id AS text) AND kind = 'update';

-- name: open_cut
-- Begin the one cut of a run.
INSERT INTO temporal_pipeline.cut (run_id, instant, since)
VALUES (CAST(:run_id AS text), CAST(:instant AS timestamptz), CAST(:since AS timestamptz))
RETURNING id, instant, since;

-- name: choose_entities
-- Remember which entities a cut was begun for, so that a resumed cut goes on with the same ones.
INSERT INTO temporal_pipeline.period_cut (cut_id, entity_type, entity_id, ready)
SELECT CAST(:cut AS bigint), chosen.entity_type, chosen.entity_id, true
FROM unnest(CAST(:types AS text[]), CAST(:ids AS uuid[])) AS chosen (entity_type, entity_id);

-- name: analyze_choice
-- Let the planner know how many entities a cut was begun for, before millions of contents are looked up among them.
ANALYZE temporal_pipeline.period_cut;

-- name: due_of_cut
-- How many contents a cut has to link: those of owners whose period it has not closed yet; and whether the application has active periods of its own for its entities.
SELECT (
    SELECT count(*)
    FROM contents c
    JOIN temporal_pipeline.period_cut k
      ON k.cut_id = CAST(:cut AS bigint) AND k.ready AND k.closed_by IS NULL
     AND k.entity_type = CASE WHEN c.topic_id IS NOT NULL THEN 'topic' ELSE 'user' END
     AND k.entity_id = coalesce(c.topic_id, c.user_id)
    WHERE c.analysis_period_id IS NULL
      AND (c.topic_id IS NOT NULL OR c.user_id IS NOT NULL)
      AND c.crawled_at <= CAST(:instant AS timestamptz)
      AND c.crawled_at >= coalesce(CAST(:since AS timestamptz), '0001-01-02')
) AS contents, EXISTS (
    SELECT FROM temporal_pipeline.period_cut k
    JOIN analysis_periods p ON p.entity_type = k.entity_type AND p.entity_id = k.entity_id AND p.status = 'active'
    WHERE k.cut_id = CAST(:cut AS bigint) AND k.ready AND k.closed_by IS NULL
      AND NOT EXISTS (SELECT FROM temporal_pipeline.period_cut made WHERE made.period_id = p.id)
) AS has_application_periods;

-- name: due_in_pages
-- Places of the contents in a range of pages that a cut has to link, prepared or not.
SELECT CAST(c.place AS text)
FROM (
    SELECT ctid AS place, topic_id, user_id, crawled_at, analysis_period_id
    FROM contents WHERE ctid >= CAST(:first AS tid) AND ctid < CAST(:end AS tid)
    -- A fence, so that the rows are found by their places, whatever the planner believes of the other conditions.
    OFFSET 0
) c
JOIN temporal_pipeline.period_cut k
  ON k.cut_id = CAST(:cut AS bigint) AND k.ready AND k.closed_by IS NULL
 AND k.entity_type = CASE WHEN c.topic_id IS NOT NULL THEN 'topic' ELSE 'user' END
 AND k.entity_id = coalesce(c.topic_id, c.user_id)
WHERE c.analysis_period_id IS NULL
  AND c.crawled_at <= CAST(:instant AS timestamptz)
  AND c.crawled_at >= coalesce(CAST(:since AS timestamptz), '0001-01-02');

-- name: due_page
-- The next page of unlinked contents in order of crawl time: the places of those that a cut has to link, and its end.
WITH page AS MATERIALIZED (
    -- Ordered and limited, so that it is read from the index whatever the planner expects.
    SELECT c.id, c.topic_id, c.user_id, c.crawled_at
    FROM contents c
    WHERE c.analysis_period_id IS NULL
      AND (c.topic_id IS NOT NULL OR c.user_id IS NOT NULL)
      AND c.crawled_at <= CAST(:instant AS timestamptz)
      AND c.crawled_at >= coalesce(CAST(:since AS timestamptz), '0001-01-02')
      AND (c.crawled_at, c.id) > (CAST(:after_time AS timestamptz), CAST(:after_id AS uuid))
    ORDER BY c.crawled_at, c.id
    LIMIT CAST(:batch_size AS int)
), due AS (
    SELECT page.id
    FROM page
    JOIN temporal_pipeline.period_cut k
      ON k.cut_id = CAST(:cut AS bigint) AND k.ready AND k.closed_by IS NULL
     AND k.entity_type = CASE WHEN page.topic_id IS NOT NULL THEN 'topic' ELSE 'user' END
     AND k.entity_id = coalesce(page.topic_id, page.user_id)
)
SELECT (SELECT coalesce(array_agg(CAST(c.ctid AS text)), '{}') FROM contents c
        WHERE c.id = ANY (ARRAY(SELECT id FROM due))) AS places,
       max(crawled_at) AS last_time, (array_agg(id ORDER BY crawled_at DESC, id DESC))[1] AS last_id
FROM page;

-- name: link_due
-- Let the due and prepared contents at some places point to the application's period around them, else to the draft of their primary owner.
-- Rows that the application holds are left; those of an owner without a draft wait until there is one.
WITH held AS MATERIALIZED (
    -- Only the places are asked for, so that the rows are found by them, whatever the planner believes of the rest.
    SELECT ctid AS place, id, topic_id, user_id, crawled_at, analysis_period_id,
           relevance_score IS NOT NULL AND published_at IS NOT NULL AND discovered_at IS NOT NULL AS has_all
    FROM contents WHERE ctid = ANY (CAST(:places AS tid[]))
    FOR NO KEY UPDATE SKIP LOCKED
), due AS MATERIALIZED (
    SELECT c.place, c.topic_id, c.user_id, u.period_id AS user_draft,
           CASE WHEN c.topic_id IS NOT NULL THEN t.period_id ELSE u.period_id END AS own_draft,
           application.id AS application_period
    FROM held c
    LEFT JOIN temporal_pipeline.period_cut t
      ON t.cut_id = CAST(:cut AS bigint) AND t.entity_type = 'topic' AND t.entity_id = c.topic_id
    LEFT JOIN temporal_pipeline.period_cut u
      ON u.cut_id = CAST(:cut AS bigint) AND u.entity_type = 'user' AND u.entity_id = c.user_id
    LEFT JOIN LATERAL (
        SELECT p.id FROM analysis_periods p
        WHERE CAST(:has_application_periods AS boolean)
          AND p.entity_type = CASE WHEN c.topic_id IS NOT NULL THEN 'topic' ELSE 'user' END
          AND p.entity_id = coalesce(c.topic_id, c.user_id) AND p.status = 'active'
          AND c.crawled_at >= p.period_start AND c.crawled_at < p.period_end
          AND NOT EXISTS (SELECT FROM temporal_pipeline.period_cut made WHERE made.period_id = p.id)
          -- What is frozen takes nothing more: this content is a late arrival of the next period.
          AND NOT EXISTS (
              SELECT FROM temporal_pipeline.period_stage done WHERE done.period_id = p.id AND done.stage = 'snapshots'
          )
    ) application ON true
    WHERE c.analysis_period_id IS NULL
      -- A resumed cut adds nothing to what it has closed: what came since is the next cut's.
      AND u.closed_by IS NULL
      AND CASE WHEN c.topic_id IS NOT NULL THEN t.ready AND t.closed_by IS NULL ELSE u.ready END
      AND c.crawled_at <= CAST(:instant AS timestamptz)
      AND c.crawled_at >= coalesce(CAST(:since AS timestamptz), '0001-01-02')
      -- Not EXISTS, which the planner may answer by reading the whole table.
      AND (c.has_all OR (SELECT true FROM temporal_pipeline.prepared_content done WHERE done.content_id = c.id))
), missing AS (
    -- A user whose own period takes the content needs no draft; one who shares it with a topic does.
    SELECT 'topic' AS entity_type, topic_id AS entity_id FROM due
    WHERE topic_id IS NOT NULL AND own_draft IS NULL AND application_period IS NULL
    UNION
    SELECT 'user', user_id FROM due
    WHERE user_id IS NOT NULL AND CASE WHEN topic_id IS NOT NULL THEN user_draft IS NULL
                                       ELSE own_draft IS NULL AND application_period IS NULL END
    ORDER BY 1, 2
), linked AS (
    UPDATE contents c
    SET analysis_period_id = coalesce(due.application_period, due.own_draft)
    FROM due
    WHERE c.ctid = due.place
      AND coalesce(due.application_period, due.own_draft) IS NOT NULL
      AND (due.topic_id IS NULL OR due.user_id IS NULL OR due.user_draft IS NOT NULL)
    RETURNING c.id, due.application_period IS NOT NULL AND due.topic_id IS NOT NULL AS claimed
)
SELECT count(*) AS linked, array_agg(id) FILTER (WHERE claimed) AS claimed,
       ARRAY(SELECT entity_type FROM missing) AS types, ARRAY(SELECT entity_id FROM missing) AS ids
FROM linked;

-- name: make_drafts_alone
-- Nobody else makes drafts of a cut until the transaction ends. What comes after it sees what others have made.
SELECT id FROM temporal_pipeline.cut WHERE id = CAST(:cut AS bigint) FOR NO KEY UPDATE;

-- name: insert_missing_drafts
-- A draft period for every owner that has none in this cut yet; constraints apply to active periods only.
WITH missing AS (
    SELECT DISTINCT owner.entity_type, owner.entity_id
    FROM unnest(CAST(:types AS text[]), CAST(:ids AS uuid[])) AS owner (entity_type, entity_id)
    WHERE NOT EXISTS (
        SELECT FROM temporal_pipeline.period_cut k
        WHERE k.cut_id = CAST(:cut AS bigint) AND k.entity_type = owner.entity_type
          AND k.entity_id = owner.entity_id AND k.period_id IS NOT NULL
    )
), draft AS (
    INSERT INTO analysis_periods
        (entity_type, entity_id, period_start, period_end, duration_hours, analyzed_at, period_number, status,
         summary)
    SELECT m.entity_type, m.entity_id, CAST(:instant AS timestamptz),
           CAST(:instant AS timestamptz) + interval '1 microsecond', 0, CAST(:instant AS timestamptz),
           (SELECT coalesce(max(p.period_number) + 1, 0) FROM analysis_periods p
            WHERE p.entity_type = m.entity_type AND p.entity_id = m.entity_id AND p.status <> 'draft'),
           'draft', ''
    FROM missing m
    RETURNING id, entity_type, entity_id
)
INSERT INTO temporal_pipeline.period_cut (cut_id, entity_type, entity_id, ready, period_id)
SELECT CAST(:cut AS bigint), entity_type, entity_id, false, id FROM draft
ON CONFLICT (cut_id, entity_type, entity_id) DO UPDATE SET period_id = excluded.period_id;

-- name: freeze_claimed
-- A content of two owners that an application's period took is a member of the user's period too; as no pointer says so, it is frozen at once.
INSERT INTO period_content_snapshots
    (period_id, content_id, contribution_type, relevance_score, text_snapshot, key_points_snapshot)
SELECT k.period_id, c.id, 'general', c.relevance_score, c.text, c.key_points
FROM contents c
JOIN temporal_pipeline.period_cut k
  ON k.cut_id = CAST(:cut AS bigint) AND k.entity_type = 'user' AND k.entity_id = c.user_id
WHERE c.id = ANY (CAST(:contents AS uuid[])) AND k.period_id IS NOT NULL
ON CONFLICT (period_id, content_id) DO NOTHING;

-- name: rehome_or_release
-- Some contents of a draft that goes: those of a vanished topic point to their user's period of the same cut, of which they are members already, others become due again.
UPDATE contents c SET analysis_period_id = leaving.home
FROM (
    SELECT content.id, own.period_id AS home
    FROM temporal_pipeline.period_cut gone
    CROSS JOIN LATERAL (
        -- By its place, a row that was changed while it was waited for would not be found any more.
        SELECT id, user_id FROM contents
        WHERE analysis_period_id = gone.period_id
        LIMIT CAST(:most AS int)
        FOR NO KEY UPDATE
    ) content
    LEFT JOIN temporal_pipeline.period_cut own
      ON own.cut_id = gone.cut_id AND own.entity_type = 'user' AND own.entity_id = content.user_id
     AND gone.entity_type = 'topic'
    WHERE gone.period_id = CAST(:period AS uuid)
) leaving
WHERE c.id = leaving.id;

-- name: vanished_drafts
-- Drafts of a cut whose topic or user the application has deleted meanwhile.
SELECT k.period_id
FROM temporal_pipeline.period_cut k
JOIN analysis_periods p ON p.id = k.period_id AND p.status = 'draft'
WHERE k.cut_id = CAST(:cut AS bigint)
  AND NOT EXISTS (
      SELECT FROM temporal_pipeline.entity e WHERE e.entity_type = k.entity_type AND e.entity_id = k.entity_id
  );

-- name: delete_draft
-- Remove a draft; its contents become due again.
DELETE FROM analysis_periods WHERE id = CAST(:period AS uuid) AND status = 'draft';

-- name: takes_more
-- Whether a cut has still to link anything: not where only drafts are left that it drew in as other owners.
SELECT EXISTS (
    SELECT FROM temporal_pipeline.period_cut k
    WHERE k.cut_id = CAST(:cut AS bigint) AND k.ready AND k.closed_by IS NULL
);

-- name: open_drafts
-- Drafts of a cut that wait to be closed, and whether an older one of the same entity is still open.
SELECT k.entity_type, k.entity_id, e.name, k.period_id, k.ready,
       EXISTS (
           SELECT FROM temporal_pipeline.period_cut older
           JOIN analysis_periods d ON d.id = older.period_id AND d.status = 'draft'
           WHERE older.entity_type = k.entity_type AND older.entity_id = k.entity_id AND older.cut_id < k.cut_id
       ) AS older_is_open
FROM temporal_pipeline.period_cut k
JOIN analysis_periods p ON p.id = k.period_id AND p.status = 'draft'
JOIN temporal_pipeline.entity e ON e.entity_type = k.entity_type AND e.entity_id = k.entity_id
WHERE k.cut_id = CAST(:cut AS bigint)
ORDER BY k.entity_type, k.entity_id;

-- name: entities_with_drafts
-- Entities of which a period could not be closed yet.
SELECT DISTINCT e.entity_type, e.entity_id, e.name
FROM temporal_pipeline.period_cut k
JOIN analysis_periods p ON p.id = k.period_id AND p.status = 'draft'
JOIN temporal_pipeline.entity e ON e.entity_type = k.entity_type AND e.entity_id = k.entity_id;

-- name: finish_cut
-- A cut is finished when no draft of it is left; how many contents the application held counts for the others too.
UPDATE temporal_pipeline.cut c
SET finished_at = CASE WHEN NOT still.open THEN clock_timestamp() END,
    finished_by = CASE WHEN NOT still.open THEN CAST(:run_id AS text) END,
    held = coalesce(CAST(:held AS int), c.held)
FROM (
    SELECT EXISTS (
        SELECT FROM temporal_pipeline.period_cut k
        JOIN analysis_periods p ON p.id = k.period_id AND p.status = 'draft'
        WHERE k.cut_id = CAST(:cut AS bigint)
    ) AS open
) still
WHERE c.id = CAST(:cut AS bigint) AND c.finished_at IS NULL
  AND (NOT still.open OR c.held <> CAST(:held AS int));

-- name: periods_of_run
-- The periods that a run closed, of its own cut or of an earlier one that it finished.
SELECT p.id, p.entity_type, p.entity_id, e.name, p.period_number, p.period_start, p.period_end,
       p.content_count, p.summary_short
FROM temporal_pipeline.cut c
JOIN temporal_pipeline.period_cut k ON k.cut_id = c.id
JOIN analysis_periods p ON p.id = k.period_id AND p.status <> 'draft'
LEFT JOIN temporal_pipeline.entity e ON e.entity_type = p.entity_type AND e.entity_id = p.entity_id
WHERE c.kind = 'update' AND k.closed_by = CAST(:run_id AS text)
ORDER BY p.entity_type, e.name, p.period_number;

-- name: held_contents
-- How many contents a cut could not link because the application held them; the next cut links them.
SELECT count(*)
FROM temporal_pipeline.cut c
JOIN temporal_pipeline.period_cut k ON k.cut_id = c.id AND k.ready
JOIN contents due
  ON k.entity_id = coalesce(due.topic_id, due.user_id)
 AND k.entity_type = CASE WHEN due.topic_id IS NOT NULL THEN 'topic' ELSE 'user' END
JOIN temporal_pipeline.prepared_content done ON done.content_id = due.id AND done.prepared_at <= c.started_at
WHERE c.id = CAST(:cut AS bigint)
  AND due.analysis_period_id IS NULL AND (due.topic_id IS NOT NULL OR due.user_id IS NOT NULL)
  AND due.crawled_at <= c.instant AND due.crawled_at >= coalesce(c.since, '0001-01-02');

-- name: unlinked_due_of_run
-- Contents that the cuts of a run had to link and did not, beside how many the application held at that time.
SELECT due.id, c.id AS cut, c.held
FROM temporal_pipeline.cut c
JOIN temporal_pipeline.period_cut k ON k.cut_id = c.id AND k.ready
JOIN contents due
  ON k.entity_id = coalesce(due.topic_id, due.user_id)
 AND k.entity_type = CASE WHEN due.topic_id IS NOT NULL THEN 'topic' ELSE 'user' END
JOIN temporal_pipeline.prepared_content done ON done.content_id = due.id AND done.prepared_at <= c.started_at
WHERE CAST(:run_id AS text) IN (c.run_id, c.finished_by)
  AND due.analysis_period_id IS NULL AND (due.topic_id IS NOT NULL OR due.user_id IS NOT NULL)
  AND due.crawled_at <= c.instant AND due.crawled_at >= coalesce(c.since, '0001-01-02')
ORDER BY due.id
LIMIT 1000;

-- name: move_to_application_periods
-- A period that the application closed while ours was a draft takes the contents inside its bounds, so many at once.
WITH theirs AS MATERIALIZED (
    SELECT p.id, p.period_start, p.period_end
    FROM analysis_periods p
    WHERE p.entity_type = CAST(:entity_type AS text) AND p.entity_id = CAST(:entity_id AS uuid)
      AND p.status = 'active'
      AND NOT EXISTS (SELECT FROM temporal_pipeline.period_cut made WHERE made.period_id = p.id)
      AND NOT EXISTS (
          SELECT FROM temporal_pipeline.period_stage done WHERE done.period_id = p.id AND done.stage = 'snapshots'
      )
), moving AS MATERIALIZED (
    SELECT content.id, theirs.id AS home
    FROM theirs
    CROSS JOIN LATERAL (
        -- By its place, a row that was changed while it was waited for would not be found any more.
        SELECT id FROM contents
        WHERE analysis_period_id = CAST(:period AS uuid)
          AND crawled_at >= theirs.period_start AND crawled_at < theirs.period_end
        LIMIT CAST(:most AS int)
        FOR NO KEY UPDATE
    ) content
    LIMIT CAST(:most AS int)
)
UPDATE contents c SET analysis_period_id = moving.home
FROM moving WHERE c.id = moving.id
RETURNING c.id;

-- name: figures
-- All that is computed from a period's members, which are read once: metrics, a sample of texts, leading posts, and its number and bounds.
-- A metric value that is no number counts as missing and is counted. A period that is analysed again has its start already,
-- and its contents still point to the one in whose place it comes.
WITH raw AS (
    SELECT c.id, c.crawled_at, c.platform, c.author_username,
           CASE WHEN c.analysis_period_id = CAST(:linked_to AS uuid) THEN c.task_id END AS task_id, coalesce(c.author_uid, c.author_username) AS author,
           left(c.text, CAST(:characters AS int)) AS text, c.relevance_score,
           c.published_at IS NOT NULL AS has_time,
           c.media_downloaded
           OR coalesce(CASE WHEN jsonb_typeof(c.data->'media') = 'array'
                            THEN jsonb_array_length(c.data->'media') > 0 END, false)
           OR EXISTS (SELECT FROM content_media media WHERE media.content_id = c.id) AS has_media,
           c.metrics->'like_count' AS raw_likes, c.metrics->'retweet_count' AS raw_retweets,
           c.metrics->'reply_count' AS raw_replies, c.metrics->'quote_count' AS raw_quotes,
           c.metrics->'views_count' AS raw_views
    FROM temporal_pipeline.period_member m JOIN contents c ON c.id = m.content_id
    WHERE m.period_id = CAST(:period AS uuid)
    -- A fence, so that each value is taken out of its document once.
    OFFSET 0
), member AS MATERIALIZED (
    SELECT raw.*,
           temporal_pipeline.metric_number(raw_likes) AS likes,
           temporal_pipeline.metric_number(raw_retweets) AS retweets,
           temporal_pipeline.metric_number(raw_replies) AS replies,
           temporal_pipeline.metric_number(raw_quotes) AS quotes,
           temporal_pipeline.metric_number(raw_views) AS views
    FROM raw
), earlier AS (
    SELECT coalesce(max(p.period_number) + 1, 0) AS next_number,
           coalesce(CAST(:period_start AS timestamptz), max(p.period_end) FILTER (WHERE p.status = 'active')) AS start
    FROM analysis_periods p
    WHERE p.entity_type = CAST(:entity_type AS text) AND p.entity_id = CAST(:entity_id AS uuid)
      AND p.status <> 'draft'
), figure AS (
    SELECT count(*) AS total_contents,
           min(crawled_at) AS first_crawled,
           max(crawled_at) AS last_crawled,
           coalesce(sum(likes) FILTER (WHERE likes >= 0), 0) AS total_likes,
           coalesce(sum(retweets) FILTER (WHERE retweets >= 0), 0) AS total_retweets,
           coalesce(sum(replies) FILTER (WHERE replies >= 0), 0) AS total_replies,
           coalesce(sum(quotes) FILTER (WHERE quotes >= 0), 0) AS total_quotes,
           coalesce(sum(views) FILTER (WHERE views >= 0), 0) AS total_views,
           round(100.0 * avg(CASE WHEN has_media THEN 1 ELSE 0 END), 1)::double precision AS with_media_pct,
           count(DISTINCT author) AS unique_authors,
           -- Not of floats, whose sum depends on the order in which the members happen to lie.
           avg(CAST(relevance_score AS numeric))::double precision AS avg_relevance,
           count(*) FILTER (WHERE relevance_score >= 0.7) AS relevant_count,
           avg(CASE WHEN text IS NOT NULL AND coalesce(likes, retweets, replies, quotes, views) IS NOT NULL
                     AND has_time THEN 1.0 ELSE 0.0 END)::double precision AS quality,
           count(*) FILTER (
               WHERE raw_likes <> 'null' AND coalesce(likes, -1) < 0
                  OR raw_retweets <> 'null' AND coalesce(retweets, -1) < 0
                  OR raw_replies <> 'null' AND coalesce(replies, -1) < 0
                  OR raw_quotes <> 'null' AND coalesce(quotes, -1) < 0
                  OR raw_views <> 'null' AND coalesce(views, -1) < 0
           ) AS contents_with_nonsense_metrics,
           count(*) FILTER (WHERE crawled_at < (SELECT start FROM earlier)) AS late_arrivals
    FROM member
)
SELECT figure.*, earlier.next_number AS number,
       coalesce(earlier.start, figure.first_crawled) AS period_start,
       greatest(
           coalesce(earlier.start, figure.first_crawled) + interval '1 microsecond',
           figure.last_crawled + interval '1 microsecond',
           CASE WHEN CAST(:ready AS boolean) AND e.last_crawl_at <= CAST(:instant AS timestamptz)
                THEN e.last_crawl_at END
       ) AS period_end,
       (SELECT jsonb_object_agg(platform, n) FROM (
           SELECT platform, count(*) AS n FROM member GROUP BY platform
       ) per_platform) AS platforms,
       -- As text: there may be many, and they only come back as parameters.
       per_task.found_by, per_task.found,
       ARRAY(SELECT text FROM member WHERE text IS NOT NULL ORDER BY id LIMIT CAST(:sample AS int)) AS texts,
       ARRAY(SELECT jsonb_build_array(author_username, left(text, 300), engagement) FROM (
           SELECT id, author_username, text,
                  coalesce(greatest(likes, 0), 0) + coalesce(greatest(retweets, 0), 0)
                + coalesce(greatest(replies, 0), 0) + coalesce(greatest(quotes, 0), 0) AS engagement
           FROM member WHERE text IS NOT NULL ORDER BY engagement DESC, id LIMIT 3
       ) post ORDER BY engagement DESC, id) AS leading
FROM figure, earlier, temporal_pipeline.entity e, (
    SELECT CAST(array_agg(task_id) AS text) AS found_by, CAST(array_agg(contents) AS text) AS found
    FROM (SELECT task_id, count(*) AS contents FROM member WHERE task_id IS NOT NULL GROUP BY task_id) task
) per_task
WHERE e.entity_type = CAST(:entity_type AS text) AND e.entity_id = CAST(:entity_id AS uuid);

-- name: sample_texts
-- Texts of a bounded sample of a period's members for term statistics.
SELECT left(c.text, CAST(:characters AS int))
FROM temporal_pipeline.period_member m JOIN contents c ON c.id = m.content_id
WHERE m.period_id = CAST(:period AS uuid) AND c.text IS NOT NULL
ORDER BY c.id
LIMIT CAST(:sample AS int);

-- name: previous_period
-- The active period of an entity before a number.
SELECT p.id, p.period_number, p.metrics, p.duration_hours, p.knowledge_version, p.knowledge_doc
FROM analysis_periods p
WHERE p.entity_type = CAST(:entity_type AS text) AND p.entity_id = CAST(:entity_id AS uuid)
  AND p.status = 'active' AND p.period_number < CAST(:number AS int)
ORDER BY p.period_number DESC LIMIT 1;

-- name: summary_was_used
-- Whether another period of the entity already carries this text of the application.
SELECT EXISTS (
    SELECT FROM analysis_periods p
    WHERE p.entity_type = CAST(:entity_type AS text) AND p.entity_id = CAST(:entity_id AS uuid)
      AND p.id <> CAST(:period AS uuid) AND p.status = 'active' AND p.summary = CAST(:summary AS text)
);

-- name: entity
-- What the application says of an entity now.
SELECT name, crawl_interval, last_summary, summary_data
FROM temporal_pipeline.entity
WHERE entity_type = CAST(:entity_type AS text) AND entity_id = CAST(:entity_id AS uuid);

-- name: link_tasks
-- Crawl tasks of an entity that ended up in a period: those that found its contents, and its own that ran before its end.
WITH candidate AS (
    SELECT unnest(CAST(:found_by AS uuid[])) AS id
    UNION
    SELECT t.id FROM tasks t
    WHERE (t.label LIKE 'crawler:%' OR t.label LIKE 'searcher:%')
      AND t.status IN ('completed', 'failed') AND t.period_id IS NULL
      AND coalesce(t.started_at, t.created_at) < CAST(:period_end AS timestamptz)
      AND CASE CAST(:entity_type AS text)
              WHEN 'topic' THEN t.payload->>'topic_id' = CAST(:entity_id AS text)
              ELSE t.payload->>'user_id' = CAST(:entity_id AS text) AND t.payload->>'topic_id' IS NULL
          END
)
UPDATE tasks t SET period_id = CAST(:period AS uuid)
FROM candidate
WHERE t.id = candidate.id AND t.period_id IS NULL AND (t.label LIKE 'crawler:%' OR t.label LIKE 'searcher:%');

-- name: tasks_of_period
-- The linked crawl tasks of a period: ids in order of time, and per label how many ran, found and failed.
WITH linked AS (
    SELECT t.id, t.label, t.status, coalesce(t.started_at, t.created_at) AS at,
           coalesce(greatest(temporal_pipeline.metric_number(t.result->'tweets_found'), 0), found.contents, 0) AS found
    FROM tasks t
    LEFT JOIN unnest(CAST(:found_by AS uuid[]), CAST(:found AS bigint[])) AS found (id, contents) ON found.id = t.id
    WHERE t.period_id = CAST(:period AS uuid)
)
SELECT coalesce(array_agg(id ORDER BY at, id), '{}') AS ids,
       (SELECT coalesce(jsonb_object_agg(label, figures), '{}') FROM (
           SELECT label, jsonb_build_object(
               'runs', count(*), 'found', coalesce(sum(found), 0),
               'failed', count(*) FILTER (WHERE status = 'failed')) AS figures
           FROM linked GROUP BY label
       ) per_label) AS summary
FROM linked;

-- name: link_chat_messages
-- The conversation about an entity up to the end of a period belongs to that period.
UPDATE chat_messages SET period_id = CAST(:period AS uuid)
WHERE entity_type = CAST(:entity_type AS text) AND entity_id = CAST(:entity_id AS uuid)
  AND period_id IS NULL AND created_at < CAST(:period_end AS timestamptz);

-- name: chat_of_period
-- How many messages of whom, and the latest question.
SELECT count(*) AS messages, count(*) FILTER (WHERE role = 'user') AS questions,
       (array_agg(left(content, 200) ORDER BY created_at DESC) FILTER (WHERE role = 'user'))[1] AS last_question
FROM chat_messages WHERE period_id = CAST(:period AS uuid);

-- name: note_closing
-- Which run closed a period.
UPDATE temporal_pipeline.period_cut SET closed_by = CAST(:run_id AS text) WHERE period_id = CAST(:period AS uuid);

-- name: activate
-- Close a draft: everything that is known of the period, in one row.
UPDATE analysis_periods SET
    status = 'active',
    period_number = CAST(:number AS int),
    period_start = CAST(:period_start AS timestamptz),
    period_end = CAST(:period_end AS timestamptz),
    duration_hours = extract(epoch FROM CAST(:period_end AS timestamptz) - CAST(:period_start AS timestamptz)) / 3600,
    content_count = CAST(:content_count AS int),
    summary = CAST(:summary AS text),
    summary_short = CAST(:summary_short AS text),
    insights = CAST(:insights AS jsonb),
    metrics = CAST(:metrics AS jsonb),
    tasks_dispatched = CAST(:tasks_dispatched AS uuid[]),
    tasks_summary = CAST(:tasks_summary AS jsonb),
    chat_summary = CAST(:chat_summary AS text),
    knowledge_version = CAST(:knowledge_version AS int),
    knowledge_doc = CAST(:knowledge_doc AS text),
    knowledge_diff = CAST(:knowledge_diff AS jsonb),
    quality_score = CAST(:quality_score AS double precision),
    completeness_score = CAST(:completeness_score AS double precision),
    -- One clock for all that is recorded, whichever machine the run is on.
    execution_log = CAST(:execution_log AS jsonb)
                    || jsonb_build_object('started_at', now(), 'finished_at', clock_timestamp()),
    updated_at = clock_timestamp()
WHERE id = CAST(:period AS uuid) AND status = 'draft';

-- name: store_delta
-- Compute and store what changed against the period before.
SELECT recompute_metrics_delta(CAST(:period AS uuid));

-- name: count_for_topic
-- Bring a topic's counters into agreement with its active periods.
UPDATE topics SET current_period_number = c.current_number, last_period_id = c.last_id, total_periods = c.total,
       first_analysis_at = c.first_at, avg_period_duration_hours = c.avg_duration
FROM (
    SELECT max(period_number) AS current_number, (array_agg(id ORDER BY period_number DESC))[1] AS last_id,
           count(*) AS total, min(analyzed_at) AS first_at,
           avg(duration_hours) FILTER (WHERE duration_hours >= 1.0 / 60) AS avg_duration
    FROM analysis_periods
    WHERE entity_type = 'topic' AND entity_id = CAST(:entity_id AS uuid) AND status = 'active'
) c
WHERE topics.id = CAST(:entity_id AS uuid);

-- name: count_for_user
-- Bring a user's counters into agreement with its active periods.
UPDATE users SET current_period_number = c.current_number, last_period_id = c.last_id, total_periods = c.total,
       first_analysis_at = c.first_at, avg_period_duration_hours = c.avg_duration
FROM (
    SELECT max(period_number) AS current_number, (array_agg(id ORDER BY period_number DESC))[1] AS last_id,
           count(*) AS total, min(analyzed_at) AS first_at,
           avg(duration_hours) FILTER (WHERE duration_hours >= 1.0 / 60) AS avg_duration
    FROM analysis_periods
    WHERE entity_type = 'user' AND entity_id = CAST(:entity_id AS uuid) AND status = 'active'
) c
WHERE users.id = CAST(:entity_id AS uuid);

-- name: period_digest
-- What identifies the present state of all active periods of a kind.
SELECT count(*) AS periods,
       coalesce(sum(hashtextextended(id::text || content_count || metrics::text, 0)), 0)::text AS digest
FROM analysis_periods
WHERE status = 'active' AND (period_number = 0) = CAST(:is_zero AS boolean);

-- name: periods_called
-- The periods of an entity that bear a number or an id, the latest state of each number first, and the numbers that there are.
SELECT p.id, p.period_number, p.status, p.superseded_by, min(p.period_number) OVER () AS first_number, max(p.period_number) OVER () AS last_number,
       p.id = CAST(:period AS uuid) OR p.period_number = CAST(:number AS int) AS is_meant,
       (SELECT count(*) FROM period_content_snapshots s WHERE s.period_id = p.id) AS members,
       (SELECT count(*) FROM temporal_events v WHERE v.period_id = p.id) AS events,
       (SELECT count(*) FROM crawl_effectiveness e WHERE e.period_id = p.id) AS queries
FROM analysis_periods p
WHERE p.entity_type = CAST(:entity_type AS text) AND p.entity_id = CAST(:entity_id AS uuid) AND p.status <> 'draft'
ORDER BY is_meant DESC NULLS LAST, p.status = 'active' DESC, p.analyzed_at DESC, p.id
LIMIT 1;

-- name: period_to_reanalyse
-- A period as it stands, locked, with what may hinder its being analysed again; and whether it is what such a re-analysis, for the same reason, has left half done.
SELECT p.id, p.entity_type, p.entity_id, e.name, p.period_number, p.period_start, p.period_end, p.status,
       p.superseded_by, p.summary, p.insights, p.metrics, p.knowledge_doc, p.knowledge_version, p.knowledge_diff,
       p.execution_log->>'summary_by' IS DISTINCT FROM 'pipeline' AS has_text_of_the_application,
       NOT EXISTS (
           SELECT FROM temporal_pipeline.period_stage done WHERE done.period_id = p.id AND done.stage = 'snapshots'
       ) OR EXISTS (
           SELECT FROM temporal_pipeline.period_cut mine
           JOIN temporal_pipeline.period_cut beside ON beside.cut_id = mine.cut_id
           JOIN analysis_periods other ON other.id = beside.period_id AND other.status IN ('draft', 'active')
           WHERE mine.period_id = p.id AND NOT EXISTS (
               SELECT FROM temporal_pipeline.period_stage done
               WHERE done.period_id = other.id AND done.stage = 'snapshots'
           )
       ) AS is_unfrozen,
       EXISTS (
           SELECT FROM analysis_periods old
           WHERE old.superseded_by = p.id AND old.supersession_reason = CAST(:reason AS text)
       ) AND (
           SELECT count(*) FROM temporal_pipeline.period_stage done
           WHERE done.period_id = p.id AND done.stage IN ('effectiveness', 'events')
       ) < 2 AS is_half_done
FROM analysis_periods p
LEFT JOIN temporal_pipeline.entity e ON e.entity_type = p.entity_type AND e.entity_id = p.entity_id
WHERE p.id = CAST(:period AS uuid)
-- Whoever writes a row that names the period goes on.
FOR NO KEY UPDATE OF p;

-- name: open_reanalysis
-- A re-analysis is a cut of its own, finished when all contents point to the successor.
INSERT INTO temporal_pipeline.cut (run_id, kind, instant)
VALUES (CAST(:run_id AS text), 'reanalysis', now())
RETURNING id, instant;

-- name: unfinished_reanalyses
-- Re-analyses of which some contents may still point to the old period, oldest first.
SELECT c.id AS cut, old.id AS period, k.period_id AS successor
FROM temporal_pipeline.cut c
JOIN temporal_pipeline.period_cut k ON k.cut_id = c.id
LEFT JOIN analysis_periods old ON old.superseded_by = k.period_id
WHERE c.finished_at IS NULL AND c.kind = 'reanalysis'
ORDER BY c.id;

-- name: move_contents
-- Some contents of a superseded period point to its successor.
UPDATE contents c SET analysis_period_id = CAST(:successor AS uuid)
FROM (
    -- By its place, a row that was changed while it was waited for would not be found any more.
    SELECT id FROM contents
    WHERE analysis_period_id = CAST(:period AS uuid)
    LIMIT CAST(:most AS int)
    FOR NO KEY UPDATE
) moving
WHERE c.id = moving.id;

-- name: finish_reanalysis
-- All contents point to the successor: now its queries can be measured.
WITH finished AS (
    UPDATE temporal_pipeline.cut SET finished_at = clock_timestamp(), finished_by = CAST(:run_id AS text)
    WHERE id = CAST(:cut AS bigint)
)
UPDATE temporal_pipeline.period_stage SET unmeasured = true
WHERE period_id = CAST(:successor AS uuid) AND stage = 'snapshots';

-- name: insert_successor
-- The draft that will take the place of a period: same entity, number and bounds.
WITH successor AS (
    INSERT INTO analysis_periods
        (entity_type, entity_id, period_start, period_end, duration_hours, analyzed_at, period_number, status,
         summary)
    SELECT entity_type, entity_id, period_start, period_end, duration_hours, CAST(:instant AS timestamptz), period_number,
           'draft', ''
    FROM analysis_periods WHERE id = CAST(:period AS uuid)
    RETURNING id, entity_type, entity_id
)
INSERT INTO temporal_pipeline.period_cut (cut_id, entity_type, entity_id, ready, period_id)
SELECT CAST(:cut AS bigint), entity_type, entity_id, true, id FROM successor
RETURNING period_id;

-- name: supersede
-- The old period stays readable, with the reason and its successor.
UPDATE analysis_periods
SET status = 'superseded', superseded_by = CAST(:successor AS uuid), supersession_reason = CAST(:reason AS text),
    updated_at = clock_timestamp()
WHERE id = CAST(:period AS uuid);

-- name: refreeze_members
-- The successor has the same members, as they are now.
INSERT INTO period_content_snapshots
    (period_id, content_id, contribution_type, relevance_score, text_snapshot, key_points_snapshot)
SELECT CAST(:successor AS uuid), c.id, s.contribution_type, c.relevance_score, c.text, c.key_points
FROM period_content_snapshots s JOIN contents c ON c.id = s.content_id
WHERE s.period_id = CAST(:period AS uuid);

-- name: mark_refrozen
-- The successor's membership is fixed; which queries found its members is not to be asked before they point to it.
INSERT INTO temporal_pipeline.period_stage (period_id, stage, method, unmeasured)
SELECT CAST(:successor AS uuid), 'snapshots', method, false FROM temporal_pipeline.period_stage
WHERE period_id = CAST(:period AS uuid) AND stage = 'snapshots';

-- name: keep_hours
-- What the old period has by the hour is the successor's too: its posts were published when they were published.
INSERT INTO temporal_pipeline.period_hour (period_id, entity_type, entity_id, hour, posts, approvals, replies, reactions)
SELECT CAST(:successor AS uuid), entity_type, entity_id, hour, posts, approvals, replies, reactions
FROM temporal_pipeline.period_hour WHERE period_id = CAST(:period AS uuid)
ON CONFLICT (period_id, hour) DO NOTHING;

-- name: move_tasks
-- Crawl tasks point to the successor; which of its queries found what is measured anew.
UPDATE tasks SET period_id = CAST(:successor AS uuid), effectiveness_id = NULL
WHERE period_id = CAST(:period AS uuid);

-- name: move_chat_messages
-- Chat messages point to the successor.
UPDATE chat_messages SET period_id = CAST(:successor AS uuid) WHERE period_id = CAST(:period AS uuid);

-- name: reanalysed
-- A successor beside the period in whose place it came: what there is of each, events as far as we found them ourselves.
SELECT p.id, p.period_number, p.content_count, old.id AS old, old.supersession_reason AS reason,
       old.content_count AS old_content_count,
       (SELECT count(*) FROM crawl_effectiveness e WHERE e.period_id = p.id) AS queries,
       (SELECT count(*) FROM crawl_effectiveness e WHERE e.period_id = old.id) AS old_queries,
       (SELECT count(*) FROM temporal_events v
        WHERE v.period_id = p.id AND v.metadata->>'detector' = 'temporal_pipeline') AS events,
       (SELECT count(*) FROM temporal_events v
        WHERE v.period_id = old.id AND v.metadata->>'detector' = 'temporal_pipeline') AS old_events
FROM analysis_periods p JOIN analysis_periods old ON old.superseded_by = p.id
WHERE p.id = CAST(:period AS uuid);

-- name: following_period
-- The period of ours after a number, whose delta is measured against it.
SELECT p.id FROM analysis_periods p
JOIN temporal_pipeline.period_cut ours ON ours.period_id = p.id
WHERE p.entity_type = CAST(:entity_type AS text) AND p.entity_id = CAST(:entity_id AS uuid)
  AND p.status = 'active' AND p.period_number > CAST(:number AS int)
ORDER BY p.period_number LIMIT 1;

-- name: overlapping_periods
-- Pairs of active periods of one entity that share time, or bear the same number.
SELECT a.entity_type, a.entity_id, a.period_number, b.period_number AS other_number,
       EXISTS (
           SELECT FROM temporal_pipeline.period_cut k
           WHERE k.period_id IN (a.id, b.id) AND k.closed_by = CAST(:run_id AS text)
       ) AS of_this_run
FROM (
    SELECT *, lead(id) OVER by_start AS next_id FROM analysis_periods WHERE status = 'active'
    WINDOW by_start AS (PARTITION BY entity_type, entity_id ORDER BY period_start, period_end)
) a
JOIN analysis_periods b ON b.id = a.next_id
WHERE b.period_start < a.period_end OR b.period_number = a.period_number
ORDER BY 1, 2, 3
LIMIT 1000;

-- name: disagreeing_counters
-- Entities whose counters do not agree with their active periods; the application counts a latest period of its own.
WITH counted AS (
    SELECT p.entity_type, p.entity_id, count(*) AS periods, max(p.period_number) AS latest,
           (array_agg(p.id ORDER BY p.period_number DESC))[1] AS latest_id,
           (array_agg(k.period_id IS NOT NULL ORDER BY p.period_number DESC))[1] AS latest_is_ours
    FROM analysis_periods p LEFT JOIN temporal_pipeline.period_cut k ON k.period_id = p.id
    WHERE p.status = 'active' GROUP BY p.entity_type, p.entity_id
), counters AS (
    SELECT 'topic' AS entity_type, id AS entity_id, total_periods, current_period_number, last_period_id FROM topics
    UNION ALL
    SELECT 'user', id, total_periods, current_period_number, last_period_id FROM users
)
SELECT e.entity_type, e.entity_id, e.total_periods, coalesce(c.periods, 0) AS active_periods,
       e.current_period_number, c.latest AS latest_period
FROM counters e LEFT JOIN counted c USING (entity_type, entity_id)
WHERE coalesce(c.latest_is_ours, true)
  AND (e.total_periods, e.current_period_number, e.last_period_id)
      IS DISTINCT FROM (coalesce(c.periods, 0), c.latest, c.latest_id)
ORDER BY 1, 2
LIMIT 1000;
