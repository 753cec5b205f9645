-- The shares of a version of the share book, in the order of its file.
SELECT
    e.organisation,
    e.department,
    e.team,
    e.cluster,
    e.pool,
    e.model,
    e.parts,
    e.lends,
    e.lend_limit_parts,
    e.loan_percent,
    e.loan_rate_quanta,
    e.from_us,
    e.to_us
FROM share_entries AS e
WHERE e.share_version = $share_version
ORDER BY e.entry;
