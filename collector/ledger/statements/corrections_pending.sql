-- What is known now about hours of closed periods goes onto the bill of the period being closed. What would only
-- be taken back and charged again, the same under another version of prices or owners, stays as it was billed.
SELECT
    p.corrects_period_id,
    p.hour_us,
    p.offset_us,
    p.device_id,
    p.holder_id,
    p.state,
    p.reason_id,
    p.owner_id,
    p.price_version,
    p.price_entry,
    p.owner_version,
    p.rate_quanta,
    p.held_us,
    p.cost_quanta
FROM pending_corrections AS p
WINDOW
    charge AS (
        PARTITION BY
            p.corrects_period_id,
            p.hour_us,
            p.device_id,
            p.holder_id,
            p.state,
            p.reason_id,
            p.owner_id,
            p.rate_quanta
    )
QUALIFY sum(p.held_us) OVER charge <> 0 OR sum(p.cost_quanta) OVER charge <> 0;
