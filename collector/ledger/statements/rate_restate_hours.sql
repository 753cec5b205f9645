-- Hours of closed periods that are rated again: from now on they have a restatement.
INSERT INTO restated_hours
SELECT
    p.cluster,
    p.hour_us
FROM rate_pass AS p
EXCEPT
SELECT
    r.cluster,
    r.hour_us
FROM restated_hours AS r;
