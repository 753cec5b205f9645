INSERT INTO advice_results BY NAME
SELECT
    n.advice_id,
    n.result,
    n.after_part_us::HUGEINT AS after_part_us,
    n.saved_quanta::HUGEINT AS saved_quanta,
    $found_us::BIGINT AS found_us
FROM new_advice_results AS n;
