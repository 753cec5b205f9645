-- What usage records that lie in one segment of a cut hour sum to, as the roll-up sums those of an hour.
WITH chosen AS (
    SELECT u.*
    FROM usage AS u
    WHERE u.start_us >= $first_hour_us AND u.start_us < $last_hour_us + 3600000000
)

SELECT
    s.hour_us,
    s.offset_us,
    u.device_id,
    u.holder_id,
    u.state,
    u.reason_id,
    sum(u.held_us)::BIGINT AS held_us,
    coalesce(sum(u.active_us), 0)::BIGINT AS active_us,
    coalesce(sum(u.held_us) FILTER (WHERE u.active_us IS NULL), 0)::BIGINT AS active_unknown_us,
    coalesce(sum(u.energy_mj), 0)::BIGINT AS energy_mj,
    coalesce(sum(u.held_us) FILTER (WHERE u.energy_mj IS NULL), 0)::BIGINT AS energy_unknown_us
FROM chosen AS u
INNER JOIN rate_segments AS s
    ON u.device_id = s.device_id AND u.start_us >= s.start_us AND u.end_us <= s.end_us
GROUP BY s.hour_us, s.offset_us, u.device_id, u.holder_id, u.state, u.reason_id;
