-- Queries of active periods, best first, each with the moving average over its own last three periods.
CREATE OR REPLACE VIEW v_crawl_effectiveness_ranking AS
SELECT e.entity_type, e.entity_id, e.platform, e.query, e.effectiveness_score, e.total_found,
       e.relevant_count, e.high_value_count, e.avg_relevance, e.created_at,
       avg(e.effectiveness_score) OVER (
           PARTITION BY e.entity_type, e.entity_id, e.platform, e.query
           ORDER BY p.period_number, e.created_at
           ROWS BETWEEN 2 PRECEDING AND CURRENT ROW
       ) AS recent_avg_effectiveness
FROM crawl_effectiveness e
JOIN analysis_periods p ON p.id = e.period_id AND p.status = 'active'
ORDER BY recent_avg_effectiveness DESC NULLS LAST, e.created_at DESC
