-- Frozen members of a period by the hour of their publication (counted from 1970; else of their crawl), and how they were received.
CREATE OR REPLACE VIEW temporal_pipeline.member_hour AS
SELECT m.period_id, m.hour, count(*) AS posts, sum(m.likes + m.reposts) AS approvals, sum(m.replies) AS replies,
       sum(m.likes + m.reposts + m.replies + m.quotes) AS reactions
FROM (
    SELECT s.period_id,
           -- A time that cannot be is none.
           CAST(floor(extract(epoch FROM CASE
               WHEN c.published_at BETWEEN '1970-01-01' AND '9998-12-31' THEN c.published_at
               WHEN c.crawled_at BETWEEN '1970-01-01' AND '9998-12-31' THEN c.crawled_at
               ELSE p.period_start
           END) / 3600) AS int) AS hour,
           greatest(coalesce(temporal_pipeline.metric_number(c.metrics->'like_count'), 0), 0) AS likes,
           greatest(coalesce(temporal_pipeline.metric_number(c.metrics->'retweet_count'), 0), 0) AS reposts,
           greatest(coalesce(temporal_pipeline.metric_number(c.metrics->'reply_count'), 0), 0) AS replies,
           greatest(coalesce(temporal_pipeline.metric_number(c.metrics->'quote_count'), 0), 0) AS quotes
    FROM period_content_snapshots s
    JOIN contents c ON c.id = s.content_id
    JOIN analysis_periods p ON p.id = s.period_id
) m
GROUP BY m.period_id, m.hour
