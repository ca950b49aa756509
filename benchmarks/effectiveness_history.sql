-- A migrated database whose queries have been measured for long: :entities topics, each with 50 periods of 20 queries.
-- What measuring writes is written here at once; the accounts agree in shape, not in their figures.
INSERT INTO topics (id, type, name, icon, platforms, keywords, config, status, is_pinned, position, total_contents,
                    created_at, updated_at)
SELECT md5('topic ' || n)::uuid, 'topic', 'topic ' || n, '*', '{x}', '{subject}',
       '{"schedule_interval_hours": 24}', 'active', false, 0, 0, now(), now()
FROM generate_series(1, %(entities)s) n;

INSERT INTO analysis_periods (id, entity_type, entity_id, period_number, period_start, period_end, duration_hours,
                              status, summary)
SELECT md5(format('period %%s of %%s', p, n))::uuid, 'topic', md5('topic ' || n)::uuid, p,
       timestamptz '2026-01-01' + p * interval '1 day', timestamptz '2026-01-02' + p * interval '1 day', 24,
       'active', ''
FROM generate_series(1, %(entities)s) n, generate_series(0, 49) p;

INSERT INTO temporal_pipeline.period_stage (period_id, stage, method, unmeasured)
SELECT id, stage, 'synthetic', false
FROM analysis_periods, unnest(ARRAY['snapshots', 'events', 'effectiveness']) stage;

INSERT INTO crawl_effectiveness (id, period_id, entity_type, entity_id, platform, query, total_found,
                                 relevant_count, high_value_count, effectiveness_score, avg_relevance,
                                 coverage_ratio, recommendations)
SELECT md5(id::text || q)::uuid, id, entity_type, entity_id, 'x', 'query ' || q, 10, 3, 1,
       (abs(hashtext(id::text || q)) %% 1000) / 1000.0, 0.5, 0.05,
       'explore: about 3 of 10 recent scored contents relevant'
-- As they were written, period after period, the entities among each other.
FROM (SELECT * FROM analysis_periods ORDER BY period_number, entity_id) p, generate_series(1, 20) q;

INSERT INTO temporal_pipeline.query_measurement
SELECT n.*
FROM crawl_effectiveness e
JOIN analysis_periods p ON p.id = e.period_id
CROSS JOIN LATERAL jsonb_populate_record(
    CAST(NULL AS temporal_pipeline.query_measurement),
    jsonb_build_object(
        'effectiveness_id', e.id, 'period_id', e.period_id, 'period_end', p.period_end,
        'entity_type', e.entity_type, 'entity_id', e.entity_id, 'platform', e.platform,
        'normal_form', substr(e.query, 7) || ' query', 'ours', true, 'runs', 1, 'empty_runs', 0, 'failed_runs', 0,
        'seconds', 20, 'found', 10, 'contents', 10, 'scored', 10, 'relevant', 3, 'high_value', 1,
        'relevance_sum', 5, 'identified', 10, 'unique_contents', 5, 'silence', 0, 'shared', jsonb_build_object(),
        'score', e.effectiveness_score, 'score_lower', 0, 'score_upper', 1, 'rank_key', 0.5, 'entity_mean', 0.3,
        'prior_strength', 8, 'verdict', 'explore')
) n;

INSERT INTO temporal_pipeline.query_effectiveness
SELECT n.*
FROM temporal_pipeline.query_measurement m
CROSS JOIN LATERAL jsonb_populate_record(
    CAST(NULL AS temporal_pipeline.query_effectiveness),
    to_jsonb(m) || jsonb_build_object(
        'query', m.normal_form, 'as_of', m.period_end, 'periods', 50, 'faded_relevant', 90, 'faded_scored', 300,
        'faded_relevant_squares', 60, 'faded_scored_squares', 200, 'faded_identified', 300,
        'faded_shared', jsonb_build_object(), 'recommendation', 'explore')
) n
WHERE m.period_end = (SELECT max(period_end) FROM analysis_periods);

INSERT INTO temporal_pipeline.entity_effectiveness
SELECT n.*
FROM topics t
CROSS JOIN LATERAL jsonb_populate_record(
    CAST(NULL AS temporal_pipeline.entity_effectiveness),
    jsonb_build_object(
        'entity_type', 'topic', 'entity_id', t.id, 'platform', 'x',
        'as_of', (SELECT max(period_end) FROM analysis_periods), 'queries', 20, 'measurements', 1000,
        'relevant', 1800, 'scored', 6000, 'relevant_squares', 1200, 'scored_squares', 4000,
        'query_relevant_squares', 170000, 'query_scored_squares', 1800000, 'pair_excess', 8000, 'pair_spread', 300000)
) n;

INSERT INTO tasks (id, label, priority, status, payload, created_at, started_at, completed_at, retry_count,
                   max_retries, result, period_id, effectiveness_id, duration_seconds)
SELECT md5('task ' || e.id)::uuid, 'crawler:x', 0, 'completed',
       jsonb_build_object('action', 'search', 'topic_id', e.entity_id, 'query', e.query), p.period_start,
       p.period_start, p.period_start, 0, 3, '{"action": "search", "tweets_found": 10}', p.id, e.id, 20
FROM crawl_effectiveness e JOIN analysis_periods p ON p.id = e.period_id
