-- Disputes with what became of them: one, or all (dispute_id 0). An hour of it that was rated again since its bill was
-- closed makes it `restated`.
SELECT
    d.*,
    EXISTS (
        SELECT 1
        FROM restated_hours AS r
        WHERE r.hour_us >= d.from_us AND r.hour_us < d.to_us
    ) AS restated
FROM dispute_states AS d
WHERE $dispute_id IN (0, d.dispute_id)
ORDER BY d.dispute_id;
