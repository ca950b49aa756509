-- The active period of an entity that bears the number, if there is one.
CREATE OR REPLACE FUNCTION get_period_by_number(entity_type varchar(20), entity_id uuid, period_number integer)
RETURNS SETOF analysis_periods
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT p.*
    FROM analysis_periods p
    WHERE p.entity_type = get_period_by_number.entity_type
      AND p.entity_id = get_period_by_number.entity_id
      AND p.period_number = get_period_by_number.period_number
      AND p.status = 'active'
$$
