-- What holders had of devices in the spans before faults, as usage records say.
WITH spans AS (
    SELECT s.*
    FROM fault_spans AS s
)

SELECT DISTINCT
    u.device_id AS device,
    u.holder_id AS holder,
    u.start_us,
    u.end_us,
    u.held_us
FROM usage AS u
INNER JOIN spans AS s ON u.device_id = s.device_id AND u.start_us < s.end_us AND u.end_us > s.start_us
WHERE u.holder_id IS NOT NULL
ORDER BY device, holder, u.start_us;
