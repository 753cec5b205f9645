-- The last of each kind that the ledger knew at an instant; 0: none.
SELECT
    $at_us::BIGINT AS at_us,
    (
        SELECT coalesce(max(b.batch_id), 0) FROM batches AS b
        WHERE b.received_us <= $at_us
    ) AS batch_id,
    (
        SELECT coalesce(max(b.price_version), 0) FROM price_books AS b
        WHERE b.imported_us <= $at_us
    ) AS price_version,
    (
        SELECT coalesce(max(m.owner_version), 0) FROM owner_maps AS m
        WHERE m.imported_us <= $at_us
    ) AS owner_version,
    (
        SELECT coalesce(max(d.directory_version), 0) FROM directories AS d
        WHERE d.imported_us <= $at_us
    ) AS directory_version,
    (
        SELECT coalesce(max(c.carbon_version), 0) FROM carbon_imports AS c
        WHERE c.imported_us <= $at_us
    ) AS carbon_version,
    (
        SELECT coalesce(max(s.share_version), 0) FROM share_books AS s
        WHERE s.imported_us <= $at_us
    ) AS share_version,
    (
        SELECT coalesce(max(p.policy_version), 0) FROM policy_books AS p
        WHERE p.imported_us <= $at_us
    ) AS policy_version,
    (
        SELECT coalesce(max(p.period_id), 0) FROM closed_periods AS p
        WHERE p.closed_us <= $at_us
    ) AS period_id;
