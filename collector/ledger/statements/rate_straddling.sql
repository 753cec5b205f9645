-- Usage records across a turn inside their hour, those of one interval of a device one after another.
WITH chosen AS (
    SELECT u.*
    FROM usage AS u
    WHERE u.start_us >= $first_hour_us AND u.start_us < $last_hour_us + 3600000000
)

SELECT
    u.device_id,
    u.holder_id,
    u.start_us,
    u.end_us,
    u.state,
    u.reason_id,
    u.held_us,
    u.active_us,
    u.energy_mj
FROM chosen AS u
LEFT JOIN holders AS h ON u.holder_id = h.holder_id
LEFT JOIN reasons AS r ON u.reason_id = r.reason_id
SEMI JOIN rate_segments AS s
    ON u.device_id = s.device_id AND u.start_us < s.start_us AND u.end_us > s.start_us
ORDER BY
    u.device_id, u.start_us, u.end_us, h.holder_key NULLS FIRST, u.state, r.reason, u.held_us, u.active_us, u.energy_mj;
