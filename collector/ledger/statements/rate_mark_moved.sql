-- Mark what is pending because lives moved, before they are remembered as they are now.
INSERT INTO dirty_hours
SELECT
    p.cluster,
    p.hour_us
FROM pending_hours AS p
EXCEPT
SELECT
    d.cluster,
    d.hour_us
FROM dirty_hours AS d;
