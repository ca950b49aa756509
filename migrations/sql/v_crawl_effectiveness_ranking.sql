-- Queries of active periods, per topic or user the best first, each with the moving average over its own last three periods.
CREATE OR REPLACE VIEW v_crawl_effectiveness_ranking AS
SELECT p.entity_type, p.entity_id, e.platform, e.query, e.effectiveness_score, e.total_found,
       e.relevant_count, e.high_value_count, e.avg_relevance, e.created_at,
       avg(e.effectiveness_score) OVER (
           -- Ids first, and bytes instead of a language's order: a million rows are sorted by them.
           PARTITION BY p.entity_id, p.entity_type, e.platform, e.query COLLATE "C"
           ORDER BY p.period_number, e.created_at
           ROWS BETWEEN 2 PRECEDING AND CURRENT ROW
       ) AS recent_avg_effectiveness
FROM crawl_effectiveness e
-- The period's names of the entity, so that a reader's condition on it finds the few periods first.
JOIN analysis_periods p ON p.id = e.period_id AND p.status = 'active'
-- Sorted in parts: the window above has brought each entity's rows together.
ORDER BY p.entity_id, p.entity_type, recent_avg_effectiveness DESC NULLS LAST, e.created_at DESC
