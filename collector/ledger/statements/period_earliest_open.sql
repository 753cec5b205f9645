-- The earliest charged hour that no closed period holds.
SELECT min(c.hour_us) AS hour_us
FROM charges AS c
ANTI JOIN closed_periods AS p ON c.hour_us >= p.from_us AND c.hour_us < p.to_us;
