-- The corrections on the bill of one period.
SELECT
    count(*) AS correction_count,
    coalesce(sum(k.cost_quanta), 0)::BIGINT AS correction_quanta
FROM corrections AS k
WHERE k.period_id = $period_id;
