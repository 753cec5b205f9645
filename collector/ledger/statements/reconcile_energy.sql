-- Energy of each board in each batch of a slice of a period: as the board was metered, and as its devices' records say.
-- Batches are compared whole, each in the slice that it begins in; one that began before the period in the first.
WITH touching AS (
    SELECT
        b.batch_id,
        b.agent,
        b.sequence,
        b.from_us,
        b.until_us
    FROM batches AS b
    WHERE
        b.until_us > $since_us
        AND greatest(b.from_us, $since_us) >= $from_us
        AND greatest(b.from_us, $since_us) < $to_us
),

recorded AS (
    SELECT
        u.batch_id,
        CASE WHEN d.board = '' THEN d.device_key ELSE d.board END AS board,
        sum(u.energy_mj) AS energy_mj
    FROM usage AS u
    INNER JOIN touching AS t ON u.batch_id = t.batch_id
    INNER JOIN devices AS d ON u.device_id = d.device_id
    WHERE
        u.energy_mj IS NOT NULL
        AND u.start_us >= (
            SELECT min(f.from_us)
            FROM touching AS f
        )
        AND u.start_us < (
            SELECT max(l.until_us)
            FROM touching AS l
        )
    GROUP BY u.batch_id, d.board, d.device_key
),

metered AS (
    SELECT
        e.batch_id,
        e.board,
        e.energy_mj
    FROM board_energy AS e
    INNER JOIN touching AS t ON e.batch_id = t.batch_id
),

signed AS (
    SELECT
        m.batch_id,
        m.board,
        m.energy_mj::HUGEINT AS energy_mj
    FROM metered AS m
    UNION ALL
    SELECT
        r.batch_id,
        r.board,
        -r.energy_mj AS energy_mj
    FROM recorded AS r
)

SELECT
    t.agent,
    t.sequence,
    s.board,
    sum(s.energy_mj)::BIGINT AS difference_mj
FROM signed AS s
INNER JOIN touching AS t ON s.batch_id = t.batch_id
GROUP BY t.agent, t.sequence, s.batch_id, s.board
HAVING sum(s.energy_mj) <> 0
ORDER BY t.agent, t.sequence, s.board;
