-- A JSON number, or a string that is one; null is anything else and what no metric can be, beyond ±1e15: sums stay finite.
CREATE OR REPLACE FUNCTION temporal_pipeline.metric_number(value jsonb)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- One expression that the planner can inline. Bounds come before the last cast, which fails beyond them; [0-9],
-- since \d takes digits of other scripts, which the cast refuses.
AS $$
    SELECT CASE
        WHEN jsonb_typeof(value) = 'number' THEN
            CASE WHEN abs(CAST(value AS numeric)) < 1e-300 THEN 0
                 WHEN abs(CAST(value AS numeric)) <= 1e15 THEN CAST(value AS double precision) END
        WHEN jsonb_typeof(value) = 'string' AND length(value #>> '{}') <= 300
             AND (value #>> '{}') ~ '^[ \t\r\n]*[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]{1,3})?[ \t\r\n]*$' THEN
            CASE WHEN abs(CAST(value #>> '{}' AS numeric)) < 1e-300 THEN 0
                 WHEN abs(CAST(value #>> '{}' AS numeric)) <= 1e15 THEN CAST(value #>> '{}' AS double precision) END
    END
$$
