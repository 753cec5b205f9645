-- Advice that was kept, with what came of it (NULL: not known yet), the newest period first.
SELECT
    a.advice_id,
    a.kept_us,
    a.from_us,
    a.to_us,
    a.kind,
    a.reason,
    a.workload,
    a.team,
    a.user_name,
    a.node,
    a.currency,
    a.part_us::VARCHAR AS part_us,
    a.low_quanta::VARCHAR AS low_quanta,
    a.high_quanta::VARCHAR AS high_quanta,
    r.found_us,
    r.result,
    r.after_part_us::VARCHAR AS after_part_us,
    r.saved_quanta::VARCHAR AS saved_quanta
FROM advice AS a
LEFT JOIN advice_results AS r ON a.advice_id = r.advice_id
ORDER BY a.to_us DESC, a.advice_id ASC;
