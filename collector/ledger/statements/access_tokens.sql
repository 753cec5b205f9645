-- All tokens with what became of them, in the order in which they were made.
WITH enrolled AS (
    SELECT
        e.join_id,
        count(*) AS used
    FROM access_enrolments AS e
    GROUP BY e.join_id
)

SELECT
    t.token_id,
    t.name,
    t.role,
    t.nodes,
    t.agent,
    t.digest,
    t.shown,
    t.created_us,
    t.created_by,
    t.expires_us,
    t.uses,
    r.at_us AS revoked_us,
    coalesce(r.revoked_by, '') AS revoked_by,
    coalesce(r.why, '') AS why,
    coalesce(e.used, 0)::INTEGER AS used
FROM access_tokens AS t
LEFT JOIN access_revocations AS r ON t.token_id = r.token_id
LEFT JOIN enrolled AS e ON t.token_id = e.join_id
ORDER BY t.token_id;
