-- The shares of a new version of the share book.
INSERT INTO share_entries
SELECT
    $share_version,
    n.entry,
    n.organisation,
    n.department,
    n.team,
    n.cluster,
    n.pool,
    n.model,
    n.parts,
    n.lends,
    n.lend_limit_parts,
    n.loan_percent,
    n.loan_rate_quanta,
    n.from_us,
    n.to_us
FROM new_shares AS n;
