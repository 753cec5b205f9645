-- What a dispute is about, the dearest first, with what its owner pays for each charge as it is known now: nothing for
-- one that is no more, or that is another owner's now. An hour that a price turn cut has a charge for each part.
WITH asked AS (
    SELECT d.*
    FROM disputes AS d
    WHERE d.dispute_id = $dispute_id
),

known AS (
    SELECT
        c.hour_us,
        c.offset_us,
        c.device_id,
        c.holder_id,
        c.state,
        c.reason_id,
        c.held_us,
        c.cost_quanta
    FROM current_charges AS c
    LEFT JOIN owners AS o ON c.owner_id = o.owner_id
    INNER JOIN asked AS a
        ON
            c.hour_us >= a.from_us
            AND c.hour_us < a.to_us
            AND coalesce(o.organisation, '') = a.organisation
            AND coalesce(o.department, '') = a.department
            AND coalesce(o.team, '') = a.team
)

SELECT
    k.hour_us,
    d.cluster,
    d.node,
    d.device_key AS device,
    h.holder_key AS holder,
    k.state,
    coalesce(c.offset_us, 0) AS offset_us,
    coalesce(r.reason, '') AS reason,
    coalesce(sum(c.held_us), 0)::BIGINT AS held_us,
    coalesce(sum(c.cost_quanta), 0)::BIGINT AS cost_quanta
FROM disputed_charges AS k
INNER JOIN asked AS a ON k.dispute_id = a.dispute_id
INNER JOIN devices AS d ON k.device_id = d.device_id
LEFT JOIN holders AS h ON k.holder_id = h.holder_id
LEFT JOIN reasons AS r ON k.reason_id = r.reason_id
LEFT JOIN known AS c
    ON
        k.hour_us = c.hour_us
        AND k.device_id = c.device_id
        AND k.holder_id IS NOT DISTINCT FROM c.holder_id
        AND k.state = c.state
        AND k.reason_id = c.reason_id
GROUP BY ALL
ORDER BY
    cost_quanta DESC, k.hour_us ASC, offset_us ASC, d.cluster ASC, d.node ASC, d.device_key ASC, h.holder_key ASC,
    k.state ASC
LIMIT $max_rows;
