-- What is held now, by owner and model: the newest records of each device that end after $since_us; seen: after
-- $fresh_us. A device that is held whole by one owner is counted in part_count; of the others each row is one device's
-- share: held_us of length_us of its parts, and device_id says which belong together. The owner is that of the holder's
-- newest charge.
WITH recent AS (
    SELECT
        u.device_id,
        u.holder_id,
        u.start_us,
        u.end_us,
        u.state,
        u.held_us,
        d.model,
        d.parts,
        u.end_us > $fresh_us AS seen,
        max(u.end_us) OVER (PARTITION BY u.device_id) AS newest_us
    FROM usage AS u
    INNER JOIN devices AS d ON u.device_id = d.device_id
    WHERE u.end_us > $since_us
),

payers AS (
    SELECT
        c.device_id,
        c.holder_id,
        arg_max_null(c.owner_id, c.hour_us) AS owner_id
    FROM charges AS c
    WHERE c.hour_us > $since_us - 2 * 3600000000 AND c.holder_id IS NOT NULL
    GROUP BY c.device_id, c.holder_id
),

held AS (
    SELECT
        r.device_id,
        r.model,
        r.parts,
        r.seen,
        p.owner_id,
        r.end_us - r.start_us AS length_us,
        sum(r.held_us) AS held_us,
        count(*) OVER (PARTITION BY r.device_id) = 1 AND sum(r.held_us) = r.end_us - r.start_us AS whole
    FROM recent AS r
    LEFT JOIN payers AS p ON r.device_id = p.device_id AND r.holder_id = p.holder_id
    WHERE r.end_us = r.newest_us AND r.state IN (1, 2, 6, 7)
    GROUP BY r.device_id, r.model, r.parts, r.seen, p.owner_id, r.end_us - r.start_us
)

SELECT
    h.model,
    h.seen,
    coalesce(o.organisation, '') AS organisation,
    coalesce(o.department, '') AS department,
    coalesce(o.team, '') AS team,
    CASE WHEN h.whole THEN -1 ELSE h.device_id END AS device_id,
    CASE WHEN h.whole THEN 0 ELSE h.parts END AS parts,
    CASE WHEN h.whole THEN 0 ELSE h.length_us END AS length_us,
    sum(CASE WHEN h.whole THEN 0 ELSE h.held_us END)::BIGINT AS held_us,
    sum(CASE WHEN h.whole THEN h.parts ELSE 0 END)::BIGINT AS part_count
FROM held AS h
LEFT JOIN owners AS o ON h.owner_id = o.owner_id
GROUP BY ALL
ORDER BY ALL;
