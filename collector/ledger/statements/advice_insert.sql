INSERT INTO advice BY NAME
SELECT
    n.advice_id,
    n.kind,
    n.reason,
    n.workload,
    n.team,
    n.user_name,
    n.node,
    n.currency,
    n.part_us::HUGEINT AS part_us,
    n.low_quanta::HUGEINT AS low_quanta,
    n.high_quanta::HUGEINT AS high_quanta,
    $found_us::BIGINT AS kept_us,
    $from_us::BIGINT AS from_us,
    $to_us::BIGINT AS to_us
FROM new_advice AS n;
