-- Disputes with what became of them: one, or all (dispute_id 0). An hour of it that was rated again since its bill was
-- closed makes it `restated`.
SELECT
    d.dispute_id,
    d.subject,
    d.invoice_number,
    d.line,
    d.organisation,
    d.department,
    d.team,
    d.from_us,
    d.to_us,
    d.after_period_id,
    d.fixed_quanta,
    d.opened_us,
    d.opened_by,
    d.why,
    d.ended,
    d.ended_us,
    d.ended_by,
    d.ended_why,
    d.decision,
    d.amount_quanta,
    d.percent,
    d.to_organisation,
    d.to_department,
    d.to_team,
    EXISTS(
        SELECT 1
        FROM restated_hours AS r
        WHERE r.hour_us >= d.from_us AND r.hour_us < d.to_us
    ) AS restated
FROM dispute_states AS d
WHERE $dispute_id IN (0, d.dispute_id)
ORDER BY d.dispute_id;
