-- Active periods whose metric lies more than threshold_factor standard deviations from the mean of all periods before.
CREATE OR REPLACE FUNCTION detect_metric_anomalies(
    entity_type varchar(20),
    entity_id uuid,
    metric_key text,
    threshold_factor double precision DEFAULT 2.0
)
RETURNS TABLE (
    period_id uuid,
    period_number integer,
    metric_value double precision,
    avg_value double precision,
    stddev_value double precision,
    z_score double precision
)
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    WITH measured AS (
        -- Values that are no numbers count as missing. A period shorter than a minute has no meaningful figures.
        SELECT p.id, p.period_number AS number,
               temporal_pipeline.metric_number(p.metrics -> detect_metric_anomalies.metric_key) AS value
        FROM analysis_periods p
        WHERE p.entity_type = detect_metric_anomalies.entity_type
          AND p.entity_id = detect_metric_anomalies.entity_id
          AND p.status = 'active'
          AND p.period_end - p.period_start >= interval '1 minute'
    ),
    -- The tested period stays out of its own baseline: inside, it would raise mean and deviation and hide itself.
    with_baseline AS (
        SELECT m.id, m.number, m.value, count(m.value) OVER before AS n, avg(m.value) OVER before AS mean,
               stddev_samp(m.value) OVER before AS deviation
        FROM measured m
        WHERE m.value IS NOT NULL
        WINDOW before AS (ORDER BY m.number ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
    ),
    scored AS (
        -- Over a constant baseline the deviation of a count of that size (Poisson: the root of its mean, of one at
        -- least) stands in for zero, so that an exact repeat is no anomaly and a jump is one. Rounding
        -- leaves constants that are no whole numbers with a deviation slightly above zero.
        SELECT b.*, (b.value - b.mean) / CASE
                   WHEN b.deviation > 1e-9 * greatest(abs(b.mean), 1) THEN b.deviation
                   ELSE sqrt(greatest(abs(b.mean), 1))
               END AS z
        FROM with_baseline b
        WHERE b.n >= 3
    )
    SELECT s.id, s.number, s.value, s.mean, s.deviation, s.z
    FROM scored s
    WHERE abs(s.z) > detect_metric_anomalies.threshold_factor
    ORDER BY s.number
$$
