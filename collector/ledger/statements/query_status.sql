-- How much the ledger holds, and how far it is known.
SELECT
    (
        SELECT min(l.from_us)
        FROM device_lives AS l
    ) AS first_usage_us,
    (
        SELECT max(b.until_us)
        FROM batches AS b
    ) AS watermark_us,
    (
        SELECT count(*)
        FROM devices
    ) AS devices,
    (
        SELECT count(*)
        FROM holders
    ) AS holders,
    (
        SELECT count(b.batch_id)
        FROM batches AS b
    ) AS batches,
    (
        SELECT coalesce(sum(b.usage_rows), 0)::BIGINT
        FROM batches AS b
    ) AS usage_rows,
    (
        SELECT count(*)
        FROM events
    ) AS events,
    (
        SELECT count(*)
        FROM quarantine
    ) AS quarantined,
    (
        SELECT count(*)
        FROM charges
    ) AS charges,
    (
        SELECT count(*)
        FROM pending_hours
    ) AS pending_hours,
    (
        SELECT arg_max(b.currency, b.price_version)
        FROM price_books AS b
    ) AS currency,
    (
        SELECT max(b.price_version)
        FROM price_books AS b
    ) AS price_version,
    (
        SELECT max(m.owner_version)
        FROM owner_maps AS m
    ) AS owner_version,
    (
        SELECT coalesce(max(a.sequence) + 1, 0)::BIGINT
        FROM audit_events AS a
    ) AS acts,
    (
        SELECT coalesce(max(a.sequence) + 1, 0)::BIGINT
        FROM audit_events AS a
        WHERE NOT starts_with(a.act, 'access.')
    ) AS changes,
    (
        SELECT max(p.policy_version)
        FROM policy_books AS p
    ) AS policy_version;
