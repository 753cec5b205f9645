-- Days in which hours are rated anew are not summed.
DELETE FROM summed_days
WHERE day_us IN (SELECT p.hour_us // $day_us * $day_us FROM rate_pass AS p);
