-- As the graph leaves it: every entity has a period, contents point to them, events are watched, some are open.
INSERT INTO analysis_periods (entity_type, entity_id, period_start, period_end, period_number, duration_hours,
                              status, summary, content_count)
SELECT entity_type, entity_id, '2026-01-01Z', '2026-03-01Z', 0, 1416, 'active', '', 0 FROM temporal_pipeline.entity;

CREATE TEMPORARY TABLE waiting AS
SELECT id FROM contents WHERE topic_id IS NOT NULL OR user_id IS NOT NULL ORDER BY crawled_at DESC, id LIMIT %(waiting)s;

UPDATE contents c SET analysis_period_id = p.id
FROM analysis_periods p
WHERE p.entity_id = coalesce(c.topic_id, c.user_id)
  AND NOT EXISTS (SELECT FROM waiting w WHERE w.id = c.id);

INSERT INTO temporal_pipeline.entity_watch (entity_type, entity_id, watched_until, covered, method)
SELECT entity_type, entity_id, '2026-02-28Z', '[]', 'tail-1' FROM temporal_pipeline.entity;

INSERT INTO temporal_events (period_id, entity_type, entity_id, event_type, severity, title, description,
                             first_detected_at, metadata)
SELECT id, entity_type, entity_id, 'anomaly', 'warning', '', '', '2026-02-20Z',
       '{"detector": "temporal_pipeline", "state": "active", "key": "volume_up"}'
FROM analysis_periods;
