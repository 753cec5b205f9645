-- Sums of days in which hours are rated anew.
DELETE FROM charge_days
WHERE day_us BETWEEN $first_hour_us - $day_us AND $last_hour_us AND day_us IN (
    SELECT p.hour_us // $day_us * $day_us FROM rate_pass AS p
);
